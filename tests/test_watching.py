"""The commands `sparring watch` and `sparring train --watch`."""

import contextlib
import json
import os
import pty
import re
import signal
import socket
import subprocess
import threading
import time
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from started import COMMAND

from sparring.cli.main import main
from sparring.runs.run import Run

pytest.importorskip("starlette", reason="needs the extra `watch`")

ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+/\?token=[\w-]+")


def started(*words: str) -> "subprocess.Popen[str]":
    return subprocess.Popen([*COMMAND, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def address_in(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if found := ADDRESS.search(line):
            return found[0]
    assert process.stderr is not None
    pytest.fail(process.stderr.read())


def answers(address: str) -> bool:
    with urllib.request.urlopen(address, timeout=10) as answer:
        return b"<title>Sparring</title>" in answer.read()


def test_a_folder_is_watched_until_ctrl_c(tiny_run: Run) -> None:
    process = started("watch", str(tiny_run.path.parent))
    assert answers(address_in(process))
    assert process.stdout is not None and process.stdout.readline() == "Ctrl-C ends it\n"
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=60)
    assert process.returncode == 0 and (rest, errors) == ("", "")


def test_a_requested_port_is_used_or_reported_as_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        process = started("watch", str(tmp_path), "--port", port)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 2 and f"port {port} is in use" in errors
    process = started("watch", str(tmp_path), "--port", port)
    assert f":{port}/" in address_in(process)
    process.terminate()
    process.communicate()


@pytest.fixture
def options(digits: Path) -> list[str]:
    sizes = "--generator.hidden 8 --discriminator.hidden 8 --batch-size 20 --validation 0 --judge-every 0"
    return ["train", "mlp-256", "--watch", "--data", str(digits), *sizes.split()]


def test_a_training_is_watched_as_long_as_it_takes(options: list[str], tmp_path: Path) -> None:
    out = tmp_path / "run"
    process = started(*options, "--steps", "2000000", "--out", str(out))
    address = address_in(process)
    assert answers(address)
    assert process.stdout is not None
    next(line for line in process.stdout if line.startswith("step "))
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=60)
    assert process.returncode == 130 and errors == ""
    assert "everything is saved" in rest and f"sparring watch {out}" in rest
    with pytest.raises(OSError):
        answers(address)  # or another page has taken its port
    assert Run(out).ended() == "stopped"


class Terminal:
    """A command in a pseudo-terminal. A thread reads its output, so that it never blocks."""

    def __init__(self, *words: str) -> None:
        self._own, other = pty.openpty()
        self.process = subprocess.Popen(
            [*COMMAND, *words], stdin=other, stdout=other, stderr=other, start_new_session=True
        )
        os.close(other)
        self.printed = ""
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # as Linux ends a terminal
            while piece := os.read(self._own, 10_000):
                self.printed += piece.decode(errors="replace").replace("\r", "")

    def until(self, words: str, seconds: float = 90.0) -> None:
        end = time.monotonic() + seconds
        while words not in self.printed:
            assert time.monotonic() < end and self.process.poll() is None, self.printed
            time.sleep(0.05)

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)


def state(address: str) -> str:
    """Return the state of the only run on the page."""
    with urllib.request.urlopen(address) as door:
        cookie, _, place = str(door.headers["set-cookie"]).partition("; HttpOnly; SameSite=Strict; Path=")
    asked = urllib.request.Request(f"http://{urlsplit(address).netloc}{place}api/runs", headers={"cookie": cookie})
    with urllib.request.urlopen(asked) as answer:
        return str(json.loads(answer.read())["runs"][0]["state"])


def test_in_a_terminal_the_page_stays_after_the_training_until_ctrl_c(options: list[str], tmp_path: Path) -> None:
    terminal = Terminal(*options, "--steps", "20", "--out", str(tmp_path / "run"))
    terminal.until("Ctrl-C ends it")
    found = ADDRESS.search(terminal.printed)
    assert found and f"The page stays open: {found[0]}" in terminal.printed and "finished: " in terminal.printed
    assert state(found[0]) == "finished"
    terminal.interrupt()
    assert terminal.process.wait(60) == 0
    assert "Look at it again" in terminal.printed and "interrupted" not in terminal.printed
    with pytest.raises(OSError):
        answers(found[0])  # or another page has taken its port


def test_the_first_ctrl_c_ends_the_training_and_the_second_the_page(options: list[str], tmp_path: Path) -> None:
    terminal = Terminal(*options, "--steps", "2000000", "--out", str(tmp_path / "run"))
    terminal.until("watch the training: http")
    found = ADDRESS.search(terminal.printed)
    terminal.until("steps/s")
    terminal.interrupt()
    terminal.until("Ctrl-C ends it")
    assert found and "everything is saved" in terminal.printed and state(found[0]) == "stopped"
    assert Run(tmp_path / "run").ended() == "stopped"
    terminal.interrupt()
    assert terminal.process.wait(60) == 130


def test_a_terminated_training_does_not_wait_for_ctrl_c(options: list[str], tmp_path: Path) -> None:
    terminal = Terminal(*options, "--steps", "2000000", "--out", str(tmp_path / "run"))
    terminal.until("steps/s")
    terminal.process.terminate()
    assert terminal.process.wait(60) == 130
    assert Run(tmp_path / "run").ended() == "stopped" and "The page stays open" not in terminal.printed


def test_without_a_terminal_open_tabs_see_the_end(options: list[str], tmp_path: Path) -> None:
    process = started(*options, "--steps", "20", "--out", str(tmp_path / "run"))
    address = address_in(process)
    assert process.stdout is not None
    next(line for line in process.stdout if line.startswith("New images"))
    assert state(address) == "finished"
    rest, errors = process.communicate(timeout=60)
    assert process.returncode == 0 and errors == "" and "The page stays open" not in rest


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("watch {folder}/missing", "missing is not a folder"),
        ("watch {folder} --port 0", "--port must lie between 1 and 65,535, not 0"),
        (
            "watch {folder} --host 0.0.0.0",
            "on 0.0.0.0 other machines can connect, and nothing is encrypted: add --i-know",
        ),
        ("watch {folder} --host no.such.invalid", "on no.such.invalid other machines can connect"),
        ("watch {folder} --host 203.0.113.7 --i-know", "the page cannot listen at 203.0.113.7, port 8765"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(
    words: str, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words.format(folder=tmp_path).split()) == 2
    said = capsys.readouterr()
    assert sentence in said.err and said.err.count("\n") == 1


def test_a_page_that_cannot_start_is_one_sentence_and_nothing_is_trained(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "uvicorn.py").write_text("raise ModuleNotFoundError('no uvicorn', name='uvicorn')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert main(["train", "mlp-256", "--data", str(digits), "--watch", "--out", str(tmp_path / "run")]) == 2
    assert "the page needs the package uvicorn" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()

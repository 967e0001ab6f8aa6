"""THE COMMANDS of the page: `sparring watch` and `sparring train --watch`, as people type them."""

import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from sparring.cli import main
from sparring.run import Run

pytest.importorskip("starlette", reason="needs the extra `watch`")

ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+/\?token=[\w-]+")


def started(*words: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "sparring.cli", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


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
    rest, errors = process.communicate(timeout=10)
    assert process.returncode == 0 and (rest, errors) == ("", "")


def test_a_port_that_was_asked_for_is_taken_or_said_to_be_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        process = started("watch", str(tmp_path), "--port", port)
        _, errors = process.communicate(timeout=20)
        assert process.returncode == 2 and f"port {port} is in use" in errors
    process = started("watch", str(tmp_path), "--port", port)
    assert f":{port}/" in address_in(process)
    process.terminate()
    process.communicate()


def test_a_training_is_watched_as_long_as_it_takes(digits: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    options = ["--data", str(digits), "--steps", "2000000", "--batch-size", "20", "--held-out", "0"]
    process = started("train", "mlp-256", "--watch", "--out", str(out), *options)
    address = address_in(process)
    assert answers(address)
    assert process.stdout is not None
    next(line for line in process.stdout if line.startswith("step "))
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=60)
    assert process.returncode == 130 and errors == ""
    assert "everything is saved" in rest and f"sparring watch {out}" in rest
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", urlsplit(address).port or 0), timeout=5)
    assert Run(out).ended() == "stopped"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("watch {folder}/missing", "missing is no folder; sparring train makes runs in the folder runs"),
        ("watch {folder} --port 0", "--port must lie between 1 and 65,535, not 0"),
        ("watch {folder} --host 0.0.0.0", "on 0.0.0.0 other machines can ask, and nothing is encrypted: add --i-know"),
        ("watch {folder} --host no.such.invalid", "on no.such.invalid other machines can ask"),
        ("watch {folder} --host 203.0.113.7 --i-know", "there can be no page at 203.0.113.7, port 8765"),
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
    assert 'the page needs uvicorn: pip install "sparring[watch]"' in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_without_the_extra_it_is_said_what_is_needed(tmp_path: Path) -> None:
    code = "import sys; sys.modules['uvicorn'] = None; from sparring.cli import main; sys.exit(main(sys.argv[1:]))"
    done = subprocess.run([sys.executable, "-c", code, "watch", str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 2 and 'the page needs uvicorn: pip install "sparring[watch]"' in done.stderr

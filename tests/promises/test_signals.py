"""SIGNALS: Ctrl-C, SIGTERM and a closed terminal end a run in five seconds with everything saved, whenever they come.

The seconds are the process's own, of one processor, where others keep it waiting.
"""

import os
import pty
import random
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from slow import later
from started import COMMAND, wait_until

from sparring.runs import checkpoint
from sparring.runs.run import Run

PROMISED_SECONDS = 5.0
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
SIZES = "--batch-size 16 --generator.hidden 8 --discriminator.hidden 8 --grid-every 5000 --judge-every 0"
WORDS = ["mlp-256", *SIZES.split(), "--steps", "1000000", "--checkpoint-seconds", "1000"]
NEVER_COMPILED = """
import atexit, hashlib, sys, threading
from sparring.cli import main as cli
from sparring.training import loop

def compiled(*given, **named):
    atexit.register(threading.current_thread().join)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 10**9)

loop.compile_chunk = compiled
sys.exit(cli.program())
"""
"""A command in which to compile the steps takes minutes: outside of Python, and waited for at its exit, as with XLA."""


def start(command: list[str], run: Run, data: Path, *words: str) -> subprocess.Popen[bytes]:
    words = ("train", *WORDS, "--data", str(data), "--out", str(run.path), *words)
    return subprocess.Popen([*command, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


class Watch:
    """How long a process took to end, from now on."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process, self._began, self._spent = (
            process,
            time.monotonic(),
            resource.getrusage(resource.RUSAGE_CHILDREN),
        )
        ticks = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        self._before = sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")

    def seconds(self) -> float:
        """Of the clock, or of the processor, whichever is less. The process has ended and was waited for."""
        wall, spent = time.monotonic() - self._began, resource.getrusage(resource.RUSAGE_CHILDREN)
        own = spent.ru_utime + spent.ru_stime - self._spent.ru_utime - self._spent.ru_stime - self._before
        return min(wall, own)


def check_saved(run: Run) -> None:
    """The run says that it was stopped, and its newest checkpoint is where it had come to."""
    assert run.ended() == "stopped"
    newest = checkpoint.newest_step(run.checkpoints)
    reached = max((event["step"] for event in run.events() if event["event"] == "log"), default=-1)
    assert newest == reached
    assert not list(run.damages()) and not list(run.path.rglob(".partial-*"))


@pytest.mark.long
@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: str(number.name))
def test_a_training_that_is_asked_to_stop_saves_everything(
    number: signal.Signals, digits: Path, tmp_path: Path
) -> None:
    """In short: SIGINT in test_cli.py, SIGTERM in test_watching.py, SIGHUP below."""
    run = Run(tmp_path / "run")
    process = start([sys.executable, "-m", "sparring"], run, digits)
    wait_until(run, "log", process)
    watch = Watch(process)
    process.send_signal(number)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output.decode()
    assert watch.seconds() < PROMISED_SECONDS
    assert re.search(r"stopped after step [\d,]+; everything is saved", output.decode())
    check_saved(run)


@pytest.mark.parametrize("by", later(["a stand-in", "XLA"], "XLA"))
def test_the_first_compilation_is_not_waited_for(
    by: str, digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By XLA: of the deepest network, compiled with all optimisations, and nothing of it kept before."""
    run = Run(tmp_path / "run")
    if by == "XLA":
        monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "empty"))
        monkeypatch.delenv("JAX_DISABLE_MOST_OPTIMIZATIONS")
        words = ["train", "good", "--data", str(digits), "--out", str(run.path), "--batch-size", "16"]
        command = [sys.executable, "-m", "sparring", *words]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    else:
        process = start([sys.executable, "-c", NEVER_COMPILED], run, digits)
    wait_until(run, "grid", process)  # next comes the compilation of the steps
    watch = Watch(process)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output.decode()
    assert watch.seconds() < PROMISED_SECONDS
    assert run.ended() == "stopped" and run.reached() == 0


@pytest.mark.parametrize("hangs_up", [True, pytest.param(False, marks=pytest.mark.long)], ids=["signal", "no signal"])
def test_a_closed_terminal_ends_a_run_and_a_lost_one_does_not(hangs_up: bool, digits: Path, tmp_path: Path) -> None:
    """`disown` keeps the signal from a process, which is to train on."""
    run = Run(tmp_path / "run")
    ours, theirs = pty.openpty()
    words = ["--steps", "1000000" if hangs_up else "6000"]
    code = "import os, fcntl, termios, sys; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    code += "" if hangs_up else "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN); "
    code += "from sparring.__main__ import main; sys.exit(main())"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "train", *WORDS, "--data", str(digits), "--out", str(run.path), *words],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    wait_until(run, "log", process)
    watch = Watch(process)
    os.close(ours)
    if hangs_up:
        assert process.wait(timeout=60) == 130
        assert watch.seconds() < PROMISED_SECONDS
        check_saved(run)
    else:
        process.wait(timeout=120)
        assert run.ended() == "finished"


def test_who_reads_no_further_stops_the_run_and_loses_nothing(digits: Path, tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    process = start(COMMAND, run, digits)
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=60) == 141
    check_saved(run)


@pytest.mark.long
def test_signals_at_any_moment(digits: Path, tmp_path: Path) -> None:
    chance, slowest = random.Random(int(os.environ.get("SPARRING_TEST_SEED", "0"))), 0.0
    for i in range(int(os.environ.get("SPARRING_TEST_SIGNALS", "60"))):
        run = Run(tmp_path / f"run-{i}")
        process = start([sys.executable, "-m", "sparring"], run, digits, "--checkpoint-seconds", "0.2")
        time.sleep(chance.uniform(0, 10))
        watch = Watch(process)
        process.send_signal(chance.choice(SIGNALS))
        output, _ = process.communicate(timeout=60)
        slowest = max(slowest, watch.seconds())
        assert process.returncode in (130, -signal.SIGTERM, -signal.SIGHUP, -signal.SIGINT), output.decode()
        if process.returncode == 130 and run.ended() is not None:
            check_saved(run)
    print(f"the slowest ended after {slowest:.2f} s")
    assert slowest < PROMISED_SECONDS


@pytest.mark.parametrize("command", ["sweep --seed 0,1", "watch .", "compare a b", "sample run", "recipes", "--help"])
def test_ctrl_c_at_the_start_of_a_command_shows_no_traceback(command: str, tmp_path: Path) -> None:
    """While it imports. Before its first line, in Python's own start, nothing of ours runs yet; hence the wait."""
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a script's child ignores it
        "from sparring import __main__; print('begun', flush=True); sys.exit(__main__.main())"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, *command.split()],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stdout.readline() == "begun\n"
    time.sleep(random.Random(command).uniform(0, 0.2))
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode in (-signal.SIGINT, 130, 2, 0), errors
    assert "Traceback" not in errors and errors.count("\n") <= 1

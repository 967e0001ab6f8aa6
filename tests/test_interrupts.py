"""Signals: each ends the program at once and leaves no temporary files, or requests a stop of the training."""

import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
BEGIN = """
import gc, os, sys, threading, time
from pathlib import Path
from sparring import interrupts
interrupts.listen()
def ready():
    print("ready", flush=True)
"""


def started(code: str, *words: str) -> "subprocess.Popen[str]":
    """Start a program that handles signals, and wait until it is ready."""
    program = [sys.executable, "-c", BEGIN + textwrap.dedent(code), *words]
    process = subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def ended(process: "subprocess.Popen[str]") -> tuple[int, str]:
    """Return (exit status, standard error)."""
    _, errors = process.communicate(timeout=30)
    return process.returncode, errors


@pytest.mark.parametrize("number", STATUS)
def test_a_signal_ends_the_program_with_its_status_and_at_most_one_sentence(number: signal.Signals) -> None:
    process = started("ready(); time.sleep(60)")
    process.send_signal(number)
    status, errors = ended(process)
    assert status == STATUS[number]
    assert errors.count("\n") == (number != signal.SIGHUP) and "Traceback" not in errors


@pytest.mark.parametrize(
    "busy",
    [
        "lock = threading.Lock(); lock.acquire(); ready(); lock.acquire()",
        "gc.callbacks.append(lambda *words: time.sleep(60)); ready(); gc.collect()",
        "ready(); exec('while True:\\n try: time.sleep(60)\\n except BaseException: pass')",
        "threading.Thread(target=time.sleep, args=(60,)).start(); ready()",
    ],
    ids=["a lock that nobody gives back", "a callback of the garbage collector", "catches all", "threads at its end"],
)
def test_it_ends_wherever_the_main_thread_is(busy: str) -> None:
    process = started(busy)
    process.send_signal(signal.SIGINT)
    assert ended(process) == (130, "sparring: interrupted\n")


def test_temporary_files_are_removed_and_others_stay(tmp_path: Path) -> None:
    code = """
    folder = Path(sys.argv[1])
    with interrupts.temporary(folder / "partial"), interrupts.temporary(folder / "made"):
        (folder / "partial").write_text("half")
        (folder / "made" / "inner").mkdir(parents=True)
        (folder / "made" / "inner" / "file").write_text("half")
        (folder / "made" / "link").symlink_to(folder / "kept")
        with interrupts.temporary(folder / "done"):
            (folder / "done").write_text("whole")
        ready()
        time.sleep(60)
    """
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").write_text("the user's")
    process = started(code, str(tmp_path))
    process.send_signal(signal.SIGTERM)
    assert ended(process)[0] == 143
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["done", "file", "kept"]


def test_a_folder_is_removed_although_it_is_being_filled(tmp_path: Path) -> None:
    code = """
    import contextlib
    folder = Path(sys.argv[1]) / "filled"
    folder.mkdir()
    interrupts.remove_at_end(folder)
    for number in range(10**9):
        if number == 100:
            ready()
        with contextlib.suppress(OSError):
            (folder / str(number)).touch()
    """
    process = started(code, str(tmp_path))
    process.send_signal(signal.SIGINT)
    assert ended(process)[0] == 130
    assert not list(tmp_path.iterdir())


STOPPABLE = """
from sparring.training.stopping import stop_requests
with stop_requests() as stop:
    ready()
    while not stop.requested:
        time.sleep(0.01)
    print("asked", flush=True)
    time.sleep(float(sys.argv[1]))
sys.exit(7)
"""


@pytest.mark.parametrize("number", STATUS)
def test_a_training_is_asked_to_stop(number: signal.Signals) -> None:
    process = started(STOPPABLE, "0")
    process.send_signal(number)
    assert ended(process) == (7, "")


@pytest.mark.parametrize(
    ("second", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 7)], ids=lambda one: str(one)
)
def test_a_second_signal_ends_it_at_once_but_a_closed_terminal_is_never_the_second(second: int, status: int) -> None:
    """A shell and the system both send SIGHUP, and systemd sends it after SIGTERM."""
    process = started(STOPPABLE, "1" if status == 7 else "60")
    process.send_signal(signal.SIGHUP)
    assert process.stdout is not None and process.stdout.readline() == "asked\n"
    began = time.monotonic()
    process.send_signal(second)
    assert ended(process)[0] == status
    assert time.monotonic() - began < 20


def test_ctrl_c_can_be_the_normal_end() -> None:
    process = started("with interrupts.ctrl_c_ends_normally():\n    ready()\n    time.sleep(60)")
    process.send_signal(signal.SIGINT)
    assert ended(process) == (0, "")


def test_ignored_signals_stay_ignored() -> None:
    code = "import os, signal, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN); "
    code += "os.execv(sys.executable, [sys.executable, '-c', sys.argv[1]])"
    inner = BEGIN + "ready()\ntime.sleep(1)\nsys.exit(7)"
    process = subprocess.Popen(
        [sys.executable, "-c", code, inner], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGHUP)
    assert ended(process) == (7, "")


def test_exit_handlers_run_before_signals_return_to_the_system() -> None:
    code = """
    import atexit, signal
    atexit.register(lambda: print("at the end", signal.getsignal(signal.SIGINT) == interrupts._ignore, flush=True))
    ready()
    interrupts.finish()
    print(signal.getsignal(signal.SIGINT) == signal.SIG_DFL)
    """
    process = started(code)
    assert process.stdout is not None
    assert process.stdout.read() == "at the end True\nTrue\n"
    assert ended(process) == (0, "")


def test_a_python_program_keeps_its_own_handlers() -> None:
    code = "import signal; import sparring.training.stopping; from sparring.cli.main import main; "
    code += "main(['--help']); "
    code += "sys.exit(signal.getsignal(signal.SIGINT) != signal.default_int_handler)"
    assert subprocess.run([sys.executable, "-c", "import sys; " + code], stdout=subprocess.DEVNULL).returncode == 0

"""CRASHES: the life of a run's files, ended before, within and after every operation on the disk, or with no room left.

A process of its own (`python crashes.py FOLDER killed|full EVERY`), because it forks at one in EVERY: it knows no JAX
devices.
"""

from __future__ import annotations

import builtins
import errno
import io
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sparring.errors import DiskError, RunError
from sparring.images import save_picture
from sparring.recipes import named_recipe
from sparring.runs import checkpoint
from sparring.runs.resume import refuse_changes
from sparring.runs.run import Run
from sparring.training.reporter import Silence
from sparring.training.start import begin_or_resume

MOMENTS = ("before", "within", "after")
ENDED, KILLED, NO_ROOM, UNHURT = 0, -signal.SIGKILL, 7, 8
ENVIRONMENT = {
    "versions": {},
    "device": {"kind": "cpu", "platform": "cpu"},
    "processes": 1,
    "threads": 2,
    "xla_flags": "",
    "jax_settings": {},
    "data": {"name": "none", "source": "nowhere", "shape": [1, 1, 1, 1], "checksum": "0123456789abcdef"},
}
TEMPLATE = {"weights": np.zeros(3000, np.float32), "step": np.zeros((), np.int64)}
"""Its file is larger than one block of a disk and than a buffer of Python's."""


class Operations:
    """Counts what is done to the disk below a folder, and lets something happen at one of the operations."""

    def __init__(self, folder: Path, at: int, moment: str, happens: Callable[[], None]) -> None:
        self.count = 0
        self._folder, self._at, self._moment, self._happens = str(folder), at, moment, happens

    def watch(self) -> None:
        """From now on."""
        for name in ("rename", "replace", "unlink", "rmdir", "mkdir", "truncate", "ftruncate"):
            setattr(os, name, self._watched(getattr(os, name)))
        os.fsync = self._watched(os.fsync, anywhere=True)
        created = os.open

        def create(path: Any, flags: int, *given: Any, **named: Any) -> int:
            operation = self._watched(created) if flags & os.O_CREAT else created
            return int(operation(path, flags, *given, **named))

        os.open = create
        opened = io.open
        builtins.open = io.open = self._opening(opened)

    def _watched(self, operation: Callable[..., Any], anywhere: bool = False) -> Callable[..., Any]:
        def run(*given: Any, **named: Any) -> Any:
            if not anywhere and not str(given[0]).startswith(self._folder):
                return operation(*given, **named)
            return self.pass_through(lambda: operation(*given, **named))

        return run

    def _opening(self, opened: Callable[..., Any]) -> Callable[..., Any]:
        def run(file: Any, mode: str = "r", *given: Any, **named: Any) -> Any:
            if isinstance(file, int) or not str(file).startswith(self._folder) or not set(mode) & set("wax+"):
                return opened(file, mode, *given, **named)
            made = self.pass_through(lambda: opened(file, mode, *given, **named))
            return Watched(made, self) if "b" in mode else made

        return run

    def pass_through(self, operation: Callable[[], Any], half: Callable[[], object] | None = None) -> Any:
        """Do one operation, or what comes instead. Only a write, which can be done by `half`, has a "within"."""
        if self._moment == "within" and half is None:
            return operation()
        self.count += 1
        if self.count != self._at:
            return operation()
        if self._moment == "before":
            self._happens()
        if half is not None and self._moment == "within":
            half()
            self._happens()
        result = operation()
        if self._moment == "after":
            self._happens()
        return result


class Watched:
    """An open file whose writes are operations."""

    def __init__(self, file: Any, operations: Operations) -> None:
        self._file, self._operations = file, operations

    def write(self, content: bytes) -> int:
        def half() -> None:
            self._file.write(content[: len(content) // 2])
            self._file.flush()

        written: int = self._operations.pass_through(lambda: self._file.write(content), half)
        return written

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> Watched:
        return self

    def __exit__(self, *given: object) -> None:
        self._file.close()


def state(step: int) -> dict[str, np.ndarray[Any, Any]]:
    return {"weights": np.full(3000, step, np.float32), "step": np.array(step)}


def live(run: Run, done: Callable[[str], None]) -> None:
    """What a trainer does to a run's files, and a second one that goes on; each thing is told once it is done."""
    recipe = named_recipe("mlp-256").replace(steps=40)
    refuse_changes(run, recipe, ENVIRONMENT)
    run.path.mkdir(parents=True, exist_ok=True)
    with run.lock():
        begin_or_resume(run, recipe, ENVIRONMENT, 0, Silence(), ())
        done("begun")
        _train(run, done)


def _train(run: Run, done: Callable[[str], None]) -> None:
    recipe = run.recipe()
    for step in (10, 20, 30):
        run.add_event("log", step, d_loss=0.5)
        done(f"event {step}")
        save_picture(run.grid(step), np.full((8, 8, 1), step, np.uint8))
        done(f"grid {step}")
        checkpoint.save(run.checkpoints, step, state(step), made_by=run.identity)
        done(f"checkpoint {step}")
    run.clear_partial()
    run.forget_events_after(20)
    checkpoint.save(run.checkpoints, 30, state(30), made_by=run.identity)  # once more, over the one that is there
    run.begin(recipe.replace(steps=50), run.environment())
    run.add_event("finished", 30)
    done("finished")


def check(run: Run, done: list[str]) -> None:
    """What was told to be done is there, and all that is there is whole."""
    steps = [int(word.split()[1]) for word in done if word.startswith("checkpoint")]
    newest = (
        checkpoint.load_newest(run.checkpoints, TEMPLATE, made_by=run.identity) if run.checkpoints.is_dir() else None
    )
    if steps:
        assert newest is not None and newest[0] >= max(steps) - 10 * ("finished" not in done), f"{newest} after {done}"
    if steps and max(steps) < 30:
        assert newest is not None and newest[0] >= max(steps), f"{newest} after {done}"
    if newest is not None:
        assert (newest[1]["weights"] == newest[0]).all() and newest[2] == []
    if "begun" in done or run.exists():
        assert run.recipe().steps in (40, 50) and run.environment()["threads"] == 2
    logged = [event["step"] for event in run.events() if event["event"] == "log"]
    told = [int(word.split()[1]) for word in done if word.startswith("event")]
    assert logged == sorted(logged) and set(logged) >= {step for step in told if step <= 20}
    for step, path in run.all_grids() if run.grids.is_dir() else []:
        with Image.open(path) as picture:
            assert np.asarray(picture).tolist() == np.full((8, 8), step).tolist()
    assert {f"grid {step}" for step, _ in run.all_grids()} >= {word for word in done if word.startswith("grid")}


def one(folder: Path, at: int, moment: str, how: str) -> tuple[int, list[str]]:
    """(how the life of a run ended in which something happens at that operation, what it had done)."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    told = folder.with_suffix(".told")
    told.write_text("")
    child = os.fork()
    if child == 0:
        descriptor = os.open(told, os.O_WRONLY | os.O_APPEND)

        def happens() -> None:
            if how == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))

        operations = Operations(folder, at, moment, happens)
        operations.watch()

        def done(what: str) -> None:
            os.write(descriptor, f"{what}\n".encode())

        try:
            live(Run(folder / "run"), done)
        except (DiskError, RunError, OSError) as error:
            said = isinstance(error, DiskError) and "bytes" in str(error)
            assert str(folder) in str(error) and "\n" not in str(error) and (said or "begun" not in told.read_text())
            os._exit(NO_ROOM)
        except BaseException as error:
            print(f"operation {at}, {moment}: {error!r}", file=sys.stderr)
            os._exit(1)
        os._exit(ENDED if operations.count < at else UNHURT)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return status, told.read_text().splitlines()


def go_on(run: Run) -> None:
    """With room again, or after a kill, the same can be done, and leaves nothing half-written."""
    live(run, lambda what: None)
    assert not list(run.path.rglob(".partial-*"))
    assert run.recipe().steps == 50 and run.ended() == "finished" and not list(run.damages())


def main() -> None:
    folder, how, every = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    ends: dict[int, int] = {}
    for moment in MOMENTS:
        at = 1 + MOMENTS.index(moment) % every
        while True:
            status, done = one(folder / how, at, moment, how)
            ends[status] = ends.get(status, 0) + 1
            if status == ENDED:
                break
            if status not in (KILLED, NO_ROOM, UNHURT):
                sys.exit(f"operation {at}, {moment}: it ended with {status} after {done}")
            try:
                check(Run(folder / how / "run"), done)
                go_on(Run(folder / how / "run"))
            except Exception as error:
                sys.exit(f"operation {at}, {moment}, after {done}: {type(error).__name__}: {error}")
            at += every
    print(json.dumps({str(status): count for status, count in ends.items()}))


if __name__ == "__main__":
    main()

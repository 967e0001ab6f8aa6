"""SHARING the trials of a sweep among processes, with their states in Optuna's storage.

claim -> a trial of a dead process, else one that was given back, else a new one -> finish, fail or give back

Processes on one or several machines work in the same folder. All changes are made by one process at a time, with a lock
that works on network file systems. Each process locks a file in `workers/` and touches it every few seconds. A process
of this machine is dead if its file is not locked. A process of another machine is dead if its file was not touched for
`SILENCE_SECONDS`, by the clock of the file system.
"""

from __future__ import annotations

import json
import os
import platform
import re
import threading
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO, Literal, TypeGuard

from sparring.files.untrusted import open_plain
from sparring.recipes.renamed import with_old_names
from sparring.sweeps.folder import Setup, SweepFolder
from sparring.sweeps.journal import STUDY, Journal
from sparring.sweeps.space import Point, distributions, load_optuna, stored

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

TOUCH_SECONDS = 10.0
"""Seconds between two touches of a worker's file."""
SILENCE_SECONDS = 180.0
"""A process on another machine counts as dead after this time. Network file systems delay the times of files."""

LARGEST_WORKER = 4096
"""Largest file of a worker in bytes."""

State = Literal["waiting", "running", "finished", "failed"]


@dataclass(frozen=True)
class Trial:
    """The state of one trial."""

    number: int
    point: Point
    state: State
    about: dict[str, Any]
    """Its score, or the reason why it failed."""


class Trials:
    """The trials of a sweep, for a process that works on them."""

    def __init__(self, folder: SweepFolder, setup: Setup, worker: Worker) -> None:
        self._optuna = load_optuna()
        self._folder, self._setup, self._worker = folder, setup, worker
        self._kinds = with_old_names(distributions(setup.space))
        self._storage, self._study = _open_study(folder, setup, self._kinds)

    def claim(self) -> int | None:
        """Claim a trial to train, and return its number; None if there is none left."""
        states = self._optuna.trial.TrialState
        with exclusively(self._folder):
            for trial in self._study.get_trials(deepcopy=False):
                worker = trial.user_attrs.get("worker")
                if trial.state == states.RUNNING and not self._worker.is_alive(worker):
                    self._set_waiting(trial.number)
                    self._worker.bury(worker)
            known = self._study.get_trials(deepcopy=False)
            if all(trial.state != states.WAITING for trial in known):
                if len(known) == len(self._setup.points):
                    return None
                point = self._setup.points[len(known)]
                self._study.enqueue_trial(stored(point))
            trial = self._study.ask(self._kinds)
            trial.set_user_attr("worker", self._worker.name)
            return int(trial.number)

    def give_back(self, number: int) -> None:
        """Let any process continue this trial, which was stopped."""
        with exclusively(self._folder):
            if self._is_ours(number):
                self._set_waiting(number)

    def finish(self, number: int, value: float, **about: Any) -> None:
        """Record the score of this trial; lower is better."""
        self._end(number, about, value=value)

    def fail(self, number: int, reason: str) -> None:
        """Record that this trial failed."""
        self._end(number, {"reason": reason})

    def all(self) -> list[Trial]:
        """All trials, in order of their numbers."""
        found = {trial.number: trial for trial in self._study.get_trials(deepcopy=False)}
        return [self._trial(number, point, found.get(number)) for number, point in enumerate(self._setup.points)]

    def _end(self, number: int, about: dict[str, Any], value: float | None = None) -> None:
        states = self._optuna.trial.TrialState
        with exclusively(self._folder):
            if not self._is_ours(number):
                return  # this process counted as dead, and another one has the trial now
            self._storage.set_trial_user_attr(self._id(number), "about", about)
            if value is None:
                self._study.tell(number, state=states.FAIL)
            else:
                self._study.tell(number, value)

    def _is_ours(self, number: int) -> bool:
        trial = self._study.get_trials(deepcopy=False)[number]
        running = trial.state == self._optuna.trial.TrialState.RUNNING
        return bool(running and trial.user_attrs.get("worker") == self._worker.name)

    def _set_waiting(self, number: int) -> None:
        self._storage.set_trial_state_values(self._id(number), state=self._optuna.trial.TrialState.WAITING)

    def _id(self, number: int) -> Any:
        """The id of the trial in the storage."""
        study = self._storage.get_study_id_from_name(STUDY)
        return self._storage.get_trial_id_from_study_id_trial_number(study, number)

    def _trial(self, number: int, point: Point, found: Any) -> Trial:
        if found is None:
            return Trial(number, point, "waiting", {})
        about = found.user_attrs.get("about", {})
        names: dict[str, State] = {"COMPLETE": "finished", "FAIL": "failed", "RUNNING": "running"}
        state = names.get(found.state.name, "waiting")
        if state == "running" and not self._worker.is_alive(found.user_attrs.get("worker")):
            state = "waiting"
        return Trial(number, point, state, about | ({"value": found.value} if state == "finished" else {}))


def known_trials(folder: SweepFolder, setup: Setup) -> list[Trial]:
    """All trials of a sweep, without taking part in it."""
    return Trials(folder, setup, Worker(folder.workers, "")).all()


# ------------------------------------------------------------------------------------------------ the storage


def _open_study(folder: SweepFolder, setup: Setup, kinds: dict[str, Any]) -> tuple[Any, Any]:
    optuna = load_optuna()
    folder.refuse_links()
    journal = Journal(folder.journal, setup.points, kinds)
    with exclusively(folder):
        journal.mend()
        storage = optuna.storages.JournalStorage(journal)
        sampler = optuna.samplers.RandomSampler()  # unused: all trials are enqueued
        study = optuna.create_study(storage=storage, sampler=sampler, study_name=STUDY, load_if_exists=True)
    return storage, study


@contextmanager
def exclusively(folder: SweepFolder) -> Iterator[None]:
    """Hold the lock of the folder. The lock of a killed process expires after 30 s."""
    load_optuna()
    from optuna.storages.journal import JournalFileOpenLock

    lock = JournalFileOpenLock(str(folder.lock_name))
    lock.acquire()
    try:
        yield
    finally:
        with suppress(RuntimeError):  # the lock expired
            lock.release()


# ------------------------------------------------------------------------------------------------ the workers


class Worker:
    """A working process, represented by a file that it locks and touches."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self._folder = folder
        self._file = folder / name

    def is_alive(self, name: Any) -> bool:
        """Whether the process of that name still works. The name is untrusted."""
        if not _is_worker(name):
            return False
        if name == self.name:
            return True
        try:
            with open_plain(self._folder / name, LARGEST_WORKER) as file:
                about = json.loads(file.read(LARGEST_WORKER))
                if about["machine"] == machine() and (held := _is_held(file)) is not None:
                    return held
                return abs(self._clock() - os.fstat(file.fileno()).st_mtime) < SILENCE_SECONDS
        except (OSError, ValueError, KeyError, TypeError, RecursionError):  # the process ended and removed its file
            return False

    def bury(self, name: Any) -> None:
        """Remove the file of a dead process."""
        if _is_worker(name):
            (self._folder / name).unlink(missing_ok=True)

    def _clock(self) -> float:
        """The time by the clock of the file system, from a file that is touched."""
        file = self._file if self._file.is_file() else self._folder
        file.touch()
        return file.stat().st_mtime


@contextmanager
def at_work(folder: SweepFolder) -> Iterator[Worker]:
    """Work in this folder within the block."""
    folder.workers.mkdir(exist_ok=True)
    worker = Worker(folder.workers, _new_name())
    path = folder.workers / worker.name
    with ExitStack() as stack:
        file = stack.enter_context(path.open("x"))
        stack.callback(path.unlink, missing_ok=True)
        _hold(file)
        json.dump({"machine": machine(), "process": os.getpid()}, file)
        file.flush()
        ended = threading.Event()
        threading.Thread(target=_keep_touching, args=(path, ended), daemon=True).start()
        stack.callback(ended.set)
        yield worker


def _new_name() -> str:
    node = re.sub(r"[^\w.-]", "-", platform.node())[:64] or "machine"
    return f"{node}-{os.getpid()}-{uuid.uuid4().hex[:8]}"


def _is_worker(name: Any) -> TypeGuard[str]:
    """Whether it is a name made by `at_work`, which cannot be a path out of the folder."""
    return isinstance(name, str) and re.fullmatch(r"[\w.-]{1,255}-[0-9]+-[0-9a-f]{8}", name) is not None


def machine() -> str:
    """An id of this machine since it booted. Locks of other machines may not be visible here."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return platform.node()


def _keep_touching(path: Path, ended: threading.Event) -> None:
    while not ended.wait(TOUCH_SECONDS):
        with suppress(OSError):
            os.utime(path)


def _hold(file: IO[str]) -> None:
    if fcntl is not None:
        with suppress(OSError):  # a file system without locks: only the time of the file counts
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _is_held(file: BinaryIO) -> bool | None:
    """Whether a process of this machine has locked the file; None if unknown."""
    if fcntl is not None:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
        except BlockingIOError:
            return True
        except OSError:
            pass
    return None

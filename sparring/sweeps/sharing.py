"""SHARING: which process trains which trial of a sweep, and what became of it, in Optuna's storage.

claim -> a trial whose process died, else one that was given back, else the next one -> finish, fail or give back

Processes on one machine or on several take part by working in the same folder. All that changes something is done
by one process at a time, behind a lock that network file systems keep, too. A process that works here holds a file in
`workers/` and touches it every few seconds. One of this machine is dead when nobody holds its file; one of another
machine when its file was not touched for `SILENCE_SECONDS`, by the clock of the file system.
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
from sparring.sweeps.folder import Setup, SweepFolder
from sparring.sweeps.journal import STUDY, Journal
from sparring.sweeps.space import Point, distributions, load_optuna, simple

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

TOUCH_SECONDS = 10.0
"""How often a process says that it lives."""
SILENCE_SECONDS = 180.0
"""After so long without a word a process on another machine is taken for dead. Network file systems tell some late."""

LARGEST_WORKER = 4096
"""Bytes of the file of a process."""

State = Literal["waiting", "running", "finished", "failed"]


@dataclass(frozen=True)
class Trial:
    """What is known of one trial."""

    number: int
    point: Point
    state: State
    about: dict[str, Any]
    """What was written down when it finished or failed."""


class Trials:
    """The trials of one sweep, for one process that works on them."""

    def __init__(self, folder: SweepFolder, setup: Setup, worker: Worker) -> None:
        self._optuna = load_optuna()
        self._folder, self._setup, self._worker = folder, setup, worker
        self._kinds = distributions(setup.space)
        self._storage, self._study = _open_study(folder, setup, self._kinds)

    def claim(self) -> int | None:
        """The number of the trial that this process is to train now; None where nothing is left to begin."""
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
                self._study.enqueue_trial({name: simple(value) for name, value in point.items()})
            trial = self._study.ask(self._kinds)
            trial.set_user_attr("worker", self._worker.name)
            return int(trial.number)

    def give_back(self, number: int) -> None:
        """Let any process go on with this trial, which was stopped."""
        with exclusively(self._folder):
            if self._is_ours(number):
                self._set_waiting(number)

    def finish(self, number: int, value: float, **about: Any) -> None:
        """Write down what this trial came to; lower values are better."""
        self._end(number, about, value=value)

    def fail(self, number: int, reason: str) -> None:
        """Write down that this trial came to nothing."""
        self._end(number, {"reason": reason})

    def all(self) -> list[Trial]:
        """What is known of every trial, by their numbers."""
        found = {trial.number: trial for trial in self._study.get_trials(deepcopy=False)}
        return [self._trial(number, point, found.get(number)) for number, point in enumerate(self._setup.points)]

    def _end(self, number: int, about: dict[str, Any], value: float | None = None) -> None:
        states = self._optuna.trial.TrialState
        with exclusively(self._folder):
            if not self._is_ours(number):
                return  # it was taken for dead, and another process has this trial now
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
        """What the storage calls that trial."""
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
    """What is known of every trial of a sweep, for who only looks."""
    return Trials(folder, setup, Worker(folder.workers, "")).all()


# ------------------------------------------------------------------------------------------------ the storage


def _open_study(folder: SweepFolder, setup: Setup, kinds: dict[str, Any]) -> tuple[Any, Any]:
    optuna = load_optuna()
    folder.refuse_foreign()
    journal = Journal(folder.journal, setup.points, kinds)
    with exclusively(folder):
        journal.mend()
        storage = optuna.storages.JournalStorage(journal)
        sampler = optuna.samplers.RandomSampler()  # never asked: every trial is given
        study = optuna.create_study(storage=storage, sampler=sampler, study_name=STUDY, load_if_exists=True)
    return storage, study


@contextmanager
def exclusively(folder: SweepFolder) -> Iterator[None]:
    """Be the only process that changes something in this folder. Who was killed within is waited for 30 s."""
    load_optuna()
    from optuna.storages.journal import JournalFileOpenLock

    lock = JournalFileOpenLock(str(folder.lock_name))
    lock.acquire()
    try:
        yield
    finally:
        with suppress(RuntimeError):  # it was taken from us after these 30 s
            lock.release()


# ------------------------------------------------------------------------------------------------ the workers


class Worker:
    """This process as the others see it: a file that it holds and touches while it works."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self._folder = folder
        self._file = folder / name

    def is_alive(self, name: Any) -> bool:
        """Whether the process of that name still works. Anybody may have written the name."""
        if not _is_worker(name):
            return False
        if name == self.name:
            return True
        try:
            with open_plain(self._folder / name, LARGEST_WORKER) as file:
                about = json.loads(file.read(LARGEST_WORKER))
                if about["machine"] == machine() and (held := _is_held(file)) is not None:
                    return held
                return abs(_touch_time(self._clock()) - os.fstat(file.fileno()).st_mtime) < SILENCE_SECONDS
        except (OSError, ValueError, KeyError, TypeError, RecursionError):  # it ended, and took its file away
            return False

    def bury(self, name: Any) -> None:
        """Take away the file that a dead process left."""
        if _is_worker(name):
            (self._folder / name).unlink(missing_ok=True)

    def _clock(self) -> Path:
        """A file that was touched just now."""
        file = self._file if self._file.is_file() else self._folder
        file.touch()
        return file


@contextmanager
def at_work(folder: SweepFolder) -> Iterator[Worker]:
    """Be a worker in this folder, until it is left."""
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
    """Whether that is a name as `at_work` gives them, and so never a path that leads out of the folder."""
    return isinstance(name, str) and re.fullmatch(r"[\w.-]{1,255}-[0-9]+-[0-9a-f]{8}", name) is not None


def machine() -> str:
    """This machine since it was started: locks of other ones, or from before, may not be seen here."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return platform.node()


def _keep_touching(path: Path, ended: threading.Event) -> None:
    while not ended.wait(TOUCH_SECONDS):
        with suppress(OSError):
            os.utime(path)


def _touch_time(path: Path) -> float:
    return path.stat().st_mtime


def _hold(file: IO[str]) -> None:
    if fcntl is not None:
        with suppress(OSError):  # a file system without such locks: then only touching tells
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _is_held(file: BinaryIO) -> bool | None:
    """Whether a process of this machine holds the file; None where that cannot be said."""
    if fcntl is not None:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
        except BlockingIOError:
            return True
        except OSError:
            pass
    return None

"""THE JOURNAL of a sweep: the state changes of its trials, one per line, for Optuna's journal storage.

The file is untrusted. Only lines that this sweep could have written are passed to Optuna. Each line has a checksum,
except in older sweeps.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from sparring.errors import RunError
from sparring.files import atomic, checksummed
from sparring.files.untrusted import open_plain
from sparring.sweeps.space import Point, is_number, stored

STUDY = "sweep"
LARGEST_JOURNAL = 64 << 20
"""Largest journal in bytes. A thousand trials take less than three million."""
Record = dict[str, Any]

CREATE_TRIAL, SET_ATTRIBUTE = 4, 8
"""Two of the operations of Optuna's journal: 0 creates a study, 5 sets a parameter, 6 a state (0 running, 1 complete,
3 failed, 4 waiting)."""


class Journal:
    """A file as a backend of Optuna's `JournalStorage`. One process at a time writes it.

    `points` are the trials in order of their numbers, `kinds` the distributions of their settings.
    """

    def __init__(self, path: Path, points: Sequence[Point], kinds: Mapping[str, Any]) -> None:
        self._path, self._lines = path, checksummed.Lines()
        self._points = [stored(point) for point in points]
        self._kinds = kinds
        self._records: list[Record] = []
        self._read = 0
        """Bytes of the file that were read."""
        self._created = 0
        self._judged: set[int] = set()

    def read_logs(self, log_number_from: int) -> Iterator[Record]:
        """Yield the records from a number on. Raises `RunError` for a line that this sweep cannot have written."""
        for line in self._new_lines():
            record = self._lines.read(line.decode(errors="replace"))
            if record is None:
                raise self._damaged("has a wrong checksum or is not JSON")
            if not self._is_possible(record):
                raise self._damaged("is not of this sweep")
            self._note(record)
            self._read += len(line)
        yield from self._records[log_number_from:]

    def append_logs(self, logs: list[Record]) -> None:
        """Append records. Raises `DiskError`."""
        atomic.append(self._path, "".join(map(checksummed.line, logs)).encode())
        atomic.sync(self._path)

    def mend(self) -> None:
        """Cut off an incomplete last line, left by a full disk or a power failure. Needs the lock of the folder."""
        for _ in self.read_logs(0):
            pass
        if self._path.exists() and self._path.stat().st_size > self._read:
            os.truncate(self._path, self._read)

    def _new_lines(self) -> Iterator[bytes]:
        """Yield the complete lines that were not read yet."""
        if not self._path.exists():
            return
        try:
            with open_plain(self._path, LARGEST_JOURNAL) as file:
                file.seek(self._read)
                content = file.read(LARGEST_JOURNAL)
        except OSError as error:
            raise RunError(f"{self._path} cannot be read: {error.strerror}") from error
        yield from (line + b"\n" for line in content.split(b"\n")[:-1])

    def _damaged(self, how: str) -> RunError:
        return RunError(
            f"{self._path} is damaged: line {len(self._records) + 1} {how}; move this file away, and the sweep "
            "continues with its existing runs"
        )

    # -------------------------------------------------------------------------------- what a sweep writes

    def _is_possible(self, record: Record) -> bool:
        """Whether the sweep could write this record after those read so far."""
        match record:
            case {"worker_id": str(), "op_code": 0, "study_name": str(name), "directions": [1]}:
                return name == STUDY  # every process creates it, and finds it there
            case {"worker_id": str(), "op_code": 4, "study_id": 0, "state": 4, "system_attrs": {"fixed_params": point}}:
                return self._created < len(self._points) and _is_new(record) and point == self._points[self._created]
            case {"worker_id": str(), "op_code": 5 | 6 | 8, "trial_id": int(trial)}:
                return 0 <= trial < self._created and self._is_change(trial, record)
        return False

    def _is_change(self, trial: int, record: Record) -> bool:
        match record:
            case {"op_code": 5, "param_name": str(name), "param_value_internal": value, "distribution": str(kind)}:
                return (
                    name in self._kinds
                    and _is_kind(kind, self._kinds[name])
                    and bool(value == self._kinds[name].to_internal_repr(self._points[trial][name]))
                )
            case {"op_code": 6, "state": 4, "values": None}:
                return True
            case {"op_code": 6, "state": 0, "values": None, "datetime_start": time}:
                return _is_time(time)
            case {"op_code": 6, "state": 3, "values": None, "datetime_complete": time}:
                return _is_time(time)
            case {"op_code": 6, "state": 1, "values": [value], "datetime_complete": time}:
                return is_number(value) and _is_time(time) and trial in self._judged
            case {"op_code": 8, "user_attr": {"worker": str(), **others}}:
                return not others
            case {"op_code": 8, "user_attr": {"about": {"reason": str()}, **others}}:
                return not others
            case {"op_code": 8, "user_attr": {"about": {} as about, **others}}:
                return not others and _is_judgement(about)
        return False

    def _note(self, record: Record) -> None:
        self._records.append(record)
        self._created += record["op_code"] == CREATE_TRIAL
        if record["op_code"] == SET_ATTRIBUTE and _is_judgement(record["user_attr"].get("about")):
            self._judged.add(record["trial_id"])


def _is_new(record: Record) -> bool:
    """Whether a new trial has no values except its point."""
    empty = ("distributions", "params", "user_attrs", "intermediate_values")
    none = ("value", "values", "datetime_start")
    return all(record.get(name) == {} for name in empty) and all(record.get(name, 0) is None for name in none)


def _is_judgement(about: Any) -> bool:
    """Whether it is the score of a finished run."""
    match about:
        case {"error": error, "floor": floor, "measure": "frechet" | "kernel" as measure, "seconds": seconds}:
            numbers = all(map(is_number, (error, floor, seconds)))
            return numbers and (measure == "kernel" or floor > 0)
    return False


def _is_time(text: Any) -> bool:
    try:
        datetime.fromisoformat(text).astimezone()
    except (TypeError, ValueError, OverflowError):
        return False
    return True


def _is_kind(text: str, wanted: Any) -> bool:
    """Whether `text` is the distribution `wanted` in Optuna's JSON."""
    from optuna.distributions import json_to_distribution

    try:
        return bool(json_to_distribution(text) == wanted)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return False

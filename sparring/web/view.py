"""What the page shows of a run, as JSON values. All numbers are finite."""

from __future__ import annotations

import struct
import time
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from sparring.errors import SparringError
from sparring.evaluation.alarms import best_of, comparable
from sparring.evaluation.metrics.balance import bands
from sparring.files.untrusted import open_plain
from sparring.recipes.recipe import Recipe, settings_of
from sparring.reports import curves
from sparring.reports.charts import Chart, grouped
from sparring.reports.curves import Event, is_number
from sparring.runs.run import Run

QUIET_SECONDS = 20.0
"""A run without a visible lock counts as killed if it has written nothing for this time."""
HELD_SECONDS = 3.0
"""A training may write for this time after its lock was last seen."""
RATE_SECONDS = 15.0
"""The window of the steps per second."""
MAX_CLASSES = 1_000
"""Nothing is shown for more: the confidence bands of the class balance are simulated."""
MAX_SIDE = 100_000
"""Pixels on a side of a grid."""
ENDS = {
    "finished": ("finished", ""),
    "stopped": ("stopped", "stopped by the user; it can be resumed"),
    "flat": ("finished", "stopped early: the score no longer improved"),
}
"""The state and the explanation for each final event."""

View = dict[str, Any]

_lock_seen: dict[Path, float] = {}
"""When the lock of a run was last seen, as Unix time."""


def card(name: str, key: str, run: Run, events: Sequence[Event]) -> View:
    """Return what the list of runs shows."""
    recipe, data, grids = _recipe(run), _data(run), run.all_grids()
    step = max((event["step"] for event in events), default=0)
    state, words = _state(events, is_training(run))
    judged = [event for event in events if event["event"] == "judged" and is_number(event.get("score"))]
    best = best_of(comparable(judged)) if judged else None
    steps = recipe.steps if recipe else None
    return {
        "id": key,
        "name": name,
        "recipe": recipe.name if recipe else None,
        "data": str(data.get("name", recipe.data if recipe else "")),
        "steps": steps,
        "step": step,
        "seconds": _seconds(events),
        "left": _seconds_left(events, step, steps) if state == "running" else None,
        "state": state,
        "words": words,
        "score": None if best is None else _rounded(best["score"]),
        "floor": None if best is None or not is_number(best.get("floor")) else _rounded(best["floor"]),
        "best_step": None if best is None else best["step"],
        "alarms": sum(event["event"] == "alarm" for event in events),
        "grid": grids[-1][0] if grids else None,
        "grid_size": _size(grids[-1][1]) if grids else None,
        "began": round(_number(events[0].get("time"))) if events else 0,
        "changed": max((_number(event.get("time")) for event in events), default=0.0),
    }


def unreadable(name: str, key: str) -> View:
    """Return the card of a run that cannot be read."""
    unknown = ("recipe", "steps", "seconds", "left", "score", "floor", "best_step", "grid", "grid_size")
    known = {
        "state": "failed",
        "words": "its files cannot be read",
        "data": "",
        "step": 0,
        "alarms": 0,
        "began": 0,
        "changed": 0.0,
    }
    return {"id": key, "name": name} | known | dict.fromkeys(unknown)


def details(name: str, key: str, run: Run, events: Sequence[Event]) -> View:
    """Return everything that the page shows of one run."""
    recipe = _recipe(run)
    logged, judged, alarms = ([e for e in events if e["event"] == kind] for kind in ("log", "judged", "alarm"))
    return card(name, key, run, events) | {
        "grids": _timed(logged, [step for step, _ in run.all_grids()]),
        "real": run.real_grid.is_file(),
        "closest": run.closest.stat().st_mtime_ns if run.closest.is_file() else None,
        "suspicious": _suspicious(judged),
        "charts": [_chart(chart, logged) for chart in [*curves.logged(logged), *curves.judged(judged, alarms)]],
        "classes": _classes(run, judged),
        "judged_step": judged[-1]["step"] if judged else None,
        "alarms": [{"step": alarm["step"], "text": str(alarm.get("text", ""))} for alarm in alarms],
        "settings": {} if recipe is None else settings_of(recipe),
        "image_shape": _data(run).get("shape", [0, 0, 0, 0])[1:],
        "explorable": run.checkpoints.is_dir() and any(run.checkpoints.glob("[0-9]*")),
    }


def stamp(run: Run) -> str:
    """Return a string that changes whenever the run's files change."""
    parts = []
    for path in (run.events_file, run.grids, run.closest, run.recipe_file):
        try:
            found = path.lstat()
            parts.append(f"{found.st_mtime_ns}-{found.st_size}")
        except OSError:
            parts.append("none")
    return ".".join(parts)


def is_training(run: Run) -> bool:
    """Return whether a process trains the run.

    Once the lock has been seen on this machine, the lock alone decides. Later writes without a lock come from another
    machine.
    """
    now, written = time.time(), _last_write(run)
    if run.is_held():
        _lock_seen[run.path] = now
        return True
    return now - written < QUIET_SECONDS and written > _lock_seen.get(run.path, 0.0) + HELD_SECONDS


def _state(events: Sequence[Event], training: bool) -> tuple[str, str]:
    """Return (running, finished, stopped, failed or killed; an explanation)."""
    last = events[-1] if events else None
    if last is not None and last["event"] in ENDS:
        return ENDS[last["event"]]
    if last is not None and last["event"] == "failed":
        return "failed", str(last.get("reason", "no reason was recorded"))
    if training:
        return "running", "starting" if last is None or last["event"] in ("started", "resumed") else ""
    return "killed", "the process ended without a final event, as when it is killed; it can be resumed"


def _last_write(run: Run) -> float:
    """Return when the events or the recipe were last written."""
    return max((path.stat().st_mtime for path in (run.events_file, run.recipe_file) if path.is_file()), default=0.0)


def _seconds(events: Sequence[Event]) -> float | None:
    return next((float(e["seconds"]) for e in reversed(events) if is_number(e.get("seconds"))), None)


def _seconds_left(events: Sequence[Event], step: int, steps: int | None) -> float | None:
    """Estimate the seconds to the last step from the recent steps per second."""
    logged = [e for e in events[-2_000:] if e["event"] == "log" and is_number(e.get("seconds"))]
    if steps is None or len(logged) < 2:
        return None
    last = logged[-1]
    first = next(e for e in logged if last["seconds"] - e["seconds"] <= RATE_SECONDS)
    first = logged[-2] if first is last else first
    rate = (last["step"] - first["step"]) / max(last["seconds"] - first["seconds"], 1e-6)
    return (steps - step) / rate if rate > 0 else None


def _timed(logged: Sequence[Event], steps: Sequence[int]) -> View:
    """Return the steps with the seconds of training at each, interpolated between logged steps."""
    known = [(0, 0.0), *((e["step"], float(e["seconds"])) for e in logged if is_number(e.get("seconds")))]
    at, elapsed = zip(*known, strict=True)
    return {"steps": list(steps), "seconds": np.interp(list(steps), at, elapsed).round(2).tolist()}


def _chart(chart: Chart, logged: Sequence[Event]) -> View:
    """Return a chart as JSON. Long lines become means of neighbours with their range."""
    groups = {line.label: grouped(line.points) for line in chart.lines}
    return {
        "title": chart.title,
        "note": chart.note,
        "percent": chart.percent,
        "at_least": chart.at_least,
        "level": None if chart.level is None else {"label": chart.level[0], "value": _rounded(chart.level[1])},
        "best": None if chart.best is None else {"step": chart.best[0], "value": _rounded(chart.best[1])},
        "alarms": [{"step": step, "text": text} for step, text in chart.alarms],
        "lines": [
            {
                "label": label,
                "values": [_rounded(mean) for _, mean, _, _ in points],
                "low": [_rounded(low) for _, _, low, _ in points],
                "high": [_rounded(high) for _, _, _, high in points],
            }
            | _timed(logged, [round(step) for step, _, _, _ in points])
            for label, points in groups.items()
        ],
    }


def _classes(run: Run, judged: Sequence[Event]) -> View | None:
    """Return the class shares of the newest samples, with those of the data and confidence bands."""
    counted = _data(run).get("classes")
    last = next((event for event in reversed(judged) if "histogram" in event), None)
    if last is None or not isinstance(counted, dict) or not counted:
        return None
    histogram, frequencies = last["histogram"], tuple(counted.values())
    if (
        len(counted) > MAX_CLASSES
        or not _counts(histogram)
        or not _counts(frequencies)
        or len(histogram) != len(frequencies)
    ):
        return None
    samples, total = sum(histogram), sum(frequencies)
    if not samples or not total:
        return None
    due = tuple(count / total for count in frequencies)
    return {
        "names": [str(name) for name in counted],
        "shares": [_rounded(count / samples) for count in histogram],
        "due": [_rounded(share) for share in due],
        "bands": [[_rounded(low), _rounded(high)] for low, high in _bands(samples, due)],
        "samples": samples,
    }


@lru_cache(maxsize=64)
def _bands(samples: int, due: tuple[float, ...]) -> tuple[tuple[float, float], ...]:
    return bands(samples, np.array(due)).classes


def _suspicious(judged: Sequence[Event]) -> int | None:
    """Return how many of the newest closest pairs are suspicious. None if an older version did not record it."""
    last = judged[-1] if judged else {}
    found = last.get("suspicious", 0 if last.get("copies") == 0 else None)
    return found if type(found) is int else None


def _counts(values: Any) -> bool:
    return isinstance(values, (list, tuple)) and all(type(value) is int and value >= 0 for value in values)


def _recipe(run: Run) -> Recipe | None:
    """Return the recipe, or None if it is incomplete or damaged."""
    try:
        return run.recipe()
    except SparringError:
        return None


def _data(run: Run) -> dict[str, Any]:
    """Return the description of the data in the run's environment, or {} if it cannot be read."""
    if not run.environment_file.is_file():
        return {}
    try:
        data = run.environment()["data"]
    except SparringError:
        return {}
    return data if isinstance(data, dict) else {}


def _size(path: Path) -> list[int] | None:
    """Return width and height of a PNG from its header, or None if it is not a PNG."""
    try:
        with open_plain(path) as file:
            header = file.read(24)
    except OSError:
        return None
    size = list(struct.unpack(">II", header[16:])) if len(header) == 24 and header.startswith(b"\x89PNG") else [0, 0]
    return size if all(0 < side < MAX_SIDE for side in size) else None


def _number(value: Any) -> float:
    return float(value) if is_number(value) else 0.0


def _rounded(value: float) -> float:
    """Round to five digits, which is enough to draw and keeps the JSON small."""
    return float(f"{value:.5g}")

"""THE VIEW: what the page is told of a run, from its events and its files, as JSON values; all numbers are finite."""

from __future__ import annotations

import struct
import time
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from sparring.errors import SparringError
from sparring.evaluation.metrics.balance import bands
from sparring.files.untrusted import open_plain
from sparring.recipes.recipe import Recipe, settings_of
from sparring.reports import curves
from sparring.reports.charts import grouped
from sparring.reports.curves import Drawn, Event, is_number
from sparring.runs.run import Run

QUIET_SECONDS = 20.0
"""A run that no process is seen to hold, and that wrote nothing for so long, is no longer trained."""
HELD_SECONDS = 3.0
"""A trainer may write for so long after its lock was last seen to be held."""
RATE_SECONDS = 15.0
"""How far back the rate of steps looks."""
MOST_CLASSES = 1_000
"""What chance leaves of their balance is found out by drawing; of more nothing is shown."""
LARGEST_SIDE = 100_000
"""Pixels of a picture that is shown."""
ENDS = {
    "finished": ("finished", ""),
    "stopped": ("stopped", "stopped by its user; it can go on"),
    "flat": ("finished", "stopped because it no longer got better"),
}

View = dict[str, Any]

_held: dict[Path, float] = {}
"""When the lock of a run was last seen to be held, by the time of day."""


def card(name: str, key: str, run: Run, events: Sequence[Event]) -> View:
    """What the list of runs shows."""
    recipe, about, grids = _recipe(run), _environment(run), run.all_grids()
    step = max((event["step"] for event in events), default=0)
    state, words = _state(events, is_trained(run))
    judged = [event for event in events if event["event"] == "judged" and is_number(event.get("score"))]
    best = min(judged, key=lambda event: float(event["score"])) if judged else None
    steps = recipe.steps if recipe else None
    return {
        "id": key,
        "name": name,
        "recipe": recipe.name if recipe else None,
        "data": str(about.get("name", recipe.data if recipe else "")),
        "steps": steps,
        "step": step,
        "seconds": _seconds(events),
        "left": _left(events, step, steps) if state == "running" else None,
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
    """The card of what cannot be read."""
    unknown = ("recipe", "steps", "seconds", "left", "score", "floor", "best_step", "grid", "grid_size")
    said = {
        "state": "failed",
        "words": "it cannot be read",
        "data": "",
        "step": 0,
        "alarms": 0,
        "began": 0,
        "changed": 0.0,
    }
    return {"id": key, "name": name} | said | dict.fromkeys(unknown)


def whole(name: str, key: str, run: Run, events: Sequence[Event]) -> View:
    """All that is shown of one run."""
    recipe = _recipe(run)
    logged, judged, alarms = ([e for e in events if e["event"] == kind] for kind in ("log", "judged", "alarm"))
    return card(name, key, run, events) | {
        "grids": _timed(logged, [step for step, _ in run.all_grids()]),
        "real": run.real_grid.is_file(),
        "closest": run.closest.stat().st_mtime_ns if run.closest.is_file() else None,
        "suspicious": _suspicious(judged),
        "charts": [_chart(drawn, logged) for drawn in [*curves.logged(logged), *curves.judged(judged, alarms)]],
        "classes": _classes(run, judged),
        "judged_step": judged[-1]["step"] if judged else None,
        "alarms": [{"step": alarm["step"], "text": str(alarm.get("text", ""))} for alarm in alarms],
        "settings": {} if recipe is None else settings_of(recipe),
        "image_shape": _environment(run).get("shape", [0, 0, 0, 0])[1:],
        "explorable": run.checkpoints.is_dir() and any(run.checkpoints.glob("[0-9]*")),
    }


def stamp(run: Run) -> str:
    """Something that is another when anything of the run has changed."""
    parts = []
    for path in (run.events_file, run.grids, run.closest, run.recipe_file):
        try:
            found = path.lstat()
            parts.append(f"{found.st_mtime_ns}-{found.st_size}")
        except OSError:
            parts.append("none")
    return ".".join(parts)


def is_trained(run: Run) -> bool:
    """Whether a process trains the run. Once its lock was seen to be held here, the lock decides at once; what is
    written later although nobody holds it comes from another machine."""
    now, written = time.time(), _written(run)
    if run.is_held():
        _held[run.path] = now
        return True
    return now - written < QUIET_SECONDS and written > _held.get(run.path, 0.0) + HELD_SECONDS


def _state(events: Sequence[Event], trained: bool) -> tuple[str, str]:
    """running, finished, stopped, failed or killed; and what there is to say of it."""
    last = events[-1] if events else None
    if last is not None and last["event"] in ENDS:
        return ENDS[last["event"]]
    if last is not None and last["event"] == "failed":
        return "failed", str(last.get("reason", "it did not say why"))
    if trained:
        return "running", "starting" if last is None or last["event"] in ("started", "resumed") else ""
    return "killed", "it ended without a word, as when its process is killed; it can go on"


def _written(run: Run) -> float:
    """When something was last written into the run, as far as that is seen."""
    times = [0.0]
    for path in (run.events_file, run.recipe_file):
        if path.is_file():
            times.append(path.stat().st_mtime)
    return max(times)


def _seconds(events: Sequence[Event]) -> float | None:
    return next((float(e["seconds"]) for e in reversed(events) if is_number(e.get("seconds"))), None)


def _left(events: Sequence[Event], step: int, steps: int | None) -> float | None:
    """Seconds to the end of the recipe, by the rate of the last ones."""
    logged = [e for e in events[-2_000:] if e["event"] == "log" and is_number(e.get("seconds"))]
    if steps is None or len(logged) < 2:
        return None
    last = logged[-1]
    first = next(e for e in logged if last["seconds"] - e["seconds"] <= RATE_SECONDS)
    first = logged[-2] if first is last else first
    rate = (last["step"] - first["step"]) / max(last["seconds"] - first["seconds"], 1e-6)
    return (steps - step) / rate if rate > 0 else None


def _timed(logged: Sequence[Event], steps: Sequence[int]) -> View:
    """These steps, and the seconds of training up to each, between what was logged before and after it."""
    known = [(0, 0.0), *((e["step"], float(e["seconds"])) for e in logged if is_number(e.get("seconds")))]
    at, elapsed = zip(*known, strict=True)
    return {"steps": list(steps), "seconds": np.interp(list(steps), at, elapsed).round(2).tolist()}


def _chart(drawn: Drawn, logged: Sequence[Event]) -> View:
    """A chart as JSON: of long lines the means of neighbours, and between which values these lie."""
    groups = {label: grouped(points) for label, points in drawn.lines}
    return {
        "title": drawn.title,
        "note": drawn.note,
        "percent": drawn.percent,
        "at_least": drawn.at_least,
        "level": None if drawn.level is None else {"label": drawn.level[0], "value": _rounded(drawn.level[1])},
        "best": None if drawn.best is None else {"step": drawn.best[0], "value": _rounded(drawn.best[1])},
        "alarms": [{"step": step, "text": text} for step, text in drawn.alarms],
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
    """What the newest samples are taken for, and what chance leaves of a perfect balance."""
    counted = _environment(run).get("classes")
    last = next((event for event in reversed(judged) if "histogram" in event), None)
    if last is None or not isinstance(counted, dict) or not counted:
        return None
    histogram, frequencies = last["histogram"], tuple(counted.values())
    if (
        len(counted) > MOST_CLASSES
        or not _counts(histogram)
        or not _counts(frequencies)
        or len(histogram) != len(frequencies)
    ):
        return None
    drawn, total = sum(histogram), sum(frequencies)
    if not drawn or not total:
        return None
    due = tuple(count / total for count in frequencies)
    return {
        "names": [str(name) for name in counted],
        "shares": [_rounded(count / drawn) for count in histogram],
        "due": [_rounded(share) for share in due],
        "bands": [[_rounded(low), _rounded(high)] for low, high in _bands(drawn, due)],
        "samples": drawn,
    }


@lru_cache(maxsize=64)
def _bands(drawn: int, due: tuple[float, ...]) -> tuple[tuple[float, float], ...]:
    return bands(drawn, np.array(due)).classes


def _suspicious(judged: Sequence[Event]) -> int | None:
    """How many of the closest pairs of the newest judgement are suspicious; None where older versions did not say."""
    last = judged[-1] if judged else {}
    found = last.get("suspicious", 0 if last.get("copies") == 0 else None)
    return found if type(found) is int else None


def _counts(values: Any) -> bool:
    return isinstance(values, (list, tuple)) and all(type(value) is int and value >= 0 for value in values)


def _recipe(run: Run) -> Recipe | None:
    """The recipe; None where it is being written, or was damaged."""
    try:
        return run.recipe()
    except SparringError:
        return None


def _environment(run: Run) -> dict[str, Any]:
    """What is known of the data."""
    if not run.environment_file.is_file():
        return {}
    try:
        data = run.environment()["data"]
    except SparringError:
        return {}
    return data if isinstance(data, dict) else {}


def _size(path: Path) -> list[int] | None:
    """Width and height of a PNG, from its first bytes; None where it is none."""
    try:
        with open_plain(path) as file:
            begin = file.read(24)
    except OSError:
        return None
    size = list(struct.unpack(">II", begin[16:])) if len(begin) == 24 and begin.startswith(b"\x89PNG") else [0, 0]
    return size if all(0 < side < LARGEST_SIDE for side in size) else None


def _number(value: Any) -> float:
    return float(value) if is_number(value) else 0.0


def _rounded(value: float) -> float:
    """Five digits: more are not seen, and have to be carried."""
    return float(f"{value:.5g}")

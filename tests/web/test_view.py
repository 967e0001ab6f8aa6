"""The view: JSON about a run in every state that its files can have."""

import json
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.exceptions import HTTPException
from tabs import awaited

from sparring.files import checksummed
from sparring.runs.run import Run
from sparring.web import view
from sparring.web.reader import RunReader
from sparring.web.tail import Event, Tail


def card(run: Run) -> dict[str, Any]:
    return view.card("name", "key", run, Tail(run.events_file).read())


def whole(run: Run) -> dict[str, Any]:
    return view.details("name", "key", run, Tail(run.events_file).read())


def test_a_finished_run(tiny_run: Run) -> None:
    found = whole(tiny_run)
    assert (found["state"], found["step"], found["steps"], found["left"]) == ("finished", 30, 30, None)
    assert found["grids"]["steps"] == [0, 10, 20, 30] and found["grid"] == 30 and found["real"]
    assert found["recipe"] == "mlp-256" and found["settings"]["generator.hidden"] == [8]
    assert found["image_shape"] == [28, 28, 1] and found["explorable"]
    assert found["score"] is None and found["classes"] is None and found["closest"] is None
    logged = [event for event in tiny_run.events() if event["event"] == "log"]
    losses = next(chart for chart in found["charts"] if chart["title"] == "Losses")
    assert [line["steps"] for line in losses["lines"]] == [[event["step"] for event in logged]] * 2
    assert losses["lines"][0]["values"] == pytest.approx([event["d_loss"] for event in logged], rel=1e-4)
    assert losses["lines"][0]["seconds"] == pytest.approx([event["seconds"] for event in logged], abs=0.006)


def test_a_run_that_has_just_begun(new_run: Run) -> None:
    found = whole(new_run)
    assert (found["state"], found["words"], found["step"]) == ("running", "starting", 0)
    assert found["grids"] == {"steps": [], "seconds": []} and found["charts"] == [] and not found["explorable"]


def test_the_end_of_a_run_has_its_reason(new_run: Run) -> None:
    for event, state, words in (
        ("finished", "finished", ""),
        ("stopped", "stopped", "can be resumed"),
        ("flat", "finished", "no longer improved"),
        ("failed", "failed", "the losses are no longer finite at step 7"),
    ):
        new_run.add_event(event, 7, reason="the losses are no longer finite at step 7")
        found = card(new_run)
        assert found["state"] == state and words in found["words"]
    new_run.add_event("resumed", 7)
    assert card(new_run)["state"] == "running"


def test_a_locked_run_is_training_and_a_silent_one_was_killed(new_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    new_run.add_event("log", 5)
    assert card(new_run)["state"] == "running", "it wrote something just now"
    monkeypatch.setattr(view, "QUIET_SECONDS", -1.0)
    found = card(new_run)
    assert found["state"] == "killed" and "killed" in found["words"]
    if Path("/proc/locks").exists():
        with new_run.lock():  # would raise if the look had left a lock
            assert card(new_run)["state"] == "running"
        assert card(new_run)["state"] == "killed"


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="needs Linux")
def test_a_trainer_that_was_seen_here_is_known_to_be_killed_at_once(
    new_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sparring.web.reader.CACHE_SECONDS", -1.0)
    page = RunReader(new_run.path)
    key = next(iter(page.index.runs()))

    def found() -> tuple[str, str, str, str]:
        one, every = (json.loads(awaited(page.read(which))) for which in (key, None))
        return one["state"], every["runs"][0]["state"], awaited(page.stamp(key)), awaited(page.stamp(None))

    with new_run.lock():
        new_run.add_event("log", 5)
        assert found()[:2] == ("running", "running")
        before = found()
    assert found()[:2] == ("killed", "killed")
    assert found()[2] != before[2] and found()[3] != before[3], "open tabs must be notified"
    with new_run.lock():
        assert found()[:2] == ("running", "running"), "it goes on"
    monkeypatch.setattr(view, "HELD_SECONDS", -60.0)
    assert found()[0] == "running", "it was written since: another machine trains it"


def test_the_size_of_a_grid_is_known_in_advance(tiny_run: Run, copied_run: Run) -> None:
    assert card(tiny_run)["grid_size"] == [2 * (3 * 29 + 1), 2 * (2 * 29 + 1)]
    for content in (b"", b"no picture", b"\x89PNG" + b"\xff" * 30, b"\x89PNG" + bytes(30)):
        copied_run.all_grids()[-1][1].write_bytes(content)
        assert card(copied_run)["grid_size"] is None


def test_the_time_left_follows_the_latest_rate(new_run: Run) -> None:
    for step, seconds in ((5, 100.0), (10, 101.0), (15, 102.0)):
        new_run.add_event("log", step, seconds=seconds)
    assert card(new_run)["left"] == pytest.approx(3.0)  # 15 steps more, 5 a second
    assert card(new_run)["seconds"] == 102.0


def test_judgements_alarms_and_classes(new_run: Run, tiny_run: Run) -> None:
    checksummed.write(new_run.environment_file, tiny_run.environment())
    judged = {"floor": 1.5, "measure": "frechet", "histogram": [50] * 5 + [0] * 5, "variation": 0.5, "cost": 1}
    for step, score in ((10, 9.0), (20, 4.0), (30, 5.0)):
        new_run.add_event("judged", step, score=score, **judged)
    new_run.add_event("alarm", 20, kind="collapse", text="<b>half of the digits</b>")
    found = whole(new_run)
    assert (found["score"], found["best_step"], found["floor"]) == (4.0, 20, 1.5)
    assert found["alarms"] == [{"step": 20, "text": "<b>half of the digits</b>"}]
    distance = found["charts"][0]
    assert distance["best"] == {"step": 20, "value": 4.0} and distance["alarms"] == found["alarms"]
    assert distance["level"] == {"label": "real images", "value": 1.5}
    classes = found["classes"]
    assert classes["names"] == [str(i) for i in range(10)] and classes["due"] == [0.1] * 10
    assert classes["shares"] == [0.2] * 5 + [0.0] * 5 and classes["samples"] == 250
    for low, high in classes["bands"]:
        assert 0.05 < low < 0.1 < high < 0.15


@pytest.mark.parametrize("histogram", [[1, 2], None, [0] * 10, ["a"] * 10, [-1] * 10, [True] * 10, 7])
def test_what_is_no_histogram_is_not_shown(histogram: Any, new_run: Run, tiny_run: Run) -> None:
    checksummed.write(new_run.environment_file, tiny_run.environment())
    new_run.add_event("judged", 10, score=1.0, histogram=histogram)
    assert whole(new_run)["classes"] is None


def test_a_damaged_run_is_shown_in_part(copied_run: Run) -> None:
    for path in (copied_run.recipe_file, copied_run.environment_file):
        path.write_text("{")
        path.with_suffix(".copy.json").unlink()
    found = whole(copied_run)
    assert found["recipe"] is None and found["settings"] == {} and found["data"] == ""
    assert found["charts"], "the curves are there still"


def test_the_json_contains_no_nan(new_run: Run) -> None:
    for value in (float("nan"), float("inf"), "text", None, [1], 10**400):
        line = {"event": "log", "step": 1, "time": value, "seconds": value, "d_loss": value, "g_loss": 1.0}
        with new_run.events_file.open("a") as file:
            file.write(checksummed.line(line))
        new_run.add_event("judged", 2, score=value, floor=value, histogram=value)
    json.dumps(whole(new_run), allow_nan=False)


def test_one_run_that_cannot_be_read_hides_no_other(
    tiny_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be deleted at the moment, for example."""
    shutil.copytree(tiny_run.path, tmp_path / "good")
    odd = Run(Path(shutil.copytree(tiny_run.path, tmp_path / "odd")))
    card = view.card

    def gone(name: str, key: str, run: Run, events: list[Event]) -> view.View:
        if run == odd:
            raise FileNotFoundError(odd.events_file)
        return card(name, key, run, events)

    monkeypatch.setattr(view, "card", gone)
    page = RunReader(tmp_path)
    cards = json.loads(awaited(page.read(None)))["runs"]
    found = {card["name"]: card for card in cards}
    assert found["good"]["state"] == "finished" and set(found) == {"good", "odd"}
    with pytest.raises(HTTPException) as refused:
        awaited(page.read(found["odd"]["id"]))
    assert refused.value.detail == "this run cannot be read"
    assert set(found["good"]) == set(found["odd"]) == set(view.unreadable("name", "key"))


def test_long_curves_are_grouped(new_run: Run) -> None:
    random = np.random.default_rng(0)
    with new_run.events_file.open("a") as file:
        for step in range(1, 20_001):
            file.write(
                json.dumps({"event": "log", "step": step, "seconds": step / 50, "d_loss": random.normal()}) + "\n"
            )
    began = time.perf_counter()
    found = whole(new_run)
    assert time.perf_counter() - began < 5
    (line,) = found["charts"][0]["lines"]
    assert len(line["steps"]) == 120 and line["seconds"][-1] == pytest.approx(line["steps"][-1] / 50, abs=0.02)
    assert all(low < mean < high for low, mean, high in zip(line["low"], line["values"], line["high"], strict=True))


def test_the_stamp_changes_with_the_run(copied_run: Run) -> None:
    seen = {view.stamp(copied_run)}
    copied_run.add_event("log", 31)
    seen.add(view.stamp(copied_run))
    copied_run.grid(40).write_bytes(b"")
    seen.add(view.stamp(copied_run))
    copied_run.closest.write_bytes(b"")
    seen.add(view.stamp(copied_run))
    assert len(seen) == 4 and view.stamp(copied_run) in seen
    assert view.stamp(Run(copied_run.path / "missing"))


def test_no_pair_is_called_suspicious_where_none_is(new_run: Run) -> None:
    assert whole(new_run)["suspicious"] is None
    for values, found in (({"copies": 0.0}, 0), ({"copies": 0.1}, None), ({"copies": 0.1, "suspicious": 3}, 3)):
        new_run.add_event("judged", 5, score=1.0, **values)
        assert whole(new_run)["suspicious"] == found

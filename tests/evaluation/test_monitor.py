"""The monitor: within its budget, evenly spread, keeps the best state, raises each alarm once, changes no training."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import Clock
from recorder import Lines

from sparring.evaluation import monitor, validation_judge
from sparring.evaluation.features import shipped_classifier
from sparring.evaluation.monitor import Budget, Monitor
from sparring.recipes.recipe import Recipe
from sparring.runs import checkpoint
from sparring.runs import generator as sampling
from sparring.runs.run import Run
from sparring.training import chunks, loop
from sparring.training import train as training


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(monitor, "time", SimpleNamespace(monotonic=clock.monotonic))
    return clock


def judged_steps(clock: Clock, seconds: float, judgement: float, preparation: float, every: int = 10) -> list[int]:
    """The steps that are judged in a run of 1,000 steps that trains for so long."""
    budget, steps, judged = Budget(), 1000, []
    clock.now += preparation
    budget.prepared(preparation)
    for step in range(every, steps + 1, every):
        clock.now += seconds * every / steps
        if budget.allows(step, steps, every, steps / seconds):
            judged.append(step)
            clock.now += judgement
            budget.judged(step, judgement)
    assert budget.share <= monitor.SHARE or len(judged) == 1  # what one costs is known only then
    return judged


def test_where_judging_is_cheap_every_due_step_is_judged(clock: Clock) -> None:
    assert judged_steps(clock, seconds=1000, judgement=0.1, preparation=1.0) == list(range(10, 1001, 10))


@pytest.mark.parametrize("seconds", [30.0, 60.0, 100.0, 600.0])
@pytest.mark.parametrize("judgement", [0.2, 0.5, 2.0])
def test_the_budget_is_kept_and_spread_to_the_end(clock: Clock, seconds: float, judgement: float) -> None:
    judged = judged_steps(clock, seconds, judgement, preparation=0.5)
    affordable = int((0.05 * seconds - 0.5) / judgement)
    assert len(judged) >= min(affordable, 100) - 1
    if len(judged) > 2:
        gaps = [b - a for a, b in itertools.pairwise([0, *judged])]
        assert judged[-1] == 1000 and max(gaps[1:]) <= 2 * min(gaps[1:]) + 10


def test_a_short_run_is_not_judged(clock: Clock) -> None:
    budget = Budget()
    assert not any(budget.allows(step, 100, 10, rate=10.0) for step in range(10, 101, 10))


def test_of_more_images_a_judgement_is_assumed_to_cost_more(clock: Clock) -> None:
    usual, larger, smaller = (Budget(values=times * monitor.ASSUMED_VALUES // 10) for times in (10, 60, 1))
    clock.now += 100
    allowed = [budget.allows(1000, 1000, 10, rate=10.0) for budget in (usual, larger, smaller)]
    assert allowed == [True, False, True]
    clock.now += 400
    assert larger.allows(1000, 1000, 10, rate=10.0)


# ------------------------------------------------------------------------------------------------ a whole training


SAMPLES = 100
"""Samples of a judgement here."""
JUDGED: dict[str, Any] = {"validation": 0.3, "judge_every": 5, "log_every": 5, "batch_size": 10}


@contextmanager
def shipped_judge() -> Iterator[None]:
    """The shipped judge judges whatever it costs, by few samples."""
    judge = shipped_classifier("mnist")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(monitor, "SHARE", 1e9)
        patched.setattr(validation_judge, "SAMPLES", SAMPLES)
        patched.setattr(validation_judge, "ready_extractor", lambda images: judge)
        yield


@pytest.fixture
def judged_recipe(tiny_recipe: Recipe) -> Iterator[Recipe]:
    """The tiny recipe with 60 validation images, judged every 5 steps."""
    with shipped_judge():
        yield tiny_recipe.replace(**JUDGED)


@pytest.fixture(scope="module")
def whole(tiny_recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run of `judged_recipe`. Do not write into it."""
    with shipped_judge():
        return training.train(tiny_recipe.replace(**JUDGED), out=tmp_path_factory.mktemp("whole") / "run")


def events(run: Run, kind: str) -> list[dict[str, Any]]:
    return [event for event in run.events() if event["event"] == kind]


def without_time(judged: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in event.items() if k not in ("run", "time", "cost", "cost_share")} for event in judged]


def test_a_run_is_judged_at_every_due_step_and_the_best_state_is_kept(whole: Run) -> None:
    judged = events(whole, "judged")
    assert [event["step"] for event in judged] == [5, 10, 15, 20, 25, 30]
    best = min(judged, key=lambda event: float(event["score"]))
    assert [event["step"] for event in judged if event["best"]][-1] == best["step"]
    (kept,) = checkpoint.all_checkpoints(whole.best)
    assert int(kept.name) == best["step"]
    assert sampling.load(whole.path, best=True).description["trained"]["step"] == best["step"]
    for event in judged:
        assert sum(event["histogram"]) == SAMPLES
        assert event["measure"] == "kernel"  # 60 validation images are too few for the Frechet distance
        assert 0 <= event["variation"] <= 1 and 0 <= event["right_fake"] <= 1


@pytest.mark.ci
def test_the_strength_of_an_augmentation_is_told(judged_recipe: Recipe, tmp_path: Path) -> None:
    adaptive = training.train(judged_recipe.replace(augment="adaptive", steps=10), out=tmp_path / "run")
    assert all(0 <= event["augmentation"] <= 1 for event in events(adaptive, "judged"))
    assert len(events(adaptive, "judged")) == 2


def test_judging_changes_nothing_that_is_trained_and_the_validation_images_never_are(
    whole: Run, judged_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    compile_chunk = chunks.compile_chunk

    def spy(gan: Any, state: Any, images: Any, *how: Any, **other: Any) -> Any:
        seen.append(len(images.images))
        return compile_chunk(gan, state, images, *how, **other)

    monkeypatch.setattr(loop, "compile_chunk", spy)
    plain = training.train(judged_recipe.replace(judge_every=0), out=tmp_path / "plain")
    assert seen == [140]
    assert events(whole, "judged") and not events(plain, "judged")
    assert whole.generator_weights.read_bytes() == plain.generator_weights.read_bytes()


def test_a_resumed_run_is_judged_as_if_never_stopped_and_each_alarm_is_raised_once(
    whole: Run, judged_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In events and words; a flat run goes on, because nobody asked that it stops."""
    alarms = {"collapse": lambda judged: f"always so, {len(judged)}", "flat": lambda judged: "flat"}
    monkeypatch.setattr(monitor, "ALARMS", alarms)
    reporter = Lines()
    parts = training.train(judged_recipe.replace(steps=15), out=tmp_path / "parts", reporter=reporter)
    training.train(judged_recipe, out=parts.path, reporter=reporter)
    assert parts.ended() == "finished"
    assert without_time(events(parts, "judged")) == without_time(events(whole, "judged"))
    assert [p.name for p in checkpoint.all_checkpoints(parts.best)] == [
        p.name for p in checkpoint.all_checkpoints(whole.best)
    ]
    raised = [(event["step"], event["kind"], event["text"]) for event in events(parts, "alarm")]
    assert sorted(raised) == [(5, "collapse", "always so, 1"), (5, "flat", "flat")]
    said = [text for text in reporter.lines if text.startswith("alarm")]
    assert sorted(said) == ["alarm at step 5: always so, 1", "alarm at step 5: flat"]


def test_stop_when_flat_stops_says_why_and_stays_stopped(
    judged_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flat(judged: list[Any]) -> str | None:
        return "flat for 10 steps: stop now, best was step 5" if len(judged) == 3 else None

    monkeypatch.setattr(monitor, "ALARMS", {"flat": flat})
    reporter = Lines()
    run = training.train(judged_recipe, out=tmp_path / "run", stop_when_flat=True, reporter=reporter)
    assert (run.ended(), run.reached()) == ("flat", 15)
    assert "alarm at step 15: flat for 10 steps: stop now, best was step 5" in reporter.lines
    assert run.generator_weights.is_file()
    training.train(judged_recipe, out=run.path, stop_when_flat=True, reporter=reporter)
    assert run.reached() == 15 and "stopped after 15 of 30 steps" in reporter.lines[-1]
    training.train(judged_recipe, out=run.path, reporter=reporter)
    assert (run.ended(), run.reached()) == ("finished", 30)


def test_the_summary_names_cost_and_best_step(tiny_run: Run) -> None:
    made = Monitor(tiny_run, lambda: pytest.fail("not needed"), 5, print)
    assert made.summary() is None
    made.judged = [{"step": 10, "score": 2.0}, {"step": 20, "score": 1.0}]
    assert "judged 2 times" in (made.summary() or "") and "best was step 20" in (made.summary() or "")

"""THE SCORE of a finished run: its last state judged on its validation images, to rank runs."""

from contextlib import nullcontext
from typing import Any

from sparring.evaluation.validation_judge import ValidationJudge
from sparring.runs.run import Run
from sparring.runs.run_images import load_split
from sparring.runs.trained import load_trained
from sparring.terminal import progress
from sparring.training import live
from sparring.training.reporter import Reporter


def judge_with_progress(run: Run, reporter: Reporter) -> dict[str, Any]:
    """Call `judge`, with its progress on the terminal if the training reports there."""
    shown = isinstance(reporter, live.Plain)
    with progress.shown(run.path.name) if shown else nullcontext(progress.silent) as report:
        return judge(run, report)


def judge(run: Run, report: progress.ReportProgress = progress.silent) -> dict[str, Any]:
    """Judge 1,000 samples of the last state of a run against its validation images.

    Returns the distance as `score` (lower is better), its standard error as `error`, the distance of as many real
    images as `floor`, the kind of distance as `measure`, and the time of the training as `seconds`.
    """
    report("reading the run and its images")
    recipe, trained = run.recipe(), load_trained(run)
    images = load_split(run, recipe)
    report("features of real images")
    judging = ValidationJudge(trained.gan, recipe.seed, images)
    report("judging 1,000 samples")
    found = judging.judge(trained.state)
    report("error of the distance")
    return {
        "score": found["score"],
        "error": judging.error(trained.state),
        "floor": found["floor"],
        "measure": found["measure"],
        "seconds": max((event.get("seconds", 0.0) for event in run.events()), default=0.0),
    }

"""THE SCORE of a finished run: its last state judged on held-out images, to choose among runs by."""

from contextlib import nullcontext
from typing import Any

from sparring.evaluation.validation_judge import ValidationJudge
from sparring.gan.gan import Latents
from sparring.runs.run import Run
from sparring.runs.run_images import load_split
from sparring.runs.trained import load_trained
from sparring.terminal import progress
from sparring.training import live
from sparring.training.reporter import Reporter


def judge_aloud(run: Run, reporter: Reporter) -> dict[str, Any]:
    """What `judge` finds. Its progress is shown where the terminal is told of the training, too."""
    aloud = isinstance(reporter, live.Plain)
    with progress.shown(run.path.name) if aloud else nullcontext(progress.silent) as tell:
        return judge(run, tell)


def judge(run: Run, tell: progress.ReportProgress = progress.silent) -> dict[str, Any]:
    """The last state of a run, judged by 1,000 samples against the images that its recipe holds out.

    `score` is the distance from these (lower is better) and `error` its standard error; `floor` is what as many real
    images get; `measure` says which distance it is; `seconds` is how long the run was trained.
    """
    tell("reading the run and its images")
    recipe, trained = run.recipe(), load_trained(run)
    images = load_split(run, recipe)
    latents = Latents(recipe.latent_size, recipe.latent_std)
    tell("features of real images")
    judging = ValidationJudge(trained.game, latents, recipe.seed, images)
    tell("judging 1,000 samples")
    found = judging.judge(trained.state)
    tell("error of the distance")
    return {
        "score": found["score"],
        "error": judging.error(trained.state),
        "floor": found["floor"],
        "measure": found["measure"],
        "seconds": max((event.get("seconds", 0.0) for event in run.events()), default=0.0),
    }

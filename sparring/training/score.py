"""THE SCORE of a finished run: its last state judged on held-out images, to choose among runs by."""

from contextlib import nullcontext
from functools import partial
from typing import Any

from sparring import data
from sparring.data.validation import hold_out
from sparring.evaluation.glance import Glance
from sparring.gan.gan import Latents
from sparring.runs.run import Run
from sparring.runs.run_images import load_again
from sparring.runs.trained import load_trained
from sparring.terminal import progress
from sparring.training import live
from sparring.training.session import Reporter


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
    load = partial(data.load, shaping=data.shaping_of(recipe))
    image_set = load_again(run, recipe.data, load, data.ImageSet.checksum)
    training_images, held_out = hold_out(image_set, recipe.held_out)
    assert held_out is not None
    latents = Latents(recipe.latent_size, recipe.latent_std)
    tell("features of real images")
    glance = Glance(trained.game, latents, recipe.seed, training_images, held_out)
    tell("judging 1,000 samples")
    found = glance.judge(trained.state)
    tell("error of the distance")
    return {
        "score": found["score"],
        "error": glance.error(trained.state),
        "floor": found["floor"],
        "measure": found["measure"],
        "seconds": max((event.get("seconds", 0.0) for event in run.events()), default=0.0),
    }

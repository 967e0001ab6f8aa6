"""THE SCORE of a finished run: its last state judged on held-out images, to choose among runs by."""

from functools import partial
from typing import Any

from sparring import data
from sparring.data.holdout import hold_out
from sparring.game import Latents
from sparring.metrics.glance import Glance
from sparring.run import Run
from sparring.run_images import load_again
from sparring.trained import load_trained


def judge(run: Run) -> dict[str, Any]:
    """The last state of a run, judged by 1,000 samples against the images that its recipe holds out.

    `score` is the distance from these (lower is better) and `error` its standard error; `floor` is what as many real
    images get; `measure` says which distance it is; `seconds` is how long the run was trained.
    """
    recipe, trained = run.recipe(), load_trained(run)
    load = partial(data.load, shaping=data.shaping_of(recipe))
    image_set = load_again(run, recipe.data, load, data.ImageSet.checksum)
    training_images, held_out = hold_out(image_set, recipe.held_out)
    assert held_out is not None
    latents = Latents(recipe.latent_size, recipe.latent_std)
    glance = Glance(trained.game, latents, recipe.seed, training_images, held_out)
    found = glance.judge(trained.state)
    return {
        "score": found["score"],
        "error": glance.error(trained.state),
        "floor": found["floor"],
        "measure": found["measure"],
        "seconds": max((event.get("seconds", 0.0) for event in run.events()), default=0.0),
    }

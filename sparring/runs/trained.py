"""TRAINED NETWORKS: the networks of a run with the state of one of its checkpoints."""

import warnings
from dataclasses import dataclass
from functools import partial

import jax

from sparring.errors import DamageWarning, RunError
from sparring.gan.gan import GAN, ImageShape, make_gan
from sparring.gan.state import TrainState, init_state
from sparring.runs import checkpoint
from sparring.runs.run import Run


@dataclass(frozen=True, eq=False)
class Trained:
    """A state of a run, and the gan that it is a state of."""

    gan: GAN
    image_shape: ImageShape
    classes: dict[str, int]
    """The number of images of each class, by its name; empty without labels."""
    step: int
    state: TrainState


def load_trained(run: Run, best: bool = False) -> Trained:
    """Load the newest whole checkpoint of the run, or the one that was judged best during the training.

    A `DamageWarning` names each damaged checkpoint that was skipped. Raises `RunError` if there is none.
    """
    recipe = run.recipe()
    data = run.environment()["data"]
    _, height, width, channels = data["shape"]
    image_shape, classes = (height, width, channels), data.get("classes", {})  # older runs have no classes
    gan = make_gan(recipe, image_shape, len(classes))
    template = jax.eval_shape(partial(init_state, gan), jax.random.key(0))
    newest = checkpoint.load_newest(run.best if best else run.checkpoints, template, made_by=run.identity)
    if newest is None:
        why = "it was not judged while it trained" if best else "nothing was saved before it stopped"
        raise RunError(f"{run.path} has no {'best ' if best else ''}checkpoint: {why}")
    step, state, skipped = newest
    for problem in skipped:
        warnings.warn(problem, DamageWarning, stacklevel=2)
    return Trained(gan, image_shape, classes, step, state)

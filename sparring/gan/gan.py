"""THE GAN: networks, losses and optimizers, made once from a recipe; training changes none of them."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import jax
import optax
from jax import Array

from sparring import networks
from sparring.errors import RecipeError
from sparring.gan import losses
from sparring.gan.losses import LOSSES, LossFunction
from sparring.gan.optimizers import optimizer
from sparring.gan.schedules import Schedule
from sparring.networks import Network
from sparring.recipes.recipe import Augment, Recipe

ImageShape = tuple[int, int, int]
"""Height, width and channels."""
MNIST_SHAPE: ImageShape = (28, 28, 1)
"""What recipes are counted and timed for."""


@dataclass(frozen=True)
class Latents:
    """Normal latents of `size` numbers with that standard deviation."""

    size: int
    std: float

    def draw(self, key: Array, count: int) -> Array:
        """(count, size)."""
        return self.std * jax.random.normal(key, (count, self.size))


@dataclass(frozen=True)
class Penalties:
    """Weights of the penalties on the discriminator's slope; 0 for none."""

    real: float
    """R1."""
    fake: float
    """R2."""
    between: float
    """WGAN-GP's."""
    one_in: int
    """They are taken on one image in so many."""
    schedule: Schedule


@dataclass(frozen=True)
class Game:
    """Two networks, and how each learns from the other."""

    generator: Network
    discriminator: Network
    generator_optimizer: optax.GradientTransformation
    discriminator_optimizer: optax.GradientTransformation
    discriminator_losses: tuple[LossFunction, ...]
    """One update of the discriminator for each, in turn, on the same images."""
    generator_loss: LossFunction
    relative: bool
    """Whether only differences of logits count."""
    penalties: Penalties
    rate: Schedule
    """What the updates are multiplied by."""
    discriminator_steps: int
    """Batches that the discriminator learns from before the generator does."""
    average_half_life: float
    """In steps, of the moving average of the generator's weights; 0 for none."""
    augment: Augment
    """`never`, `always` or `adaptive`."""
    classes: int
    """Of conditional networks, which are told labels; else 0."""
    fakes_train: bool
    """Whether BatchNorm is in training mode when the generator makes the discriminator's fakes."""

    def slowed(self, factor: float) -> Game:
        """The same game with all rates so many times as high."""
        return dataclasses.replace(self, rate=dataclasses.replace(self.rate, scale=factor))


def game_of(recipe: Recipe, image_shape: ImageShape, classes: int = 0) -> Game:
    """The game that the recipe describes, for images of that shape and, where it is conditional, so many classes.

    Raises `RecipeError` where they do not fit.
    """
    if recipe.augment == "auto":
        recipe = recipe.replace(augment="never")  # nobody has said how many images there are
    classes = classes if recipe.conditional else 0
    if recipe.conditional and classes < 2:
        raise RecipeError(f"conditional networks need images of two classes or more, not {classes}")
    loss = LOSSES[recipe.loss]
    strength = math.prod(image_shape) / recipe.penalty_values if recipe.penalty_values else 1.0
    separate = (losses.real_cross_entropy, losses.fake_cross_entropy)
    discriminator = networks.discriminator(
        recipe.discriminator.kind, dataclasses.asdict(recipe.discriminator), image_shape=image_shape, classes=classes
    )
    if recipe.penalised and discriminator.normalised:
        raise RecipeError("a discriminator with BatchNorm cannot be penalised: its slope is one at many images at once")
    return Game(
        generator=networks.generator(
            recipe.generator.kind,
            dataclasses.asdict(recipe.generator),
            latent_size=recipe.latent_size,
            image_shape=image_shape,
            classes=classes,
        ),
        discriminator=discriminator,
        generator_optimizer=optimizer(recipe.generator_optimizer),
        discriminator_optimizer=optimizer(recipe.discriminator_optimizer),
        discriminator_losses=separate if recipe.discriminator_updates == "separate" else (loss.discriminator,),
        generator_loss=loss.generator,
        relative=loss.relative,
        penalties=Penalties(
            recipe.r1 * strength,
            recipe.r2 * strength,
            recipe.gradient_penalty,
            recipe.penalty_one_in,
            Schedule(recipe.schedule_steps, recipe.penalty_end),
        ),
        rate=Schedule(recipe.schedule_steps, recipe.learning_rate_end),
        discriminator_steps=recipe.discriminator_steps,
        average_half_life=recipe.average_half_life,
        augment=recipe.augment,
        classes=classes,
        fakes_train=recipe.discriminator_fakes == "training",
    )

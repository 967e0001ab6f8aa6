"""THE GAN: networks, losses, optimizers and batches, made once from a recipe; training changes none of them.

A compiled step reads the GAN and never the recipe.
"""

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
from sparring.recipes.recipe import Recipe
from sparring.recipes.settings import FEW_IMAGES, Augment, DataOrder

ImageShape = tuple[int, int, int]
"""Height, width and channels."""
MNIST_SHAPE: ImageShape = (28, 28, 1)
"""The image shape for which the table of recipes counts params and time."""


@dataclass(frozen=True)
class Latents:
    """The latent distribution: normal, with `size` numbers and that standard deviation."""

    size: int
    std: float

    def draw(self, key: Array, count: int) -> Array:
        """(count, size)."""
        return self.std * jax.random.normal(key, (count, self.size))


@dataclass(frozen=True)
class BatchPlan:
    """What a step takes."""

    size: int
    """Fakes of the generator's update."""
    real: int
    """Real images, and as many fakes, of all the discriminator's updates of a step."""
    order: DataOrder
    mirror: bool
    """Mirror half of the real images."""
    reuse_noise: bool
    """The generator's update takes the latents of the discriminator's fakes again."""

    def resized(self, size: int) -> BatchPlan:
        """The same plan for batches of another size."""
        return dataclasses.replace(self, size=size, real=self.real * size // self.size)


@dataclass(frozen=True)
class Penalties:
    """Weights of the gradient penalties; 0 for none."""

    real: float
    """R1, at real images."""
    fake: float
    """R2, at fakes."""
    between: float
    """WGAN-GP, between real images and fakes."""
    one_in: int
    """The penalties are computed on one image in `one_in`."""
    schedule: Schedule


@dataclass(frozen=True)
class GAN:
    """Both networks, with their latents, batches, losses, optimizers, penalties and schedules."""

    generator: Network
    discriminator: Network
    latents: Latents
    batches: BatchPlan
    generator_optimizer: optax.GradientTransformation
    discriminator_optimizer: optax.GradientTransformation
    discriminator_losses: tuple[LossFunction, ...]
    """The discriminator is updated once for each, in turn, on the same images."""
    generator_loss: LossFunction
    relative: bool
    """Whether only differences of logits count."""
    penalties: Penalties
    rate: Schedule
    """Multiplies the updates of both networks."""
    discriminator_steps: int
    """Discriminator updates, each on its own batch, before one of the generator."""
    ema_half_life: float
    """In steps, of the EMA of the generator's params; 0 for none."""
    augment: Augment
    """`never`, `always` or `adaptive`."""
    classes: int
    """The number of classes of conditional networks; 0 for unconditional ones."""
    fakes_train: bool
    """Whether BatchNorm is in training mode when the generator makes the discriminator's fakes."""

    def slowed(self, factor: float) -> GAN:
        """The same GAN with all learning rates multiplied by `factor`."""
        return dataclasses.replace(self, rate=dataclasses.replace(self.rate, scale=factor))


def make_gan(recipe: Recipe, image_shape: ImageShape, classes: int = 0) -> GAN:
    """The GAN of a recipe, for images of that shape and, if conditional, that number of classes.

    Raises `RecipeError` if they do not fit.
    """
    recipe = recipe.fitted(FEW_IMAGES, {})  # the number of images is not known here: as for many
    classes = classes if recipe.conditional else 0
    if recipe.conditional and classes < 2:
        raise RecipeError(f"conditional networks need images of two classes or more, not {classes}")
    assert recipe.r1 is not None and recipe.r2 is not None
    loss = LOSSES[recipe.loss]
    strength = math.prod(image_shape) / recipe.penalty_values if recipe.penalty_values else 1.0
    separate = (losses.real_cross_entropy, losses.fake_cross_entropy)
    discriminator = networks.discriminator(
        recipe.discriminator.kind, dataclasses.asdict(recipe.discriminator), image_shape=image_shape, classes=classes
    )
    if recipe.penalised and discriminator.normalised:
        raise RecipeError(
            "a discriminator with BatchNorm cannot have gradient penalties: its logits depend on the whole batch"
        )
    return GAN(
        generator=networks.generator(
            recipe.generator.kind,
            dataclasses.asdict(recipe.generator),
            latent_size=recipe.latent_size,
            image_shape=image_shape,
            classes=classes,
        ),
        discriminator=discriminator,
        latents=Latents(recipe.latent_size, recipe.latent_std),
        batches=BatchPlan(
            size=recipe.batch_size,
            real=recipe.reals_per_step,
            order=recipe.data_order,
            mirror=recipe.mirror,
            reuse_noise=recipe.generator_noise == "reuse",
        ),
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
        ema_half_life=recipe.ema_half_life,
        augment=recipe.augment,
        classes=classes,
        fakes_train=recipe.discriminator_fakes == "training",
    )

"""THE RULES OF THE GAME: networks, losses and optimisers, made once from a recipe; training changes none of them."""

import dataclasses
from dataclasses import dataclass

import jax
import optax
from jax import Array

from sparring import losses, networks
from sparring.losses import DiscriminatorLoss, GeneratorLoss
from sparring.networks import Network
from sparring.optimizers import optimizer
from sparring.recipe import Recipe

ImageShape = tuple[int, int, int]
"""Height, width and channels."""


@dataclass(frozen=True)
class Latents:
    """Normal latents of `size` numbers with that standard deviation."""

    size: int
    std: float

    def draw(self, key: Array, count: int) -> Array:
        """(count, size)."""
        return self.std * jax.random.normal(key, (count, self.size))


@dataclass(frozen=True)
class Game:
    """Two networks, and how each learns from the other."""

    generator: Network
    discriminator: Network
    generator_optimizer: optax.GradientTransformation
    discriminator_optimizer: optax.GradientTransformation
    discriminator_losses: tuple[DiscriminatorLoss, ...]
    """One update of the discriminator for each, in turn, on the same images."""
    generator_loss: GeneratorLoss
    fakes_train: bool
    """Whether BatchNorm is in training mode when the generator makes the discriminator's fakes."""


def game_of(recipe: Recipe, image_shape: ImageShape) -> Game:
    """The game that the recipe describes, for images of that shape."""
    return Game(
        generator=networks.generator(
            recipe.generator.kind,
            dataclasses.asdict(recipe.generator),
            latent_size=recipe.latent_size,
            image_shape=image_shape,
        ),
        discriminator=networks.discriminator(
            recipe.discriminator.kind, dataclasses.asdict(recipe.discriminator), image_shape=image_shape
        ),
        generator_optimizer=optimizer(recipe.generator_optimizer),
        discriminator_optimizer=optimizer(recipe.discriminator_optimizer),
        discriminator_losses=DISCRIMINATOR_LOSSES[recipe.discriminator_updates],
        generator_loss=losses.non_saturating,
        fakes_train=recipe.discriminator_fakes == "training",
    )


DISCRIMINATOR_LOSSES: dict[str, tuple[DiscriminatorLoss, ...]] = {
    "joint": (losses.cross_entropy,),
    "separate": (losses.real_cross_entropy, losses.fake_cross_entropy),
}

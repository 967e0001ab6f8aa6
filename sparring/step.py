"""THE TRAINING STEP: the discriminator learns, then the generator; a pure function of state, images and noise."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array

from sparring.game import Game
from sparring.losses import DiscriminatorLoss
from sparring.networks import Weights
from sparring.state import TrainState

METRICS = ("d_loss", "g_loss", "accuracy_real", "accuracy_fake", "d_real", "d_fake")
"""What a step reports, in this order: both losses, D's accuracy on real images and on fakes, mean D(x) and D(G(z))."""


def train_step(
    game: Game, state: TrainState, real: Array, discriminator_noise: Array, generator_noise: Array
) -> tuple[TrainState, Array]:
    """One iteration of Goodfellow et al. 2014, algorithm 1 with k = 1.

    `real` is N real images (N, H, W, C) in [-1, 1]; `discriminator_noise` (N, latent_size) makes the fakes that the
    discriminator sees, `generator_noise` (M, latent_size) those that the generator is judged by.
    Returns the next state and the numbers that `METRICS` names (6,).
    """
    fake, g_statistics = game.generator.apply(
        state.generator, state.generator_statistics, discriminator_noise, train=game.fakes_train
    )

    # The discriminator ascends log D(x) + log(1 - D(G(z))), in one update or in one for each of its losses.
    discriminator, d_statistics, d_optimizer = (
        state.discriminator,
        state.discriminator_statistics,
        state.discriminator_optimizer,
    )
    d_losses, d_logits = [], []
    for loss in game.discriminator_losses:
        objective = _discriminator_objective(game, loss, real, fake)
        (d_loss, (logits, d_statistics)), gradients = jax.value_and_grad(objective, has_aux=True)(
            discriminator, d_statistics
        )
        discriminator, d_optimizer = _update(game.discriminator_optimizer, gradients, d_optimizer, discriminator)
        d_losses.append(d_loss)
        d_logits.append(logits)

    # The generator ascends log D(G(z)) against the discriminator as it is now.
    def generator_objective(weights: Weights) -> tuple[Array, Weights]:
        images, statistics = game.generator.apply(weights, g_statistics, generator_noise, train=True)
        logits, _ = game.discriminator.apply(discriminator, d_statistics, images, train=True)
        return game.generator_loss(logits), statistics

    (g_loss, g_statistics), gradients = jax.value_and_grad(generator_objective, has_aux=True)(state.generator)
    generator, g_optimizer = _update(game.generator_optimizer, gradients, state.generator_optimizer, state.generator)

    state = TrainState(
        step=state.step + 1,
        generator=generator,
        generator_statistics=g_statistics,
        generator_optimizer=g_optimizer,
        discriminator=discriminator,
        discriminator_statistics=d_statistics,
        discriminator_optimizer=d_optimizer,
    )
    # With two updates, each batch is scored as it was learnt from: the real one before the first, the fakes between.
    real_logits, fake_logits = d_logits[0][0], d_logits[-1][1]
    return state, _metrics(sum(d_losses) / len(d_losses), g_loss, real_logits, fake_logits)


def _discriminator_objective(game: Game, loss: DiscriminatorLoss, real: Array, fake: Array) -> Any:
    one_batch = game.discriminator.dense and len(game.discriminator_losses) == 1  # of two losses each sees one half

    def objective(weights: Weights, statistics: Weights) -> tuple[Array, Any]:
        if one_batch:
            pairs = jnp.stack([real, fake], axis=1)  # both of a pair lie on one device, so nothing moves between them
            images = pairs.reshape(-1, *real.shape[1:])
            logits, statistics = game.discriminator.apply(weights, statistics, images, train=True)
            real_logits, fake_logits = logits.reshape(-1, 2).T
        else:
            real_logits, statistics = game.discriminator.apply(weights, statistics, real, train=True)
            fake_logits, statistics = game.discriminator.apply(weights, statistics, fake, train=True)
        return loss(real_logits, fake_logits), ((real_logits, fake_logits), statistics)

    return objective


def _update(
    optimizer: optax.GradientTransformation, gradients: Weights, state: optax.OptState, weights: Weights
) -> tuple[Weights, optax.OptState]:
    """The one place where weights change."""
    updates, state = optimizer.update(gradients, state, weights)
    return optax.apply_updates(weights, updates), state


def _metrics(d_loss: Array, g_loss: Array, real_logits: Array, fake_logits: Array) -> Array:
    return jnp.stack(
        [
            d_loss,
            g_loss,
            jnp.mean(real_logits > 0),
            jnp.mean(fake_logits <= 0),
            jnp.mean(jax.nn.sigmoid(real_logits)),
            jnp.mean(jax.nn.sigmoid(fake_logits)),
        ]
    )

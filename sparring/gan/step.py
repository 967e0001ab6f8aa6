"""THE TRAINING STEP: the discriminator learns, then the generator; a pure function of state, images, noise and key."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from sparring.gan.augmentation import adapted, augmented
from sparring.gan.batch import Examples, pairs, part, parted
from sparring.gan.gan import Game
from sparring.gan.losses import LossFunction
from sparring.gan.penalties import one_centred, squared_slopes, zero_centred
from sparring.gan.schedules import kept
from sparring.gan.state import TrainState
from sparring.networks import Weights

METRICS = ("d_loss", "g_loss", "accuracy_real", "accuracy_fake", "d_real", "d_fake")
"""What a step reports, in this order: both losses, D's accuracy on real images and on fakes, mean D(x) and D(G(z)).

Penalties are not in the losses. Where only differences of logits count, D calls real what lies above the middle between
the mean real image and the mean fake."""


def train_step(
    game: Game, state: TrainState, real: Examples, discriminator_noise: Array, generator_noise: Array, key: Array
) -> tuple[TrainState, Array]:
    """One iteration of Goodfellow et al. 2014, algorithm 1, with k = `game.discriminator_steps`.

    `real` is k N real images (k N, H, W, C) in [-1, 1]; `discriminator_noise` (k N, latent_size) makes the fakes that
    the discriminator sees, `generator_noise` (M, latent_size) those that the generator is judged by; `key` decides all
    other chances. Where labels matter, fakes are of the classes of the real images beside them. Returns the next state
    and the numbers that `METRICS` names (6,), those of the last of the k batches.
    """
    # The discriminator learns to tell them apart.
    learnt = _Discriminator(state.discriminator, state.discriminator_statistics, state.discriminator_optimizer)
    g_statistics, reals = state.generator_statistics, real
    for k in range(game.discriminator_steps):
        for_real, for_fake, for_penalty = jax.random.split(jax.random.fold_in(key, k), 3)
        reals, noise = real.part(k, game.discriminator_steps), part(discriminator_noise, k, game.discriminator_steps)
        images, g_statistics = game.generator.apply(
            state.generator, g_statistics, noise, reals.labels, train=game.fakes_train
        )
        fakes = reals._replace(images=_augmented(game, state, images, for_fake))
        reals = reals._replace(images=_augmented(game, state, reals.images, for_real))
        learnt, d_loss, d_logits = _teach(game, learnt, reals, fakes, state.step, for_penalty)

    # The generator learns to be taken for real by the discriminator as it is now.
    def generator_objective(weights: Weights) -> tuple[Array, Weights]:
        labels = None if reals.labels is None else jnp.resize(reals.labels, (len(generator_noise),))
        images, statistics = game.generator.apply(weights, g_statistics, generator_noise, labels, train=True)
        images = _augmented(game, state, images, jax.random.fold_in(key, game.discriminator_steps))
        fake_logits, _ = game.discriminator.apply(learnt.weights, learnt.statistics, images, labels, train=True)
        real_logits, _ = game.discriminator.apply(learnt.weights, learnt.statistics, *reals, train=True)
        return game.generator_loss(real_logits, fake_logits), statistics

    (g_loss, g_statistics), gradients = jax.value_and_grad(generator_objective, has_aux=True)(state.generator)
    generator, g_optimizer = _update(
        game.generator_optimizer, gradients, state.generator_optimizer, state.generator, game.rate(state.step)
    )

    metrics = _metrics(game, d_loss, g_loss, *d_logits)
    state = TrainState(
        step=state.step + 1,
        generator=generator,
        generator_statistics=g_statistics,
        generator_optimizer=g_optimizer,
        average=_moved(game, state.step, state.average, generator),
        augmentation=_adapted(game, state.augmentation, metrics[METRICS.index("accuracy_real")], len(real.images)),
        discriminator=learnt.weights,
        discriminator_statistics=learnt.statistics,
        discriminator_optimizer=learnt.optimizer,
    )
    return state, metrics


def _augmented(game: Game, state: TrainState, images: Array, key: Array) -> Array:
    """Images as the discriminator is shown them."""
    return images if game.augment == "never" else augmented(images, state.augmentation, key)


def _adapted(game: Game, strength: Array, right: Array, images: int) -> Array:
    """The strength of the augmentation, a step further."""
    return adapted(strength, right, images) if game.augment == "adaptive" else strength


class _Discriminator(NamedTuple):
    """What the discriminator's updates change."""

    weights: Weights
    statistics: Weights
    optimizer: optax.OptState


def _teach(
    game: Game, learnt: _Discriminator, real: Examples, fake: Examples, step: Array, key: Array
) -> tuple[_Discriminator, Array, tuple[Array, Array]]:
    """One update on these images for each of the discriminator's losses; their mean; its logits of both, before.

    With two updates, each batch is scored as it was learnt from: the real one before the first, the fakes between.
    """
    values, scored = [], []
    for loss in game.discriminator_losses:
        objective = _discriminator_objective(game, loss, real, fake, step, key)
        (_, (value, logits, statistics)), gradients = jax.value_and_grad(objective, has_aux=True)(
            learnt.weights, learnt.statistics
        )
        weights, optimizer = _update(
            game.discriminator_optimizer, gradients, learnt.optimizer, learnt.weights, game.rate(step)
        )
        learnt = _Discriminator(weights, statistics, optimizer)
        values.append(value)
        scored.append(logits)
    return learnt, sum(values) / len(values), (scored[0][0], scored[-1][1])


def _discriminator_objective(
    game: Game, loss: LossFunction, real: Examples, fake: Examples, step: Array, key: Array
) -> Any:
    def objective(weights: Weights, statistics: Weights) -> tuple[Array, Any]:
        real_logits, fake_logits, statistics = _logits_of_both(game, weights, statistics, real, fake)
        value = loss(real_logits, fake_logits)
        penalty = _penalty(game, weights, statistics, real, fake, step, key)
        return value + penalty, (value, (real_logits, fake_logits), statistics)

    return objective


def _logits_of_both(
    game: Game, weights: Weights, statistics: Weights, real: Examples, fake: Examples
) -> tuple[Array, Array, Weights]:
    if game.discriminator.one_batch and len(game.discriminator_losses) == 1:  # of two losses each sees one half
        logits, statistics = game.discriminator.apply(weights, statistics, *pairs(real, fake), train=True)
        return *parted(logits), statistics
    real_logits, statistics = game.discriminator.apply(weights, statistics, *real, train=True)
    fake_logits, statistics = game.discriminator.apply(weights, statistics, *fake, train=True)
    return real_logits, fake_logits, statistics


def _penalty(
    game: Game, weights: Weights, statistics: Weights, real: Examples, fake: Examples, step: Array, key: Array
) -> Array:
    """What the slopes of the discriminator cost, by the images that are asked (scalar)."""
    penalties = game.penalties
    scale = penalties.schedule(step)
    real, fake = real.one_in(penalties.one_in), fake.one_in(penalties.one_in)

    def slopes(examples: Examples) -> Array:
        return squared_slopes(partial(logits, examples.labels), examples.images)

    def logits(labels: Array | None, images: Array) -> Array:
        return game.discriminator.apply(weights, statistics, images, labels, train=True)[0]

    total = jnp.zeros(())
    if penalties.real and penalties.fake:
        at_real, at_fake = parted(slopes(pairs(real, fake)))
        total += zero_centred(at_real, scale * penalties.real) + zero_centred(at_fake, scale * penalties.fake)
    elif penalties.real:
        total += zero_centred(slopes(real), scale * penalties.real)
    elif penalties.fake:
        total += zero_centred(slopes(fake), scale * penalties.fake)
    if penalties.between:
        where = jax.random.uniform(key, (len(real.images),))
        weight = scale * penalties.between
        total += one_centred(partial(logits, real.labels), real.images, fake.images, where, weight)
    return total


def _update(
    optimizer: optax.GradientTransformation, gradients: Weights, state: optax.OptState, weights: Weights, rate: Array
) -> tuple[Weights, optax.OptState]:
    """The one place where weights change."""
    updates, state = optimizer.update(gradients, state, weights)
    return jax.tree.map(lambda weight, update: weight + rate * update, weights, updates), state


def _moved(game: Game, step: Array, average: Weights, generator: Weights) -> Weights:
    """The moving average of the generator's weights, a step further; nothing where none is kept."""
    if not game.average_half_life:
        return average
    share = kept(step, game.average_half_life)
    return jax.tree.map(lambda old, new: share * old + (1 - share) * new, average, generator)


def _metrics(game: Game, d_loss: Array, g_loss: Array, real_logits: Array, fake_logits: Array) -> Array:
    middle = (jnp.mean(real_logits) + jnp.mean(fake_logits)) / 2 if game.relative else 0.0
    real_logits, fake_logits = real_logits - middle, fake_logits - middle
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

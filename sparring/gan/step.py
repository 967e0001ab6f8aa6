"""THE TRAINING STEP: update the discriminator, then the generator. A pure function of state, images, noise and key."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array

from sparring.gan.augmentation import adapted, augmented
from sparring.gan.batch import Batch, pairs, part, split_pairs
from sparring.gan.gan import GAN
from sparring.gan.losses import LossFunction
from sparring.gan.penalties import input_gradients, one_centred, zero_centred
from sparring.gan.schedules import ema_decay
from sparring.gan.state import NetworkState, TrainState
from sparring.networks import Params

METRICS = ("d_loss", "g_loss", "accuracy_real", "accuracy_fake", "d_real", "d_fake")
"""What a step reports, in this order: both losses, D's accuracy on real images and on fakes, mean D(x) and D(G(z)).

The losses are without the penalties. For losses of differences of logits, the threshold between real and fake is the
middle between the mean logits of both."""


def train_step(
    gan: GAN, state: TrainState, real: Batch, discriminator_noise: Array, generator_noise: Array, key: Array
) -> tuple[TrainState, Array]:
    """One iteration of Goodfellow et al. 2014, algorithm 1, with k = `gan.discriminator_steps`.

    Args:
        real: k N real images (k N, H, W, C) in [-1, 1]. Fakes get the labels of the real images, if there are any.
        discriminator_noise: (k N, latent_size), for the fakes of the discriminator's updates.
        generator_noise: (M, latent_size), for the generator's update.
        key: Decides augmentation and the places of the gradient penalty.

    Returns the next state and the `METRICS` (6,) of the last of the k batches.
    """
    # Update the discriminator k times.
    discriminator, g_stats, reals = state.discriminator, state.generator.batch_stats, real
    for k in range(gan.discriminator_steps):
        real_key, fake_key, penalty_key = jax.random.split(jax.random.fold_in(key, k), 3)
        reals, noise = real.part(k, gan.discriminator_steps), part(discriminator_noise, k, gan.discriminator_steps)
        images, g_stats = gan.generator.apply(
            state.generator.params, g_stats, noise, reals.labels, train=gan.fakes_train
        )
        fakes = reals._replace(images=_augment(gan, state, images, fake_key))
        reals = reals._replace(images=_augment(gan, state, reals.images, real_key))
        discriminator, d_loss, d_logits = update_discriminator(
            gan, discriminator, reals, fakes, state.step, penalty_key
        )

    # Update the generator against the new discriminator.
    def generator_objective(params: Params) -> tuple[Array, Params]:
        labels = None if reals.labels is None else jnp.resize(reals.labels, (len(generator_noise),))
        images, stats = gan.generator.apply(params, g_stats, generator_noise, labels, train=True)
        images = _augment(gan, state, images, jax.random.fold_in(key, gan.discriminator_steps))
        d = partial(gan.discriminator.apply, discriminator.params, discriminator.batch_stats, train=True)
        fake_logits, _ = d(images, labels)
        real_logits, _ = d(*reals)
        return gan.generator_loss(real_logits, fake_logits), stats

    (g_loss, g_stats), gradients = jax.value_and_grad(generator_objective, has_aux=True)(state.generator.params)
    g_params, g_opt_state = _update_params(gan.generator_optimizer, gradients, state.generator, gan.rate(state.step))

    metrics = _metrics(gan, d_loss, g_loss, *d_logits)
    state = TrainState(
        step=state.step + 1,
        generator=NetworkState(g_params, g_stats, g_opt_state),
        discriminator=discriminator,
        ema=update_ema(gan, state.step, state.ema, g_params),
        augmentation=_adapt(gan, state.augmentation, metrics[METRICS.index("accuracy_real")], len(real.images)),
    )
    return state, metrics


def _augment(gan: GAN, state: TrainState, images: Array, key: Array) -> Array:
    """Images as the discriminator sees them."""
    return images if gan.augment == "never" else augmented(images, state.augmentation, key)


def _adapt(gan: GAN, strength: Array, right: Array, images: int) -> Array:
    """The strength of the augmentation after this step."""
    return adapted(strength, right, images) if gan.augment == "adaptive" else strength


def update_discriminator(
    gan: GAN, discriminator: NetworkState, real: Batch, fake: Batch, step: Array, key: Array
) -> tuple[NetworkState, Array, tuple[Array, Array]]:
    """One update for each of the discriminator's losses. Returns its state, their mean, and the logits before updating.

    With two losses (real, then fake), the fake logits are those between the two updates.
    """
    values, logits_of = [], []
    for loss in gan.discriminator_losses:
        objective = _discriminator_objective(gan, loss, real, fake, step, key)
        (_, (value, logits, stats)), gradients = jax.value_and_grad(objective, has_aux=True)(
            discriminator.params, discriminator.batch_stats
        )
        params, opt_state = _update_params(gan.discriminator_optimizer, gradients, discriminator, gan.rate(step))
        discriminator = NetworkState(params, stats, opt_state)
        values.append(value)
        logits_of.append(logits)
    return discriminator, sum(values) / len(values), (logits_of[0][0], logits_of[-1][1])


def _discriminator_objective(gan: GAN, loss: LossFunction, real: Batch, fake: Batch, step: Array, key: Array) -> Any:
    def objective(params: Params, stats: Params) -> tuple[Array, Any]:
        real_logits, fake_logits, stats = _logits_of_both(gan, params, stats, real, fake)
        value = loss(real_logits, fake_logits)
        penalty = _penalty(gan, params, stats, real, fake, step, key)
        return value + penalty, (value, (real_logits, fake_logits), stats)

    return objective


def _logits_of_both(gan: GAN, params: Params, stats: Params, real: Batch, fake: Batch) -> tuple[Array, Array, Params]:
    if gan.discriminator.one_batch and len(gan.discriminator_losses) == 1:  # each of two losses needs one half only
        logits, stats = gan.discriminator.apply(params, stats, *pairs(real, fake), train=True)
        return *split_pairs(logits), stats
    real_logits, stats = gan.discriminator.apply(params, stats, *real, train=True)
    fake_logits, stats = gan.discriminator.apply(params, stats, *fake, train=True)
    return real_logits, fake_logits, stats


def _penalty(gan: GAN, params: Params, stats: Params, real: Batch, fake: Batch, step: Array, key: Array) -> Array:
    """The sum of the recipe's gradient penalties (scalar), on one image in `penalties.one_in`."""
    penalties = gan.penalties
    scale = penalties.schedule(step)
    real, fake = real.one_in(penalties.one_in), fake.one_in(penalties.one_in)

    def squared(examples: Batch) -> Array:
        return input_gradients(partial(logits, examples.labels), examples.images)

    def logits(labels: Array | None, images: Array) -> Array:
        return gan.discriminator.apply(params, stats, images, labels, train=True)[0]

    total = jnp.zeros(())
    if penalties.real and penalties.fake:
        at_real, at_fake = split_pairs(squared(pairs(real, fake)))
        total += zero_centred(at_real, scale * penalties.real) + zero_centred(at_fake, scale * penalties.fake)
    elif penalties.real:
        total += zero_centred(squared(real), scale * penalties.real)
    elif penalties.fake:
        total += zero_centred(squared(fake), scale * penalties.fake)
    if penalties.between:
        share = jax.random.uniform(key, (len(real.images),))
        weight = scale * penalties.between
        total += one_centred(partial(logits, real.labels), real.images, fake.images, share, weight)
    return total


def _update_params(
    optimizer: optax.GradientTransformation, gradients: Params, network: NetworkState, rate: Array
) -> tuple[Params, optax.OptState]:
    """The one place where params change."""
    updates, opt_state = optimizer.update(gradients, network.opt_state, network.params)
    return jax.tree.map(lambda param, update: param + rate * update, network.params, updates), opt_state


def update_ema(gan: GAN, step: Array, ema: Params, params: Params) -> Params:
    """The EMA of the generator's params after this step; empty if there is none."""
    if not gan.ema_half_life:
        return ema
    decay = ema_decay(step, gan.ema_half_life)
    return jax.tree.map(lambda old, new: decay * old + (1 - decay) * new, ema, params)


def _metrics(gan: GAN, d_loss: Array, g_loss: Array, real_logits: Array, fake_logits: Array) -> Array:
    middle = (jnp.mean(real_logits) + jnp.mean(fake_logits)) / 2 if gan.relative else 0.0
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

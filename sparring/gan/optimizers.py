"""OPTIMISERS: from a recipe's settings to an Optax transformation."""

import jax
import jax.numpy as jnp
import optax

from sparring.recipes.parts import SGD, Adam, Optimizer


def optimizer(settings: Optimizer) -> optax.GradientTransformation:
    """The transformation of gradients into updates that these settings describe."""
    if isinstance(settings, SGD):
        return optax.sgd(settings.learning_rate, settings.momentum or None, settings.nesterov)
    scale = scale_by_adam_hat if settings.epsilon_hat else optax.scale_by_adam
    return optax.chain(
        scale(settings.beta1, settings.beta2, settings.epsilon),
        *([optax.clip_by_block_rms(settings.largest_update)] if settings.largest_update else []),
        optax.scale_by_learning_rate(_rate(settings)),
    )


def _rate(settings: Adam) -> optax.ScalarOrSchedule:
    if settings.decay == 0:
        return settings.learning_rate
    return lambda updates: settings.learning_rate / (1 + settings.decay * updates)


def scale_by_adam_hat(b1: float, b2: float, eps: float) -> optax.GradientTransformation:
    """Adam with "epsilon hat" (Kingma & Ba 2015, end of section 2), the form that Keras computes.

    Of update t = 1, 2, ...: m sqrt(1 - b2^t) / (1 - b1^t) / (sqrt(v) + eps), where `optax.scale_by_adam` (and PyTorch)
    add eps to the corrected root sqrt(v / (1 - b2^t)). In the first updates that is 30 times the epsilon.
    """
    adam = optax.scale_by_adam(b1, b2, eps)

    def update(
        gradients: optax.Updates, state: optax.OptState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, optax.OptState]:
        _, state = adam.update(gradients, state, params)
        correction = jnp.sqrt(1 - b2**state.count) / (1 - b1**state.count)
        return jax.tree.map(lambda m, v: correction * m / (jnp.sqrt(v) + eps), state.mu, state.nu), state

    return optax.GradientTransformation(adam.init, update)

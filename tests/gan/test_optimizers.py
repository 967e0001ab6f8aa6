"""The optimisers against their definitions written out in float64. Parity with Keras and PyTorch is in `parity`."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from sparring.gan.optimizers import optimizer
from sparring.recipes.parts import SGD, Adam, Optimizer

GRADIENTS = [np.array(g) for g in ([1.0, -2e-4, 3e-7], [0.5, 1e-4, -2e-7], [-0.3, 2e-4, 1e-7], [0.1, 0.0, 1e-8])]


def written_out(settings: Optimizer) -> Any:
    """The weights after each of the gradients, by the papers' formulas."""
    w, m, v = np.zeros(3), np.zeros(3), np.zeros(3)
    for t, g in enumerate(GRADIENTS, start=1):
        if isinstance(settings, SGD):
            m = settings.momentum * m + g
            w = w - settings.learning_rate * (g + settings.momentum * m if settings.nesterov else m)
            continue
        rate = settings.learning_rate / (1 + settings.decay * (t - 1))
        m = settings.beta1 * m + (1 - settings.beta1) * g
        v = settings.beta2 * v + (1 - settings.beta2) * g**2
        bias_1, bias_2 = 1 - settings.beta1**t, 1 - settings.beta2**t
        if settings.epsilon_hat:
            update = np.sqrt(bias_2) / bias_1 * m / (np.sqrt(v) + settings.epsilon)
        else:
            update = (m / bias_1) / (np.sqrt(v / bias_2) + settings.epsilon)
        if settings.largest_update:
            update = update * min(1, settings.largest_update / np.sqrt(np.mean(update**2)))
        w = w - rate * update
    return w


def ours(settings: Optimizer) -> Any:
    transformation = optimizer(settings)
    weights = jnp.zeros(3)
    state = transformation.init(weights)
    for gradient in GRADIENTS:
        updates, state = transformation.update(jnp.asarray(gradient, jnp.float32), state, weights)
        weights = optax.apply_updates(weights, updates)
    return weights


SETTINGS: list[Optimizer] = [
    SGD(0.01),
    SGD(0.01, momentum=0.9),
    SGD(5e-4, momentum=0.9, nesterov=True),
    Adam(1e-3),
    Adam(3e-4, beta1=0.5, beta2=0.9, epsilon=1e-6),
    Adam(1e-3, epsilon=1e-7, epsilon_hat=True),
    Adam(2e-4, epsilon=1e-7, epsilon_hat=True, decay=0.3),
    Adam(1e-3, beta1=0.0, beta2=0.99, largest_update=0.5),
]


@pytest.mark.parametrize("settings", SETTINGS)
def test_updates_are_those_of_the_formula(settings: Optimizer) -> None:
    np.testing.assert_allclose(ours(settings), written_out(settings), rtol=2e-5)


def test_every_setting_matters() -> None:
    """No two of them give the same weights, so the test above tells them apart."""
    results = [written_out(settings) for settings in SETTINGS]
    for i, a in enumerate(results):
        for b in results[:i]:
            assert np.abs(a / b - 1).max() > 1e-3

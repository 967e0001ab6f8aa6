"""The losses are the cross-entropies of Goodfellow et al. 2014, and stay finite where probabilities would not."""

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sparring import losses

Values = NDArray[np.float64]

logits = st.lists(st.floats(-8, 8, width=32), min_size=1, max_size=20).map(np.array)


def log_sigmoid(x: Values) -> Values:
    return np.asarray(-np.log1p(np.exp(-x)))


@settings(deadline=None)  # the first example compiles
@given(logits, logits)
def test_values_are_those_of_the_probabilities(real: Values, fake: Values) -> None:
    on_real, on_fake = -log_sigmoid(real).mean(), -log_sigmoid(-fake).mean()
    x, z = jnp.asarray(real), jnp.asarray(fake)
    np.testing.assert_allclose(losses.real_cross_entropy(x, z), on_real, rtol=1e-5)
    np.testing.assert_allclose(losses.fake_cross_entropy(x, z), on_fake, rtol=1e-5)
    np.testing.assert_allclose(losses.cross_entropy(x, z), (on_real + on_fake) / 2, rtol=1e-5)
    np.testing.assert_allclose(losses.non_saturating(x, z), -log_sigmoid(fake).mean(), rtol=1e-5)


def test_far_logits_have_finite_losses_and_gradients() -> None:
    far = jnp.array([-1e4, 1e4])
    for loss in (losses.real_cross_entropy, losses.fake_cross_entropy, losses.cross_entropy):
        value, gradients = jax.value_and_grad(loss, (0, 1))(far, far)
        assert jnp.isfinite(value)
        assert jnp.all(jnp.isfinite(jnp.stack(gradients)))
    np.testing.assert_allclose(jax.grad(losses.non_saturating, 1)(far, far), [-0.5, 0.0], atol=1e-6)

"""Each loss pair against its paper's formula in float64, the direction in which it moves both networks, far logits."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sparring.gan import losses

Values = NDArray[np.float64]

Formula = Callable[[Values, Values], np.float64]
"""(logits of real images, logits of fakes) -> the value that the paper gives, in float64."""

logits = st.lists(st.floats(-8, 8, width=32), min_size=1, max_size=20).map(np.array)
pairs = st.lists(st.tuples(*[st.floats(-8, 8, width=32)] * 2), min_size=1, max_size=20).map(
    lambda both: np.array(both).T
)


def sigmoid(x: Values) -> Values:
    return np.asarray(1 / (1 + np.exp(-x)))


PAPERS: dict[str, tuple[Formula, Formula]] = {
    "cross-entropy": (
        lambda real, fake: (-np.log(sigmoid(real)).mean() - np.log(1 - sigmoid(fake)).mean()) / 2,
        lambda real, fake: -np.log(sigmoid(fake)).mean(),
    ),
    "least-squares": (
        lambda real, fake: 0.5 * np.square(real - 1).mean() + 0.5 * np.square(fake + 1).mean(),
        lambda real, fake: 0.5 * np.square(fake).mean(),
    ),
    "hinge": (
        lambda real, fake: -np.minimum(0, real - 1).mean() - np.minimum(0, -1 - fake).mean(),
        lambda real, fake: -fake.mean(),
    ),
    "wasserstein": (lambda real, fake: fake.mean() - real.mean(), lambda real, fake: -fake.mean()),
    "relativistic": (
        lambda real, fake: -np.log(sigmoid(real - fake)).mean(),
        lambda real, fake: -np.log(sigmoid(fake - real)).mean(),
    ),
}
"""Of each pair D's loss and G's, written as the papers write them: Goodfellow et al. 2014 (eq. 1, section 3), Mao et
al. 2017 (eq. 2 with a = -1, b = 1, c = 0), Miyato et al. 2018 (eq. 16, 17), Arjovsky et al. 2017 (eq. 2, algorithm 1),
Jolicoeur-Martineau 2018 (section 4.1)."""


def test_every_pair_has_a_formula_here() -> None:
    assert set(PAPERS) == set(losses.LOSSES)


@pytest.mark.parametrize("name", PAPERS)
@settings(deadline=None, max_examples=40)  # the first example compiles
@given(pairs)
def test_values_are_those_of_the_paper(name: str, both: Values) -> None:
    real, fake = both
    for loss, paper in zip(
        (losses.LOSSES[name].discriminator, losses.LOSSES[name].generator), PAPERS[name], strict=True
    ):
        np.testing.assert_allclose(loss(jnp.asarray(real), jnp.asarray(fake)), paper(real, fake), rtol=1e-4, atol=1e-5)


@settings(deadline=None, max_examples=40)
@given(logits, logits)
def test_each_half_of_the_cross_entropy_is_of_its_own_images(real: Values, fake: Values) -> None:
    x, z = jnp.asarray(real), jnp.asarray(fake)
    np.testing.assert_allclose(losses.real_cross_entropy(x, z), -np.log(sigmoid(real)).mean(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(losses.fake_cross_entropy(x, z), -np.log(1 - sigmoid(fake)).mean(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", PAPERS)
def test_the_discriminator_raises_real_images_and_lowers_fakes_and_the_generator_raises_fakes(name: str) -> None:
    """Gradient descent goes against the gradient. Logits between -0.9 and 0.9 are right of no margin yet."""
    real, fake = jnp.linspace(-0.9, 0.9, 7), jnp.linspace(0.9, 0.1, 7)
    for_real, for_fake = jax.grad(losses.LOSSES[name].discriminator, (0, 1))(real, fake)
    assert jnp.all(for_real < 0)
    assert jnp.all(for_fake > 0)
    if name == "least-squares":  # the fakes' goal is 0, halfway between -1 and 1
        assert jnp.all(jax.grad(losses.LOSSES[name].generator, 1)(real, -fake) < 0)
        assert jnp.all(jax.grad(losses.LOSSES[name].generator, 1)(real, fake) > 0)
    else:
        assert jnp.all(jax.grad(losses.LOSSES[name].generator, 1)(real, fake) < 0)


def test_the_hinge_leaves_alone_what_is_beyond_its_margins() -> None:
    for_real, for_fake = jax.grad(losses.hinge, (0, 1))(jnp.array([1.5, 3.0]), jnp.array([-1.5, -3.0]))
    np.testing.assert_array_equal(jnp.stack([for_real, for_fake]), 0)


def test_far_logits_have_finite_losses_and_gradients() -> None:
    far = jnp.array([-1e4, 1e4])
    for loss in (losses.real_cross_entropy, losses.fake_cross_entropy, losses.cross_entropy):
        value, gradients = jax.value_and_grad(loss, (0, 1))(far, far)
        assert jnp.isfinite(value)
        assert jnp.all(jnp.isfinite(jnp.stack(gradients)))
    np.testing.assert_allclose(jax.grad(losses.non_saturating, 1)(far, far), [-0.5, 0.0], atol=1e-6)

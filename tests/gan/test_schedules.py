import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sparring.gan.schedules import RAMP, Schedule, ema_decay


@pytest.mark.parametrize(
    ("step", "factor"), [(0, 1.0), (50, 0.55), (100, 0.1), (101, 0.1), (10_000, 0.1), (25, 0.55 + 0.45 / math.sqrt(2))]
)
def test_half_a_cosine_to_the_end_and_no_further(step: int, factor: float) -> None:
    assert Schedule(100, 0.1)(jnp.int32(step)) == pytest.approx(factor, rel=1e-6)


def test_without_a_length_nothing_changes() -> None:
    assert Schedule(0, 0.1)(jnp.int32(10**6)) == 1


def test_of_what_is_a_half_life_old_half_is_ema_decay() -> None:
    shares = jax.vmap(lambda step: ema_decay(step, 10.0))(jnp.arange(1000, 1010))
    assert np.prod(shares) == pytest.approx(0.5, rel=1e-5)


def test_early_on_little_is_ema_decay() -> None:
    assert ema_decay(jnp.int32(99), 1000.0) == pytest.approx(0.5 ** (1 / (RAMP * 100)), rel=1e-5)
    assert ema_decay(jnp.int32(0), 1000.0) < 1e-5

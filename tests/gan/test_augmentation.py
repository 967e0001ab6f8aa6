"""AUGMENTATION: what the changes do to images, that they can be differentiated, and how the strength adapts."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

from sparring.gan.augmentation import RAMP_IMAGES, TARGET, adapted, augmented, cut, recolor, translate

COUNT, HEIGHT, WIDTH = 400, 16, 24
KEY = jax.random.key(0)


def pictures(channels: int) -> Array:
    return jax.random.uniform(jax.random.key(1), (COUNT, HEIGHT, WIDTH, channels), minval=-1)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_at_strength_zero_nothing_changes_and_at_one_everything_does(channels: int) -> None:
    images = pictures(channels)
    np.testing.assert_array_equal(augmented(images, jnp.float32(0), KEY), images)
    changed = np.asarray(augmented(images, jnp.float32(1), KEY) != images).any(axis=(1, 2, 3))
    assert changed.all()


def test_the_strength_is_the_chance_of_each_change() -> None:
    images = jnp.ones((20_000, 2, 2, 1))
    found = np.asarray(augmented(images, jnp.float32(0.3), KEY))
    untouched = (found == 1).all(axis=(1, 2, 3)).mean()
    # So small images are never translate, and one change in four cuts nothing off.
    assert untouched == pytest.approx(0.7 * (1 - 0.3 * cut_share(images)), abs=0.02)


def cut_share(images: Array) -> float:
    return float((np.asarray(cut(images, KEY)) != images).any(axis=(1, 2, 3)).mean())


def test_moved_is_a_shift_with_zeros_beyond_the_edge() -> None:
    images = pictures(2)
    found = np.asarray(translate(images, KEY))
    shifts = set()
    for before, after in zip(np.asarray(images), found, strict=True):
        fits = [
            (y, x) for y in range(-2, 3) for x in range(-3, 4) if (after == shifted(before, y, x)).all()
        ]  # an eighth of 16 and of 24
        assert len(fits) == 1
        shifts.add(fits[0])
    assert len(shifts) == 35  # all of them come


def shifted(image: np.ndarray, y: int, x: int) -> np.ndarray:
    padded = np.pad(image, ((4, 4), (4, 4), (0, 0)))
    return padded[4 - y : 4 - y + HEIGHT, 4 - x : 4 - x + WIDTH]


def test_what_is_cut_is_a_rectangle_of_half_the_sides() -> None:
    found = np.asarray(cut(jnp.ones((COUNT, HEIGHT, WIDTH, 1)), KEY))[..., 0]
    sizes, corners = set(), set()
    for image in found:
        rows, columns = np.flatnonzero((image == 0).any(axis=1)), np.flatnonzero((image == 0).any(axis=0))
        assert (image == 0).sum() == len(rows) * len(columns)
        sizes.add((len(rows), len(columns)))
        corners.add((rows[0], columns[0]))
    assert max(sizes) == (HEIGHT // 2, WIDTH // 2) and min(sizes)[0] == HEIGHT // 4
    assert len(corners) > 100


def test_colours_change_as_one_and_transparency_does_not() -> None:
    images = pictures(4)
    found = recolor(images, KEY)
    np.testing.assert_array_equal(found[..., 3], images[..., 3])
    gray = jnp.broadcast_to(images[..., :1], (COUNT, HEIGHT, WIDTH, 3))
    after = np.asarray(recolor(gray, KEY))
    np.testing.assert_allclose(after[..., 0], after[..., 2], atol=1e-5)  # gray stays gray
    before, spread = np.asarray(gray), after.std(axis=(1, 2, 3)) / np.asarray(gray).std(axis=(1, 2, 3))
    assert 0.5 < spread.min() < 0.55 and 1.45 < spread.max() < 1.5
    shift = after.mean(axis=(1, 2, 3)) - before.mean(axis=(1, 2, 3))
    assert -0.5 < shift.min() < -0.45 and 0.45 < shift.max() < 0.5


@pytest.mark.parametrize("change", [recolor, translate, cut])
def test_every_image_has_a_change_of_its_own(change: Callable[[Array, Array], Array]) -> None:
    same = jnp.broadcast_to(pictures(3)[:1], (COUNT, HEIGHT, WIDTH, 3))
    assert len(np.unique(np.asarray(change(same, KEY)).reshape(COUNT, -1), axis=0)) > 30


def test_gradients_of_gradients_go_through() -> None:
    images = pictures(3)[:8]

    def slope(images: Array) -> Array:
        return jnp.sum(jax.grad(lambda x: jnp.sum(augmented(x, jnp.float32(1), KEY) ** 3))(images) ** 2)

    found = jax.grad(slope)(images)
    assert np.isfinite(found).all() and np.abs(found).max() > 0


def test_the_strength_follows_how_often_the_discriminator_is_right() -> None:
    border = (TARGET + 1) / 2
    assert float(adapted(jnp.float32(0.5), jnp.float32(border + 0.05), 100)) == pytest.approx(0.5 + 100 / RAMP_IMAGES)
    assert float(adapted(jnp.float32(0.5), jnp.float32(border - 0.05), 100)) == pytest.approx(0.5 - 100 / RAMP_IMAGES)
    assert float(adapted(jnp.float32(0.0), jnp.float32(0.1), 100)) == 0
    assert float(adapted(jnp.float32(1.0), jnp.float32(1.0), 100)) == 1

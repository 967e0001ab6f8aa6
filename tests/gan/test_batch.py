import jax.numpy as jnp
import numpy as np

from sparring.gan.batch import Batch, pairs, part, split_pairs

REAL = Batch(jnp.arange(8.0).reshape(4, 1, 2, 1), jnp.arange(4))
FAKE = Batch(-REAL.images, jnp.arange(10, 14))


def labels(examples: Batch) -> list[int]:
    assert examples.labels is not None
    found: list[int] = examples.labels.tolist()
    return found


def test_pairs_alternate_and_come_apart_again() -> None:
    both = pairs(REAL, FAKE)
    assert both.images.shape == (8, 1, 2, 1)
    assert labels(both) == [0, 10, 1, 11, 2, 12, 3, 13]
    real, fake = split_pairs(both.images[:, 0, 0, 0])
    np.testing.assert_array_equal(real, REAL.images[:, 0, 0, 0])
    np.testing.assert_array_equal(fake, FAKE.images[:, 0, 0, 0])


def test_parts_keep_labels_with_their_images() -> None:
    second = REAL.part(1, 2)
    assert labels(second) == [1, 3] and second.images[:, 0, 0, 0].tolist() == [2, 6]
    assert labels(REAL.one_in(2)) == [0, 2]
    assert part(jnp.arange(6), 2, 3).tolist() == [2, 5]


def test_without_labels_there_are_none_anywhere() -> None:
    bare = Batch(REAL.images)
    assert pairs(bare, bare).labels is None and bare.part(0, 2).labels is None and bare.one_in(2).labels is None

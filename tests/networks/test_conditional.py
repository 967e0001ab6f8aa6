from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sparring import networks
from sparring.networks.conditional import EMBEDDING

SHAPE = (13, 14, 2)
DENSE = {"negative_slope": 0.2, "initialization": "glorot-uniform"}
PARTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "mlp": ({"hidden": (8,), "batch_norm_momentum": 0.8, **DENSE}, {"hidden": (7,), **DENSE}),
    "dcgan-tanh": ({"dense": 8, "channels": (4, 4), "batch_norm_momentum": 0.8}, {"channels": (4, 5), "dense": 7}),
    "dcgan": ({"channels": 4}, {"channels": 4, "normalization": "spectral"}),
    "patch": ({"dense": 8, "channels": 16, "blocks": 1}, {"dense": 7, "channels": 16, "blocks": 1}),
}
LABELS = jnp.array([0, 1, 2, 0], jnp.int32)


def shape_of(kind: str) -> tuple[int, int, int]:
    return (12, 12, 1) if kind == "dcgan-tanh" else SHAPE


@pytest.mark.parametrize("kind", PARTS)
def test_the_class_changes_the_image(kind: str) -> None:
    network = networks.generator(kind, PARTS[kind][0], latent_size=5, image_shape=shape_of(kind), classes=3)
    weights, statistics = network.init(jax.random.key(0))
    assert weights["embedding"]["embedding"].shape == (3, EMBEDDING)
    same = jnp.ones((4, 5))
    images, _ = network.apply(weights, statistics, same, LABELS, train=False)
    assert images.shape == (4, *shape_of(kind))
    np.testing.assert_array_equal(images[0], images[3])
    assert np.abs(images[0] - images[1]).max() > 1e-3 and np.abs(images[1] - images[2]).max() > 1e-3


@pytest.mark.parametrize("kind", PARTS)
def test_the_logit_is_the_projection_of_the_features_on_the_class(kind: str) -> None:
    network = networks.discriminator(kind, PARTS[kind][1], image_shape=shape_of(kind), classes=3)
    plain = networks.discriminator(kind, PARTS[kind][1], image_shape=shape_of(kind))
    weights, statistics = network.init(jax.random.key(0))
    images = jax.random.uniform(jax.random.key(1), (4, *shape_of(kind)), minval=-1)

    def logits(embedding: jax.Array) -> jax.Array:
        given = weights | {"embedding": {"embedding": embedding}}
        return network.apply(given, statistics, images, LABELS, train=False)[0]

    unconditional = plain.apply(weights["network"], statistics.get("network", {}), images, train=False)[0]
    features = weights["embedding"]["embedding"].shape[1]
    assert features == weights["network"]["output"]["kernel"].shape[0]
    np.testing.assert_allclose(logits(jnp.zeros((3, features))), unconditional, rtol=1e-5)
    # Of the features, each class's embedding weighs its own: it is linear, and no other class's matters.
    compiled = jax.jit(logits)
    units = [compiled(jnp.tile(unit, (3, 1))) - unconditional for unit in np.eye(features, dtype=np.float32)]
    embedding = jax.random.normal(jax.random.key(2), (3, features))
    expected = unconditional + (np.asarray(embedding)[LABELS].T * np.asarray(units)).sum(axis=0)
    np.testing.assert_allclose(logits(embedding), expected, rtol=1e-3, atol=1e-5)
    assert np.abs(np.asarray(units)).max() > 1e-3

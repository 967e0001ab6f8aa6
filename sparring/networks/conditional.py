"""CONDITIONAL NETWORKS: any architecture, with the class of each image as an input.

generator:     latent beside the class's embedding -> any generator
discriminator: image -> features of any discriminator -> its logit + <class's embedding, features>
"""

from collections.abc import Callable

import jax.numpy as jnp
from flax import nnx
from jax import Array

from sparring.networks.layers import Featured

EMBEDDING = 64
"""Size of a class embedding in the generator; embeddings start normal, like latents."""


class Generator(nnx.Module):
    """Latents (N, latent_size) and labels (N,) -> images (N, H, W, C) in [-1, 1].

    `make` is given the size of what it makes images of.
    """

    def __init__(self, make: Callable[[int], nnx.Module], *, classes: int, latent_size: int, rngs: nnx.Rngs) -> None:
        self.embedding = nnx.Embed(classes, EMBEDDING, embedding_init=nnx.initializers.normal(1.0), rngs=rngs)
        self.network = make(latent_size + EMBEDDING)

    def __call__(self, z: Array, labels: Array, *, train: bool) -> Array:
        images: Array = self.network(jnp.concatenate([z, self.embedding(labels)], axis=1), train=train)
        return images


class Discriminator(nnx.Module):
    """Images (N, H, W, C) and labels (N,) -> logits (N,): Miyato & Koyama 2018, figure 1 (d).

    The product counts one over the root of the number of features, so that what is learnt of it, at the rate of all
    weights, changes it less: with embeddings that were as small themselves a run of `quick` blew up.
    """

    def __init__(self, network: Featured, *, classes: int, rngs: nnx.Rngs) -> None:
        self.network = network
        size = network.output.kernel.shape[0]
        self.embedding = nnx.Embed(classes, size, embedding_init=nnx.initializers.normal(1.0), rngs=rngs)

    def __call__(self, images: Array, labels: Array, *, train: bool) -> Array:
        features = self.network.features(images, train=train)
        asked: Array = jnp.sum(self.embedding(labels) * features, axis=1) * features.shape[1] ** -0.5
        return self.network.logits(features, train=train) + asked

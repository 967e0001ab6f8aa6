"""ARCHITECTURES, a file each; the two dictionaries below list them. A network is a pure function of its params.

patch.py        our own: residual convolutions on patches
dcgan.py        DCGAN, for the classics
dcgan_tanh.py   the convolutional tutorial
mlp.py          perceptrons
conditional.py  any of them with classes
features.py     the judge's network
layers.py       dense layers, initial params, pooling, a discriminator in two parts
batched.py      many rows through a compiled function, a batch at a time
fast/           convolutions that are fast on a CPU
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import jax
import numpy as np
from flax import nnx
from jax import Array
from numpy.typing import NDArray

from sparring.networks import conditional, dcgan, dcgan_tanh, mlp, patch
from sparring.networks.features import FeatureNetwork

GENERATORS: dict[str, Callable[..., nnx.Module]] = {
    "mlp": mlp.Generator,
    "dcgan-tanh": dcgan_tanh.Generator,
    "patch": patch.Generator,
    "dcgan": dcgan.Generator,
}
DISCRIMINATORS: dict[str, Callable[..., nnx.Module]] = {
    "mlp": mlp.Discriminator,
    "dcgan-tanh": dcgan_tanh.Discriminator,
    "patch": patch.Discriminator,
    "dcgan": dcgan.Discriminator,
}

Params = Any
"""A nested dictionary of arrays."""
Labels = Array | NDArray[np.int32]
"""(N,) int32."""


class Apply(Protocol):
    """(params, batch_stats, inputs, labels if conditional) -> (outputs, batch_stats).

    With `train`, BatchNorm uses the mean and variance of the batch, and the updated batch_stats are returned. Without,
    it uses the batch_stats.
    """

    def __call__(
        self, params: Params, batch_stats: Params, inputs: Array, labels: Labels | None = None, *, train: bool
    ) -> tuple[Array, Params]: ...


@dataclass(frozen=True)
class Network:
    """A network as two pure functions."""

    apply: Apply
    init: Callable[[Array], tuple[Params, Params]]
    """Random key -> initial params, initial batch_stats (empty without BatchNorm)."""
    normalised: bool
    """Whether it has BatchNorm, so that its output for an image depends on the whole batch."""
    one_batch: bool = False
    """Whether one batch is faster than its two halves, as with dense layers and small convolutions."""


def generator(
    kind: str, sizes: Mapping[str, Any], *, latent_size: int, image_shape: tuple[int, int, int], classes: int = 0
) -> Network:
    """The generator of that kind and those sizes: latents (N, latent_size) -> images (N, H, W, C) in [-1, 1].

    With `classes`, a conditional one: latents and labels (N,) -> images.
    """

    def make(rngs: nnx.Rngs, size: int = latent_size) -> nnx.Module:
        return GENERATORS[kind](latent_size=size, image_shape=image_shape, **sizes, rngs=rngs)

    def make_conditional(rngs: nnx.Rngs) -> nnx.Module:
        return conditional.Generator(partial(make, rngs), classes=classes, latent_size=latent_size, rngs=rngs)

    return _functionalise(make_conditional if classes else make)


def discriminator(
    kind: str, sizes: Mapping[str, Any], *, image_shape: tuple[int, int, int], classes: int = 0
) -> Network:
    """The discriminator of that kind and those sizes: images (N, H, W, C) -> logits (N,).

    With `classes`, a conditional one: images and labels (N,) -> logits.
    """

    def make(rngs: nnx.Rngs) -> Any:
        return DISCRIMINATORS[kind](image_shape=image_shape, **sizes, rngs=rngs)

    def make_conditional(rngs: nnx.Rngs) -> nnx.Module:
        return conditional.Discriminator(make(rngs), classes=classes, rngs=rngs)

    network = _functionalise(make_conditional if classes else make)
    one_batch = kind != "dcgan-tanh" and not network.normalised
    return dataclasses.replace(network, one_batch=one_batch)


def features(image_shape: tuple[int, int, int], *, in_loop: bool = False) -> Network:
    """The judge's network: images (N, H, W, C) in [-1, 1] -> features (N, 128).

    `in_loop` makes it fast for training in a compiled loop. The params are the same with and without.
    """
    return _functionalise(lambda rngs: FeatureNetwork(image_shape=image_shape, in_loop=in_loop, rngs=rngs))


def count(network: Network) -> int:
    """The number of params and batch_stats in a network, as Keras counts them. Computes nothing."""
    shapes = jax.eval_shape(network.init, jax.random.key(0))
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(shapes))


def _functionalise(make: Callable[[nnx.Rngs], nnx.Module]) -> Network:
    shapes = nnx.eval_shape(lambda: make(nnx.Rngs(0)))
    graph = nnx.graphdef(shapes)
    normalised = any(isinstance(part, nnx.BatchNorm) for _, part in nnx.iter_modules(shapes))

    def init(key: Array) -> tuple[Params, Params]:
        module = make(nnx.Rngs(params=key))
        return nnx.to_pure_dict(nnx.state(module, nnx.Param)), nnx.to_pure_dict(nnx.state(module, nnx.BatchStat))

    def apply(
        params: Params, batch_stats: Params, inputs: Array, labels: Labels | None = None, *, train: bool
    ) -> tuple[Array, Params]:
        module = nnx.merge(graph, nnx.State(params), nnx.State(batch_stats))
        outputs = module(inputs, train=train) if labels is None else module(inputs, labels, train=train)
        return outputs, nnx.to_pure_dict(nnx.state(module, nnx.BatchStat))

    return Network(apply, init, normalised)

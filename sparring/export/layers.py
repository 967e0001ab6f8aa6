"""A trained generator as a list of simple layers, of few enough kinds that other programs can implement them all.

A layer maps a value (N, H, W, C) or (N, features) to another one. The layers of each architecture are defined once,
below. The ONNX file and the HTML page are both made from this list, and are compared with the network itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparring.networks import dcgan, dcgan_tanh, mlp, patch
from sparring.networks.fast.convolution import transposed_in_phases
from sparring.networks.layers import without_checkerboard
from sparring.runs.generator import Generator

Values = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Embedding:
    """Concatenate the input with the label's row of `table` (classes, numbers): (N, features + numbers)."""

    table: Values


@dataclass(frozen=True, eq=False)
class Dense:
    """x @ weights (features, outputs) + biases (outputs,)."""

    weights: Values
    biases: Values


@dataclass(frozen=True, eq=False)
class Convolution:
    """Convolve with weights (h, w, C, F), zero-padded, and add biases (F,): (N, H, W, C) -> (N, H, W, F)."""

    weights: Values
    biases: Values


@dataclass(frozen=True, eq=False)
class Scale:
    """x * factors + offsets, each (C,), along the last axis: BatchNorm in inference mode."""

    factors: Values
    offsets: Values


@dataclass(frozen=True)
class LeakyReLU:
    """x above zero, slope * x below."""

    slope: float


@dataclass(frozen=True)
class Tanh:
    """tanh(x)."""


@dataclass(frozen=True)
class Reshape:
    """(N, height * width * channels) -> (N, height, width, channels)."""

    height: int
    width: int
    channels: int


@dataclass(frozen=True)
class Enlarge:
    """Nearest-neighbour upsampling: (N, H, W, C) -> (N, side H, side W, C)."""

    side: int


@dataclass(frozen=True)
class DepthToSpace:
    """(N, H, W, side^2 C) -> (N, side H, side W, C); channel (i side + j) C + c goes to row i, column j of a block."""

    side: int


@dataclass(frozen=True)
class Crop:
    """Keep the first rows and columns: (N, height, width, C)."""

    height: int
    width: int


@dataclass(frozen=True)
class Residual:
    """x + layers(x)."""

    layers: tuple[Layer, ...]


Layer = Embedding | Dense | Convolution | Scale | LeakyReLU | Tanh | Reshape | Enlarge | DepthToSpace | Crop | Residual


def layers_of(generator: Generator) -> list[Layer]:
    """Return the layers from latents (N, latent size), and labels if conditional, to images (N, H, W, C) in [-1, 1]."""
    network = generator.description["network"]
    make = GENERATORS[network["kind"]]
    if not generator.classes:
        return make(generator.weights, generator.statistics, network["sizes"], generator.image_shape)
    inner = generator.statistics.get("network", {})
    layers = make(generator.weights["network"], inner, network["sizes"], generator.image_shape)
    return [Embedding(np.asarray(generator.weights["embedding"]["embedding"])), *layers]


# ------------------------------------------------------------------------------------------------ the architectures

Shape = tuple[int, int, int]


def _mlp(weights: Any, statistics: Any, sizes: Any, shape: Shape) -> list[Layer]:
    """`sparring.networks.mlp.Generator`."""
    layers: list[Layer] = []
    for i in sorted(weights.get("hidden", {})):
        layers += [_dense(weights["hidden"][i]), LeakyReLU(sizes["negative_slope"])]
        if "norms" in weights:
            layers.append(_batch_norm(weights["norms"][i], statistics["norms"][i], mlp.EPSILON))
    return [*layers, _dense(weights["output"]), Tanh(), Reshape(*shape)]


def _dcgan_tanh(weights: Any, statistics: Any, sizes: Any, shape: Shape) -> list[Layer]:
    """`sparring.networks.dcgan_tanh.Generator`."""
    norm = _batch_norm(weights["norm"], statistics["norm"], dcgan_tanh.EPSILON)
    small = Reshape(shape[0] // 4, shape[1] // 4, sizes["channels"][0])
    layers: list[Layer] = [_dense(weights["dense_1"]), Tanh(), _dense(weights["dense_2"]), norm, Tanh(), small]
    for name in ("conv_1", "conv_2"):
        layers += [Enlarge(2), _convolution(weights[name]), Tanh()]
    return layers


def _dcgan(weights: Any, statistics: Any, sizes: Any, shape: Shape) -> list[Layer]:
    """`sparring.networks.dcgan.Generator`; its transposed convolutions become 3x3 ones with four phases."""
    smallest, *larger = reversed(dcgan.maps(*shape[:2]))
    kernel = np.asarray(weights["dense"]["kernel"])
    layers: list[Layer] = [
        Dense(kernel, np.zeros(kernel.shape[1], np.float32)),
        Reshape(*smallest, kernel.shape[1] // (smallest[0] * smallest[1])),
    ]
    for i, (rows, columns) in zip(sorted(weights["norms"]), larger, strict=True):
        layer = weights["convolutions"][i]
        phases = np.asarray(transposed_in_phases(layer["kernel"]))
        biases = np.tile(np.asarray(layer["bias"]), 4) if "bias" in layer else np.zeros(phases.shape[-1], np.float32)
        layers += [
            _batch_norm(weights["norms"][i], statistics["norms"][i], dcgan.EPSILON),
            LeakyReLU(0.0),
            Convolution(phases, biases),
            DepthToSpace(2),
            Crop(rows, columns),
        ]
    return [*layers, Tanh()]


def _patch(weights: Any, statistics: Any, sizes: Any, shape: Shape) -> list[Layer]:
    """`sparring.networks.patch.Generator`."""
    sides = list(reversed(patch.grids(*shape[:2])))
    slope = LeakyReLU(patch.SLOPE)
    first = _dense(weights["dense_2"])
    layers: list[Layer] = [
        _dense(weights["dense_1"]),
        slope,
        first,
        Reshape(*sides[0], len(first.biases) // (sides[0][0] * sides[0][1])),
    ]
    for i, side in zip(sorted(weights["stages"]), sides, strict=True):
        if i:
            layers += [slope, _convolution(weights["doublings"][i - 1]), DepthToSpace(2), Crop(*side)]
        blocks = weights["stages"][i].get("blocks", {})
        layers += [Residual((slope, _convolution(blocks[k]))) for k in sorted(blocks)]
    output = weights["output"]
    if sizes.get("checkerboard_free"):
        kernel, bias = without_checkerboard(output["kernel"], output["bias"], patch.PATCH)
        output = {"kernel": kernel, "bias": bias}
    return [*layers, slope, _convolution(output), DepthToSpace(patch.PATCH), Crop(*shape[:2]), Tanh()]


GENERATORS: dict[str, Callable[[Any, Any, Any, Shape], list[Layer]]] = {
    "mlp": _mlp,
    "dcgan-tanh": _dcgan_tanh,
    "dcgan": _dcgan,
    "patch": _patch,
}


# ------------------------------------------------------------------------------------------------ the weights


def _dense(weights: Any) -> Dense:
    return Dense(np.asarray(weights["kernel"]), np.asarray(weights["bias"]))


def _convolution(weights: Any) -> Convolution:
    return Convolution(np.asarray(weights["kernel"]), np.asarray(weights["bias"]))


def _batch_norm(weights: Any, statistics: Any, epsilon: float) -> Scale:
    """(x - mean) / sqrt(variance + epsilon) * scale + bias as one multiplication and one addition."""
    factors = np.asarray(weights["scale"]) / np.sqrt(np.asarray(statistics["var"], np.float32) + np.float32(epsilon))
    return Scale(factors, np.asarray(weights["bias"]) - np.asarray(statistics["mean"]) * factors)

"""A generator as an ONNX file (extra `onnx`).

Inputs: `latents` (batch, latent size) float32, normally distributed, and for a conditional generator `labels` (batch,)
int64. Output: `images` (batch, H, W, C) float32 in [-1, 1].
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparring.errors import ExportError
from sparring.export.layers import (
    Convolution,
    Crop,
    Dense,
    DepthToSpace,
    Embedding,
    Enlarge,
    Layer,
    LeakyReLU,
    Reshape,
    Residual,
    Scale,
    Tanh,
    layers_of,
)
from sparring.files import atomic, marks
from sparring.files.atomic import MayReplace
from sparring.runs.generator import Generator
from sparring.system import extras

OPSET = 17
IR_VERSION = 8
"""From 2022, so that older ONNX runtimes can read it."""
TOLERANCE = 1e-4
"""The largest difference of a value in [-1, 1] from the network's."""
CHECKED = 100
"""Latents on which the file is compared with the network."""


def write(generator: Generator, path: Path, may_replace: MayReplace | None = None) -> float:
    """Write the generator after comparing onnxruntime's images with the network's. Returns the largest difference.

    Raises `ExportError` if a value differs by more than `TOLERANCE`, `MissingExtra` without the packages.
    """
    content = to_bytes(generator)
    difference = largest_difference(generator, content)
    if not difference <= TOLERANCE:
        raise ExportError(
            f"{path} was not written: onnxruntime's images differ from Sparring's by up to {difference:.1e}"
        )
    atomic.write_bytes(path, content, may_replace)
    return difference


def to_bytes(generator: Generator) -> bytes:
    """Return the generator as a serialised ONNX model."""
    onnx = _package("onnx")
    graph = _Graph(onnx)
    latents = graph.input("latents", onnx.TensorProto.FLOAT, ["batch", generator.latents.size])
    if generator.classes:
        graph.input("labels", onnx.TensorProto.INT64, ["batch"])
    graph.layers(layers_of(generator), latents)
    graph.nodes[-1].output[0] = "images"
    output = onnx.helper.make_tensor_value_info("images", onnx.TensorProto.FLOAT, ["batch", *generator.image_shape])
    made = onnx.helper.make_graph(graph.nodes, "generator", graph.inputs, [output], graph.weights)
    model = onnx.helper.make_model(
        made,
        producer_name=marks.PRODUCER,
        ir_version=IR_VERSION,
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
    )
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString()
    return content


def largest_difference(generator: Generator, content: bytes) -> float:
    """Return the largest difference between onnxruntime's output and the network's."""
    latents = generator.draw_latents(CHECKED)
    labels = np.arange(CHECKED, dtype=np.int64) % max(1, len(generator.classes))
    session = _package("onnxruntime").InferenceSession(content, providers=["CPUExecutionProvider"])
    inputs = {"latents": latents} | ({"labels": labels} if generator.classes else {})
    (images,) = session.run(None, inputs)
    ours = generator.values(latents, labels.astype(np.int32) if generator.classes else None)
    return float(np.abs(images - ours).max())


def _package(name: str) -> Any:
    return extras.load(name, "onnx", "ONNX")


class _Graph:
    """The nodes of the model. Values between layers are (N, H, W, C); ONNX's convolutions need (N, C, H, W)."""

    def __init__(self, onnx: Any) -> None:
        self.onnx = onnx
        self.nodes: list[Any] = []
        self.weights: list[Any] = []
        self.inputs: list[Any] = []
        self.names = (f"value_{i}" for i in itertools.count())

    def input(self, name: str, kind: int, shape: list[Any]) -> str:
        self.inputs.append(self.onnx.helper.make_tensor_value_info(name, kind, shape))
        return name

    def constant(self, array: NDArray[Any]) -> str:
        name = f"weights_{len(self.weights)}"
        self.weights.append(self.onnx.numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def node(self, kind: str, *inputs: str, **settings: Any) -> str:
        output = next(self.names)
        self.nodes.append(self.onnx.helper.make_node(kind, list(inputs), [output], **settings))
        return output

    def layers(self, layers: list[Layer] | tuple[Layer, ...], x: str) -> str:
        for layer in layers:
            x = self.layer(layer, x)
        return x

    def layer(self, layer: Layer, x: str) -> str:
        """Add the nodes of a layer. Returns the name of its output."""
        match layer:
            case Embedding(table):
                return self.node("Concat", x, self.node("Gather", self.constant(table), "labels"), axis=1)
            case Dense(weights, biases):
                return self.node("Gemm", x, self.constant(weights), self.constant(biases))
            case Scale(factors, offsets):
                return self.node("Add", self.node("Mul", x, self.constant(factors)), self.constant(offsets))
            case LeakyReLU(slope):
                return self.node("LeakyRelu", x, alpha=slope)
            case Tanh():
                return self.node("Tanh", x)
            case Reshape(height, width, channels):
                return self.node("Reshape", x, self.constant(np.array([-1, height, width, channels])))
            case Residual(layers):
                return self.node("Add", x, self.layers(layers, x))
            case Crop(height, width):
                ends, axes = self.constant(np.array([height, width])), self.constant(np.array([1, 2]))
                return self.node("Slice", x, self.constant(np.array([0, 0])), ends, axes)
            case Convolution() | DepthToSpace() | Enlarge():
                channels_first = self.node("Transpose", x, perm=[0, 3, 1, 2])
                return self.node("Transpose", self.channels_first(layer, channels_first), perm=[0, 2, 3, 1])

    def channels_first(self, layer: Convolution | DepthToSpace | Enlarge, x: str) -> str:
        """Add the nodes of a layer whose input is (N, C, H, W)."""
        match layer:
            case Convolution(weights, biases):
                h, w = weights.shape[:2]
                kernel = self.constant(weights.transpose(3, 2, 0, 1))
                pads = [(h - 1) // 2, (w - 1) // 2, h // 2, w // 2]
                return self.node("Conv", x, kernel, self.constant(biases), pads=pads)
            case DepthToSpace(side):
                return self.node("DepthToSpace", x, blocksize=side, mode="DCR")
            case Enlarge(side):
                scales = self.constant(np.array([1, 1, side, side], np.float32))
                return self.node("Resize", x, "", scales, mode="nearest", coordinate_transformation_mode="asymmetric",
                                 nearest_mode="floor")  # fmt: skip

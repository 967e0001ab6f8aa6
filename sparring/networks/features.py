"""The judge's network: a small convolutional network from images to features."""

from flax import nnx
from jax import Array

from sparring.networks.fast.convolution import convolution
from sparring.networks.layers import dense, max_pool, space_to_depth

FEATURES = 128
CHANNELS = (32, 64, 96)
SMALLEST_SIDE = 3
"""Pooling goes on until the shorter side is below twice this."""


class FeatureNetwork(nnx.Module):
    """Images (N, H, W, C) in [-1, 1] -> features (N, 128), 0 or more. Sides from 8 pixels on.

    Blocks of 2 x 2 pixels become channels, then 3x3 convolutions with BatchNorm (Ioffe & Szegedy 2015) and ReLU, each
    but the first followed by max-pooling, as many as the size asks for, and a dense layer with ReLU.
    """

    def __init__(self, *, image_shape: tuple[int, int, int], in_loop: bool, rngs: nnx.Rngs) -> None:
        height, width, colours = image_shape
        rows, columns = -(-height // 2), -(-width // 2)
        widths = list(CHANNELS[:1])
        while len(widths) < 2 or min(rows, columns) >= 2 * SMALLEST_SIDE:
            widths.append(CHANNELS[min(len(widths), len(CHANNELS) - 1)])
            rows, columns = rows // 2, columns // 2
        self.convolutions = nnx.List(
            [
                convolution(a, b, 3, "same", in_loop=in_loop, rngs=rngs)
                for a, b in zip([4 * colours, *widths], widths, strict=False)
            ]
        )
        self.norms = nnx.List([_norm(width, rngs) for width in widths])
        self.dense = dense(rows * columns * widths[-1], FEATURES, "glorot-uniform", rngs=rngs)
        self.dense_norm = _norm(FEATURES, rngs)

    def __call__(self, images: Array, *, train: bool) -> Array:
        x = space_to_depth(images)  # (N, 14, 14, 4)
        for i, (conv, norm) in enumerate(zip(self.convolutions, self.norms, strict=True)):
            x = nnx.relu(norm(conv(x), use_running_average=not train))
            if i > 0:
                x = max_pool(x)  # (N, 7, 7, 64), (N, 3, 3, 96)
        x = self.dense(x.reshape(len(x), -1))
        return nnx.relu(self.dense_norm(x, use_running_average=not train))


def _norm(width: int, rngs: nnx.Rngs) -> nnx.BatchNorm:
    return nnx.BatchNorm(width, momentum=0.9, epsilon=1e-5, rngs=rngs)

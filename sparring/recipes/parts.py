"""THE PARTS OF A RECIPE: sizes of the networks, settings of the optimisers, as frozen dataclasses checked when made.

Each says its `kind`, by which JSON and the code that builds it know it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from sparring.errors import RecipeError
from sparring.recipes.checks import (
    LARGEST_CHANNELS,
    LARGEST_WIDTH,
    MOST_LAYERS,
    check_count,
    check_fraction,
    check_not_negative,
    check_positive,
    check_widths,
)

Normalization = Literal["batch", "spectral", "none"]
Initialization = Literal["glorot-uniform", "torch-uniform"]


# ---------------------------------------------------------------------------------------------- the networks


@dataclass(frozen=True)
class MLPGenerator:
    """A multi-layer perceptron from latents to an image in [-1, 1] (see `sparring.networks.mlp`)."""

    kind: ClassVar[str] = "mlp"

    hidden: tuple[int, ...]
    """Widths of the hidden layers, from the latent to the image."""
    negative_slope: float
    """Slope of the LeakyReLU below zero."""
    initialization: Initialization
    """How weights and biases start: Glorot-uniform with zero biases (Keras) or PyTorch's own uniform one."""
    batch_norm_momentum: float | None = None
    """Decay of BatchNorm's moving statistics, after each hidden activation; None means no BatchNorm."""

    def __post_init__(self) -> None:
        check_widths("generator.hidden", self.hidden)
        check_not_negative("generator.negative_slope", self.negative_slope)
        if self.batch_norm_momentum is not None:
            check_fraction("generator.batch_norm_momentum", self.batch_norm_momentum)


@dataclass(frozen=True)
class MLPDiscriminator:
    """A multi-layer perceptron from an image to one logit (see `sparring.networks.mlp`)."""

    kind: ClassVar[str] = "mlp"

    hidden: tuple[int, ...]
    """Widths of the hidden layers, from the image to the logit."""
    negative_slope: float
    """Slope of the LeakyReLU below zero."""
    initialization: Initialization
    """How weights and biases start: Glorot-uniform with zero biases (Keras) or PyTorch's own uniform one."""

    def __post_init__(self) -> None:
        check_widths("discriminator.hidden", self.hidden)
        check_not_negative("discriminator.negative_slope", self.negative_slope)


@dataclass(frozen=True)
class DCGANTanhGenerator:
    """Two dense layers, twice (nearest up-sampling, 5x5 convolution), all tanh (see `sparring.networks.dcgan_tanh`)."""

    kind: ClassVar[str] = "dcgan-tanh"

    dense: int = 1024
    """Width of the first dense layer."""
    channels: tuple[int, int] = (128, 64)
    """Channels of the small map that the second dense layer makes, and after the first convolution."""
    batch_norm_momentum: float = 0.99
    """Decay of BatchNorm's moving statistics."""

    def __post_init__(self) -> None:
        check_count("generator.dense", self.dense, LARGEST_WIDTH)
        check_widths("generator.channels", self.channels, length=2, largest=LARGEST_CHANNELS)
        check_fraction("generator.batch_norm_momentum", self.batch_norm_momentum)


@dataclass(frozen=True)
class DCGANTanhDiscriminator:
    """Twice (5x5 convolution, tanh, max-pooling), dense, one logit (see `sparring.networks.dcgan_tanh`)."""

    kind: ClassVar[str] = "dcgan-tanh"

    channels: tuple[int, int] = (64, 128)
    """Channels after the first and after the second convolution."""
    dense: int = 1024
    """Width of the dense layer before the logit."""

    def __post_init__(self) -> None:
        check_widths("discriminator.channels", self.channels, length=2, largest=LARGEST_CHANNELS)
        check_count("discriminator.dense", self.dense, LARGEST_WIDTH)


@dataclass(frozen=True)
class _Patch:
    """Residual convolutions on a grid of patches of 4 x 4 pixels, no normalisation (see `sparring.networks.patch`)."""

    kind: ClassVar[str] = "patch"
    role: ClassVar[str]

    dense: int = 256
    """Width of the dense layer between the smallest grid and the latent, or the logit."""
    channels: int = 64
    """Channels of the smallest grid, of at most 8 x 8 places; each grid of twice the side has half of them."""
    blocks: int = 1
    """Residual convolutions on each grid."""

    def __post_init__(self) -> None:
        for name, most in (("dense", LARGEST_WIDTH), ("channels", LARGEST_CHANNELS), ("blocks", MOST_LAYERS)):
            check_count(f"{self.role}.{name}", getattr(self, name), most)


@dataclass(frozen=True)
class PatchGenerator(_Patch):
    """From a latent to an image in [-1, 1]."""

    role: ClassVar[str] = "generator"

    checkerboard_free: bool = False
    """Give the weights of all pixels of a patch the same sum, so that no pattern of that size lies over the images."""


@dataclass(frozen=True)
class PatchDiscriminator(_Patch):
    """The same way back, from an image to one logit."""

    role: ClassVar[str] = "discriminator"


@dataclass(frozen=True)
class DCGANGenerator:
    """Transposed 5x5 convolutions with BatchNorm and ReLU (see `sparring.networks.dcgan`)."""

    kind: ClassVar[str] = "dcgan"

    channels: int = 64
    """Channels of the last map before the image; each map of half the side has twice as many."""

    def __post_init__(self) -> None:
        check_count("generator.channels", self.channels, LARGEST_CHANNELS)


@dataclass(frozen=True)
class DCGANDiscriminator:
    """Strided 5x5 convolutions, LeakyReLU, one logit (see `sparring.networks.dcgan`)."""

    kind: ClassVar[str] = "dcgan"

    channels: int = 64
    """Channels after the first convolution; each map of half the side has twice as many."""
    normalization: Normalization = "batch"
    """`batch` for BatchNorm after each convolution but the first, `spectral` for all layers, or `none`."""

    def __post_init__(self) -> None:
        check_count("discriminator.channels", self.channels, LARGEST_CHANNELS)


# -------------------------------------------------------------------------------------------- the optimisers


@dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent, with Nesterov's or plain momentum (Sutskever et al. 2013, eq. 3 and 4)."""

    kind: ClassVar[str] = "sgd"

    learning_rate: float
    """Step size."""
    momentum: float = 0.0
    """Share of the last update that is kept."""
    nesterov: bool = False
    """Look ahead along the momentum before stepping."""

    def __post_init__(self) -> None:
        check_positive("learning_rate", self.learning_rate)
        check_fraction("momentum", self.momentum)
        if self.nesterov and self.momentum == 0:
            raise RecipeError("nesterov needs a momentum above 0")


@dataclass(frozen=True)
class Adam:
    """Adam (Kingma & Ba 2015, algorithm 1)."""

    kind: ClassVar[str] = "adam"

    learning_rate: float
    """Step size."""
    beta1: float = 0.9
    """Decay of the mean of the gradients."""
    beta2: float = 0.999
    """Decay of the mean of their squares."""
    epsilon: float = 1e-8
    """Keeps the division finite. Keras takes 1e-7, PyTorch 1e-8."""
    epsilon_hat: bool = False
    """Add epsilon to the root before its bias is corrected (Kingma & Ba, end of section 2), as Keras does."""
    decay: float = 0.0
    """The rate of update t = 0, 1, ... is learning_rate / (1 + decay * t), as in Keras 2."""
    largest_update: float = 0.0
    """Updates of a weight matrix whose root mean square is more than so many learning rates are shortened to that
    (Shazeer & Stern 2018, section 6); 0 for never."""

    def __post_init__(self) -> None:
        check_positive("learning_rate", self.learning_rate)
        check_not_negative("largest_update", self.largest_update)
        check_fraction("beta1", self.beta1)
        check_fraction("beta2", self.beta2)
        check_positive("epsilon", self.epsilon)
        check_not_negative("decay", self.decay)


Generator = MLPGenerator | DCGANTanhGenerator | DCGANGenerator | PatchGenerator
Discriminator = MLPDiscriminator | DCGANTanhDiscriminator | DCGANDiscriminator | PatchDiscriminator
Optimizer = Adam | SGD

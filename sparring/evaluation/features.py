"""FEATURES by which images are compared. An extractor computes features of images and perhaps class probabilities.

All measures depend on the extractor. So each extractor has an identity, the SHA-256 of its params, and a caveat.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax import Array
from numpy.typing import NDArray
from PIL import Image

from sparring import networks
from sparring.data import ImageSet
from sparring.data.named.stacked import CHANNELS, STACKED
from sparring.data.selection import ManyImages
from sparring.data.validation import split_images
from sparring.errors import CheckpointError, DataError
from sparring.evaluation.classifier import (
    Augmentation,
    Classifier,
    accuracy,
    pack_classifier,
    read_classifier,
    train_classifier,
)
from sparring.files import atomic, ownership
from sparring.files.cache_folder import cache_folder
from sparring.gan.gan import ImageShape
from sparring.images import Images, from_uint8, picture
from sparring.networks.batched import batched
from sparring.runs import checkpoint
from sparring.system import extras
from sparring.terminal.progress import Count, ReportProgress, counting, silent

BATCH = 250
"""Images in a batch."""
GENERAL_SIDE = 32
"""Images are resized to this many pixels on a side for the general features."""
OWN_EPOCHS, OWN_LEAST_STEPS = 5, 600
"""Training of a classifier of the user's own labels: at least this many epochs and this many steps."""
Z_95 = 1.96
"""Half the width of a 95% confidence interval, in standard errors."""
TRAINING = "training a classifier of these labels, once"
OWN_CHECKED = 0.1
"""Share of the images on which that classifier is not trained, to measure its accuracy."""

Matrix = NDArray[np.float32]


@dataclass(frozen=True)
class Features:
    """Features (N, d) of N images, and class probabilities (N, K) if the extractor has classes."""

    values: Matrix
    probabilities: Matrix | None

    def __getitem__(self, places: Any) -> Features:
        return Features(self.values[places], None if self.probabilities is None else self.probabilities[places])


@dataclass(frozen=True, eq=False)
class Extractor:
    """A fixed function from images to features."""

    name: str
    """A name for people."""
    sha256: str
    """SHA-256 of its params, in hexadecimal. Numbers of different extractors are never compared."""
    image_shape: ImageShape
    has_classes: bool
    caveat: str
    """The limits of its numbers."""
    apply: Callable[[Images], tuple[NDArray[Any], NDArray[Any] | None]]
    """`BATCH` images (BATCH, H, W, C), uint8 -> features (BATCH, d) and probabilities (BATCH, K)."""
    modes: bool = False
    """Whether its classes are counted as modes (`sparring.evaluation.metrics.modes`), because there are too many to
    compare the share of each."""

    def __call__(self, images: ManyImages, progress: Count | None = None) -> Features:
        """Compute the features of images (N, H, W, C). They do not depend on the other images of a batch."""
        if images.shape[1:] != self.image_shape:
            raise DataError(f"{self.name} takes images of the shape {self.image_shape}, not {images.shape[1:]}")
        return Features(*batched(self.apply, images, BATCH, progress))


# ------------------------------------------------------------------------------------------ the shipped classifiers


@dataclass(frozen=True)
class Shipped:
    """A classifier that comes with the package, made by `tools/train_judge.py`."""

    bytes: int
    sha256: str
    test_accuracy: float
    """Accuracy on the test images."""

    @property
    def expected(self) -> dict[str, Any]:
        """The size and checksum of its file."""
        return {"bytes": self.bytes, "sha256": self.sha256}


SHIPPED = {
    "mnist": Shipped(755_680, "892351f660cc420c90e3b7bfaff7fc31e2097419fa766240628e9334451c471c", 0.9962),
    "fashion-mnist": Shipped(755_680, "031d7ad19e2c3b92c65a041e7535cfc9ce2876c4d7609c232f22845487dfdc69", 0.9304),
}
"""By the name of the data set."""

GENERAL: dict[str, Any] = {
    "bytes": 1103704,
    "sha256": "a3c2bc1868200f3bc687f160d10e9b422dfb2ded98ae018ec48304cc592e1feb",
}
"""The size and checksum of the general features' file."""
GENERAL_CAVEAT = (
    "There is no classifier of these images, so they are compared by features of a small network that tells "
    f"photographs, drawings, icons, characters and clothes apart, at {GENERAL_SIDE} x {GENERAL_SIDE} pixels. Its "
    "numbers rank generators of this data set; classes cannot be counted."
)

SHIPPED_SHAPE, SHIPPED_CLASSES = (28, 28, 1), 10


def shipped_classifier(name: str) -> Extractor:
    """The classifier that comes with the package for a data set."""
    about = SHIPPED[name]
    path = Path(__file__).parent / "judges" / f"{name}.safetensors"
    classifier = read_classifier(path, about.expected, SHIPPED_SHAPE, SHIPPED_CLASSES)
    caveat = f"It classifies {about.test_accuracy:.2%} of the test images of {name} correctly."
    return classifier_extractor(classifier, f"the {name} judge", about.sha256, caveat)


def classifier_extractor(classifier: Classifier, name: str, sha256: str, caveat: str) -> Extractor:
    """Make an extractor of a classifier."""

    @jax.jit
    def apply(images: Array) -> tuple[Array, Array]:
        features = classifier.features(images)
        return features, jax.nn.softmax(classifier.logits(features))

    return Extractor(name, sha256, classifier.image_shape, True, caveat, apply)


def stacked_classifier() -> Extractor:
    """MNIST's classifier on each channel of stacked MNIST.

    The features of the three channels are concatenated, (N, 384). The probabilities of the 1,000 triples of digits are
    products of those of the channels, as if these were independent.
    """
    digits, accuracy = shipped_classifier("mnist"), SHIPPED["mnist"].test_accuracy
    height, width, _ = digits.image_shape

    def apply(images: Images) -> tuple[NDArray[Any], NDArray[Any]]:
        found = [digits.apply(np.ascontiguousarray(images[..., i, np.newaxis])) for i in range(CHANNELS)]
        answers = [np.asarray(probabilities) for _, probabilities in found]
        triples = np.einsum("na,nb,nc->nabc", *answers).reshape(len(images), -1)
        return np.concatenate([np.asarray(features) for features, _ in found], axis=1), triples

    caveat = (
        f"It classifies {accuracy:.2%} of the test digits of mnist correctly, so all three channels of about "
        f"{accuracy**CHANNELS:.1%} of the images."
    )
    name, shape = f"{digits.name}, channel by channel", (height, width, CHANNELS)
    return Extractor(name, digits.sha256, shape, True, caveat, apply, modes=True)


READY: dict[str, Callable[[], Extractor]] = {
    **{name: partial(shipped_classifier, name) for name in SHIPPED},
    STACKED: stacked_classifier,
}
"""Classifiers that need no training, by the name of the data set."""


# ------------------------------------------------------------------------------------------------ other images


def own_classifier(images: ImageSet, tell: ReportProgress = silent) -> Extractor:
    """Train a classifier of the images' labels, or take it from the cache, by the checksum of the data.

    It is trained on 90% of the images. Its accuracy on the others is part of its caveat.
    """
    assert images.labels is not None
    image_shape, classes = _shape(images), len(images.class_names)
    split = split_images(images, max(OWN_CHECKED, 1.5 / len(images.images)))
    assert split.validation is not None
    folder = cache_folder() / "judges"
    weights, description = (folder / f"{images.checksum()}{ending}" for ending in (".safetensors", ".json"))
    try:
        if ownership.fault(folder):
            raise ValueError("another user could have written it")
        about = json.loads(description.read_bytes())
        known = float(about["accuracy"])
        classifier = read_classifier(weights, about, image_shape, classes)
    except (OSError, ValueError, KeyError, TypeError, CheckpointError):  # not there yet, or damaged: train it
        tell(TRAINING)
        epochs = max(OWN_EPOCHS, -(-OWN_LEAST_STEPS * 128 // len(split.training.images)))
        classifier = train_classifier(
            split.training,
            seed=0,
            epochs=epochs,
            augmentation=Augmentation(pixels=0.06),
            progress=counting(tell, TRAINING),
        )
        content, about = pack_classifier(classifier)
        known = about["accuracy"] = accuracy(classifier, split.validation)
        ownership.make_folder(folder)
        atomic.write_bytes(weights, content)
        atomic.write_json(description, about)
    name = f"a classifier of the labels of {images.name}"
    made = classifier_extractor(classifier, name, about["sha256"], _own_caveat(known, classes))
    bound = chance_accuracy(split.validation)
    return made if known > bound else _without_classes(made, known, bound)


def chance_accuracy(checked: ImageSet) -> float:
    """The highest accuracy that chance explains: the share of the largest class plus a 95% binomial margin."""
    assert checked.labels is not None
    share = float(np.bincount(checked.labels).max()) / len(checked.labels)
    return share + Z_95 * float(np.sqrt(share * (1 - share) / len(checked.labels)))


def _own_caveat(known: float, classes: int) -> str:
    return (
        f"It was trained on the {classes} classes of this data set and classifies {known:.0%} of the validation images "
        "correctly. Its numbers compare generators of this data set only."
    )


def _without_classes(extractor: Extractor, known: float, bound: float) -> Extractor:
    """The same features without the class probabilities, which are no better than chance."""
    caveat = (
        f"It was trained on the labels of this data set and is no better than chance: it classifies {known:.0%} of the "
        f"validation images correctly, and guessing gives up to {bound:.0%}. So classes are not counted: the labels "
        "may not be visible in the images, or there are too few images."
    )

    def apply(images: Images) -> tuple[NDArray[Any], None]:
        return np.asarray(extractor.apply(images)[0]), None

    return dataclasses.replace(extractor, has_classes=False, caveat=caveat, apply=apply)


def general_features(image_shape: ImageShape) -> Extractor:
    """Features of a network that has learnt to tell pictures of many kinds apart (`tools/train_features.py`).

    Images are resized to `GENERAL_SIDE` pixels on a side. Gray images become gray colour images. Images with alpha are
    put on gray.
    """

    def apply(images: Images) -> tuple[NDArray[Any], None]:
        return np.asarray(_general_network()(np.stack([_in_colour(image) for image in images]))), None

    return Extractor("general features", GENERAL["sha256"], image_shape, False, GENERAL_CAVEAT, apply)


@cache
def _general_network() -> Callable[[NDArray[np.uint8]], Array]:
    """The function from colour images (N, `GENERAL_SIDE`, `GENERAL_SIDE`, 3) to features (N, d)."""
    network = networks.features((GENERAL_SIDE, GENERAL_SIDE, 3))
    template = dict(zip(("network", "statistics"), jax.eval_shape(network.init, jax.random.key(0)), strict=True))
    weights = checkpoint.read(Path(__file__).parent / "judges" / "general.safetensors", GENERAL, template)

    @jax.jit
    def of_colour(images: Array) -> Array:
        return network.apply(weights["network"], weights["statistics"], from_uint8(images), train=False)[0]

    return of_colour


def _in_colour(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """An image (H, W, 1, 3 or 4) -> (`GENERAL_SIDE`, `GENERAL_SIDE`, 3), transparent parts gray."""
    if image.shape[-1] == 4:
        opacity = image[..., 3:] / 255
        image = np.rint(127.5 + opacity * (image[..., :3] - 127.5)).astype(np.uint8)
    resized = np.asarray(picture(image).resize((GENERAL_SIDE, GENERAL_SIDE), Image.Resampling.BILINEAR))
    return resized if resized.ndim == 3 else np.repeat(resized[..., np.newaxis], 3, axis=-1)


def onnx_extractor(path: Path, image_shape: ImageShape) -> Extractor:
    """Make an extractor of a network in an ONNX file (extra `onnx`).

    Its input is (N, C, H, W) or (N, H, W, C), decided by its shape: float32 in [0, 1], or uint8. Its first output is
    flattened to features (N, d).

    Raises `MissingExtra` without onnxruntime, `DataError` if the file is not such a network.
    """
    onnxruntime = extras.load("onnxruntime", "onnx", "--extractor")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    try:
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    except Exception as error:  # the exceptions of onnxruntime have no common base class
        raise DataError(f"{path} is not a network that onnxruntime can run: {error}") from None
    inputs = session.get_inputs()
    if len(inputs) != 1 or inputs[0].type not in ("tensor(float)", "tensor(uint8)"):
        raise DataError(f"{path} should take one array of images, float or uint8")
    channels_first = _channels_first(path, inputs[0].shape, image_shape)
    as_bytes = inputs[0].type == "tensor(uint8)"

    def apply(images: Images) -> tuple[NDArray[Any], None]:
        given: NDArray[Any] = images if as_bytes else images.astype(np.float32) / 255
        if channels_first:
            given = np.ascontiguousarray(given.transpose(0, 3, 1, 2))
        try:
            features = np.asarray(session.run(None, {inputs[0].name: given})[0])
        except Exception as error:
            raise DataError(f"{path} cannot judge {len(images)} images of shape {image_shape}: {error}") from None
        if len(features) != len(images) or not np.isfinite(features).all():
            raise DataError(f"{path} should give finite features, one row an image, not {features.shape}")
        return features.reshape(len(images), -1), None

    caveat = "The features come from your own network; compare only numbers computed with the same file."
    return Extractor(path.name, checkpoint.sha256(content), image_shape, False, caveat, apply)


def choose_extractor(images: ImageSet, onnx: Path | None = None, tell: ReportProgress = silent) -> Extractor:
    """Choose the extractor: the ONNX file, a shipped classifier, a classifier of the labels, or the general ones.

    A classifier of the labels is trained if it is not in the cache.
    """
    if onnx is not None:
        return onnx_extractor(onnx, _shape(images))
    if images.name not in READY and images.labels is not None and len(np.unique(images.labels)) > 1:
        return own_classifier(images, tell)
    return ready_extractor(images)


def ready_extractor(images: ImageSet) -> Extractor:
    """Choose an extractor that needs no training: a shipped classifier or the general ones."""
    return READY[images.name]() if images.name in READY else general_features(_shape(images))


def _shape(images: ImageSet) -> ImageShape:
    _, height, width, channels = images.images.shape
    if min(height, width) < 8:
        raise DataError(f"images of {height} x {width} pixels are too small to be judged; at least 8 x 8 are needed")
    return height, width, channels


def _channels_first(path: Path, expected: list[Any], image_shape: ImageShape) -> bool:
    """Whether the network's input is (N, C, H, W) and not (N, H, W, C). A dynamic size fits any size."""
    height, width, channels = image_shape
    for first, shape in ((True, (channels, height, width)), (False, (height, width, channels))):
        sizes = expected[1:]
        if len(sizes) == 3 and all(not isinstance(a, int) or a == b for a, b in zip(sizes, shape, strict=True)):
            return first
    raise DataError(f"{path} takes images of the shape {expected}, but these are {height} x {width} x {channels}")

"""FEATURES: what images are compared by. An extractor turns images into features, and into classes if it knows any.

A number depends on its extractor, so each has an identity, the SHA-256 of its weights, and says what it cannot tell.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from sparring import networks
from sparring.data import ImageSet
from sparring.data.named.stacked import CHANNELS, STACKED
from sparring.data.selection import ManyImages
from sparring.data.validation import split_images
from sparring.errors import CheckpointError, DataError
from sparring.evaluation.classifier import Augmentation, Judge, accuracy, pack_judge, read_judge, train_judge
from sparring.files import atomic, ownership
from sparring.files.cache_folder import cache_folder
from sparring.gan.gan import ImageShape
from sparring.gan.randomness import random_key
from sparring.images import Images
from sparring.networks.batched import batched
from sparring.runs import checkpoint
from sparring.system import extras
from sparring.terminal.progress import Count, ReportProgress, counting, silent

BATCH = 250
"""Images that go through a network at once."""
OWN_EPOCHS, OWN_LEAST_STEPS = 8, 600
"""How long the judge of the user's own labels is trained: at least so many times through the images, and steps."""
Z_95 = 1.96
"""Half the width of a 95% confidence interval, in standard errors."""
TRAINING = "training a judge of these labels, once"
OWN_CHECKED = 0.1
"""Share of the images that is kept from that judge, to say how often it is right."""

Matrix = NDArray[np.float32]


@dataclass(frozen=True)
class Features:
    """Features (N, d) of N images, and the probabilities of their classes (N, K) if the extractor knows classes."""

    values: Matrix
    probabilities: Matrix | None

    def __getitem__(self, places: Any) -> Features:
        return Features(self.values[places], None if self.probabilities is None else self.probabilities[places])


@dataclass(frozen=True, eq=False)
class Extractor:
    """A fixed function from images to features."""

    name: str
    """What it is, in words for people."""
    sha256: str
    """Of its weights, in hexadecimal: numbers of two extractors are never compared."""
    image_shape: ImageShape
    has_classes: bool
    caveat: str
    """What its numbers can and cannot tell."""
    apply: Callable[[Images], tuple[NDArray[Any], NDArray[Any] | None]]
    """`BATCH` images (BATCH, H, W, C), uint8 -> features (BATCH, d) and probabilities (BATCH, K)."""
    modes: bool = False
    """Whether its classes are counted as modes (`sparring.evaluation.metrics.modes`): there are too many of them to
    compare the share of each."""

    def __call__(self, images: ManyImages, progress: Count | None = None) -> Features:
        """The features of any number of images (N, H, W, C). An image's do not depend on its neighbours."""
        if images.shape[1:] != self.image_shape:
            raise DataError(f"{self.name} takes images of the shape {self.image_shape}, not {images.shape[1:]}")
        return Features(*batched(self.apply, images, BATCH, progress))


# ------------------------------------------------------------------------------------------------ the shipped judges


@dataclass(frozen=True)
class Shipped:
    """A judge that comes with the package, made by `tools/train_judge.py`."""

    bytes: int
    sha256: str
    test_accuracy: float
    """On the data's test images."""

    @property
    def expected(self) -> dict[str, Any]:
        """What `checkpoint.unpack` compares the file with."""
        return {"bytes": self.bytes, "sha256": self.sha256}


SHIPPED = {
    "mnist": Shipped(755_680, "892351f660cc420c90e3b7bfaff7fc31e2097419fa766240628e9334451c471c", 0.9962),
    "fashion-mnist": Shipped(755_680, "031d7ad19e2c3b92c65a041e7535cfc9ce2876c4d7609c232f22845487dfdc69", 0.9304),
}
"""By the name of the data set that it judges."""

SHIPPED_SHAPE, SHIPPED_CLASSES = (28, 28, 1), 10


def shipped_judge(name: str) -> Extractor:
    """The judge that comes with the package for that data set."""
    about = SHIPPED[name]
    path = Path(__file__).parent / "judges" / f"{name}.safetensors"
    judge = read_judge(path, about.expected, SHIPPED_SHAPE, SHIPPED_CLASSES)
    caveat = f"Its classifier knows {about.test_accuracy:.2%} of the test images of {name}."
    return judge_extractor(judge, f"the {name} judge", about.sha256, caveat)


def judge_extractor(judge: Judge, name: str, sha256: str, caveat: str) -> Extractor:
    """A judge as an extractor."""

    @jax.jit
    def apply(images: Array) -> tuple[Array, Array]:
        features = judge.features(images)
        return features, jax.nn.softmax(judge.logits(features))

    return Extractor(name, sha256, judge.image_shape, True, caveat, apply)


def stacked_judge() -> Extractor:
    """MNIST's judge on each channel of stacked MNIST: its features of the three side by side, (N, 384), and the
    probabilities of the 1,000 triples of digits, as if the channels were independent."""
    digits, known = shipped_judge("mnist"), SHIPPED["mnist"].test_accuracy
    height, width, _ = digits.image_shape

    def apply(images: Images) -> tuple[NDArray[Any], NDArray[Any]]:
        found = [digits.apply(np.ascontiguousarray(images[..., i, np.newaxis])) for i in range(CHANNELS)]
        answers = [np.asarray(probabilities) for _, probabilities in found]
        triples = np.einsum("na,nb,nc->nabc", *answers).reshape(len(images), -1)
        return np.concatenate([np.asarray(features) for features, _ in found], axis=1), triples

    caveat = (
        f"Its classifier knows {known:.2%} of the test digits of mnist, so all three channels of about "
        f"{known**CHANNELS:.1%} of the images."
    )
    name, shape = f"{digits.name}, channel by channel", (height, width, CHANNELS)
    return Extractor(name, digits.sha256, shape, True, caveat, apply, modes=True)


READY: dict[str, Callable[[], Extractor]] = {
    **{name: partial(shipped_judge, name) for name in SHIPPED},
    STACKED: stacked_judge,
}
"""The judges that need no training, by the name of the data set."""


# ------------------------------------------------------------------------------------------------ other images


def own_judge(images: ImageSet, tell: ReportProgress = silent) -> Extractor:
    """A judge of the images' own labels, trained once and kept in the cache under the checksum of the data.

    It learns from nine tenths of them; how often it is right about the others is part of what it says of itself.
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
        judge = read_judge(weights, about, image_shape, classes)
    except (OSError, ValueError, KeyError, TypeError, CheckpointError):  # not there yet, or damaged: made anew
        tell(TRAINING)
        epochs = max(OWN_EPOCHS, -(-OWN_LEAST_STEPS * 128 // len(split.training.images)))
        judge = train_judge(
            split.training,
            seed=0,
            epochs=epochs,
            augmentation=Augmentation(pixels=0.06),
            progress=counting(tell, TRAINING),
        )
        content, about = pack_judge(judge)
        known = about["accuracy"] = accuracy(judge, split.validation)
        ownership.make_folder(folder)
        atomic.write_bytes(weights, content)
        atomic.write_json(description, about)
    name = f"a judge of the labels of {images.name}"
    made = judge_extractor(judge, name, about["sha256"], _own_caveat(known, classes))
    bound = chance_accuracy(split.validation)
    return made if known > bound else _without_classes(made, known, bound)


def chance_accuracy(checked: ImageSet) -> float:
    """What share of these labels a judge that knows nothing gets right at the most: that of the largest class, and the
    95% band of a binomial above it for as few images."""
    assert checked.labels is not None
    share = float(np.bincount(checked.labels).max()) / len(checked.labels)
    return share + Z_95 * float(np.sqrt(share * (1 - share) / len(checked.labels)))


def _own_caveat(known: float, classes: int) -> str:
    return (
        f"This judge was trained on the {classes} labels of these very images; it knows {known:.0%} of "
        "those that were kept from it. Its numbers compare generators of this data set, and nothing else."
    )


def _without_classes(judge: Extractor, known: float, bound: float) -> Extractor:
    """The same features from a judge whose answers are worth nothing."""
    caveat = (
        f"This judge was trained on the labels of these very images and is no better than chance: it knows {known:.0%} "
        f"of those that were kept from it, and guessing gives up to {bound:.0%}. So classes are not counted: the "
        "labels may not be visible in the images, or the images are too few."
    )

    def apply(images: Images) -> tuple[NDArray[Any], None]:
        return np.asarray(judge.apply(images)[0]), None

    return dataclasses.replace(judge, has_classes=False, caveat=caveat, apply=apply)


def random_features(image_shape: ImageShape) -> Extractor:
    """The same network with fixed random weights, for images without labels."""
    network = networks.features(image_shape)
    weights, statistics = network.init(random_key(0, "weights"))
    _, about = checkpoint.pack({"network": weights, "statistics": statistics})

    @jax.jit
    def apply(images: Array) -> Array:
        scaled = images.astype(jnp.float32) / 127.5 - 1
        return network.apply(weights, statistics, scaled, train=False)[0]

    caveat = (
        "The images have no labels, so they are compared by a network with random weights: it notices other textures, "
        "brightness, shapes and missing kinds of images, but it knows nothing of what they show, and two flaws that it "
        "finds equal may look very different to you. Its numbers rank generators of this data set roughly; classes "
        "cannot be counted."
    )
    return Extractor("random features", about["sha256"], image_shape, False, caveat, lambda part: (apply(part), None))


def onnx_extractor(path: Path, image_shape: ImageShape) -> Extractor:
    """Any network in an ONNX file (extra `onnx`).

    It gets float32 images in [0, 1], (N, C, H, W) or (N, H, W, C), whichever its input's shape says, or uint8 ones if
    it takes those, and its first output is the features (N, d), or is flattened to that.

    Raises `MissingExtra` without onnxruntime, `DataError` where the file is no such network.
    """
    onnxruntime = extras.load("onnxruntime", "onnx", "--extractor")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    try:
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own classes derive from nothing narrower
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

    caveat = "The features are those of a network of your own; compare only numbers that the same file has made."
    return Extractor(path.name, checkpoint.sha256(content), image_shape, False, caveat, apply)


def choose_extractor(images: ImageSet, onnx: Path | None = None, tell: ReportProgress = silent) -> Extractor:
    """The extractor for images like these: the ONNX file, else a shipped judge, else one of their labels, which is
    trained if need be, else random features."""
    if onnx is not None:
        return onnx_extractor(onnx, _shape(images))
    if images.name not in READY and images.labels is not None and len(np.unique(images.labels)) > 1:
        return own_judge(images, tell)
    return ready_extractor(images)


def ready_extractor(images: ImageSet) -> Extractor:
    """The extractor for images like these that needs no training: a shipped judge, else random features."""
    return READY[images.name]() if images.name in READY else random_features(_shape(images))


def _shape(images: ImageSet) -> ImageShape:
    _, height, width, channels = images.images.shape
    if min(height, width) < 8:
        raise DataError(f"images of {height} x {width} pixels are too small to be judged; 8 x 8 is the least")
    return height, width, channels


def _channels_first(path: Path, expected: list[Any], image_shape: ImageShape) -> bool:
    """Whether the network's input shape is (N, C, H, W), not (N, H, W, C). A size that it leaves open fits any."""
    height, width, channels = image_shape
    for first, shape in ((True, (channels, height, width)), (False, (height, width, channels))):
        sizes = expected[1:]
        if len(sizes) == 3 and all(not isinstance(a, int) or a == b for a, b in zip(sizes, shape, strict=True)):
            return first
    raise DataError(f"{path} takes images of the shape {expected}, but these are {height} x {width} x {channels}")

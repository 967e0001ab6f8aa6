"""THE VALIDATION JUDGE: judges the states of a run by 1,000 samples and the validation images."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from sparring.data import ImageSet
from sparring.data.classes import Labels, usual_labels
from sparring.data.selection import ManyImages
from sparring.data.validation import SplitImages
from sparring.evaluation.features import BATCH, ready_extractor
from sparring.evaluation.metrics.balance import balance, class_frequencies, clear
from sparring.evaluation.metrics.discriminator import discrimination, logits_of
from sparring.evaluation.metrics.frechet import frechet_distance, frechet_error, moments
from sparring.evaluation.metrics.kernel import kernel_distance
from sparring.evaluation.metrics.memorisation import Memorisation, lookup, memorisation
from sparring.evaluation.metrics.modes import modes
from sparring.evaluation.metrics.spectrum import powers, spectrum
from sparring.gan.gan import GAN
from sparring.gan.randomness import random_key
from sparring.gan.state import TrainState
from sparring.images import Images, some_places, to_uint8
from sparring.networks.batched import batched

SAMPLES = 4 * BATCH
"""Samples of a judgement, always of the same latents."""
LOOKED_UP = 250
"""Samples and validation images whose nearest training image is looked up."""
FRECHET_LEAST = 500
"""With fewer validation images, the score is the kernel distance, which does not depend on their number."""


class ValidationJudge:
    """Judges states of one run. Making it computes what all judgements share, in about a second."""

    def __init__(self, gan: GAN, seed: int, images: SplitImages) -> None:
        training, validation = images.training, images.validation
        assert validation is not None
        self._noise = np.asarray(gan.latents.draw(random_key(seed, "glances"), SAMPLES))
        self._labels = usual_labels(SAMPLES, training.class_counts) if gan.classes else None
        self._generate = jax.jit(
            lambda params, batch_stats, z: gan.generator.apply(params, batch_stats, *z, train=False)[0]
        )
        self._logits = logits_of(gan.discriminator)
        self._training = training.only(some_places(len(training.images), SAMPLES))
        self._validation = validation.only(some_places(len(validation.images), SAMPLES))
        self._extractor = ready_extractor(training)
        self._classes = training.class_names
        self._frequencies = class_frequencies(training)
        self._real = self._extractor(validation.images).values
        self._moments = moments(self._real)
        self._powers = powers(validation.images)
        like_samples = self._extractor(self._training.images)
        self._floor = self._score(like_samples.values)
        self._modes_real = (
            modes(like_samples.probabilities).captured
            if self._extractor.modes and like_samples.probabilities is not None
            else None
        )
        self._find = lookup(training.images)
        self._images = training.images
        self._unseen = self._find(self._validation.images[:LOOKED_UP])
        self.closest: Images | None = None
        """The samples of the last judgement that are closest to training images, each followed by its training image:
        (2 pairs, H, W, C)."""

    def judge(self, state: TrainState) -> dict[str, Any]:
        """Judge a state. Returns the values of a `judged` event."""
        samples = self._draw(state)
        features = self._extractor(samples)
        shape = spectrum(powers(samples), self._powers)
        copied = memorisation(self._find(samples[:LOOKED_UP]), self._unseen)
        self.closest = self._beside(samples, copied)
        logits = discrimination(
            *(
                self._logits(state.discriminator.params, state.discriminator.batch_stats, images, labels)
                for images, labels in (
                    self._shown(self._training),
                    self._shown(self._validation),
                    (samples, self._labels),
                )
            )
        )
        values: dict[str, Any] = {
            "score": self._score(features.values),
            "floor": self._floor,
            "extractor": "classifier" if self._extractor.has_classes else self._extractor.name,
            "measure": "frechet" if self._by_frechet else "kernel",
            "diversity": float(features.values.var(axis=0).sum() / self._real.var(axis=0).sum()),
            "fine": shape.fine,
            "grid": shape.grid,
            "grid_pixels": shape.period,
            "grid_alarm": shape.alarm,
            "copies": copied.copies,
            "copies_alarm": copied.alarm,
            "suspicious": sum(pair.suspicious for pair in copied.closest),
            "right_unseen": logits.right_unseen,
            "right_fake": logits.right_fake,
            "memorising": logits.memorising,
            "memorising_alarm": logits.alarm,
        }
        if not isinstance(state.augmentation, dict):
            values["augmentation"] = float(state.augmentation)
        if features.probabilities is not None and self._frequencies is not None:
            values |= self._classes_of(features.probabilities, self._frequencies)
        return values

    def error(self, state: TrainState) -> float:
        """Standard error of the score, from drawing the samples at random."""
        features = self._extractor(self._draw(state)).values
        if self._by_frechet:
            return frechet_error(features, self._moments)
        return kernel_distance(features, self._real).error

    def _classes_of(self, probabilities: NDArray[np.float32], frequencies: NDArray[np.float64]) -> dict[str, Any]:
        """Values about the classes of the samples.

        With 1,000 classes, the modes are counted instead of the balance: 1,000 real images would be off by 37%.
        """
        values: dict[str, Any]
        if self._modes_real is None:
            spread = balance(probabilities, frequencies)
            histogram = spread.histogram
            values = {
                "histogram": list(histogram),
                "variation": spread.variation,
                "variation_band": spread.variation_band,
            }
        else:
            counted = modes(probabilities)
            histogram = counted.histogram
            values = {"modes": counted.captured, "modes_real": self._modes_real}
        top = int(np.argmax(histogram))
        return values | {
            "confident": float(clear(probabilities).mean()),
            "top_class": self._classes[top],
            "top_share": histogram[top] / len(probabilities),
            "top_due": float(frequencies[top]),
        }

    def _draw(self, state: TrainState) -> Images:
        """Generate the samples of the fixed latents."""

        def images(asked: tuple[NDArray[np.float32], Labels | None]) -> Images:
            return to_uint8(np.asarray(self._generate(state.sampled, state.generator.batch_stats, asked)))

        samples: Images = batched(images, (self._noise, self._labels), BATCH)
        return samples

    def _beside(self, samples: Images, copied: Memorisation) -> Images:
        pairs = [(samples[pair.sample], self._images[pair.training]) for pair in copied.closest]
        return np.stack([image for pair in pairs for image in pair])

    def _shown(self, real: ImageSet) -> tuple[ManyImages, Labels | None]:
        """Real images as inputs of the discriminator."""
        return real.images, None if self._labels is None else real.labels

    @property
    def _by_frechet(self) -> bool:
        return len(self._real) >= FRECHET_LEAST

    def _score(self, features: NDArray[np.float32]) -> float:
        """The distance from the validation images; lower is better."""
        if self._by_frechet:
            return frechet_distance(moments(features), self._moments)
        return kernel_distance(features, self._real).value

"""Modes: how many are captured, how evenly, and how sure that is; real images get what the protocol says."""

import numpy as np
import pytest
from numpy.typing import NDArray
from real_mnist import needs_real_mnist
from scipy.stats import entropy

from sparring import data
from sparring.evaluation.features import stacked_classifier
from sparring.evaluation.metrics.modes import Modes, missing, modes, protocol_words


def answers(labels: NDArray[np.int64], classes: int = 1000) -> Modes:
    """The modes of samples of which the judge is surest that they are these."""
    return modes(0.5 * np.eye(classes)[labels] + 0.1 / classes)


def test_a_mode_is_captured_by_one_sample_and_the_divergence_is_from_an_even_spread() -> None:
    counts = np.zeros(1000, int)
    counts[[3, 500, 999]] = 1, 5, 94
    found = answers(np.repeat(np.arange(1000), counts))
    assert found.captured == 3
    assert found.histogram == tuple(counts.tolist())
    assert found.divergence == pytest.approx(entropy(counts / 100, np.full(1000, 0.001)))


@pytest.mark.parametrize(("captured", "divergence"), [(1, np.log(1000)), (10, np.log(100)), (1000, 0)])
def test_even_spreads(captured: int, divergence: float) -> None:
    found = answers(np.tile(np.arange(captured), 2))
    assert found.captured == captured
    assert found.divergence == pytest.approx(divergence, abs=1e-12)


@pytest.mark.parametrize("unevenness", [0.0, 0.3, 1.0])
def test_the_error_is_the_spread_of_repetitions(unevenness: float) -> None:
    random = np.random.default_rng(0)
    shares = np.exp(unevenness * random.normal(size=100))
    shares /= shares.sum()
    found = [answers(random.choice(100, 2600, p=shares), 100) for _ in range(100)]
    spread = np.std([one.divergence for one in found])
    assert 0.75 * spread < np.mean([one.error for one in found]) < 1.25 * spread


def test_missing_modes_are_an_alarm() -> None:
    few, many = answers(np.arange(800)), answers(np.arange(1000))
    (alarm,) = missing(few, many)
    assert "missing modes" in alarm and "800 of 1,000" in alarm and "real images has 1,000" in alarm
    assert missing(answers(np.arange(950)), many) == missing(few, few) == []


def test_every_figure_is_told() -> None:
    told = protocol_words(answers(np.arange(500)))
    for figure in ("500 samples", "1,000 modes", "one sample is enough", "KL(samples || uniform)", "natural logarithm"):
        assert figure in told


@needs_real_mnist
@pytest.mark.long
def test_real_images_have_all_modes_and_the_published_divergence() -> None:
    """As many real images have .024 against an even spread: the whole chain, data, judge and measure, is right."""
    real = data.load("stacked-mnist", "test")
    found = stacked_classifier()(real.images)
    assert found.probabilities is not None
    counted = modes(found.probabilities)
    assert sum(counted.histogram) == 26_000 and counted.captured == 1000
    assert counted.divergence == pytest.approx(0.024, abs=2.5 * counted.error)
    assert np.mean(found.probabilities.argmax(axis=1) == real.labels) == pytest.approx(0.9962**3, abs=0.002)

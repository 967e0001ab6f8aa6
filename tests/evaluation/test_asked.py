import numpy as np
import pytest

from sparring.evaluation.features import Features
from sparring.evaluation.metrics.asked import LEAST, Asked, asked_for

NAMES = ("cat", "dog", "emu")
RANDOM = np.random.default_rng(0)


def features(labels: np.ndarray, answers: np.ndarray, shift: float = 0.0) -> Features:
    """Features of two numbers around the class's place; the classifier's answers are given."""
    values = labels[:, np.newaxis] * 10 + RANDOM.standard_normal((len(labels), 2)) + shift
    return Features(values.astype(np.float32), np.eye(3, dtype=np.float32)[answers])


def asked(answers: np.ndarray, labels: np.ndarray, shift: float = 0.0) -> Asked | None:
    real = np.arange(3, dtype=np.int32).repeat(LEAST + 50)
    training, unseen = ((features(real, real), real) for _ in range(2))
    return asked_for(NAMES, (features(labels, answers, shift), labels), training, unseen)


def test_what_is_recognised_is_counted_class_by_class() -> None:
    labels = np.array([0, 0, 0, 0, 2, 2], np.int32)
    found = asked(np.array([0, 0, 0, 1, 2, 0]), labels)
    assert found is not None
    assert found.recognised == pytest.approx(4 / 6) and found.recognised_real == 1
    assert found.error == pytest.approx(np.sqrt(4 / 6 * 2 / 6 / 6))
    assert found.shares == (0.75, None, 0.5)
    assert found.names == NAMES and found.distances == (None, None, None)


def test_each_class_has_its_own_distance() -> None:
    labels = np.arange(3, dtype=np.int32).repeat(LEAST)[: 3 * LEAST - 1]  # of the last class there is one too few
    near, far = asked(labels, labels), asked(labels, labels, shift=3.0)
    assert near is not None and far is not None
    assert near.distances[2] is None and near.floors[2] is None
    for i in (0, 1):
        assert near.distances[i] < 0.2 and near.floors[i] < 0.2  # type: ignore[operator]
        assert far.distances[i] == pytest.approx(2 * 3.0**2, rel=0.2)  # two numbers, three off each


def test_without_classes_nothing_is_counted() -> None:
    labels = np.zeros(4, np.int32)
    bare = Features(np.zeros((4, 2), np.float32), None)
    assert asked_for(NAMES, (bare, labels), (bare, labels), (bare, labels)) is None

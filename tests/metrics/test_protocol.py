"""The protocol: how many, against what, beside which floor; alarms on the verdict; refusals in one sentence."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import printed_digit

from sparring import data
from sparring.data.holdout import hold_out
from sparring.errors import DataError, RunError
from sparring.images import Images
from sparring.metrics import protocol
from sparring.metrics.discriminator import Discrimination
from sparring.metrics.features import Extractor, random_features, shipped_judge
from sparring.metrics.protocol import RealImages, real_images
from sparring.metrics.verdict import MEASURES, Verdict

SUBJECT = {"kind": "samples", "path": "samples.npz", "command": "sparring measure samples.npz"}


@pytest.fixture(scope="module")
def judge() -> Extractor:
    return shipped_judge("mnist")


@pytest.fixture(scope="module")
def real() -> RealImages:
    """140 printed digits to train on, 60 unseen ones; each with noise of its own, so that no two are the same."""
    names = tuple("0123456789")
    labels = np.arange(200, dtype=np.int32) % 10
    whole = data.ImageSet("digits", printed(200, 0), labels, names, "the test")
    training, unseen = hold_out(whole, 0.3)
    assert unseen is not None
    return RealImages("digits", whole.checksum(), training, unseen, "held-out", None)


def verdict_on(samples: Images, real: RealImages, extractor: Extractor, told: Discrimination | None = None) -> Verdict:
    return protocol.judge(samples, real, extractor, told, lambda what: None, subject=SUBJECT, seed=None)


def printed(count: int, seed: int) -> Images:
    """Printed digits with a little noise, (count, 28, 28, 1)."""
    random = np.random.default_rng(seed)
    clean = np.stack([printed_digit(i % 10, random) for i in range(count)])[..., np.newaxis]
    noisy: Images = np.clip(clean + random.normal(0, 20, clean.shape), 0, 255).astype(np.uint8)
    return noisy


def test_without_test_images_the_held_out_slice_is_the_judge_and_that_is_said(digits: Path) -> None:
    real = real_images(str(digits), 0.3)
    assert (real.split, len(real.training.images), len(real.unseen.images)) == ("held-out", 140, 60)
    assert "judged against 60 held-out training images" in (real.notice or "")
    assert real.checksum == data.load(str(digits)).checksum()


def test_test_images_are_taken_where_there_are_some(digits: Path, tmp_path: Path) -> None:
    for file in digits.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
        (tmp_path / file.name.replace("train", "t10k")).write_bytes(file.read_bytes())
    real = real_images(str(tmp_path), 0.3)
    assert (real.split, len(real.training.images), len(real.unseen.images)) == ("test", 140, 200)
    assert real.notice is None


def test_without_anything_unseen_there_is_no_judgement(digits: Path) -> None:
    with pytest.raises(DataError, match="there are no unseen images to judge by"):
        real_images(str(digits), 0.0)
    with pytest.raises(DataError, match="4 unseen images are too few"):
        real_images(str(digits), 0.02)


def test_every_measure_is_there_with_that_of_real_images(real: RealImages, judge: Extractor) -> None:
    told = Discrimination(0.6, 0.5, 0.4, 0.7, 0.8, 0.55, 0.02, False)
    verdict = verdict_on(printed(140, 1), real, judge, told)
    assert set(verdict.measures) == set(MEASURES)
    assert all(measure.real is not None for measure in verdict.measures.values())
    assert verdict.measures["frechet_ratio"].value == pytest.approx(
        verdict.measures["frechet"].value / (verdict.measures["frechet"].real or 0)
    )
    assert verdict.extractor["sha256"] == judge.sha256
    assert verdict.samples == 140
    assert any("140 samples are few" in notice for notice in verdict.notices)
    assert verdict.measures["memorising"].value == 0.55


def test_new_images_of_the_same_kind_are_near_the_floor_and_others_far_away(real: RealImages, judge: Extractor) -> None:
    alike = verdict_on(printed(140, 1), real, judge)
    noise = np.random.default_rng(0).integers(0, 256, (140, 28, 28, 1)).astype(np.uint8)
    other = verdict_on(noise, real, judge)
    assert 0.5 < alike.measures["frechet_ratio"].value < 2
    assert other.measures["frechet_ratio"].value > 20
    assert not alike.alarms
    assert other.measures["precision"].value < 0.1 < alike.measures["precision"].value


def test_the_order_of_the_samples_does_not_matter(real: RealImages, judge: Extractor) -> None:
    samples = printed(100, 2)
    forwards, backwards = verdict_on(samples, real, judge), verdict_on(samples[::-1], real, judge)
    for name in forwards.measures:
        assert forwards.measures[name].value == pytest.approx(backwards.measures[name].value, rel=1e-6), name


def test_no_more_samples_are_judged_than_there_are_training_images(real: RealImages, judge: Extractor) -> None:
    assert verdict_on(printed(200, 1), real, judge).samples == 140


def test_what_cannot_count_classes_leaves_those_measures_out(real: RealImages) -> None:
    verdict = verdict_on(printed(100, 1), real, random_features((28, 28, 1)))
    assert verdict.balance is None
    assert set(verdict.measures) == set(MEASURES) - {"variation", "confident", "score", "memorising"}


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda real: np.concatenate([printed(19, 1)[18:], *[printed(9, 1)[8:]] * 99]),
            "collapse: 100% of the samples are '8'",
        ),
        (lambda real: printed(500, 1)[np.arange(500) % 10 < 8][:140], "missing classes: fewer than a quarter"),
        (lambda real: real.training.images[:100], "memorisation: 100.0% of the samples"),
    ],
    ids=["collapse", "missing classes", "copies"],
)
def test_alarms(make: Any, words: str, real: RealImages, judge: Extractor) -> None:
    verdict = verdict_on(make(real), real, judge)
    assert any(words in alarm for alarm in verdict.alarms), verdict.alarms


def test_alarms_about_the_discriminator(real: RealImages, judge: Extractor) -> None:
    told = Discrimination(0.99, 0.6, 0.0, 0.995, 1.0, 0.9, 0.02, True)
    alarms = " ".join(verdict_on(printed(100, 1), real, judge, told).alarms)
    assert "the discriminator knows its training images" in alarms and "in 90% of the cases" in alarms
    assert "right about more than 99%" in alarms


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        (np.zeros((1, 28, 28, 1), np.uint8), "1 samples are too few to judge; 20 are the least"),
        (np.zeros((50, 28, 28, 1), np.uint8), "all 50 samples are the same image"),
        (np.zeros((50, 32, 28, 3), np.uint8), "the samples are 32 x 28 x 3, but the images of"),
    ],
)
def test_samples_that_cannot_be_judged_are_refused(
    samples: Images, words: str, real: RealImages, judge: Extractor
) -> None:
    with pytest.raises(DataError, match=words):
        verdict_on(samples, real, judge)


def test_nearly_identical_samples_are_judged_and_found_out(real: RealImages, judge: Extractor) -> None:
    samples = np.zeros((100, 28, 28, 1), np.uint8)
    samples[0, 0, 0] = 1
    verdict = verdict_on(samples, real, judge)
    assert all(np.isfinite(measure.value) for measure in verdict.measures.values())
    assert verdict.measures["recall"].value == 0 and verdict.measures["score"].value == pytest.approx(1)


def test_a_verdict_survives_json(real: RealImages, judge: Extractor) -> None:
    import json

    told = Discrimination(0.6, 0.5, 0.4, 0.7, 0.8, 0.55, 0.02, False)
    verdict = verdict_on(printed(100, 1), real, judge, told)
    assert Verdict.from_json(json.loads(json.dumps(verdict.to_json()))) == verdict


@pytest.mark.parametrize("change", [{"format": 99}, {"measures": 3}, {"memorisation": {}}, {"balance": {"a": 1}}])
def test_damaged_measures_are_refused(change: dict[str, Any], real: RealImages, judge: Extractor) -> None:
    written = verdict_on(printed(50, 1), real, judge).to_json()
    with pytest.raises(RunError, match="measures"):
        Verdict.from_json(written | change)
    with pytest.raises(RunError, match="damaged"):
        Verdict.from_json({"format": 1})

"""The protocol: how many, against what, beside which floor; alarms on the verdict; refusals in one sentence."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import printed_digit
from scipy.stats import entropy

from sparring import data
from sparring.data.named.stacked import stack
from sparring.data.validation import split_images
from sparring.errors import DataError, RunError
from sparring.evaluation import protocol
from sparring.evaluation.features import Extractor, general_features, shipped_classifier, stacked_classifier
from sparring.evaluation.metrics.discriminator import Discrimination
from sparring.evaluation.protocol import RealImages, Samples, real_images
from sparring.evaluation.verdict import MEASURES, Verdict
from sparring.images import Images
from sparring.terminal.progress import silent

ALWAYS = {"fine", "grid", "frechet_ratio", "frechet", "kernel", "precision", "recall", "density", "coverage", "copies"}
"""What every extractor can measure."""
NAMES = tuple("0123456789")
SUBJECT = {"kind": "samples", "path": "samples.npz", "command": "sparring measure samples.npz"}


@pytest.fixture(scope="module")
def judge() -> Extractor:
    return shipped_classifier("mnist")


@pytest.fixture(scope="module")
def real() -> RealImages:
    """140 printed digits to train on, 60 unseen ones; each with noise of its own, so that no two are the same."""
    labels = np.arange(200, dtype=np.int32) % 10
    whole = data.ImageSet("digits", printed(200, 0), labels, NAMES, "the test")
    split = split_images(whole, 0.3)
    training, unseen = split.training, split.validation
    assert unseen is not None
    return RealImages("digits", whole.checksum(), training, unseen, "validation", None)


def verdict_on(samples: Images, real: RealImages, extractor: Extractor, told: Discrimination | None = None) -> Verdict:
    return protocol.judge(Samples(samples, SUBJECT), real, extractor, told, silent)


def printed(count: int, seed: int) -> Images:
    """Printed digits with a little noise, (count, 28, 28, 1)."""
    random = np.random.default_rng(seed)
    clean = np.stack([printed_digit(i % 10, random) for i in range(count)])[..., np.newaxis]
    noisy: Images = np.clip(clean + random.normal(0, 20, clean.shape), 0, 255).astype(np.uint8)
    return noisy


def test_without_test_images_the_validation_images_are_used_and_a_notice_says_so(digits: Path) -> None:
    real = real_images(str(digits), 0.3)
    assert (real.split, len(real.training.images), len(real.unseen.images)) == ("validation", 140, 60)
    assert "judged against 60 validation images" in (real.notice or "")
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


def test_every_measure_is_there_with_that_of_real_images_and_can_be_written_and_read(
    real: RealImages, judge: Extractor
) -> None:
    told = Discrimination(0.6, 0.5, 0.4, 0.7, 0.8, 0.55, 0.02, False)
    verdict = verdict_on(printed(200, 1), real, judge, told)  # no more are used than there are training images
    assert set(verdict.measures) == set(MEASURES) - {"modes", "mode_divergence", "recognised"}
    assert all(measure.real is not None for measure in verdict.measures.values())
    assert verdict.measures["frechet_ratio"].value == pytest.approx(
        verdict.measures["frechet"].value / (verdict.measures["frechet"].real or 0)
    )
    assert verdict.extractor["sha256"] == judge.sha256
    assert verdict.samples == 140
    assert any("140 samples are few" in notice for notice in verdict.notices)
    assert verdict.measures["memorising"].value == 0.55
    assert verdict.spectrum is not None and set(verdict.spectrum.grids) == set("2345678")
    assert 0.5 < verdict.measures["fine"].value < 2
    assert verdict.measures["grid"].value == verdict.spectrum.grids[str(verdict.spectrum.period)]
    written = json.loads(json.dumps(verdict.to_json()))
    assert Verdict.from_json(written) == verdict
    damages: list[dict[str, Any]] = [{"format": 99}, {"measures": 3}, {"memorisation": {}}, {"balance": {"a": 1}}]
    for change in damages:
        with pytest.raises(RunError, match="measures"):
            Verdict.from_json(written | change)
    with pytest.raises(RunError, match="damaged"):
        Verdict.from_json({"format": 1})
    del written["modes"]  # as before there were modes
    assert Verdict.from_json(written).modes is None


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


def test_what_cannot_count_classes_leaves_those_measures_out(real: RealImages) -> None:
    verdict = verdict_on(printed(100, 1), real, general_features((28, 28, 1)))
    assert verdict.balance is None
    assert set(verdict.measures) == ALWAYS


# ------------------------------------------------------------------------------------------------ stacked MNIST


@pytest.fixture(scope="module")
def stacked() -> RealImages:
    """500 stacked images of 140 printed digits, and 200 of 60 others."""
    parts = [
        stack(
            data.ImageSet("digits", printed(count, seed), np.arange(count, dtype=np.int32) % 10, NAMES, ""), many, seed
        )
        for count, many, seed in ((140, 500, 0), (60, 200, 1))
    ]
    return RealImages("stacked-mnist", "checksum", parts[0], parts[1], "test", None)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the error of the Frechet distance, which takes the most time where there are 384 features."""
    monkeypatch.setattr(protocol, "frechet_error", lambda features, reference: 0.1)


def test_of_stacked_mnist_the_modes_are_counted(
    stacked: RealImages, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of all samples, also where only some of them are used for the rest."""
    samples = stack_of(400, seed=2)
    monkeypatch.setattr(protocol, "SAMPLES", 150)
    verdict = verdict_on(samples, stacked, stacked_classifier())
    assert verdict.samples == 150 and verdict.modes is not None
    answers = [shipped_classifier("mnist")(samples[..., i : i + 1].copy()).probabilities for i in range(3)]
    triples = list(zip(*(answer.argmax(axis=1).tolist() for answer in answers if answer is not None), strict=True))
    assert len(triples) == sum(verdict.modes.histogram) == 400
    found, divergence = verdict.measures["modes"], verdict.measures["mode_divergence"]
    assert found.value == len(set(triples))
    assert divergence.value == pytest.approx(entropy([triples.count(t) for t in set(triples)]) * -1 + np.log(1000))
    assert found.real is not None and divergence.real is not None
    assert found.value == pytest.approx(found.real, rel=0.1) and divergence.value == pytest.approx(
        divergence.real, rel=0.1
    )
    assert not verdict.alarms
    assert "the modes are counted in 400 samples" in " ".join(verdict.notices)


def test_a_collapsed_generator_has_the_modes_that_it_has_and_the_verdict_can_be_read_again(
    stacked: RealImages, quick: None
) -> None:
    """Seven images, each many times with a little noise. So many classes have no balance."""
    answers = stacked_classifier()(stacked.training.images).probabilities
    assert answers is not None
    _, places = np.unique(answers.argmax(axis=1), return_index=True)
    sure = [i for i in places if answers[i].max() > 0.99][:7]
    noise = np.random.default_rng(0).integers(0, 3, (70, 28, 28, 3))
    samples = np.clip(stacked.training.images[sure][np.arange(70) % 7].astype(int) + noise, 0, 255).astype(np.uint8)
    verdict = verdict_on(samples, stacked, stacked_classifier())
    assert verdict.measures["modes"].value == 7
    assert verdict.measures["mode_divergence"].value == pytest.approx(np.log(1000 / 7))
    assert verdict.alarms[0].startswith("missing modes: the samples have 7 of 1,000, ")
    assert verdict.balance is None
    assert set(verdict.measures) == set(MEASURES) - {"variation", "memorising", "recognised"}
    assert Verdict.from_json(json.loads(json.dumps(verdict.to_json()))) == verdict


def test_more_samples_are_drawn_for_the_modes_only(stacked: RealImages, real: RealImages) -> None:
    many = dataclasses.replace(stacked, training=stacked.training.only(np.arange(30_000) % 500))
    assert protocol.samples_to_draw(many, protocol.SAMPLES) == 26_000
    assert protocol.samples_to_draw(many, 500) == 500
    assert protocol.samples_to_draw(stacked, protocol.SAMPLES) == 500
    assert protocol.samples_to_draw(real, protocol.SAMPLES) == 140


def stack_of(count: int, seed: int) -> Images:
    """Stacked images of printed digits."""
    digits = data.ImageSet("digits", printed(140, seed), np.arange(140, dtype=np.int32) % 10, NAMES, "")
    return np.asarray(stack(digits, count, seed).images)


# ------------------------------------------------------------------------------------------------ alarms and refusals


def with_lines(images: Images) -> Images:
    """A gray line every four pixels."""
    lined = images.copy()
    lined[:, ::4] = np.maximum(lined[:, ::4], 60)
    lined[:, :, ::4] = np.maximum(lined[:, :, ::4], 60)
    return lined


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda real: np.concatenate([printed(19, 1)[18:], *[printed(9, 1)[8:]] * 99]),
            "collapse: 100% of the samples are '8'",
        ),
        (lambda real: printed(500, 1)[np.arange(500) % 10 < 8][:140], "missing classes: '"),
        (lambda real: real.training.images[:100], "memorisation: 100.0% of the samples"),
        (lambda real: with_lines(printed(140, 1)), "a grid of 4 pixels lies over the samples"),
    ],
    ids=["collapse", "missing classes", "copies", "grid"],
)
def test_alarms(make: Any, words: str, real: RealImages, judge: Extractor) -> None:
    verdict = verdict_on(make(real), real, judge)
    assert any(words in alarm for alarm in verdict.alarms), verdict.alarms


def test_alarms_about_the_discriminator(real: RealImages, judge: Extractor) -> None:
    told = Discrimination(0.99, 0.6, 0.0, 0.995, 1.0, 0.9, 0.02, True)
    alarms = " ".join(verdict_on(printed(100, 1), real, judge, told).alarms)
    assert "overfitting: the discriminator" in alarms and "in 90% of the cases" in alarms
    assert "more than 99% of real images" in alarms


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        (np.zeros((1, 28, 28, 1), np.uint8), "1 samples are too few to judge; at least 20"),
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

"""Rejection sampling: unconditional generators give images of chosen classes, or an error says why not."""

from pathlib import Path

import numpy as np
import pytest

from sparring import data
from sparring.cli.main import main
from sparring.errors import ClassError, RunError
from sparring.evaluation import rejection_sampling
from sparring.evaluation.features import Extractor
from sparring.evaluation.rejection_sampling import choose, classifier_for, training_images
from sparring.images import Images
from sparring.recipes.recipe import Recipe
from sparring.runs.generator import Generator, load
from sparring.runs.run import Run
from sparring.terminal.progress import silent
from sparring.training.reporter import Silence

NAMES = ("dark", "middle", "bright")


def brightness(images: Images) -> tuple[np.ndarray, np.ndarray]:
    """A judge of three classes: which third of the first 300 draws an image's brightness lies in."""
    means = images.reshape(len(images), -1).mean(axis=1)
    answers = np.searchsorted(BORDERS, means)
    return means[:, np.newaxis], np.eye(3)[answers]


BORDERS: list[float] = []


@pytest.fixture(scope="module")
def generator(tiny_run: Run) -> Generator:
    return load(tiny_run.path)


@pytest.fixture(scope="module")
def judge(generator: Generator) -> Extractor:
    means = generator.sample(300).reshape(300, -1).mean(axis=1)
    BORDERS[:] = np.quantile(means, [0.6, 0.9]).tolist()  # six dark, three middle, one bright of ten
    return Extractor("the brightness", "0" * 64, (28, 28, 1), True, "", brightness)


def test_requested_balance_is_real_balance(generator: Generator, judge: Extractor) -> None:
    counts = np.array([40, 40, 40])
    chosen = choose(generator, counts, NAMES, judge, seed=3)
    seen = brightness(chosen.images)[1].argmax(axis=1)
    np.testing.assert_array_equal(seen, chosen.labels)
    assert np.bincount(chosen.labels).tolist() == [40, 40, 40]
    assert chosen.drawn in (500, 1000)
    assert len(np.unique(chosen.images, axis=0)) == 120


def test_the_first_that_fit_are_kept_in_their_order(generator: Generator, judge: Extractor) -> None:
    chosen = choose(generator, np.array([0, 0, 5]), NAMES, judge, seed=3)
    drawn = generator.sample(500, seed=3)
    bright = drawn[brightness(drawn)[1][:, 2] == 1]
    np.testing.assert_array_equal(chosen.images, bright[:5])


def test_a_class_that_never_comes_is_given_up(
    generator: Generator, judge: Extractor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rejection_sampling, "MOST_REJECTED", 1000)
    blind = Extractor(
        "x", "0" * 64, (28, 28, 1), True, "", lambda images: (images[:, 0, 0], np.eye(3)[[0] * len(images)])
    )
    with pytest.raises(ClassError, match=r"of 2,000 images the last 1,000 were rejected.* 'middle', 'b"):
        choose(generator, np.array([600, 1, 1]), NAMES, blind, seed=0)


def test_a_run_says_how_many_images_it_took(
    tiny_run: Run, judge: Extractor, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ten = Extractor(
        "ten", "0" * 64, (28, 28, 1), True, "",
        lambda images: (images[:, 0, 0], np.eye(10)[images.reshape(len(images), -1).astype(int).sum(axis=1) % 10]),
    )  # fmt: skip
    monkeypatch.setattr(rejection_sampling, "choose_extractor", lambda training, onnx, progress: ten)
    out = tmp_path / "some.npz"
    assert main(["sample", str(tiny_run.path), "--counts", "7=5", "2=4", "--out", str(out)]) == 0
    assert "rejection sampling kept 9 of 500 images" in capsys.readouterr().out
    assert data.load(str(out)).class_counts == {"2": 4, "7": 5}


def test_a_generator_alone_cannot_be_asked(tiny_run: Run) -> None:
    with pytest.raises(RunError, match=r"is not a run.*needs the training images"):
        training_images(Run(tiny_run.generator_weights))


def test_one_class_alone_cannot_be_asked() -> None:
    images = data.ImageSet("x", np.zeros((30, 8, 8, 1), np.uint8), np.zeros(30, np.int32), ("only",), "the test")
    with pytest.raises(ClassError, match="all images of x are of one class"):
        classifier_for(images, silent)


def test_data_without_classes_cannot_be_asked(tiny_recipe: Recipe, tmp_path: Path) -> None:
    from sparring.training import train as training

    np.savez(tmp_path / "bare.npz", images=np.arange(50 * 64, dtype=np.uint8).reshape(50, 8, 8))
    recipe = tiny_recipe.replace(data=str(tmp_path / "bare.npz"), steps=1, batch_size=2)
    run = training.train(recipe, out=tmp_path / "run", reporter=Silence())
    with pytest.raises(ClassError, match="have no classes, so none can be asked for"):
        training_images(run)

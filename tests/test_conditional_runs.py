"""CONDITIONAL RUNS from the command to the images: classes are trained, kept, asked for and found again."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import printed_digit
from PIL import Image

from sparring import data
from sparring.cli.main import main
from sparring.errors import DataError
from sparring.evaluation import protocol
from sparring.evaluation.features import shipped_classifier
from sparring.images import save_images
from sparring.recipes.recipe import Recipe
from sparring.runs import checkpoint
from sparring.runs import generator as sampling
from sparring.runs.run import Run
from sparring.terminal.progress import silent
from sparring.training import train as training
from sparring.training.reporter import Silence


@pytest.fixture(scope="module")
def recipe(tiny_recipe: Recipe) -> Recipe:
    return tiny_recipe.replace(conditional=True, ema_half_life=5.0, validation=0.3, steps=14, batch_size=10)


@pytest.fixture(scope="module")
def run(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return training.train(recipe, out=tmp_path_factory.mktemp("conditional") / "run", reporter=Silence())


def test_a_run_that_was_stopped_goes_on_exactly(recipe: Recipe, run: Run, tmp_path: Path) -> None:
    training.train(recipe.replace(steps=8), out=tmp_path / "run", reporter=Silence())
    stopped = training.train(recipe, out=tmp_path / "run", reporter=Silence())
    assert checkpoint.newest_step(run.checkpoints) == checkpoint.newest_step(stopped.checkpoints)
    assert run.generator_weights.read_bytes() == stopped.generator_weights.read_bytes()


def test_grids_have_a_class_a_row(recipe: Recipe, run: Run) -> None:
    side = recipe.grid_columns * 29 + 1, 10 * 29 + 1
    for name in ("real.png", "00000010.png"):
        with Image.open(run.grids / name) as grid:
            assert grid.size == (2 * side[0], 2 * side[1])
    with Image.open(run.real_grid) as grid:
        pixels = np.asarray(grid)[::2, ::2]
    rows = [pixels[1 + 29 * i : 29 + 29 * i, 1 + 29 * k : 29 + 29 * k] for i in range(10) for k in range(3)]
    images = data.load(recipe.data)
    own = [int(np.abs(images.images[..., 0].astype(int) - row).sum(axis=(1, 2)).argmin()) for row in rows]
    assert images.labels is not None
    assert images.labels[own].tolist() == np.arange(10).repeat(3).tolist()


def test_a_killed_run_gives_the_same_images(run: Run, tmp_path: Path) -> None:
    copied = Run(Path(shutil.copytree(run.path, tmp_path / "copied")))
    copied.generator_weights.unlink()
    np.testing.assert_array_equal(sampling.load(copied.path).sample(20), sampling.load(run.path).sample(20))


def test_the_label_decides_and_the_latent_too(run: Run) -> None:
    generator = sampling.load(run.path)
    latents = generator.draw_latents(2)
    zeros, ones = (generator.images(latents, np.full(2, label, np.int32)) for label in (0, 1))
    assert (zeros[0] != ones[0]).any() and (zeros[0] != zeros[1]).any()
    with pytest.raises(ValueError, match="needs labels"):
        generator.images(latents)
    with pytest.raises(ValueError, match=r"shape \(2,\)"):
        generator.images(latents, np.zeros(3, np.int32))


@pytest.mark.parametrize(
    ("words", "counts"),
    [
        ("", [8] * 10),
        ("--count 20", [2] * 10),
        ("--label 7", [0] * 7 + [64, 0, 0]),
        ("--label 7 3 --count 5", [0, 0, 0, 2, 0, 0, 0, 3, 0, 0]),
        ("--counts 7=2 1=3", [0, 3, 0, 0, 0, 0, 0, 2, 0, 0]),
        ("--balance uniform --count 30", [3] * 10),
    ],
)
def test_what_is_asked_for_is_what_comes(run: Run, tmp_path: Path, words: str, counts: list[int]) -> None:
    out = tmp_path / "made.npz"
    assert main(["sample", str(run.path), "--out", str(out), *words.split()]) == 0
    made = data.load(str(out))
    assert made.labels is not None
    found = dict.fromkeys("0123456789", 0) | made.class_counts
    assert list(found.values()) == counts
    generator = sampling.load(run.path)
    labels = np.arange(10, dtype=np.int32).repeat(counts)
    np.testing.assert_array_equal(made.images, generator.images(generator.draw_latents(sum(counts)), labels))


def test_a_folder_of_samples_has_a_folder_for_each_class(run: Run, tmp_path: Path) -> None:
    assert main(["sample", str(run.path), "--counts", "7=2", "1=3", "--out", str(tmp_path / "made")]) == 0
    assert {path.name: len(list(path.iterdir())) for path in (tmp_path / "made").iterdir()} == {"1": 3, "7": 2}
    assert data.load(str(tmp_path / "made")).class_counts == {"1": 3, "7": 2}


def test_names_of_classes_become_names_of_folders(tmp_path: Path) -> None:
    save_images(tmp_path / "made", np.zeros((3, 2, 2, 1), np.uint8), 2, ["../up", "a:b", ".."])
    assert sorted(path.name for path in (tmp_path / "made").iterdir()) == ["_", "_up", "a_b"]
    assert not (tmp_path / "up").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--label x", "there is no class 'x' (known are 0, 1, 2"),
        ("--label 7 --balance uniform", "only one of --label, --balance and --counts"),
        ("--counts 7=3 --count 3", "only one of --counts and --count"),
        ("--counts 7", "'7' should be a class and a number of images, such as 0=100"),
        ("--interpolate 4", "a walk stays within one class: choose it, for example with --label 0"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    run: Run, words: str, message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["sample", str(run.path), "--out", str(tmp_path / "x.png"), *words.split()]) == 2
    assert message in re.sub(r"\s+", " ", capsys.readouterr().err)


def test_a_walk_stays_within_its_class(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "walk.npz"
    assert main(["sample", str(run.path), "--interpolate", "3", "--label", "4", "--out", str(out)]) == 0
    generator = sampling.load(run.path)
    ends = generator.images(generator.draw_latents(2), np.array([4, 4], np.int32))
    with np.load(out) as file:
        np.testing.assert_array_equal(file["images"][[0, -1]], ends)
    np.testing.assert_array_equal(generator.interpolate(2, 3), generator.interpolate(2, 3, label=0))


def test_the_judge_says_what_came_of_what_was_asked_for(run: Run) -> None:
    images = data.ImageSet(
        "digits",
        np.stack([printed_digit(i % 10, np.random.default_rng(i)) for i in range(300)])[..., np.newaxis],
        np.arange(300, dtype=np.int32) % 10,
        tuple("0123456789"),
        "the test",
    )
    real = protocol.RealImages(
        "digits", "0" * 64, images.only(np.arange(200)), images.only(np.arange(200, 300)), "", None
    )
    said = (np.arange(100, dtype=np.int32) + 3 * (np.arange(100) < 50)) % 10  # half of the labels are wrong
    samples = protocol.Samples(np.asarray(real.unseen.images), {}, 0, said.astype(np.int32))
    verdict = protocol.judge(samples, real, shipped_classifier("mnist"), None, silent)
    assert verdict.asked is not None
    assert verdict.measures["recognised"].value == verdict.asked.recognised
    assert verdict.asked.recognised == pytest.approx(verdict.asked.recognised_real / 2, abs=0.15)


def test_data_without_classes_are_refused(recipe: Recipe, tmp_path: Path) -> None:
    np.savez(tmp_path / "bare.npz", images=np.eye(64, dtype=np.uint8).reshape(64, 8, 8) * 255)
    with pytest.raises(DataError, match=r"bare.npz has no classes"):
        training.train(recipe.replace(data=str(tmp_path / "bare.npz")), out=tmp_path / "run", reporter=Silence())

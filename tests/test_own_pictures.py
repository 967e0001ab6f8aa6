"""A folder of one's own, from training to the verdict: gray, colour and alpha, resumed, judged, in any size."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw
from recorder import Lines

from sparring.errors import DataError, ResumeError
from sparring.images import grid, on_squares
from sparring.recipes.recipe import Recipe
from sparring.reports import measure as measuring
from sparring.runs import generator as sampling
from sparring.runs.run import Run
from sparring.training import score as scoring
from sparring.training import train as training
from sparring.training.reporter import Silence


def draw(folder: Path, mode: str, count: int = 160) -> Path:
    """Discs and squares of many sizes, half of each, on nothing where the mode has alpha."""
    random = np.random.default_rng(0)
    for i in range(count):
        kind = ("disc", "square")[i % 2]
        side = int(random.integers(20, 40))
        colour: Any = tuple(int(value) for value in random.integers(60, 256, 3))
        picture = Image.new("RGBA" if mode == "RGBA" else "RGB", (side + 4, side))
        shape = ImageDraw.Draw(picture).ellipse if kind == "disc" else ImageDraw.Draw(picture).rectangle
        shape((4, 4, side - 4, side - 4), fill=colour)
        (folder / kind).mkdir(parents=True, exist_ok=True)
        picture.convert(mode).save(folder / kind / f"{i}.png")
    return folder


def recipe_for(tiny_recipe: Recipe, folder: Path, **changes: Any) -> Recipe:
    return tiny_recipe.replace(data=str(folder), steps=6, grid_every=3, validation=0.2, size=16, **changes)


@pytest.fixture(scope="module")
def straight(tiny_recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of pictures in colour."""
    folder = tmp_path_factory.mktemp("straight")
    recipe = recipe_for(tiny_recipe, draw(folder / "shapes", "RGB"))
    return training.train(recipe, out=folder / "run", reporter=Silence())


@pytest.mark.parametrize(
    ("mode", "channels", "depth"),
    [("L", "auto", 1), ("RGB", "auto", 3), pytest.param("RGBA", "alpha", 4, marks=pytest.mark.ci)],
)
def test_from_a_folder_to_a_verdict(
    mode: str,
    channels: str,
    depth: int,
    straight: Run,
    tiny_recipe: Recipe,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sparring.evaluation.features.OWN_EPOCHS", 1)
    monkeypatch.setattr("sparring.evaluation.features.OWN_LEAST_STEPS", 2)
    run = straight
    if mode != "RGB":
        folder = draw(tmp_path / "shapes", mode)
        recipe = recipe_for(tiny_recipe, folder, channels=channels)
        run = training.train(recipe, out=tmp_path / "run", reporter=Silence(), tensorboard=mode == "RGBA")
    about = run.environment()["data"]
    assert about["shape"] == [160, 16, 16, depth]
    samples = sampling.load(run.path).sample(30)
    assert samples.shape == (30, 16, 16, depth)
    with Image.open(run.real_grid) as real, Image.open(run.grid(6)) as made:
        assert real.mode == made.mode == ("L" if depth == 1 else "RGB")
    if depth < 4:
        return  # it takes its time, and channels are all that differs
    verdict = measuring.measure(run.path)
    assert verdict.data["split"] == "validation"
    assert verdict.extractor["name"].startswith("a classifier of the labels of")
    assert verdict.balance is not None and len(verdict.balance.histogram) == 2
    assert scoring.judge(run)
    np.savez(tmp_path / "samples.npz", images=samples)
    again = measuring.measure(tmp_path / "samples.npz", data=run.recipe().data)
    assert again.samples == 30


def test_a_run_goes_on_with_the_same_pictures_only(straight: Run, tmp_path: Path) -> None:
    recipe = straight.recipe()
    folder = Path(recipe.data)
    training.train(recipe.replace(steps=3), out=tmp_path / "run", reporter=Silence())
    with pytest.raises(ResumeError, match="other settings: size was 16 and is now 20"):
        training.train(recipe.replace(size=20), out=tmp_path / "run", reporter=Silence())
    (folder / "disc" / "0.png").rename(tmp_path / "moved.png")
    with pytest.raises(ResumeError, match="cannot resume with other images"):
        training.train(recipe, out=tmp_path / "run", reporter=Silence())
    (tmp_path / "moved.png").rename(folder / "disc" / "0.png")
    training.train(recipe, out=tmp_path / "run", reporter=Silence())
    one, two = (sampling.load(path).sample(4) for path in (tmp_path / "run", straight.path))
    np.testing.assert_array_equal(one, two)


def test_bad_pictures_are_one_line_or_with_strict_an_error(tiny_recipe: Recipe, tmp_path: Path) -> None:
    folder = draw(tmp_path / "shapes", "RGB")
    (folder / "bad.png").write_bytes(b"")
    reporter = Lines()
    training.train(recipe_for(tiny_recipe, folder, generator_noise="fresh"), out=tmp_path / "run", reporter=reporter)
    expected = f"1 of 161 pictures could not be read: `sparring data check {folder}` says why"
    assert reporter.lines[0] == expected
    with pytest.raises(DataError, match=r"holds a picture that cannot be trained on: bad\.png, it is empty"):
        training.train(recipe_for(tiny_recipe, folder), out=tmp_path / "other", reporter=reporter, strict=True)
    assert not (tmp_path / "other").exists()


def test_old_runs_know_nothing_of_sizes(tiny_recipe: Recipe) -> None:
    saved = json.loads(json.dumps(tiny_recipe.to_json()))
    for name in ("size", "fit", "channels"):
        del saved[name]
    assert Recipe.from_json(saved) == tiny_recipe


def test_images_with_alpha_are_shown_on_squares() -> None:
    images = np.zeros((2, 16, 16, 4), np.uint8)
    images[1] = (10, 20, 30, 255)
    shown = on_squares(images)
    assert shown.shape == (2, 16, 16, 3)
    assert np.unique(shown[0]).tolist() == [204, 255]
    assert (shown[1] == (10, 20, 30)).all()
    np.testing.assert_array_equal(grid(images, 1, 2, gap=0)[:, :16], shown[0])
    half = np.full((1, 16, 16, 4), (0, 0, 0, 128), np.uint8)
    assert 95 < on_squares(half).mean() < 130
    assert on_squares(images[..., :3]) is not None and on_squares(images[..., :1]).shape == (2, 16, 16, 1)

"""The explorer: its images, logits and searches agree with the networks of the run."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from sparring.errors import RunError
from sparring.images import grid
from sparring.runs import generator as sampling
from sparring.runs.run import Run
from sparring.web import explorer as explorers
from sparring.web.explorer import Explorer, _background, newest_step

LIKE_GENERATOR = 1
"""Gray levels by which an image may differ if it was computed in another batch size."""


@pytest.fixture(scope="module", autouse=True)
def short_search() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(explorers, "SEARCH_SECONDS", 0.3)
        yield


@pytest.fixture(scope="module")
def explorer(tiny_run: Run) -> Explorer:
    return Explorer(tiny_run)


@pytest.fixture(scope="module")
def conditional(runs: Path) -> Explorer:
    return Explorer(Run(runs / "conditional"))


def test_images_are_the_generators(explorer: Explorer, tiny_run: Run) -> None:
    generator = sampling.load(tiny_run.path)
    for count in (1, 5, 16, 20):
        latents = generator.draw_latents(count)
        ours, theirs = explorer.images(latents, None).astype(int), generator.images(latents).astype(int)
        assert np.ptp(theirs) > 20 and np.abs(ours - theirs).max() <= LIKE_GENERATOR


def test_images_of_a_class_are_the_generators(conditional: Explorer, runs: Path) -> None:
    generator = sampling.load(runs / "conditional")
    latents, labels = generator.draw_latents(6), np.array([3, 3, 3, 7, 7, 7], np.int32)
    made = conditional.images(latents, labels).astype(int)
    assert np.abs(made - generator.images(latents, labels).astype(int)).max() <= LIKE_GENERATOR
    assert np.abs(made - conditional.images(latents, labels[::-1].copy()).astype(int)).max() > 5


def test_the_output_is_the_discriminators(explorer: Explorer) -> None:
    image = explorer.images(explorer._latents[:1], None)[0]
    told = explorer.discriminate(image)
    trained = explorer.trained
    state = trained.state

    def logit(values: np.ndarray) -> float:
        weights = (state.discriminator.params, state.discriminator.batch_stats)
        return float(trained.gan.discriminator.apply(*weights, jnp.asarray(values[None]), train=False)[0][0])

    values = image.astype(np.float32) / 127.5 - 1
    assert told.logit == pytest.approx(logit(values), abs=1e-5)
    assert np.abs(told.gradient).max() == pytest.approx(1)
    y, x = np.unravel_index(np.abs(told.gradient).argmax(), told.gradient.shape)
    brighter = values.copy()
    brighter[y, x] += 0.1
    assert np.sign(logit(brighter) - logit(values)) == np.sign(told.gradient[y, x])
    samples = explorer.images(explorer._latents, None)
    below = np.mean([logit(sample.astype(np.float32) / 127.5 - 1) < told.logit for sample in samples])
    assert told.above_samples == pytest.approx(below, abs=0.03)


def test_the_output_is_compared_with_the_real_images_of_the_grid(
    explorer: Explorer, tiny_run: Run, tmp_path: Path
) -> None:
    image = np.zeros((28, 28, 1), np.uint8)
    assert explorer.discriminate(image).above_real is not None
    shutil.copytree(tiny_run.path, tmp_path / "run")
    (tmp_path / "run" / "grids" / "real.png").unlink()
    assert Explorer(Run(tmp_path / "run")).discriminate(image).above_real is None


@pytest.mark.parametrize("shape", [(28, 28, 1), (20, 33, 3), (70, 66, 1)])
def test_real_images_are_found_in_their_grid(shape: tuple[int, int, int], tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (6, *shape)).astype(np.uint8)
    from sparring.images import grid_scale, picture

    picture(grid(images, 2, 3, grid_scale(*shape[:2]))).save(tmp_path / "real.png")
    found = explorers._real_images(tmp_path / "real.png", shape)
    assert found is not None and np.array_equal(found, images)


def test_a_grid_that_does_not_fit_is_not_taken(tmp_path: Path) -> None:
    Image.new("L", (5, 5)).save(tmp_path / "small.png")
    assert explorers._real_images(tmp_path / "small.png", (28, 28, 1)) is None
    assert explorers._real_images(tmp_path / "missing.png", (28, 28, 1)) is None
    (tmp_path / "torn.png").write_bytes(b"\x89PNG")
    assert explorers._real_images(tmp_path / "torn.png", (28, 28, 1)) is None


def test_the_class_is_the_one_that_the_discriminator_finds_most_real(conditional: Explorer) -> None:
    image = conditional.images(conditional._latents[:1], np.array([4], np.int32))[0]
    logits = [conditional.discriminate(image, label).logit for label in range(10)]
    assert len(set(logits)) > 1
    told = conditional.discriminate(image)
    assert told.label == int(np.argmax(logits)) and told.logit == max(logits)


def test_the_search_finds_a_generated_image(explorer: Explorer) -> None:
    hidden = np.asarray(explorer.std * jax.random.normal(jax.random.key(99), (1, explorer.size)), np.float32)
    goal = explorer.images(hidden, None)[0]
    start = explorer.images(explorer._latents, None).astype(float) - goal
    nearest_sample = np.sqrt((start**2).mean(axis=(1, 2, 3))).min()
    found = explorer.nearest(goal)
    made = explorer.images(found.latent[None], None)[0].astype(float)
    assert found.difference < 0.5 * nearest_sample
    assert np.sqrt(((made - goal) ** 2).mean()) == pytest.approx(found.difference, abs=0.6)
    assert np.abs(made - found.image).max() <= LIKE_GENERATOR


def test_the_directions_change_the_image_most(explorer: Explorer) -> None:
    directions = explorer.directions
    assert directions.shape == (8, explorer.size)
    assert np.allclose(directions @ directions.T, np.eye(8), atol=1e-4)
    assert (np.diff(explorer.strengths) <= 0).all() and explorer.strengths[-1] > 0
    random = np.random.default_rng(0).normal(size=(8, explorer.size))
    random /= np.linalg.norm(random, axis=1, keepdims=True)

    def change(ways: np.ndarray) -> np.ndarray:
        here = explorer._values(explorer._latents[:8], None)
        moved = [
            explorer._values(explorer._latents[:8] + np.float32(0.05) * way.astype(np.float32), None) for way in ways
        ]
        return np.array([np.sqrt(((m - here) ** 2).sum(axis=(1, 2, 3)).mean()) / 0.05 for m in moved])

    assert change(directions)[0] == pytest.approx(explorer.strengths[0], rel=0.1)
    assert change(directions)[:3].min() > change(random).max()


def test_a_run_without_a_checkpoint_cannot_be_explored(new_run: Run) -> None:
    assert newest_step(new_run) == -1
    with pytest.raises(RunError):
        Explorer(new_run)


def test_the_background_is_what_most_edges_have() -> None:
    white, odd = np.full((20, 8, 6, 3), (255, 250, 240), np.uint8), np.zeros((9, 8, 6, 3), np.uint8)
    white[:, 2:6, 2:4] = 0
    assert _background(np.concatenate([white, odd])).tolist() == [255, 250, 240]


def test_the_background_of_digits_is_black(explorer: Explorer) -> None:
    assert explorer.background.tolist() == [0]

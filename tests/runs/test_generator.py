"""SAMPLING: the same seed gives the same images, and generators are found."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sparring import recipes
from sparring.errors import DamageWarning, RunError
from sparring.files import checksummed
from sparring.images import Images
from sparring.runs import generator as sampling
from sparring.runs.generator import BATCH, Generator, load
from sparring.runs.run import Run


@pytest.fixture(scope="module")
def generator(tiny_run: Run) -> Generator:
    return load(tiny_run.path)


@pytest.fixture(scope="module")
def images(generator: Generator) -> Images:
    """As many as go through the network at once."""
    return generator.sample(BATCH)


def distance(a: Images, b: Images) -> float:
    return float(np.abs(a.astype(float) - b.astype(float)).mean())


def change_json(path: Path, **values: Any) -> None:
    checksummed.write(path, checksummed.read(path) | values)


# -------------------------------------------------------------------------------------------------------- sampling


def test_images_are_bytes_and_differ(images: Images) -> None:
    assert images.shape == (BATCH, 28, 28, 1)
    assert images.dtype == np.uint8
    assert len(np.unique(images, axis=0)) == BATCH


def test_the_same_seed_gives_the_same_images_and_others_others(
    tiny_run: Run, generator: Generator, images: Images
) -> None:
    np.testing.assert_array_equal(load(tiny_run.path).sample(BATCH, seed=0), images)
    for seed in (1, 2, 2**32 - 1):
        other = generator.sample(BATCH, seed)
        assert not (other == images).all(axis=(1, 2, 3)).any()


@pytest.mark.parametrize("count", [1, 5, BATCH - 1, BATCH, BATCH + 1, 2 * BATCH + 3])
def test_the_first_images_do_not_depend_on_how_many_there_are(count: int, generator: Generator, images: Images) -> None:
    some = generator.sample(count)
    assert some.shape == (count, 28, 28, 1)
    least = min(count, BATCH)
    np.testing.assert_array_equal(some[:least], images[:least])


def test_an_image_does_not_depend_on_its_neighbours(generator: Generator) -> None:
    latents = generator.draw_latents(BATCH + 10)
    all_images = generator.images(latents)
    np.testing.assert_array_equal(generator.images(latents[7:8])[0], all_images[7])
    np.testing.assert_array_equal(generator.images(latents[BATCH - 3 :]), all_images[BATCH - 3 :])
    np.testing.assert_array_equal(generator.images(latents[::-1]), all_images[::-1])


def test_no_latents_make_no_images(generator: Generator) -> None:
    assert generator.images(np.zeros((0, 64), np.float32)).shape == (0, 28, 28, 1)


@pytest.mark.parametrize("shape", [(64,), (3, 63), (3, 64, 1)])
def test_latents_of_another_shape_are_refused(shape: tuple[int, ...], generator: Generator) -> None:
    with pytest.raises(ValueError, match=r"should have the shape \(N, 64\), not"):
        generator.images(np.zeros(shape, np.float32))


def test_latents_follow_the_recipe(generator: Generator) -> None:
    latents = generator.draw_latents(500)
    assert latents.shape == (500, 64)
    assert abs(latents.mean()) < 0.03
    assert abs(latents.std() - 1) < 0.03
    wide = Generator(generator.description | {"latent": {"size": 64, "std": 10**19}}, None, None)
    assert (
        abs(wide.draw_latents(1000, 0).astype(np.float64).std() / 1e19 - 1) < 0.03
    )  # an integer that JAX does not take
    narrow = Generator(generator.description | {"latent": {"size": 64, "std": 0.3}}, None, None)
    np.testing.assert_allclose(narrow.draw_latents(500), 0.3 * latents, rtol=1e-6)


# ----------------------------------------------------------------------------------------------------------- walks


@pytest.mark.parametrize(
    ("stops", "steps", "closed", "count"), [(2, 2, False, 2), (3, 5, False, 10), (3, 5, True, 15), (2, 4, True, 8)]
)
def test_a_walk_has_as_many_images_as_promised(
    stops: int, steps: int, closed: bool, count: int, generator: Generator
) -> None:
    walk = generator.interpolate(stops, steps, closed=closed)
    assert walk.shape == (count, 28, 28, 1)
    assert walk.dtype == np.uint8


def test_an_open_walk_goes_from_the_first_latent_over_all_to_the_last(generator: Generator, images: Images) -> None:
    walk = generator.interpolate(4, 6)
    for place, stop in ((0, 0), (6, 1), (12, 2), (-1, 3)):
        assert np.abs(walk[place].astype(int) - images[stop].astype(int)).max() <= 1, place
    np.testing.assert_array_equal(walk, generator.interpolate(4, 6, seed=0))
    assert not (walk == generator.interpolate(4, 6, seed=1)).all(axis=(1, 2, 3)).any()


def test_a_closed_walk_has_no_seam(generator: Generator, images: Images) -> None:
    walk = generator.interpolate(3, 12, closed=True)
    for i in range(3):
        assert np.abs(walk[12 * i].astype(int) - images[i].astype(int)).max() <= 1, i
    strides = [distance(walk[i - 1], walk[i]) for i in range(len(walk))]  # the first is that from last to first
    nearest_stops = min(distance(images[i], images[j]) for i, j in ((0, 1), (1, 2), (0, 2)))
    assert max(strides) < nearest_stops / 2
    assert min(strides) > 0, "no image comes twice"


def test_a_walk_keeps_the_length_of_its_latents(generator: Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    walked: list[NDArray[np.floating[Any]]] = []

    def note(self: Generator, latents: NDArray[np.floating[Any]], labels: None) -> Images:
        walked.append(latents)
        return np.zeros((0, 28, 28, 1), np.uint8)

    monkeypatch.setattr(Generator, "images", note)
    generator.interpolate(2, 9)
    (latents,) = walked
    lengths = np.linalg.norm(latents, axis=1)
    np.testing.assert_allclose(lengths, np.linspace(lengths[0], lengths[-1], 9), rtol=1e-6)
    unit = latents / lengths[:, None]
    angles = np.arccos(np.sum(unit[1:] * unit[:-1], axis=1))
    np.testing.assert_allclose(angles, angles[0], rtol=1e-5)


def test_walks_work_with_latents_of_one_number(generator: Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any two of them lie on one line, so that there is no circle through them."""
    walked: list[NDArray[np.floating[Any]]] = []
    monkeypatch.setattr(Generator, "images", lambda self, latents, labels: walked.append(latents))
    Generator(generator.description | {"latent": {"size": 1, "std": 1.0}}, None, None).interpolate(4, 5)
    assert np.isfinite(walked[0]).all()


# -------------------------------------------------------------------------------------------- where it is loaded from


def test_a_finished_run_is_loaded_from_its_generator_files(copied_run: Run, images: Images) -> None:
    for checkpoint in copied_run.checkpoints.rglob("*.*"):
        checkpoint.unlink()
    loaded = load(str(copied_run.path))
    np.testing.assert_array_equal(loaded.sample(5), images[:5])
    assert loaded.image_shape == (28, 28, 1)
    assert (loaded.latents.size, loaded.latents.std) == (64, 1.0)
    assert loaded.description["trained"]["recipe"] == "mlp-256"
    assert loaded.description["trained"]["step"] == 30


def test_the_generator_files_are_enough(
    copied_run: Run, images: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = tmp_path / "alone"
    alone.mkdir()
    copied_run.generator_weights.rename(alone / "mine.safetensors")
    copied_run.generator_description.rename(alone / "mine.json")
    monkeypatch.setattr(recipes, "RECIPES", {})
    np.testing.assert_array_equal(load(alone / "mine.safetensors").sample(5), images[:5])


@pytest.mark.parametrize("missing", ["both", "generator.safetensors", "generator.json"])
def test_a_run_without_generator_files_is_loaded_from_its_checkpoint(
    missing: str, copied_run: Run, images: Images
) -> None:
    for path in (copied_run.generator_weights, copied_run.generator_description):
        if missing in ("both", path.name):
            path.unlink()
    loaded = load(copied_run.path)
    np.testing.assert_array_equal(loaded.sample(5), images[:5])
    assert loaded.description["trained"]["step"] == 30


def test_a_killed_run_is_loaded_from_the_newer_checkpoint(copied_run: Run, images: Images) -> None:
    change_json(copied_run.generator_description, trained={"recipe": "mlp-256", "step": 20})
    copied_run.generator_weights.write_bytes(b"old, and of no use")
    np.testing.assert_array_equal(load(copied_run.path).sample(5), images[:5])


def test_damaged_generator_files_give_way_to_the_checkpoint(copied_run: Run, images: Images) -> None:
    copied_run.generator_weights.write_bytes(b"")
    with pytest.warns(DamageWarning, match=r"generator.safetensors does not fit generator.json: .* holds 0"):
        loaded = load(copied_run.path)
    np.testing.assert_array_equal(loaded.sample(5), images[:5])


def test_a_damaged_checkpoint_gives_way_to_the_one_before(copied_run: Run, images: Images) -> None:
    newer = copied_run.checkpoints / "00000040"
    newer.mkdir()
    (newer / "manifest.json").write_text("{}")
    copied_run.generator_weights.unlink()
    with pytest.warns(DamageWarning, match=r"skipped the checkpoint .*00000040"):
        loaded = load(copied_run.path)
    assert loaded.description["trained"]["step"] == 30
    np.testing.assert_array_equal(loaded.sample(5), images[:5])


# ------------------------------------------------------------------------------------------------- what is refused


@pytest.fixture
def bare_run(copied_run: Run) -> Run:
    """One that has the generator's files, and no checkpoint."""
    shutil.rmtree(copied_run.checkpoints)
    return copied_run


def test_damaged_weights_are_refused(bare_run: Run) -> None:
    content = bytearray(bare_run.generator_weights.read_bytes())
    content[-1] ^= 1
    bare_run.generator_weights.write_bytes(content)
    for place in (bare_run.path, bare_run.generator_weights):
        with pytest.raises(RunError, match=r"generator.safetensors is damaged"):
            load(place)


def described(**values: Any) -> Callable[[Run], object]:
    return lambda run: change_json(run.generator_description, **values)


def sized(**sizes: Any) -> Callable[[Run], object]:
    def change(run: Run) -> None:
        network = json.loads(run.generator_description.read_bytes())["network"]
        change_json(run.generator_description, network=network | {"sizes": network["sizes"] | sizes})

    return change


WRONG_SIZE = r"generator\.json does not describe a generator .*negative_slope"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (sized(hidden=[9]), r"generator.safetensors does not fit generator.json.*shape \(.*9"),
        (described(network={"kind": "transformer", "sizes": {}}), "transformer"),
        (described(format=sampling.FORMAT + 1), "generator.json has format 2, but this version reads format 1"),
        *((sized(negative_slope=slope), WRONG_SIZE) for slope in ("", None, [1], True, -1.0)),
    ],
)
def test_a_description_that_does_not_fit_is_refused(
    change: Callable[[Run], object], message: str, bare_run: Run
) -> None:
    change(bare_run)
    with pytest.raises(RunError, match=message):
        load(bare_run.path)


@pytest.mark.parametrize(
    "content", [None, "", "{", "[]", "{}", '{"format": 1}', '{"format": 1, "trained": {"step": 99}}']
)
def test_a_missing_or_damaged_description_is_refused(content: str | None, bare_run: Run) -> None:
    if content is None:
        bare_run.generator_description.unlink()
    else:
        bare_run.generator_description.write_text(content)
    with pytest.raises(RunError, match=r"generator\.json"):
        load(bare_run.generator_weights)
    if content is not None:
        with pytest.raises(RunError, match=r"generator\.json"):
            load(bare_run.path)


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"is no run of Sparring: it has no recipe.json"):
        load(tmp_path)
    with pytest.raises(RunError, match=r"is no run of Sparring"):
        load(tmp_path / "none")


def test_a_run_that_saved_nothing_is_refused(copied_run: Run, tmp_path: Path) -> None:
    new = Run(tmp_path / "new")
    new.path.mkdir()
    copied_run.recipe_file.rename(new.recipe_file)
    with pytest.raises(RunError, match="has no generator yet: nothing was saved before it stopped"):
        load(new.path)


def test_a_run_without_one_whole_checkpoint_is_refused(copied_run: Run) -> None:
    copied_run.generator_weights.unlink()
    for manifest in copied_run.checkpoints.glob("*/manifest.json"):
        manifest.write_text("{}")
    with pytest.raises(RunError, match=r"no checkpoint in .* is whole"):
        load(copied_run.path)

"""DAMAGE: any flipped bit and any truncated file of a run is detected, and the whole files are still used."""

import contextlib
import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recorder import Lines
from safetensors.numpy import load_file

import sparring
from sparring.errors import CheckpointError, RunError, SparringError
from sparring.files import checksummed
from sparring.recipes.recipe import Recipe
from sparring.reports import animation
from sparring.runs import checkpoint
from sparring.runs import generator as sampling
from sparring.runs.run import Run
from sparring.training import train as training
from sparring.training.reporter import Silence

EXAMPLES = int(os.environ.get("SPARRING_TEST_EXAMPLES", "2000"))
"""Of the long test."""


@pytest.fixture(scope="module")
def stopped(tiny_recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of 30 steps that has come to 20, with two checkpoints; and the run that went on to 30 beside it."""
    folder = tmp_path_factory.mktemp("stopped")
    run = training.train(tiny_recipe.replace(steps=20), out=folder / "run", checkpoint_seconds=0, reporter=Silence())
    shutil.copytree(run.path, folder / "whole")
    training.train(tiny_recipe, out=folder / "whole", reporter=Silence())
    return run


def damaged(content: bytes, place: float, bit: int | None) -> bytes:
    """One bit of it flipped, or, without a bit, cut off."""
    at = min(int(place * len(content)), len(content) - 1)
    if bit is None:
        return content[:at]
    return content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :]


def files(run: Run) -> list[str]:
    found = [str(path.relative_to(run.path)) for path in sorted(run.path.rglob("*")) if path.is_file()]
    return [name for name in found if name != "lock"]


damages = {
    "place": st.floats(0, 1, exclude_max=True),
    "bit": st.none() | st.integers(0, 7),
    "data": st.data(),
}


@contextlib.contextmanager
def changed(path: Path, content: bytes) -> Iterator[None]:
    before = path.read_bytes()
    path.write_bytes(content)
    try:
        yield
    finally:
        path.write_bytes(before)


def check_noticed(run: Run, name: str) -> None:
    """That file is not as it was written, and who reads it says so, or finds in it what was written."""
    path, reporter = run.path / name, list(run.damages())
    if name.endswith((".copy.json", "recipe.json", "environment.json")):
        assert reporter or checksummed.read(path), name
        assert run.recipe().steps == 20 and run.environment()["data"]
    elif name == "events.jsonl":
        assert reporter or len(list(run.events())) == len([line for line in path.read_text().splitlines() if line])
    elif name.startswith("checkpoints"):
        template = sampling.load(run.path)  # the generator of its own file is whole
        assert template.description["trained"]["step"] == 20
        saved = run.path / Path(name).parent
        with contextlib.suppress(CheckpointError):
            manifest = checkpoint.read_manifest(saved)  # whole, or only white space is another
            assert manifest.step == int(saved.name)
            checkpoint.unpack(saved / checkpoint.STATE, manifest.state)
            assert name.endswith(checkpoint.MANIFEST)
    elif name.startswith("generator"):
        with warnings.catch_warnings(record=True) as noticed:
            warnings.simplefilter("always")
            generator = sampling.load(run.path)
        assert noticed or (name.endswith(".json") and checksummed.read(path))
        assert generator.description["trained"]["step"] == 20  # it is the newest checkpoint's
    elif name.startswith("grids"):
        with contextlib.suppress(SparringError, OSError), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            animation.save_training(run, run.path.parent / "made.gif", largest=64, seconds=1)
    else:
        raise AssertionError(f"nobody has thought of {name}")


def check_a_flip(stopped: Run, place: float, bit: int | None, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(files(stopped)))
    path = stopped.path / name
    with changed(path, damaged(path.read_bytes(), place, bit)):
        check_noticed(stopped, name)


def check_going_on(
    stopped: Run, tmp_path_factory: pytest.TempPathFactory, place: float, bit: int | None, data: st.DataObject
) -> None:
    """A damaged run goes on to the same end, or says in a sentence why it can't."""
    run = Run(Path(shutil.copytree(stopped.path, tmp_path_factory.mktemp("damaged") / "copy")))
    name = data.draw(st.sampled_from([name for name in files(run) if not name.startswith(("grids", "generator"))]))
    (run.path / name).write_bytes(damaged((run.path / name).read_bytes(), place, bit))
    reporter = Lines()
    sparring.resume(run.path, steps=30, reporter=reporter)
    whole = Run(stopped.path.parent / "whole")
    assert load_file(run.generator_weights).keys() == load_file(whole.generator_weights).keys()
    assert run.generator_weights.read_bytes() == whole.generator_weights.read_bytes()
    if f"{20:08d}" in name and name.endswith(checkpoint.STATE):
        assert any("skipped the checkpoint" in text for text in reporter.lines)
    shutil.rmtree(run.path)


def tried(check: Callable[..., None], examples: int) -> Callable[..., None]:
    """That check as a test, with so many damages."""
    return settings(max_examples=examples, deadline=None)(given(**damages)(check))


test_a_flipped_or_missing_byte_in_any_file_is_noticed = tried(check_a_flip, 50)
test_a_flipped_or_missing_byte_in_any_file_is_noticed_long = pytest.mark.long(tried(check_a_flip, 10 * EXAMPLES))
test_a_damaged_run_goes_on_to_the_same_end = tried(check_going_on, 4)
test_a_damaged_run_goes_on_to_the_same_end_long = pytest.mark.long(tried(check_going_on, EXAMPLES // 4))


def test_what_was_damaged_is_said_and_mended(stopped: Run, tmp_path: Path) -> None:
    run = Run(Path(shutil.copytree(stopped.path, tmp_path / "copy")))
    newest = run.checkpoints / "00000020" / checkpoint.STATE
    for path in (newest, run.recipe_file, run.environment_file, run.events_file):
        path.write_bytes(damaged(path.read_bytes(), 0.5, 1))
    reporter = Lines()
    sparring.resume(run.path, steps=30, reporter=reporter)
    for words in (
        "skipped the checkpoint",
        "recipe.json is damaged",
        "environment.json is damaged",
        "1 line cannot be read",
    ):
        assert any(words in text for text in reporter.lines), words
    assert list(run.damages()) == []
    whole = Run(stopped.path.parent / "whole")
    assert run.generator_weights.read_bytes() == whole.generator_weights.read_bytes()


def test_with_both_copies_damaged_one_sentence_says_so(stopped: Run, tmp_path: Path) -> None:
    run = Run(Path(shutil.copytree(stopped.path, tmp_path / "copy")))
    for path in (run.recipe_file, run.recipe_file.with_suffix(".copy.json")):
        path.write_bytes(damaged(path.read_bytes(), 0.5, 1))
    with pytest.raises(RunError, match="is damaged"):
        sparring.resume(run.path, reporter=Silence())

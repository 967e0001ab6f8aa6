"""OLDER VERSIONS: what they left still loads. `tests/golden` has a small run of each kind of file that there has been.

format-1    nothing but the manifest of a checkpoint has a checksum
format-2    every JSON file and every event has one, and what says which run it is has a copy
format-3    every file says which run it belongs to; a run of each family of networks, and a sweep

A run is of 20 steps. The runs of formats 1 and 2 were trained alike. A run of format 3 has the generator that the same
version made when it resumed the run up to step 40 (`after-40.safetensors`).
"""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file
from slow import later

import sparring
from sparring.recipes import named_recipe
from sparring.recipes.recipe import Recipe
from sparring.reports import animation
from sparring.runs import checkpoint, trained
from sparring.runs import generator as sampling
from sparring.runs.run import Run
from sparring.sweeps import study
from sparring.training.reporter import Silence
from sparring.web import view
from sparring.web.tail import Tail

GOLDEN = Path(__file__).parent.parent / "golden"
FORMATS = sorted(path.name for path in GOLDEN.iterdir())
FAMILIES = ("dense", "convolutional", "conditional", "penalised")


@pytest.fixture(params=("format-1", "format-2"))
def old(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A copy of an old run. The images that it was trained on lie beside it, and it was made where they lie."""
    shutil.copytree(GOLDEN / request.param, tmp_path / "old")
    monkeypatch.chdir(tmp_path / "old")
    return Run(Path("run"))


def the_recipe() -> Recipe:
    """What they were all made with."""
    small = {"generator.hidden": (6,), "discriminator.hidden": (6,)}
    every = {"grid_every": 10, "log_every": 5, "judge_every": 0, "validation": 0.0}
    grids = {"grid_rows": 1, "grid_columns": 2}
    sizes = {"batch_size": 8, "steps": 20, "latent_size": 4}
    return named_recipe("mlp-256").replace(data="pictures.npz", **sizes, **every, **grids, **small)


def test_there_is_one_of_each_format_and_all_say_the_same(old: Run) -> None:
    assert FORMATS == ["format-1", "format-2", "format-3"]
    assert old.recipe() == the_recipe()
    assert old.environment()["data"]["shape"] == [40, 8, 8, 1]
    kinds = [event["event"] for event in old.events()]
    assert kinds.count("log") == 4 and kinds[0] == "started" and kinds[-1] == "finished"
    assert not list(old.damages())


def test_its_generator_and_its_states_load(old: Run) -> None:
    made = sampling.load(old.path).sample(4)
    assert made.shape == (4, 8, 8, 1)
    with Image.open(old.grid(20)) as grid:
        assert grid.size[0] > grid.size[1]
    found = trained.load_trained(old)
    assert found.step == 20
    older = load_file(old.checkpoints / "00000015" / checkpoint.STATE)
    assert np.isfinite(older["generator/hidden/0/kernel"]).all()


@pytest.fixture(scope="module")
def new(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of today, of 40 steps."""
    folder = tmp_path_factory.mktemp("new")
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(GOLDEN / "format-2")
        return sparring.train(the_recipe().replace(steps=40), out=folder / "run", reporter=Silence())


def test_it_goes_on_as_a_new_one_would(old: Run, new: Run) -> None:
    """To rounding, for another machine may compute otherwise; and what it leaves is of today's format."""
    run = sparring.resume(old.path, steps=40, reporter=Silence())
    assert run.ended() == "finished" and run.reached() == 40
    before, after = load_file(run.generator_weights), load_file(new.generator_weights)
    assert before.keys() == after.keys()
    for name in before:
        np.testing.assert_allclose(before[name], after[name], rtol=1e-3, atol=1e-5, err_msg=name)
    assert all('"crc32"' in line for line in run.events_file.read_text().splitlines())
    assert run.recipe_file.with_suffix(".copy.json").is_file()


def test_the_page_and_an_animation_show_it(old: Run, tmp_path: Path) -> None:
    told = view.details("old", "key", old, Tail(old.events_file).read())
    assert told["state"] == "finished" and told["step"] == 20 and len(told["charts"][0]["lines"][0]["steps"]) == 4
    assert animation.save_training(old, tmp_path / "made.gif", largest=64, seconds=1) == 3


@pytest.fixture
def format_3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of all of format 3, where its images are found."""
    copy = Path(shutil.copytree(GOLDEN / "format-3", tmp_path / "old"))
    monkeypatch.chdir(copy)
    return copy


@pytest.mark.usefixtures("compiled_fully")
@pytest.mark.parametrize("family", later(FAMILIES, "penalised"))
def test_a_run_of_each_family_resumes_as_it_did(format_3: Path, family: str) -> None:
    """As users have it: XLA optimises. To rounding, because another machine may compute otherwise."""
    run = Run(format_3 / family)
    assert not list(run.damages())
    sparring.resume(run.path, steps=40, reporter=Silence())
    before, after = load_file(run.path / "after-40.safetensors"), load_file(run.generator_weights)
    assert before.keys() == after.keys()
    for name in before:
        np.testing.assert_allclose(before[name], after[name], rtol=1e-3, atol=1e-5, err_msg=name)
    assert run.ended() == "finished" and run.reached() == 40
    assert sparring.load(run.path).sample(4).shape == (4, 8, 8, 1)


def test_a_sweep_is_read_and_nothing_of_it_is_trained_again(format_3: Path) -> None:
    found = study.resume(format_3 / "sweep", reporter=Silence())
    trials = [trial for place in found.places for trial in place.trials]
    assert [trial.state for trial in trials] == ["finished"] * 2
    for trial in trials:
        kinds = [event["event"] for event in Run(format_3 / "sweep" / f"trial-{trial.number:04}").events()]
        assert kinds.count("finished") == kinds.count("started") == 1

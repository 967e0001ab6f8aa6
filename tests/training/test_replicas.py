"""REPLICAS: each equals the run with its seed alone, resumes, and is judged; mean and spread of the scores."""

import os
import shutil
import signal
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from recorder import Lines

from sparring.cli import main as cli
from sparring.errors import CheckpointError, RecipeError, ResumeError, RunError, TrainingDiverged
from sparring.evaluation import validation_judge
from sparring.evaluation.features import shipped_classifier
from sparring.recipes import named_recipe
from sparring.recipes.recipe import Recipe
from sparring.runs import checkpoint
from sparring.runs.checkpoint import all_checkpoints, unpack
from sparring.runs.resume import choose_folder
from sparring.runs.run import Run
from sparring.training import replicas
from sparring.training import train as training
from sparring.training.reporter import Silence

ROUNDING = 1e-5
"""What replicas may differ from a run alone after 30 steps; another seed differs by .01 and more."""


def arrays(run: Run) -> dict[str, np.ndarray]:
    newest = all_checkpoints(run.checkpoints)[-1]
    return unpack(newest / checkpoint.STATE, checkpoint.read_manifest(newest).state)


def difference(a: Run, b: Run) -> float:
    ours, theirs = arrays(a), arrays(b)
    assert set(ours) == set(theirs)
    return max(float(np.abs(ours[name] - theirs[name]).max()) for name in ours)


@pytest.fixture(scope="module")
def recipe(tiny_recipe: Recipe) -> Recipe:
    """With shuffled data, so that each seed has permutations of its own."""
    return tiny_recipe.replace(seed=3)


@pytest.fixture(scope="module")
def three(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> replicas.Replicas:
    return replicas.train_replicas(3, recipe, out=tmp_path_factory.mktemp("replicas") / "x3", reporter=Silence())


def test_each_replica_is_the_run_with_its_seed_alone(three: replicas.Replicas, recipe: Recipe, tmp_path: Path) -> None:
    assert [run.path.name for run in three.runs] == ["seed-3", "seed-4", "seed-5"]
    alone = training.train(recipe, seed=4, out=tmp_path / "alone", reporter=Silence())
    assert difference(three.runs[1], alone) < ROUNDING
    assert difference(three.runs[0], alone) > 1000 * ROUNDING
    for ours, theirs in zip(three.runs[1].events(), alone.events(), strict=True):
        assert (ours["event"], ours["step"]) == (theirs["event"], theirs["step"])
        if ours["event"] == "log":
            assert ours["d_loss"] == pytest.approx(theirs["d_loss"], abs=1e-4)
    assert {path.name for path in three.runs[1].path.iterdir()} == {path.name for path in alone.path.iterdir()}
    assert three.runs[1].recipe() == alone.recipe()


@pytest.mark.ci
def test_batch_norm_and_convolutions_have_replicas_too(digits: Path, tmp_path: Path) -> None:
    small = {"generator.channels": (8, 8), "discriminator.channels": (8, 8), "discriminator.dense": 8}
    recipe = named_recipe("dcgan-tanh").replace(
        data=str(digits),
        steps=3,
        batch_size=8,
        validation=0.0,
        judge_every=0,
        **small,
        **{"generator.dense": 8},
    )
    done = replicas.train_replicas(2, recipe, out=tmp_path / "x2", reporter=Silence())
    alone = training.train(recipe, seed=1, out=tmp_path / "alone", reporter=Silence())
    assert difference(done.runs[1], alone) < ROUNDING


def test_they_go_on_together_from_the_step_that_all_have_saved(
    three: replicas.Replicas, recipe: Recipe, tmp_path: Path
) -> None:
    class StopAt(Silence):
        def progress(self, step: int, values: dict[str, float]) -> None:
            if step >= 10:
                os.kill(os.getpid(), signal.SIGTERM)

    stopped = replicas.train_replicas(3, recipe, out=tmp_path / "x3", reporter=StopAt(), checkpoint_seconds=0)
    assert stopped.stopped and not stopped.scores
    newest = all_checkpoints(stopped.runs[0].checkpoints)
    assert 0 < int(newest[-1].name) < 30
    for run in stopped.runs[1:]:  # as if the process had been killed between two savings
        shutil.rmtree(all_checkpoints(run.checkpoints)[-1])

    class KillAtOnce(Silence):
        def begin(self, *given: object, **named: object) -> None:
            raise KeyboardInterrupt

    saved = [[path.name for path in all_checkpoints(run.checkpoints)] for run in stopped.runs]
    with pytest.raises(KeyboardInterrupt):
        replicas.train_replicas(3, recipe, out=tmp_path / "x3", reporter=KillAtOnce())
    assert [[path.name for path in all_checkpoints(run.checkpoints)] for run in stopped.runs] == saved
    done = replicas.train_replicas(3, recipe, out=tmp_path / "x3", reporter=Silence())
    for run, whole in zip(done.runs, three.runs, strict=True):
        assert run.ended() == "finished"
        assert difference(run, whole) == 0


class StopSoon(Silence):
    """Sends this process a signal after the first chunk, as a scheduler does."""

    def progress(self, step: int, values: dict[str, float]) -> None:
        os.kill(os.getpid(), signal.SIGTERM)


def test_without_a_folder_the_newest_unfinished_replicas_go_on(recipe: Recipe, tmp_path: Path) -> None:
    ten = recipe.replace(steps=10)
    first = replicas.train_replicas(2, ten, runs=tmp_path, reporter=StopSoon())
    assert first.stopped and first.path.name.startswith("mlp-256-x2-")
    surroundings = first.runs[0].environment()
    for count, other in ((2, ten.replace(seed=5)), (2, ten.replace(batch_size=10)), (3, ten)):
        recipes = {f"seed-{other.seed + i}": other.replace(seed=other.seed + i) for i in range(count)}
        assert choose_folder(tmp_path, f"mlp-256-x{count}", recipes, surroundings, print) != first.path
    again = replicas.train_replicas(2, ten, runs=tmp_path, reporter=Silence())
    assert again.path == first.path and not again.stopped
    assert [event["event"] for event in again.runs[1].events()].count("resumed") == 1
    recipes = {f"seed-{seed}": ten.replace(seed=seed) for seed in (3, 4)}
    assert choose_folder(tmp_path, "mlp-256-x2", recipes, surroundings, print) != first.path, "those are finished"


def seen(run: Run) -> dict[str, bytes]:
    """Every file of a run and what is in it."""
    return {str(path.relative_to(run.path)): path.read_bytes() for path in run.path.rglob("*") if path.is_file()}


def starts(run: Run) -> list[tuple[str, int]]:
    return [(event["event"], event["step"]) for event in run.events() if event["event"] in ("started", "resumed")]


@pytest.fixture
def copied(three: replicas.Replicas, tmp_path: Path) -> list[Run]:
    """The runs of a copy of `three`."""
    folder = Path(shutil.copytree(three.path, tmp_path / "x3"))
    return [Run(folder / run.path.name) for run in three.runs]


def test_finished_replicas_are_left_alone_and_a_missing_one_begins(
    copied: list[Run], three: replicas.Replicas, recipe: Recipe
) -> None:
    before = [seen(run) for run in copied]
    shutil.rmtree(copied[1].path)
    done = replicas.train_replicas(4, recipe, out=copied[0].path.parent, reporter=Silence())
    assert not done.stopped and [run.ended() for run in done.runs] == ["finished"] * 4
    assert [seen(copied[i]) for i in (0, 2)] == [before[i] for i in (0, 2)]
    assert difference(done.runs[1], three.runs[1]) < ROUNDING
    assert starts(done.runs[1]) == starts(done.runs[3]) == [("started", 0)]


def test_a_replica_without_a_whole_checkpoint_stops_all_and_says_how_to_begin_anew(
    copied: list[Run], recipe: Recipe
) -> None:
    for state in copied[1].checkpoints.glob("*/state.safetensors"):
        state.write_bytes(b"")
    with pytest.raises(CheckpointError, match=f"to begin anew at step 0, .* remove {copied[1].checkpoints}"):
        replicas.train_replicas(3, recipe, steps=recipe.steps + 10, out=copied[0].path.parent, reporter=Silence())


@pytest.fixture(scope="module")
def alone(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two runs that were trained alone: seed-4 has 20 steps, seed-5 has 10."""
    folder = tmp_path_factory.mktemp("alone")
    for seed, steps in ((4, 20), (5, 10)):
        training.train(recipe, seed=seed, steps=steps, out=folder / f"seed-{seed}", reporter=Silence())
    return folder


def test_replicas_at_different_steps_each_go_on_from_where_they_are(
    three: replicas.Replicas, alone: Path, recipe: Recipe, tmp_path: Path
) -> None:
    """Of these, seed-3 is finished."""
    folder = Path(shutil.copytree(alone, tmp_path / "x3"))
    shutil.copytree(three.runs[0].path, folder / "seed-3")
    reporter, before = Lines(), seen(Run(folder / "seed-3"))
    done = replicas.train_replicas(3, recipe, out=folder, reporter=reporter)
    assert seen(done.runs[0]) == before
    assert starts(done.runs[1])[1:] == [("resumed", 20)] and starts(done.runs[2])[1:] == [("resumed", 10)]
    for run, whole in zip(done.runs, three.runs, strict=True):
        assert run.ended() == "finished" and difference(run, whole) < ROUNDING
    plan = " / ".join(reporter.lines)
    assert "seed-3 is finished" in plan and "seed-4: from step 20" in plan and "seed-5: from step 10" in plan


def test_a_stop_while_one_group_trains_leaves_the_others_as_they_are(
    alone: Path, recipe: Recipe, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(alone, tmp_path / "x2"))
    before = seen(Run(folder / "seed-4"))
    done = replicas.train_replicas(2, recipe.replace(seed=4), out=folder, reporter=StopSoon())
    assert done.stopped and seen(Run(folder / "seed-4")) == before and Run(folder / "seed-5").ended() == "stopped"


@pytest.mark.parametrize("hindrance", ["other recipe", "other data", "in use", "foreign"])
def test_what_cannot_be_trained_together_is_said_before_anything_is_touched(
    hindrance: str, copied: list[Run], recipe: Recipe, digits: Path, tmp_path: Path
) -> None:
    shutil.rmtree(copied[0].path)
    hindered, named = copied[2], copied[2].path.name
    other = Path(shutil.copytree(digits, tmp_path / "other"))
    images = other / "train-images-idx3-ubyte"
    images.write_bytes(images.read_bytes()[:-1] + b"\1")
    with ExitStack() as held:
        if hindrance == "other recipe":
            recipe = recipe.replace(batch_size=10)
        elif hindrance == "other data":
            recipe = recipe.replace(data=str(other))
        elif hindrance == "in use":
            held.enter_context(hindered.lock())
        else:
            hindered.recipe_file.unlink()
            (hindered.path / "thesis.txt").write_text("mine")
        before = {run.path.name: seen(run) for run in copied[1:]}
        with pytest.raises(RunError) as refused:
            replicas.train_replicas(3, recipe, out=copied[0].path.parent, reporter=Silence())
    named = named if hindrance in ("in use", "foreign") else "seed-4"
    assert named in str(refused.value)
    assert {run.path.name: seen(run) for run in copied[1:]} == before and not copied[0].path.exists()


@pytest.mark.ci
def test_finished_replicas_are_judged_and_their_mean_is_told(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(validation_judge, "ready_extractor", lambda _: shipped_classifier("mnist"))
    judged = recipe.replace(validation=0.5, steps=10)
    done = replicas.train_replicas(2, judged, out=tmp_path / "x2", reporter=Silence())
    scores = [about["score"] for about in done.scores]
    assert len(scores) == 2 and scores[0] != scores[1]
    assert done.measure == "kernel distance" == done.scores[0]["measure"] + " distance"
    mean, spread = done.words().split(" ± ")
    scale = done.scores[0]["floor"] if done.scores[0]["measure"] == "frechet" else 1
    assert float(mean) == pytest.approx(np.mean(scores) / scale, rel=0.05)
    assert float(spread) == pytest.approx(np.std(scores, ddof=1) / scale, rel=0.6)
    again = replicas.train_replicas(2, judged, out=tmp_path / "x2", reporter=Silence())
    assert [about["score"] for about in again.scores] == scores


def test_one_that_diverges_is_named(recipe: Recipe, tmp_path: Path) -> None:
    wild = recipe.replace(steps=400, **{"discriminator_optimizer.learning_rate": 1e38})
    with pytest.raises(TrainingDiverged, match="seed 3: "):
        replicas.train_replicas(2, wild, out=tmp_path / "x2", reporter=Silence())
    assert Run(tmp_path / "x2" / "seed-3").ended() == "failed"


@pytest.mark.parametrize("count", [1, 65])
def test_impossible_numbers_are_refused(count: int, recipe: Recipe) -> None:
    with pytest.raises(RecipeError, match="between 2 and 64"):
        replicas.train_replicas(count, recipe, reporter=Silence())


def test_other_settings_are_refused(three: replicas.Replicas, recipe: Recipe) -> None:
    with pytest.raises(ResumeError, match="batch_size"):
        replicas.train_replicas(3, recipe, batch_size=10, out=three.path, reporter=Silence())


def test_the_command(recipe: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "mlp-256", "--data", recipe.data, "--steps", "3", "--validation", "0", "--replicas", "2"]
    assert cli.main([*words, "--out", str(tmp_path / "x2")]) == 0
    out = capsys.readouterr().out
    assert out.startswith("2 replicas of mlp-256: 3 steps") and "sparring compare --by-recipe" in out
    assert cli.main([*words, "--devices", "1"]) == 2
    assert "--replicas cannot be combined with" in capsys.readouterr().err
    assert Run(tmp_path / "x2" / "seed-1").ended() == "finished"

"""THE SWEEP: every trial is trained once, judged and ranked, whoever stops, kills or shares it."""

import dataclasses
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from recorder import Lines

from sparring import data
from sparring.cli.main import main
from sparring.errors import DataError, MissingExtra, RecipeError, ResumeError, RunError
from sparring.evaluation import validation_judge
from sparring.evaluation.features import shipped_classifier
from sparring.files import checksummed
from sparring.recipes.recipe import Recipe
from sparring.recipes.renamed import with_old_names
from sparring.runs import checkpoint
from sparring.runs.run import Run
from sparring.sweeps import study as sweeping
from sparring.sweeps.folder import SweepFolder
from sparring.sweeps.space import Range
from sparring.training import train as training
from sparring.training.reporter import Reporter, Silence
from sparring.training.score import judge

RATE = "generator_optimizer.learning_rate"


@pytest.fixture
def recipe(tiny_recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """The tiny recipe with 60 of the 200 digits as validation images, judged by the shipped judge."""
    judge = shipped_classifier("mnist")
    monkeypatch.setattr(validation_judge, "ready_extractor", lambda images: judge)
    return tiny_recipe.replace(validation=0.3, steps=10)


def runs(path: Path) -> list[Run]:
    return [Run(folder) for folder in sorted(path.glob("trial-*"))]


def count(run: Run, name: str) -> int:
    return sum(event["event"] == name for event in run.events())


def optuna_states(path: Path) -> list[str]:
    """What Optuna's own tools say of the trials."""
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    storage = JournalStorage(JournalFileBackend(str(SweepFolder(path).journal)))
    return [trial.state.name for trial in storage.get_all_trials(storage.get_study_id_from_name("sweep"))]


class Teller(Lines):
    """Keeps the lines, and does something at some of them."""

    def __init__(self) -> None:
        super().__init__()
        self.at: dict[str, Any] = {}

    def print(self, text: str) -> None:
        super().print(text)
        for words, act in list(self.at.items()):
            if words in text:
                del self.at[words]
                act()


# ---------------------------------------------------------------------------------------------- a whole sweep


def test_a_grid_is_trained_judged_and_ranked(recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trial that diverges has failed, and the sweep continues."""
    load = data.load
    monkeypatch.setattr(
        data, "load", lambda source, **how: dataclasses.replace(load(source, **how), notice="only a few")
    )
    reporter, rate = Teller(), "discriminator_optimizer.learning_rate"
    done = sweeping.sweep(
        recipe, {"seed": (0, 1), rate: (1e30, 1e-3)}, out=tmp_path / "s", reporter=reporter, batch_size=10
    )
    trained = runs(tmp_path / "s")
    settings = [(run.recipe().seed, run.recipe().discriminator_optimizer.learning_rate) for run in trained]
    assert settings == [(0, 1e30), (0, 1e-3), (1, 1e30), (1, 1e-3)]
    assert [run.ended() for run in trained] == ["failed", "finished"] * 2
    assert all(run.recipe().batch_size == 10 for run in trained)
    assert not done.stopped and [place.rank for place in done.places] == [1, None]
    scores = {trial.number: trial.about["value"] for trial in done.places[0].trials}
    assert done.places[0].score == (scores[1] + scores[3]) / 2
    stages: list[str] = []
    assert scores[1] == judge(trained[1], lambda what, done=0, total=0: stages.append(what))["score"]
    assert len(set(stages)) == len(stages) > 2
    assert [trial.state for trial in done.places[1].trials] == ["failed"] * 2
    assert "a loss is NaN or infinite" in done.places[1].trials[0].about["reason"]
    assert "trial 2 of 4: seed 0, discriminator_optimizer.learning_rate 0.001" in reporter.lines
    assert any(text.startswith("trial-0000 failed: a loss is NaN or infinite") for text in reporter.lines)
    assert any(text.startswith("trial-0001: distance ") for text in reporter.lines)
    assert reporter.lines.count("only a few") == 1, "not for each trial"

    before = {path: path.stat().st_mtime_ns for run in trained for path in run.path.rglob("*")}
    again = sweeping.resume(tmp_path / "s", reporter=reporter)
    assert again == done, "nothing is left to do, and what failed would fail again"
    assert {path: path.stat().st_mtime_ns for run in trained for path in run.path.rglob("*")} == before
    with pytest.raises(ResumeError, match=r"seed was 0,1 and is now 0,2"):
        sweeping.sweep(recipe, {"seed": (0, 2), rate: (1e30, 1e-3)}, out=tmp_path / "s", batch_size=10)


def test_drawn_trials_are_the_same_whenever_they_are_drawn(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "train", lambda recipe, out, **options: pytest.fail("not needed"))
    wanted = {RATE: Range(1e-5, 1e-1), "latent_size": Range(4, 16)}
    for name in ("a", "b"):
        with pytest.raises(pytest.fail.Exception):
            sweeping.sweep(recipe, wanted, trials=5, draw_seed=3, out=tmp_path / name, reporter=Silence())
    drawn = SweepFolder(tmp_path / "a").setup()
    assert drawn == SweepFolder(tmp_path / "b").setup() and len(drawn.points) == 5


@pytest.mark.ci
def test_another_error_ends_the_sweep_and_gives_the_trial_back(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(run: Run, reporter: Reporter) -> dict[str, Any]:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr(sweeping, "judge_with_progress", broken)
        with pytest.raises(ZeroDivisionError):
            sweeping.sweep(recipe, {"seed": (0, 1)}, out=tmp_path / "s", reporter=Silence())
    assert optuna_states(tmp_path / "s") == ["WAITING"]
    done = sweeping.resume(tmp_path / "s", reporter=Silence())
    assert {trial.state for place in done.places for trial in place.trials} == {"finished"}
    assert count(runs(tmp_path / "s")[0], "finished") == 1, "it was trained before, and only judged now"


@pytest.mark.ci
def test_what_was_killed_before_there_was_a_run_begins_anew(recipe: Recipe, tmp_path: Path) -> None:
    (tmp_path / "s" / "trial-0001" / "grids").mkdir(parents=True)
    checksummed.write(tmp_path / "s" / "trial-0001" / "environment.json", {"device": "CPU"})
    with pytest.raises(RunError, match="neither empty nor a sweep"):
        sweeping.sweep(recipe, {"seed": (0, 1)}, out=tmp_path / "s", reporter=Silence())
    (tmp_path / "s" / "trial-0001").rename(tmp_path / "kept")
    reporter = Teller()
    reporter.at["trial 2 of 2"] = lambda: (tmp_path / "kept").rename(tmp_path / "s" / "trial-0001")
    done = sweeping.sweep(recipe, {"seed": (0, 1)}, out=tmp_path / "s", reporter=reporter)
    assert {trial.state for place in done.places for trial in place.trials} == {"finished"}


@pytest.mark.ci
def test_without_a_folder_an_unfinished_sweep_goes_on_and_a_finished_one_does_not(
    recipe: Recipe, tmp_path: Path
) -> None:
    reporter, before = Teller(), signal.getsignal(signal.SIGINT)
    reporter.at["trial 1 of 2"] = lambda: signal.raise_signal(signal.SIGINT)
    first = sweeping.sweep(recipe, {"seed": (0, 1)}, sweeps=tmp_path, reporter=reporter)
    assert first.stopped and first.best is None and len(reporter.lines) >= 1
    assert [run.ended() for run in runs(first.path)] == ["stopped"]
    other = sweeping.sweep(recipe, {"seed": (0, 2)}, sweeps=tmp_path, reporter=Silence())
    assert other.path != first.path
    second = sweeping.sweep(recipe, {"seed": (0, 2)}, sweeps=tmp_path, reporter=Silence())
    assert second.path not in (first.path, other.path), "that one was finished"
    assert signal.getsignal(signal.SIGINT) is before


def test_a_stopped_sweep_of_an_older_version_is_found_again_and_goes_on(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C comes while a run is finished off: it is judged all the same, but the next one is not begun."""
    with monkeypatch.context() as patched:
        patched.setattr("sparring.reports.plots.write_plots", lambda run: signal.raise_signal(signal.SIGINT))
        first = sweeping.sweep(recipe, {"ema_half_life": (0.0, 3.0)}, sweeps=tmp_path, reporter=Silence())
    assert first.stopped and [run.ended() for run in runs(first.path)] == ["finished"]
    assert first.places[0].finished[0].number == 0
    folder = SweepFolder(first.path)
    assert b"ema_half_life" not in folder.journal.read_bytes(), "it has the names that it would have had before"
    setup = checksummed.read(folder.setup_file)
    points = [with_old_names(point) for point in setup["points"]]
    older = {"recipe": with_old_names(setup["recipe"]), "space": with_old_names(setup["space"]), "points": points}
    checksummed.write(folder.setup_file, setup | older)
    second = sweeping.sweep(recipe, {"ema_half_life": (0.0, 3.0)}, sweeps=tmp_path, reporter=Silence())
    assert second.path == first.path and not second.stopped
    assert [run.recipe().ema_half_life for run in runs(first.path)] == [0.0, 3.0]
    assert [count(run, "finished") for run in runs(first.path)] == [1, 1]
    assert optuna_states(first.path) == ["COMPLETE"] * 2


# -------------------------------------------------------------------------------------------------- refused


def test_what_cannot_be_trained_or_judged_is_refused_before_anything_is_made(recipe: Recipe, tmp_path: Path) -> None:
    for wanted, settings, kind, sentence in (
        (
            {"seed": (0, 1)},
            {"validation": 0.0},
            RecipeError,
            r"needs 50 of them or more; validation 0 of 200 images is 0",
        ),
        ({"seed": (0, 1)}, {"validation": 0.2}, RecipeError, r"validation 0.2 of 200 images is 40"),
        ({"batch_size": (20, 141)}, {}, DataError, r"holds 140 images to train on, but a step takes 141"),
        ({"batch_size": (20, 0)}, {}, RecipeError, r"the trial with batch_size 0 is impossible: batch_size must be"),
        ({"batch_sise": (20, 10)}, {}, RecipeError, r"has no setting 'batch_sise'; did you mean 'batch_size'"),
    ):
        with pytest.raises(kind, match=sentence):
            sweeping.sweep(recipe, wanted, out=tmp_path / "s", reporter=Silence(), **settings)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_without_optuna_one_is_told_what_to_install(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(
        MissingExtra, match=r"needs the package optuna; install it with: pip install 'sparring\[sweep\]'"
    ):
        sweeping.sweep(recipe, {"seed": (0, 1)}, out=tmp_path / "s")


# ----------------------------------------------------------------------------------------------- the command


@pytest.fixture
def words(digits: Path, tmp_path: Path) -> list[str]:
    options = (
        "mlp-256 --validation 0.3 --batch-size 10 --log-every 10 --grid-every 1000 --grid-rows 2 --grid-columns 2 "
        "--discriminator.hidden 8 --steps 1500 --data-order replacement --generator.hidden 8,8-16 "
        "--generator-optimizer.learning-rate=1e-3,3e-3"
    )
    return ["sweep", *options.split(), "--data", str(digits), "--out", str(tmp_path / "s"), "--checkpoint-seconds=0.05"]


def start(words: list[str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "sparring.cli.main", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_checkpoint(run: Run, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while checkpoint.newest_step(run.checkpoints) < 1:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.ci
def test_killed_and_then_shared_by_two_processes_each_trial_is_trained_once(words: list[str], tmp_path: Path) -> None:
    killed = start(words)
    first = Run(tmp_path / "s" / "trial-0000")
    wait_for_checkpoint(first, killed)
    killed.kill()
    killed.communicate(timeout=60)
    assert first.ended() is None and first.reached() < 1500

    both = [start(words), start(["sweep", "--resume", str(tmp_path / "s")])]
    ends = [process.communicate(timeout=400) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert all(line.startswith("trial-") for _, err in ends for line in err.splitlines()), "only slow stages are named"
    trained = runs(tmp_path / "s")
    assert [run.recipe().generator.hidden for run in trained] == [(8,), (8,), (8, 16), (8, 16)]  # type: ignore[union-attr]
    assert [count(run, "finished") for run in trained] == [1, 1, 1, 1]
    assert [count(run, "started") for run in trained] == [1, 1, 1, 1]
    assert [count(run, "resumed") for run in trained] == [1, 0, 0, 0], "it went on where it was killed"
    checksums = {run.environment()["data"]["checksum"] for run in trained}
    assert checksums == {SweepFolder(tmp_path / "s").setup().checksum}
    began = [out.count(" of 4: ") for out, _ in ends]
    assert sum(began) == 4 and min(began) >= 1, began
    assert main(["sweep", "--resume", str(tmp_path / "s"), "--json"]) == 0


def test_ctrl_c_stops_run_and_sweep_and_says_how_to_go_on(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save = checkpoint.save

    def stopping(*given: Any, **named: Any) -> Path:
        monkeypatch.setattr(checkpoint, "save", save)
        signal.raise_signal(signal.SIGINT)
        return save(*given, **named)

    monkeypatch.setattr(checkpoint, "save", stopping)
    assert main(_with_steps(words, "100000000")) == 130
    out, err = capsys.readouterr()
    assert err == "" and Run(tmp_path / "s" / "trial-0000").ended() == "stopped"
    assert out.strip().endswith(f"Go on with: sparring sweep --resume {tmp_path / 's'}")
    assert "not finished: 4 of 4 trials" in out


def _with_steps(words: list[str], steps: str) -> list[str]:
    place = words.index("--steps") + 1
    return [*words[:place], steps, *words[place + 1 :]]


@pytest.mark.ci
def test_json_is_all_that_is_printed(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*_with_steps(words, "10"), "--json"]) == 0
    out, err = capsys.readouterr()
    places = json.loads(out)
    assert [place["rank"] for place in places] == [1, 2, 3, 4]
    assert [place["score"] for place in places] == sorted(place["score"] for place in places)
    assert {tuple(place["settings"]["generator.hidden"]) for place in places} == {(8,), (8, 16)}
    assert "trial 4 of 4: generator.hidden 8-16, generator_optimizer.learning_rate 0.003" in err
    assert {Path(place["trials"][0]["run"]) for place in places} == {run.path for run in runs(tmp_path / "s")}

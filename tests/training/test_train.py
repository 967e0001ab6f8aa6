"""TRAINING: the length of chunks does not matter, runs resume bit for bit, and changed settings are refused."""

import json
import os
import shutil
import signal
import threading
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from recorder import Lines
from safetensors.numpy import load_file
from slow import later

import sparring
from sparring import data
from sparring.data import batches
from sparring.errors import CheckpointError, DataError, ResumeError, RunError, TrainingDiverged
from sparring.gan.batch import Batch
from sparring.gan.gan import make_gan
from sparring.gan.randomness import PURPOSES, random_key
from sparring.gan.state import init_state
from sparring.recipes import named_recipe
from sparring.recipes.recipe import Recipe
from sparring.runs import checkpoint
from sparring.runs.run import Run
from sparring.training import chunks, loop
from sparring.training.chunks import compile_chunk

SMALLER: dict[str, dict[str, Any]] = {
    "mlp-128": {"batch_size": 16},
    "mlp-sgd": {"generator.hidden": (16, 8), "discriminator.hidden": (8,)},
    "mlp-adam": {"generator.hidden": (16, 8), "discriminator.hidden": (8,)},
    "dcgan-tanh": {
        "batch_size": 8, "generator.dense": 16, "generator.channels": (8, 4), "discriminator.channels": (4, 8),
        "discriminator.dense": 16,
    },
    "mlp-256": {"batch_size": 16},
    "quick": {
        "batch_size": 16, "generator.dense": 16, "generator.channels": 8, "discriminator.dense": 16,
        "discriminator.channels": 8, "judge_every": 0,
    },
    "sngan": {
        "batch_size": 4, "generator.channels": 2, "discriminator.channels": 2, "discriminator_steps": 2,
        "judge_every": 0,
    },
}  # fmt: skip
"""What makes each system small without making it another one."""


def small(name: str, digits: Path, **changes: Any) -> Recipe:
    """The recipe, on few digits, with narrow networks; an epoch has about a dozen steps."""
    settings = {
        "data": str(digits),
        "steps": 20,
        "grid_every": 8,
        "log_every": 3,
        "validation": 0.0,
    } | SMALLER[name]
    return named_recipe(name).replace(**(settings | changes))


def newest_state(run: Run) -> tuple[str, dict[str, np.ndarray[Any, Any]]]:
    """(step, arrays) of the newest checkpoint."""
    newest = checkpoint.all_checkpoints(run.checkpoints)[-1]
    return newest.name, load_file(newest / checkpoint.STATE)


def assert_same_run(a: Run, b: Run) -> None:
    """Bit for bit: the whole training state, the finished generator, the grids and the curves."""
    (step_a, state_a), (step_b, state_b) = newest_state(a), newest_state(b)
    assert step_a == step_b
    assert state_a.keys() == state_b.keys()
    for name in state_a:
        assert state_a[name].tobytes() == state_b[name].tobytes(), name
    assert a.generator_weights.read_bytes() == b.generator_weights.read_bytes()
    assert [(s, p.read_bytes()) for s, p in a.all_grids()] == [(s, p.read_bytes()) for s, p in b.all_grids()]
    assert curves(a) == curves(b)


def curves(run: Run) -> list[dict[str, Any]]:
    return [
        {key: value for key, value in event.items() if key not in ("time", "seconds", "run")}
        for event in run.events()
        if event["event"] == "log"
    ]


@pytest.fixture(scope="module")
def whole(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """`mlp-256` made small, trained to its end, for all tests of this file: do not write into it."""
    return sparring.train(small("mlp-256", digits), out=tmp_path_factory.mktemp("whole") / "run")


@pytest.fixture(scope="module")
def eight_steps(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The same recipe, stopped after 8 of its 20 steps, with a checkpoint after every chunk."""
    out = tmp_path_factory.mktemp("eight") / "run"
    return sparring.train(small("mlp-256", digits), out=out, steps=8, checkpoint_seconds=0)


@pytest.fixture
def begun(eight_steps: Run, tmp_path: Path) -> Run:
    """A copy of `eight_steps` that may be changed."""
    return Run(Path(shutil.copytree(eight_steps.path, tmp_path / "begun")))


# ------------------------------------------------------------------------------------------------ chunks


@pytest.mark.parametrize("name", later(SMALLER, "mlp-128", "mlp-adam", "dcgan-tanh", "sngan", "quick"))
def test_the_length_of_the_chunks_does_not_matter(name: str, digits: Path) -> None:
    recipe = small(name, digits)
    examples = Batch(jnp.asarray(data.load(str(digits)).images))
    gan = make_gan(recipe, (28, 28, 1))
    permutation = batches.permutation(random_key(0, "permutations"), 0, len(examples.images))

    begun = jax.jit(lambda key: init_state(gan, key))(random_key(0, "weights"))

    def trained(*lengths: int) -> tuple[list[bytes], bytes]:
        state, rows = jax.tree.map(jnp.copy, begun), []  # a chunk uses its state up
        for length in lengths:
            state, some = chunk(state, examples, permutation, length)
            rows.append(some)
        arrays = checkpoint.named_arrays(state)
        return [arrays[key].tobytes() for key in sorted(arrays)], np.concatenate(rows).tobytes()

    chunk = compile_chunk(gan, begun, examples, 0)
    assert trained(6) == trained(1, 1, 1, 1, 1, 1) == trained(2, 4)
    assert trained(6) != trained(5)


def test_a_chunk_that_its_buffer_cannot_hold_is_never_asked_for(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "CHUNK_SECONDS", 1e6)
    for module in (loop, chunks):
        monkeypatch.setattr(module, "CAPACITY", 10)  # twice the interval of the log, as it is for the longest one
    recipe = small("mlp-256", digits, steps=55, grid_every=10_000, log_every=5, data_order="replacement")
    run = sparring.train(recipe, out=tmp_path / "run")
    assert newest_state(run)[1]["step"] == 55
    assert [point["step"] for point in curves(run)] == list(range(5, 56, 5))


def test_purposes_have_randomness_of_their_own() -> None:
    keys = {tuple(jax.random.key_data(random_key(seed, p)).tolist()) for seed in (0, 1) for p in PURPOSES}
    assert len(keys) == 2 * len(PURPOSES)


# ------------------------------------------------------------------------------------------------ resume


@pytest.mark.parametrize("name", later(SMALLER, "mlp-128", "mlp-sgd", "dcgan-tanh", "sngan", "quick"))
def test_ten_and_ten_steps_are_twenty_bit_for_bit(
    name: str, digits: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if name in ("mlp-sgd", "mlp-256"):  # one with BatchNorm and one without
        request.getfixturevalue("compiled_fully")
    recipe = small(name, digits)
    whole = sparring.train(recipe, out=tmp_path / "whole")
    sparring.train(recipe, out=tmp_path / "parts", steps=10)
    assert newest_state(Run(tmp_path / "parts"))[0] == "00000010"
    parts = sparring.train(recipe, out=tmp_path / "parts")
    (_, state_whole), (_, state_parts) = newest_state(whole), newest_state(parts)
    for array in state_whole:
        assert state_whole[array].tobytes() == state_parts[array].tobytes(), array
    assert whole.generator_weights.read_bytes() == parts.generator_weights.read_bytes()


def test_neither_the_thread_nor_the_number_of_checkpoints_changes_a_run_but_the_seed_does(
    whole: Run, digits: Path, tmp_path: Path
) -> None:
    recipe, often = small("mlp-256", digits), Run(tmp_path / "often")
    options = {"out": often.path, "checkpoint_seconds": 0}
    thread = threading.Thread(target=sparring.train, args=(recipe,), kwargs=options)
    thread.start()
    thread.join()
    assert_same_run(often, whole)
    saves = {run: [e["step"] for e in run.events() if e["event"] == "checkpoint"] for run in (often, whole)}
    assert len(saves[often]) > 2
    assert len(set(saves[often])) == len(saves[often]), "a step was saved twice"
    assert saves[whole] == [20]
    other = sparring.train(recipe, out=tmp_path / "other", seed=1)
    assert other.generator_weights.read_bytes() != whole.generator_weights.read_bytes()


class StopAt(Lines):
    """Sends this process a signal when training reaches a step, as Ctrl-C or a scheduler does."""

    def __init__(self, step: int, number: int = signal.SIGINT) -> None:
        super().__init__()
        self.step, self.number = step, number

    def progress(self, step: int, values: dict[str, float]) -> None:
        if step >= self.step:
            self.step = 10**9
            os.kill(os.getpid(), self.number)


@pytest.fixture
def short_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A chunk ends at each log point, so that a stop leaves something to train."""
    monkeypatch.setattr(loop, "CHUNK_SECONDS", 0)


@pytest.mark.usefixtures("with_plots", "short_chunks")
@pytest.mark.parametrize("number", later([signal.SIGINT, signal.SIGTERM], signal.SIGINT))
def test_a_signal_ends_a_run_cleanly_and_it_goes_on_as_if_nothing_was(whole: Run, tmp_path: Path, number: int) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    stopped = sparring.train(whole.recipe(), out=tmp_path / "stopped", reporter=StopAt(5, number))
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    assert stopped.ended() == "stopped"
    assert 5 <= stopped.reached() < 20
    for file in (stopped.generator_weights, stopped.losses_plot, stopped.accuracy_plot, stopped.animation):
        assert file.is_file()
    resumed = sparring.resume(stopped.path)
    assert resumed.ended() == "finished"
    assert_same_run(resumed, whole)


@pytest.mark.usefixtures("short_chunks")
def test_the_same_command_goes_on_with_the_newest_unfinished_run(digits: Path, tmp_path: Path) -> None:
    recipe = small("mlp-256", digits)
    runs = tmp_path / "runs"
    stopped = sparring.train(recipe, runs=runs, reporter=StopAt(3))
    again = sparring.train(recipe, runs=runs, reporter=StopAt(stopped.reached() + 3))
    assert again.path == stopped.path
    assert again.ended() == "stopped"
    other = sparring.train(recipe.replace(seed=1, steps=5), runs=runs)
    assert other.path != stopped.path


def test_a_finished_run_is_not_begun_again(whole: Run, digits: Path, tmp_path: Path) -> None:
    recipe = small("mlp-256", digits)
    first = Run(Path(shutil.copytree(whole.path, tmp_path / "runs" / "mlp-256-20260101-000000")))
    assert sparring.train(recipe, runs=first.path.parent).path != first.path
    events = first.events_file.read_bytes()
    reporter = Lines()
    sparring.train(recipe, out=first.path, reporter=reporter)
    assert first.events_file.read_bytes() == events
    assert reporter.lines == [f"{first.path} is finished: it has done 20 of 20 steps"]


def test_a_resumed_run_takes_other_settings_of_the_display_and_reports_them(
    whole: Run, begun: Run, digits: Path
) -> None:
    recipe, before = small("mlp-256", digits), [event["seconds"] for event in begun.events() if "seconds" in event]
    shown: dict[str, Any] = {"grid_every": 5, "grid_rows": 2, "grid_columns": 3, "log_every": 4}
    reporter = Lines()
    resumed = sparring.train(recipe, out=begun.path, reporter=reporter, **shown)
    (line,) = [text for text in reporter.lines if "instead of" in text]
    assert all(f"{name} is {value} instead of {getattr(recipe, name)}" in line for name, value in shown.items())
    assert [step for step, _ in resumed.all_grids()] == [0, 8, 10, 15, 20]
    logged = [event for event in resumed.events() if event["event"] == "log"]
    assert [event["step"] for event in logged] == [3, 6, 8, 10, 12, 15, 16, 20]
    seconds = [event["seconds"] for event in logged]
    assert seconds == sorted(seconds) and seconds[-1] > max(before), "they go on from those of before"
    assert_same_generator(resumed, whole)
    assert resumed.recipe() == recipe, "so that the digest in its checkpoints stays"
    assert json.loads(resumed.recipe_file.read_bytes())["steps"] == 20
    assert sparring.resume(resumed.path, steps=22).ended() == "finished"


def test_the_newest_run_that_cannot_be_read_is_reported(digits: Path, tmp_path: Path) -> None:
    recipe = small("mlp-256", digits, steps=3)
    broken = Run(tmp_path / "mlp-256-20260101-000000")
    broken.path.mkdir()
    broken.recipe_file.write_text("{")
    reporter = Lines()
    assert sparring.train(recipe, runs=tmp_path, reporter=reporter).path != broken.path
    assert [text for text in reporter.lines if f"{broken.path} cannot be resumed" in text and "recipe.json" in text]


def test_a_damaged_newest_checkpoint_costs_only_the_steps_since_the_one_before_and_a_stray_file_nothing(
    whole: Run, begun: Run, digits: Path
) -> None:
    recipe, reporter = small("mlp-256", digits), Lines()
    sparring.train(recipe, out=begun.path, steps=16)
    (begun.checkpoints / "00000016" / checkpoint.STATE).write_bytes(b"noise")
    (begun.checkpoints / "00000008" / ".DS_Store").touch()
    sparring.train(recipe, out=begun.path, reporter=reporter)
    assert reporter.lines[0].startswith("skipped the checkpoint ") and "00000016" in reporter.lines[0]
    assert reporter.lines[1] == f"resuming {begun.path} after step 8"
    assert newest_state(begun)[1].keys() == newest_state(whole)[1].keys()
    assert_same_generator(begun, whole)


def test_a_run_that_can_use_none_of_its_checkpoints_is_not_begun_anew_unless_they_are_removed(
    whole: Run, begun: Run, digits: Path
) -> None:
    recipe = small("mlp-256", digits)
    for damaged in checkpoint.all_checkpoints(begun.checkpoints):
        (damaged / checkpoint.MANIFEST).unlink()
        (damaged / "notes.txt").touch()
    before = {path: path.read_bytes() for path in begun.path.rglob("*") if path.is_file()}
    with pytest.raises(CheckpointError, match=r"no checkpoint in .* is whole") as stopped:
        sparring.train(recipe, out=begun.path)
    assert len(checkpoint.all_checkpoints(begun.checkpoints)) > 1
    assert all(path.name in str(stopped.value) for path in checkpoint.all_checkpoints(begun.checkpoints))
    assert "--out" in str(stopped.value) and f"remove {begun.checkpoints}" in str(stopped.value)
    after = {path: path.read_bytes() for path in begun.path.rglob("*") if path.is_file()}
    assert {path for path in after if after[path] != before.get(path)} <= {begun.events_file}
    shutil.rmtree(begun.checkpoints)
    begun.events_file.write_text(json.dumps({"event": "log", "step": 3, "run": begun.id}) + '\n{"event": "lo')
    assert_same_run(sparring.train(recipe, out=begun.path), whole)


def assert_same_generator(a: Run, b: Run) -> None:
    assert a.generator_weights.read_bytes() == b.generator_weights.read_bytes()


# ------------------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 64}, "batch_size was 16 and is now 64"),
        ({"generator_optimizer.learning_rate": 1e-4}, "generator_optimizer.learning_rate was 0.0003 and is now 0.0001"),
        ({"generator.hidden": (8, 8)}, r"generator.hidden was \[256\] and is now \[8, 8\]"),
        ({"seed": 5, "data_order": "slice"}, "data_order was 'shuffle' and is now 'slice'; seed was 0 and is now 5"),
    ],
)
def test_a_changed_setting_is_refused_with_both_values(
    whole: Run, digits: Path, changes: dict[str, Any], message: str
) -> None:
    before = {path: path.read_bytes() for path in whole.path.rglob("*") if path.is_file()}
    with pytest.raises(ResumeError, match=message):
        sparring.train(small("mlp-256", digits, **changes), out=whole.path)
    assert {path: path.read_bytes() for path in whole.path.rglob("*") if path.is_file()} == before


def test_fewer_steps_than_are_done_are_refused(whole: Run, digits: Path) -> None:
    with pytest.raises(ResumeError, match="has already done 20 steps, more than the 19 asked for"):
        sparring.train(small("mlp-256", digits), out=whole.path, steps=19)
    assert whole.recipe().steps == 20


def test_changed_data_are_refused(whole: Run, digits: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(digits, tmp_path / "data")
    images = next(path for path in folder.iterdir() if "train-images" in path.name)
    content = bytearray(images.read_bytes())
    content[-1] ^= 1
    images.write_bytes(content)
    with pytest.raises(ResumeError, match=r"cannot resume with other images: they were .* and are now "):
        sparring.train(small("mlp-256", folder), out=whole.path, steps=22)


def test_a_folder_of_other_things_is_refused(digits: Path, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear reader")
    with pytest.raises(RunError, match="neither empty nor a run"):
        sparring.train(small("mlp-256", digits), out=tmp_path)
    with pytest.raises(RunError, match="is a file"):
        sparring.train(small("mlp-256", digits), out=tmp_path / "letter.txt")


def test_two_trainings_of_one_run_are_refused(digits: Path, tmp_path: Path) -> None:
    run = Run(tmp_path)
    with run.lock(), pytest.raises(RunError, match="another process is training"):
        sparring.train(small("mlp-256", digits), out=tmp_path)


def test_too_few_images_for_a_batch_are_refused(digits: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds 192 images .8 more are validation images., but a step takes 201"):
        sparring.train(small("mlp-256", digits, batch_size=201, validation=0.04), out=tmp_path)


# ------------------------------------------------------------------------------------------------ what is left


def test_the_run_directory_holds_what_it_promises(tiny_run: Run) -> None:
    assert {path.name for path in tiny_run.path.iterdir()} == {
        "recipe.json", "recipe.copy.json", "environment.json", "environment.copy.json", "events.jsonl", "grids",
        "losses.png", "accuracy.png", "training.gif",
        "checkpoints", "generator.safetensors", "generator.json", "lock",
    }  # fmt: skip
    assert [step for step, _ in tiny_run.all_grids()] == [0, 10, 20, 30]
    assert tiny_run.real_grid.is_file()
    assert tiny_run.ended() == "finished"
    kinds = [event["event"] for event in tiny_run.events()]
    assert kinds.count("log") == 6
    assert kinds.count("grid") == 4


def test_curves_are_finite_means_of_sane_size(tiny_run: Run) -> None:
    for point in curves(tiny_run):
        assert np.isfinite([point["d_loss"], point["g_loss"]]).all()
        assert all(0 <= point[name] <= 1 for name in ("accuracy_real", "accuracy_fake", "d_real", "d_fake"))


@pytest.mark.ci
def test_a_diverging_training_ends_with_the_reason_and_keeps_its_checkpoint(digits: Path, tmp_path: Path) -> None:
    recipe = small("mlp-sgd", digits, steps=400, **{"generator_optimizer.learning_rate": 1e30})
    with pytest.raises(TrainingDiverged, match="a loss is NaN or infinite at step"):
        sparring.train(recipe, out=tmp_path / "run", checkpoint_seconds=0)
    run = Run(tmp_path / "run")
    assert run.ended() == "failed"
    for saved in checkpoint.all_checkpoints(run.checkpoints):
        assert all(np.isfinite(array).all() for array in load_file(saved / checkpoint.STATE).values())

"""THE BENCHMARKS: that the peers train both of their networks, and what the comparison makes of its rounds."""

import json
import os
import re
import statistics
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import compare
import numpy as np
import pytest
import quality
import scaling
import stacked as stacked_benchmark
import streaming
from compare import Comparison, Turn, Worker, WorkerError
from slow import later

from sparring import data
from sparring.data.named import stacked
from sparring.evaluation import protocol
from sparring.recipes import RECIPES, named_recipe
from sparring.reports import measure as measuring
from sparring.terminal.progress import duration
from sparring.training import benchmark as speed
from sparring.training.operations import step_operations

BENCHMARKS = Path(compare.__file__).parent

WORKER = """\
import sys
sys.path.insert(0, {peers!r})
import numpy as np, worker
arrays = {{"generator.a": np.zeros((2, 2)), "discriminator.a": np.zeros((2, 2))}}
def run(steps):
    print("what a library prints is no answer")
    for name in {trained!r}:
        arrays[name] += steps
    return 0.5, 1.5
def copies():
    return {{name: array.copy() for name, array in arrays.items()}}
worker.serve(lambda images: worker.Loop(run, copies, {{"made-up": "1"}}), {images!r}, warm_up=3)
"""


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A file of random pixels."""
    path = tmp_path / "images.npy"
    np.save(path, speed.random_pixels(count=200)[..., 0])
    return path


def made_up(images: Path, trained: tuple[str, ...] = ("generator.a", "discriminator.a")) -> list[str]:
    code = WORKER.format(peers=str(BENCHMARKS / "peers"), images=str(images), trained=trained)
    return [sys.executable, "-c", code]


# ------------------------------------------------------------------------------------------------ the worker


def test_a_worker_runs_the_steps_that_it_is_told(images: Path) -> None:
    worker = Worker("made-up", made_up(images))
    assert worker.versions == {"made-up": "1"}
    for steps in (5, 7):
        answer = worker.turn(steps)
        assert answer["seconds"] > 0
        assert (answer["d_loss"], answer["g_loss"]) == (0.5, 1.5)
        assert answer["others"] is None or answer["others"] >= 0
    worker.end()


def test_a_worker_that_does_not_train_both_networks_is_refused(images: Path) -> None:
    with pytest.raises(WorkerError, match="does not train its discriminator"):
        Worker("made-up", made_up(images, trained=("generator.a",)))


def test_a_worker_that_fails_says_why(images: Path) -> None:
    with pytest.raises(WorkerError, match=r"(?s)ended with status 1.*lacking"):
        Worker("made-up", [sys.executable, "-c", "import lacking"])


def test_workers_are_timed_in_turn(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare, "PAUSE", 0.0)
    workers = {name: Worker(name, made_up(images)) for name in ("ours", "one", "other")}
    monkeypatch.setattr(compare, "_steps_in", lambda worker, seconds: 10)
    found = compare.compare("mlp-256", workers, rounds=2, seconds=0.001)
    assert [comparison.peer for comparison in found] == ["one", "other"]
    for comparison in found:
        assert len(comparison.ours) == len(comparison.theirs) >= 2
        assert comparison.versions == {"made-up": "1"}
    for worker in workers.values():
        worker.end()


# ------------------------------------------------------------------------------------------------ the comparison


def comparison(ours: list[tuple[float, float]], theirs: list[tuple[float, float]]) -> Comparison:
    """Milliseconds and the share that others used, of each round."""
    return Comparison(
        "mlp-256", "torch", {}, [Turn(t, o, product_rate=400) for t, o in ours], [Turn(t, o) for t, o in theirs]
    )


def test_ratios_are_of_the_quiet_rounds() -> None:
    found = comparison([(1, 0), (2, 0.01), (1, 0), (1, 0.5), (1, 0)], [(4, 0), (4, 0), (3, 0), (99, 0), (99, 0.3)])
    assert found.ratios == [2, 3, 4]
    assert found.row() == ["mlp-256", "torch", "1", "4", "3.00", "2.00 to 4.00", "3", "400"]


def test_too_few_quiet_rounds_say_so() -> None:
    found = comparison([(1, 0), (1, 0), (1, 0.9)], [(2, 0), (3, 0), (9, 0)])
    assert found.ratios == [2, 3, 9]
    assert found.row()[6] == "3, busy"
    assert found.to_json()["quiet_rounds"] == 2
    assert found.to_json()["ratio"] == statistics.median(found.ratios)


def test_the_table_is_markdown() -> None:
    lines = compare.table([comparison([(1, 0)], [(2, 0)])]).splitlines()
    assert len(lines) == 3
    assert len({line.count("|") for line in lines}) == 1


# ------------------------------------------------------------------------------------------------ the peers


def answers(script: str, images: Path, *words: str, **environment: str) -> list[dict[str, Any]]:
    """What the peer answers when it is told to run twice."""
    command = [sys.executable, str(BENCHMARKS / "peers" / script), words[0], str(images), *words[1:]]
    ended = subprocess.run(
        command,
        input="2\n1\n",
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=os.environ | environment,
    )
    assert ended.returncode == 0, ended.stderr
    return [json.loads(line) for line in ended.stdout.splitlines()]


def check(found: list[dict[str, Any]]) -> None:
    ready, *turns = found
    assert set(ready["changed"]) == {"generator", "discriminator"}
    assert min(ready["changed"].values()) > 0
    assert len(turns) == 2
    assert turns[0]["d_loss"] != turns[1]["d_loss"]
    assert turns[0]["g_loss"] != turns[1]["g_loss"]


def test_our_worker_trains(images: Path) -> None:
    found = answers("ours.py", images, "mlp-256")
    check(found)
    assert found[1]["product_rate"] > 1


@pytest.mark.parity
@pytest.mark.skipif(find_spec("torch") is None, reason="needs torch")
@pytest.mark.parametrize(
    "recipe", ["mlp-256", *(pytest.param(name, marks=pytest.mark.long) for name in ("mlp-sgd", "mlp-adam"))]
)
@pytest.mark.ci
def test_the_torch_peer_trains(images: Path, recipe: str) -> None:
    check(answers("torch_peer.py", images, recipe))


@pytest.mark.parity
@pytest.mark.skipif(find_spec("torch") is None, reason="needs torch")
@pytest.mark.parametrize("recipe", later(["mlp-128", "mlp-sgd", "mlp-adam", "mlp-256"], "mlp-sgd", "mlp-adam"))
def test_the_compiled_torch_peer_learns_the_same(recipe: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    import torch_peer

    def trained(how: str, steps: int) -> dict[str, np.ndarray]:
        torch.manual_seed(0)
        loop = torch_peer.make(recipe, how, speed.random_pixels(count=200)[..., 0])
        if steps:
            loop.run(steps)
        return {name: array for name, array in loop.arrays().items() if array.ndim > 1}

    monkeypatch.setattr(torch, "compile", lambda function, **_: function)  # its arithmetic, without the compiler
    first, eager, compiled = trained("eager", 0), trained("eager", 3), trained("compiled", 3)
    assert eager.keys() == compiled.keys()
    for name, array in eager.items():
        assert np.abs(array - compiled[name]).mean() < 0.001 * np.abs(array - first[name]).mean(), name


@pytest.mark.ci
@pytest.mark.parity
@pytest.mark.skipif(find_spec("keras") is None, reason="needs keras")
def test_the_keras_peer_trains(images: Path) -> None:
    check(answers("keras_peer.py", images, "mlp-128", KERAS_BACKEND="jax"))


# ------------------------------------------------------------------------------------------------ the scaling


def test_the_lines_of_the_scaling_are_what_they_say() -> None:
    assert [case.recipe.batch_size for case in scaling.batch()][:9] == [16 * 2**i for i in range(9)]
    assert len(list(scaling.width())) == 7
    counts = [step_operations(case.recipe, case.image_shape) for case in scaling.size()]
    assert counts[:3] == sorted(counts[:3])
    assert counts[3:] == sorted(counts[3:])


def test_the_scaling_prints_markdown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def measure(recipe: Any, shape: Any, **_: Any) -> speed.Speed:
        return speed.Speed(recipe.name, 4_000_000, recipe.real_batch_size, 10, (2.0, 1.0), (10, 10))

    monkeypatch.setattr(speed, "measure", measure)
    monkeypatch.setattr(sys, "argv", ["scaling.py", "--tables", "width", "--json", str(tmp_path / "s.json")])
    scaling.main()
    out = capsys.readouterr().out
    assert "| mlp-256 | 64 neurons | 1.5 | 1 to 2 | 46.9 | 4 | 3 | 30% |" in out
    assert len(json.loads((tmp_path / "s.json").read_text())) == 7


# ------------------------------------------------------------------------------------------------ the leaderboard


def trained_by(module: Any, words: str, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """(recipe, steps) of what that benchmark would train first to last, and what else of them it sets."""
    asked: list[tuple[Any, ...]] = []

    def judged(out: Path, recipe: str, *, steps: int, seed: int, **other: Any) -> None:
        asked.append((recipe, steps, *([other] if module is quality and other else [])))

    monkeypatch.setattr(module, "judged", judged)
    monkeypatch.setattr(module.comparison, "check_comparable", lambda _: sys.exit())
    monkeypatch.setattr(sys, "argv", [module.__name__, "--out", "nowhere", *words.split()])
    with pytest.raises(SystemExit):
        module.main()
    return asked


@pytest.mark.parametrize("module", [quality, stacked_benchmark])
def test_leaderboards_take_no_hours_unless_asked_to(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = trained_by(module, "", monkeypatch)
    assert usual[::3] == [
        (name, named_recipe(name).steps) for name in ("quick", "mlp-128", "mlp-sgd", "mlp-adam", "mlp-256")
    ]
    assert usual[0] == usual[2] and len(usual) == 3 * 5, "three seeds"
    assert trained_by(module, "--recipes good", monkeypatch) == [("good", 16_000)] * 3
    assert trained_by(module, "--recipes dcgan-tanh --steps 900", monkeypatch) == [("dcgan-tanh", 900)] * 3


def test_the_leaderboard_is_of_other_data_and_of_classes_where_that_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    clothes = trained_by(quality, "--recipes good --data fashion-mnist --conditional", monkeypatch)
    assert clothes == [("good", 16_000, {"data": "fashion-mnist", "conditional": True})] * 3


@pytest.mark.parametrize("module", [quality, stacked_benchmark])
def test_their_help_tells_how_long_each_recipe_takes(
    module: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [module.__name__, "--help"])
    with pytest.raises(SystemExit):
        module.main()
    shown = [line.split() for line in capsys.readouterr().out.splitlines()]
    for name in RECIPES:
        assert [name, *duration(named_recipe(name).expected_seconds).split()] in shown


# ------------------------------------------------------------------------------------------------ stacked MNIST


@pytest.mark.ci
def test_the_table_of_stacked_mnist_has_a_row_a_recipe_and_every_figure(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two recipes, cut short, on few digits; a second time nothing is done again."""
    load = data.load
    monkeypatch.setattr(stacked, "load_named", lambda name, split: load(str(digits)))
    monkeypatch.setattr(stacked, "COUNTS", {"train": 300, "test": 60})
    monkeypatch.setattr(protocol, "frechet_error", lambda features, reference: 0.1)
    words = ["stacked.py", "--out", str(tmp_path), "--recipes", "mlp-256,mlp-128", "--steps", "2", "--seeds", "1"]
    monkeypatch.setattr(sys, "argv", words)
    stacked_benchmark.main()
    out = capsys.readouterr().out
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in out.splitlines() if line.startswith("|")]
    assert lines[0] == ["recipe", "training", "modes", "divergence of modes", "clear pictures", "distance / floor"]
    assert {line[0] for line in lines[2:-1]} == {f"mlp-{n}, 2 steps (seed 1)" for n in (128, 256)}
    assert lines[-1][0] == "real images" and int(lines[-1][2]) > 50
    for figure in (
        "288 of 300 stacked images",
        "288 samples",
        "26,000",
        "natural logarithm",
        "99.62%",
        "60 test images",
    ):
        assert figure in out
    assert (tmp_path / "stacked.md").read_text() == out[out.index("| recipe") :]
    monkeypatch.setattr(measuring, "measure", lambda path: pytest.fail("measured again"))
    stacked_benchmark.main()


def test_an_unknown_recipe_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["stacked.py", "--out", "x", "--recipes", "mlp-128,mlp"])
    with pytest.raises(SystemExit):
        stacked_benchmark.main()
    assert "there is no recipe 'mlp', only quick, good" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------ streaming


def test_the_table_of_windows_has_both_ways_and_their_ratio(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(streaming, "SIDE", 16)
    monkeypatch.setattr(streaming, "SECONDS", 0.01)
    words = ["streaming.py", "mlp-256", "--images", "3000", "--window", "1", "--rounds", "2"]
    monkeypatch.setattr(sys, "argv", words)
    streaming.main()
    *_, line = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"\| mlp-256 \| 21 \| [\d.]+ ms \| [\d.]+ ms \| x [\d.]+ \([\d.]+-[\d.]+\) \|", line)
    for wrong, said in (("mlp", "there is no recipe 'mlp'"), ("mlp-256", "fit into 900 MiB")):
        monkeypatch.setattr(sys, "argv", ["streaming.py", wrong, "--images", "1000", "--window", "900"])
        with pytest.raises(SystemExit):
            streaming.main()
        assert said in capsys.readouterr().err

"""SIGKILL at random moments: the run always resumes, and ends the same, bit for bit."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import COMPILED

from sparring.runs import checkpoint
from sparring.runs.run import Run

WORDS = [
    "--log-every", "10", "--grid-every", "500", "--batch-size", "16",
    "--checkpoint-seconds", "0.05",
]  # fmt: skip


@pytest.fixture
def compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of compiled programs that only these processes use, for who is killed may leave half a program. It has
    what other tests have compiled."""
    with contextlib.suppress(OSError):  # there is nothing yet, or another process was just writing it
        shutil.copytree(COMPILED, tmp_path / "compiled", dirs_exist_ok=True)
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "compiled"))


RECIPES = {
    "mlp-256": ["mlp-256"],
    "mlp-sgd": ["mlp-sgd", "--discriminator.hidden", "64"],
    "conditional quick": ["quick", "--conditional", "--generator.channels", "8", "--discriminator.channels", "8"],
    "lsgan": ["lsgan", "--generator.channels", "8", "--discriminator.channels", "8"],
}
STEPS = {"mlp-256": 300, "mlp-sgd": 80, "conditional quick": 60, "lsgan": 60}
"""For each kill, so that it does not come to its end before."""
LONG = int(os.environ.get("SPARRING_TEST_KILLS", "60"))
"""Kills of each recipe in the long test."""


def start(run: Run, *words: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "sparring.cli.main", "train", *words, *WORDS, "--out", str(run.path)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def train_to_the_end(run: Run, *words: str) -> None:
    process = start(run, *words)
    _, errors = process.communicate(timeout=900)
    assert process.returncode == 0, errors.decode()


def wait_for_progress(run: Run, process: subprocess.Popen[bytes], event: str) -> None:
    """Wait until the process has logged or saved something, so that the kill falls into training, not into start-up."""
    began, deadline = time.time(), time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        if any(found["event"] == event and found["time"] > began for found in run.events()):
            return
        time.sleep(0.005)


@pytest.mark.parametrize(
    ("recipe", "kills"),
    [
        pytest.param("mlp-256", 2, marks=pytest.mark.ci),
        *(pytest.param(name, LONG, marks=pytest.mark.long) for name in RECIPES),
    ],
)
def test_a_run_that_is_killed_again_and_again_ends_like_one_that_is_not(
    recipe: str, kills: int, digits: Path, tmp_path: Path, compiled: None
) -> None:
    chance = random.Random(int(os.environ.get("SPARRING_TEST_SEED", "0")))
    whole, run = Run(tmp_path / "whole"), Run(tmp_path / "killed")
    words = (*RECIPES[recipe], "--data", str(digits), "--steps", str(max(1500, STEPS[recipe] * kills)))
    train_to_the_end(whole, *words)

    reached = [-1]
    for kill in range(kills):
        process = start(run, *words)
        if kill % 5 == 4:  # one in five while it starts, or resumes
            time.sleep(chance.uniform(0, 3))
        else:
            wait_for_progress(run, process, "checkpoint" if kill % 2 else "log")
            time.sleep(chance.expovariate(1 / 0.1))
        process.send_signal(signal.SIGKILL)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL, f"it ended before kill {kill}: {errors.decode()}"
        reached.append(checkpoint.newest_step(run.checkpoints))
        assert reached[-1] >= reached[-2], "a checkpoint was lost"
    assert len(set(reached)) > kills // 3, "the kills hardly fell into training"

    train_to_the_end(run, *words)
    assert run.ended() == whole.ended() == "finished"
    assert run.generator_weights.read_bytes() == whole.generator_weights.read_bytes()
    last = f"{checkpoint.newest_step(whole.checkpoints):08d}/{checkpoint.STATE}"
    assert (run.checkpoints / last).read_bytes() == (whole.checkpoints / last).read_bytes()
    assert [(s, p.read_bytes()) for s, p in run.all_grids()] == [(s, p.read_bytes()) for s, p in whole.all_grids()]
    steps = [event["step"] for event in run.events() if event["event"] == "log"]
    assert steps == [event["step"] for event in whole.events() if event["event"] == "log"]

"""SIGKILL at random moments: the run always goes on, and ends as if nothing had happened, bit for bit."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import sparring
from sparring import checkpoint
from sparring.run import Run

KILLS = 20
WORDS = [
    "mlp-256", "--steps", "3000", "--log-every", "20", "--grid-every", "500", "--batch-size", "16",
    "--checkpoint-seconds", "0.05",
]  # fmt: skip


def start(run: Run, digits: Path) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", "sparring.cli", "train", *WORDS, "--data", str(digits), "--out", str(run.path)]
    environment = {key: value for key, value in os.environ.items() if key != "JAX_COMPILATION_CACHE_DIR"}
    return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment)


def wait_for_a_new_line(run: Run, process: subprocess.Popen[bytes], deadline: float) -> None:
    """Wait until the process has begun to write events, so that kills fall into training and not only into start-up."""
    before = run.events_file.stat().st_size if run.events_file.is_file() else 0
    while process.poll() is None and time.monotonic() < deadline:
        if run.events_file.is_file() and run.events_file.stat().st_size > before:
            return
        time.sleep(0.002)


def test_a_run_that_is_killed_again_and_again_ends_like_one_that_is_not(digits: Path, tmp_path: Path) -> None:
    chance = random.Random(int(os.environ.get("SPARRING_TEST_SEED", "0")))
    run = Run(tmp_path / "killed")
    kills, reached = 0, [0]
    while kills < KILLS:
        process = start(run, digits)
        if chance.random() < 0.8:
            wait_for_a_new_line(run, process, time.monotonic() + 60)
            time.sleep(chance.expovariate(1 / 0.15))
        else:
            time.sleep(chance.uniform(0, 4))
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        _, errors = process.communicate(timeout=60)
        assert b"Traceback" not in errors, errors.decode()
        if process.returncode == 0:
            break  # it was faster than its killers
        assert process.returncode == -signal.SIGKILL, errors.decode()
        saved = checkpoint.all_checkpoints(run.checkpoints)
        reached.append(int(saved[-1].name) if saved else 0)
        assert reached[-1] >= reached[-2], "a checkpoint was lost"
    assert kills == KILLS, f"only {kills} kills before the end"
    assert reached[-1] > 0
    last = start(run, digits)
    assert last.wait(timeout=120) == 0

    whole = sparring.train(run.recipe(), out=tmp_path / "whole")
    assert run.ended() == whole.ended() == "finished"
    assert run.generator_weights.read_bytes() == whole.generator_weights.read_bytes()
    state = checkpoint.all_checkpoints(run.checkpoints)[-1] / checkpoint.STATE
    assert state.read_bytes() == (whole.checkpoints / state.parent.name / checkpoint.STATE).read_bytes()
    assert [(s, p.read_bytes()) for s, p in run.all_grids()] == [(s, p.read_bytes()) for s, p in whole.all_grids()]
    steps = [event["step"] for event in run.events() if event["event"] == "log"]
    assert steps == [event["step"] for event in whole.events() if event["event"] == "log"]

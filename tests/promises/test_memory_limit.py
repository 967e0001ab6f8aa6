"""TOO LITTLE MEMORY: one sentence with the sizes and a batch that fits; and that batch does fit."""

import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from limits import limited

LIMIT = 3_200_000_000
"""Bytes of address space; JAX itself takes some two thousand million of them."""


def train(out: Path, data: Path, *more: str) -> subprocess.CompletedProcess[str]:
    words = ["quick", "--data", str(data), "--out", str(out), "--steps", "2", "--judge-every", "0"]
    command = [sys.executable, *limited(resource.RLIMIT_AS, LIMIT), "train", *words, *more]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """5,000 images of a pattern."""
    import numpy as np

    path = tmp_path_factory.mktemp("many") / "many.npz"
    images = np.zeros((5_000, 28, 28), np.uint8)
    images[np.arange(5_000), np.arange(5_000) % 28] = 255
    np.savez_compressed(path, images=images)
    return path


@pytest.mark.long
@pytest.mark.ci
def test_a_batch_that_does_not_fit_is_refused_and_the_one_that_is_named_fits(many: Path, tmp_path: Path) -> None:
    refused = train(tmp_path / "run", many, "--batch-size", "4096")
    assert refused.returncode == 2, refused.stderr[-3000:]
    (sentence,) = refused.stderr.strip().splitlines()
    found = re.fullmatch(
        r"sparring: a step with batches of 4,096 takes ([\d,]+) MB, and ([\d,]+) MB are free; "
        r"--batch-size (\d+) would fit \(([\d,]+) MB\)",
        sentence,
    )
    assert found is not None, sentence
    needed, free, batch, fits = (int(text.replace(",", "")) for text in found.groups())
    assert needed > free > fits and 64 <= batch < 4_096
    done = train(tmp_path / "fits", many, "--batch-size", str(batch))
    assert done.returncode == 0, done.stderr[-3000:]


def test_networks_that_do_not_fit_are_refused(many: Path, tmp_path: Path) -> None:
    refused = train(tmp_path / "run", many, "--generator.channels", "2048", "--discriminator.channels", "2048")
    assert refused.returncode == 2, refused.stderr[-3000:]
    (sentence,) = refused.stderr.strip().splitlines()
    assert re.fullmatch(r"sparring: the networks, .*, take [\d,]+ MB, and [\d,]+ MB are free: take .*", sentence), (
        sentence
    )

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


def train(out: Path, data: Path, *more: str, limit: int = LIMIT) -> subprocess.CompletedProcess[str]:
    words = ["quick", "--data", str(data), "--out", str(out), "--steps", "2", "--judge-every", "0"]
    command = [sys.executable, *limited(resource.RLIMIT_AS, limit), "train", *words, *more]
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


@pytest.mark.parametrize("limit", [LIMIT, LIMIT + 400_000_000])
def test_networks_that_do_not_fit_are_refused(many: Path, tmp_path: Path, limit: int) -> None:
    """With the first limit they do not fit, with the last they would, but making their first weights takes more."""
    wide = ("--generator.channels", "2048", "--discriminator.channels", "2048")
    refused = train(tmp_path / "run", many, *wide, limit=limit)
    assert refused.returncode == 2, refused.stderr[-3000:]
    (sentence,) = refused.stderr.strip().splitlines()
    assert re.fullmatch(r"sparring: .*networks.* takes? [\d,]+ MB.*, and [\d,]+ MB are free: take .*", sentence), (
        sentence
    )


def test_a_limit_that_leaves_no_room_to_compile_is_said(many: Path, tmp_path: Path) -> None:
    refused = train(tmp_path / "run", many, limit=2_000_000_000)
    assert refused.returncode == 2, refused.stderr[-3000:]
    (sentence,) = refused.stderr.strip().splitlines()
    assert re.fullmatch(
        r"sparring: JAX takes 800 MB of address space to compile, .* leaves [\d,]+ MB: raise it", sentence
    )

"""A FULL DISK, as a training meets it: one sentence with path and bytes, and with room again it goes on.

(`test_crash.py` has every single operation fail.)
"""

import re
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from limits import limited
from safetensors.numpy import load_file

from sparring.cli.main import main
from sparring.runs import checkpoint
from sparring.runs.run import Run

WORDS = [
    "mlp-256", "--generator.hidden", "8", "--discriminator.hidden", "8", "--batch-size", "20", "--judge-every", "0",
    "--validation", "0", "--log-every", "5", "--grid-every", "10", "--steps", "60", "--checkpoint-seconds", "0",
]  # fmt: skip
SMALL, LARGE = 700_000, 50_000_000
"""Bytes. A checkpoint of these networks has 180,000: two of them and a third in the making have room in neither."""


def words(run: Path, data: Path) -> list[str]:
    return ["train", *WORDS, "--data", str(data), "--out", str(run)]


def check_the_sentence(run: Run, data: Path, start: tuple[str, ...] = ("-m", "sparring")) -> None:
    command = [sys.executable, *start, *words(run.path, data)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 2, done.stdout + done.stderr
    (sentence,) = done.stderr.strip().splitlines()
    pattern = (
        rf"sparring: {re.escape(str(run.path))}\S* could not be written (with its|after) [\d,]+ bytes: .*free there\)"
    )
    assert re.fullmatch(pattern, sentence), sentence
    for saved in checkpoint.all_checkpoints(run.checkpoints):
        load_file(saved / checkpoint.STATE)
    assert not list(run.path.rglob(".partial-*"))


def check_it_goes_on(run: Path, data: Path, whole: Path) -> None:
    assert main(words(run, data)) == 0
    assert Run(run).generator_weights.read_bytes() == Run(whole).generator_weights.read_bytes()


@pytest.fixture(scope="module")
def whole(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that had room."""
    path = tmp_path_factory.mktemp("roomy") / "run"
    assert main(words(path, digits)) == 0
    return path


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system in memory with little room; only root can make one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SMALL}", "tmpfs", folder], capture_output=True)
    if made.returncode != 0:
        pytest.skip("a file system cannot be mounted here")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.ci
def test_on_a_full_disk_it_stops_and_with_room_it_goes_on(tiny_disk: Path, digits: Path, whole: Path) -> None:
    run = Run(tiny_disk / "run")
    check_the_sentence(run, digits)
    assert checkpoint.newest_step(run.checkpoints) > 0
    subprocess.run(["mount", "-o", f"remount,size={LARGE}", tiny_disk], check=True)
    check_it_goes_on(run.path, digits, whole)


def test_beyond_the_largest_file_it_stops_and_without_a_limit_it_goes_on(
    tmp_path: Path, digits: Path, whole: Path
) -> None:
    run = Run(tmp_path / "run")
    check_the_sentence(run, digits, limited(resource.RLIMIT_FSIZE, 100_000))
    assert checkpoint.newest_step(run.checkpoints) == -1
    check_it_goes_on(run.path, digits, whole)

"""BOMBS: files that unpack to far more than they are, checked and trained on in processes whose memory is limited.

    python benchmarks/bombs.py                    # seven million small images in each form: half an hour, 8 GB of disk
    python benchmarks/bombs.py --images 300000 --commands check

Each file is given to `sparring data check` and to `sparring train`, which have a limit of address space (RLIMIT_AS) of
so many GiB beyond what Python and JAX take. Printed are how each ends, its largest resident memory and its time. The
exit status is 1 where one ends otherwise than with status 0 or 2, or takes more memory than half of the limit allows.
"""

from __future__ import annotations

import argparse
import gzip
import io
import os
import struct
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

CHUNK = 1000
SIDE = 28
BASE = {"check": 1 << 30, "train": 6 << 30}
"""Bytes of address space that a command has with small data: JAX reserves far more than it uses."""
PROGRAM = """
import re, resource, sys
limit = int(sys.argv.pop(1))
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
from sparring.cli.main import main
status = main(sys.argv[1:])
print("peak", re.search(r"VmHWM:\\s*(\\d+)", open("/proc/self/status").read())[1], file=sys.stderr)
sys.exit(status)
"""

Maker = Callable[[Path, int], Path]


def digits(count: int, different: bool) -> Iterator[np.ndarray]:
    """Blocks of small images, all equal or with sixteen random pixels each."""
    random = np.random.default_rng(0)
    block = np.zeros((CHUNK, SIDE, SIDE), np.uint8)
    block[:, 8:20, 10:18] = 200
    if different:
        block[:, 10, 5:21] = random.integers(0, 256, (CHUNK, 16), np.uint8)
    for start in range(0, count, CHUNK):
        yield block[: min(CHUNK, count - start)]


def idx_gz(path: Path, count: int, different: bool = False) -> Path:
    """A gzipped IDX file."""
    with gzip.open(path, "wb", 6) as file:
        file.write(struct.pack(">BBBB3I", 0, 0, 8, 3, count, SIDE, SIDE))
        for block in digits(count, different):
            file.write(block.tobytes())
    return path


def npz(path: Path, count: int, dtype: str = "|u1", different: bool = False) -> Path:
    """A deflated NPZ file; floats lie in [0, 1]."""
    head = io.BytesIO()
    shape = (count, SIDE, SIDE)
    np.lib.format.write_array_header_1_0(head, {"descr": dtype, "fortran_order": False, "shape": shape})
    deflated = zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED)
    with deflated as archive, archive.open("images.npy", "w", force_zip64=True) as member:
        member.write(head.getvalue())
        for block in digits(count, different):
            member.write((block if dtype == "|u1" else (block / 255).astype(dtype)).tobytes())
    return path


def pngs(path: Path, count: int) -> Path:
    """A zip of black pictures of 9,000 x 9,000 pixels, each a few kilobytes."""
    file = io.BytesIO()
    Image.new("1", (9000, 9000)).save(file, "PNG", optimize=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for i in range(max(2, min(count // 100_000, 40))):
            archive.writestr(f"{i}.png", file.getvalue())
    return path


def nested(path: Path, count: int) -> Path:
    """A zip that holds a gzipped IDX file that is packed once more."""
    inner = gzip.compress(idx_gz(path.with_suffix(".inner"), count).read_bytes(), 9)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("train-images-idx3-ubyte.gz", inner)
    return path


BOMBS: dict[str, tuple[str, Maker]] = {
    "equal images, gzipped IDX": ("equal-images-idx3-ubyte.gz", idx_gz),
    "equal images, NPZ": ("equal.npz", npz),
    "different images, gzipped IDX": ("some-images-idx3-ubyte.gz", lambda path, n: idx_gz(path, n, different=True)),
    "different images, NPZ": ("some.npz", lambda path, n: npz(path, n, different=True)),
    "equal images, float32 NPZ": ("single.npz", lambda path, n: npz(path, n // 4, "<f4")),
    "different images, float64 NPZ": ("double.npz", lambda path, n: npz(path, n // 8, "<f8", different=True)),
    "black pictures in a zip": ("black.zip", pngs),
    "packed twice": ("twice.zip", nested),
}
"""What it is: (the file's name, what makes it of so many images)."""


def run(command: str, path: Path, limit: int, folder: Path) -> tuple[int, int, float, str]:
    """(status, peak of resident memory in bytes, seconds, the last line that it printed)."""
    words = ["data", "check", str(path)]
    if command == "train":
        words = ["train", "mlp-128", "--data", str(path), "--steps", "20", "--out", str(folder / f"run-{path.name}")]
    began = time.monotonic()
    program = [sys.executable, "-c", PROGRAM, str(BASE[command] + limit), *words]
    environment = os.environ | {"SPARRING_CACHE": str(folder / "cache")}
    done = subprocess.run(program, cwd=folder, env=environment, capture_output=True, text=True)
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    peaks = [int(line.split()[1]) * 1024 for line in lines if line.startswith("peak ")]
    said = [line for line in lines if not line.startswith("peak ")]
    return done.returncode, max(peaks, default=0), time.monotonic() - began, said[-1] if said else ""


def main() -> int:
    """Print a table; 1 where anything ended badly."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=7_000_000)
    parser.add_argument("--limit", type=float, default=6.0, help="GiB beyond what the program itself takes")
    parser.add_argument("--commands", default="check,train")
    given = parser.parse_args()
    limit = int(given.limit * (1 << 30))
    bad = 0
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        for what, (name, make) in BOMBS.items():
            path = make(folder / name, given.images)
            for command in given.commands.split(","):
                status, peak, seconds, said = run(command, path, limit, folder)
                bad += status not in (0, 2) or peak > BASE[command] // 2 + limit // 2
                print(f"{what} ({path.stat().st_size / 1e6:,.1f} MB), {command}: status {status}, ", end="")
                print(f"{peak / 1e6:,.0f} MB, {seconds:.0f} s: {said[:160]}", flush=True)
            path.unlink()
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())

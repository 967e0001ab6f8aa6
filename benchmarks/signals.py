"""Sends SIGINT, SIGTERM and SIGHUP to every command at random moments, once or several times, and checks how it ends.

    python benchmarks/signals.py --seconds 1200 [--seed 0] [--commands sample,watch] [--module sparring]

Each process gets a session of its own. From the first signal on it may take 5 s to end, from a second one 1 s; of the
clock or of its own processor time, whichever is less, for other programs may keep it waiting. It prints at most one
sentence and no trace of Python or of a native library, ends with 128 + the signal (or 0 where it was done), and leaves
no temporary file, no process of its own, and outputs that are whole or absent. A training goes on after that.
Prints a table, and every finding with the seed that repeats it.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image
from turns import processor_seconds

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
FIRST_SECONDS, SECOND_SECONDS, HANG_SECONDS = 5.0, 1.0, 90.0
TRACES = re.compile(
    r"Traceback|Fatal Python error|terminate called|\*\*\* Check failure|Segmentation|@ +0x|core dumped"
)
MARK = "SPARRING_SIGNALS_TRIAL"
"""A variable by which the processes of a trial are found."""

TINY = "--batch-size 20 --grid-rows 2 --grid-columns 2 --generator.hidden 8 --discriminator.hidden 8 --data ../digits"
TRAIN = f"train mlp-256 {TINY} --log-every 10 --grid-every 500 --checkpoint-seconds 0.3"
LONG = "--steps 1000000"
COMMANDS: dict[str, str] = {
    "train": f"{TRAIN} {LONG} --out run",
    "train finishing": f"{TRAIN} --steps 300 --out run",
    "train --watch": f"{TRAIN} {LONG} --out run --watch",
    "replicas": f"{TRAIN} {LONG} --out runs --replicas 2",
    "together": f"{TRAIN} {LONG} --out run --processes 2 --coordinator 127.0.0.1:PORT --process PLACE",
    "sweep": f"sweep mlp-256 {TINY} --steps 200 --validation 0.3 --seed 0,1,2 --out sweep",
    "sample folder": "sample ../run --count 2000 --out made",
    "sample npz": "sample ../run --count 4000 --out made.npz",
    "sample png": "sample ../run --count 400 --out made.png",
    "sample gif": "sample ../run --interpolate 40 --count 4 --out made.gif",
    "export safetensors": "export ../run --format safetensors --out exported",
    "export onnx": "export ../run --format onnx --out made.onnx",
    "export html": "export ../run --format html --out made.html",
    "animate": "animate ../run --out made.gif",
    "animate walk": "animate ../run --of walk --out made.gif",
    "watch": "watch ..",
    "measure": "measure copy --count 100",
    "compare": "compare copy other",
    "data check": "data check ../pictures --sheet made.png",
    "recipes": "recipes",
    "bench": "bench mlp-256",
    "help": "--help",
}
RESUMED = {"train", "train finishing", "train --watch", "replicas", "together", "sweep"}


@dataclass
class Row:
    """What happened to one command."""

    trials: int = 0
    signals: int = 0
    worst: float = 0.0
    findings: list[str] = field(default_factory=list)
    in_python: int = 0
    """Tracebacks of Python's own start, before the first line of ours."""


@dataclass(frozen=True)
class Ended:
    """How a process ended."""

    status: int
    seconds: float
    """From the first signal, of the clock or of its processor, whichever is less."""
    since_second: float


def prepare(root: Path, module: str) -> None:
    """Digits, pictures and a finished run, for all commands to work on."""
    numbers = np.random.default_rng(0)
    images = (numbers.random((400, 28, 28)) * 80).astype(np.uint8)
    images[np.arange(400), :, 4 + np.arange(400) % 10 * 2] = 255
    (root / "digits").mkdir()
    for name, array in (("images-idx3", images), ("labels-idx1", (np.arange(400) % 10).astype(np.uint8))):
        head = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
        (root / "digits" / f"train-{name}-ubyte").write_bytes(head + array.tobytes())
    (root / "pictures").mkdir()
    for i, image in enumerate(images):
        Image.fromarray(image).save(root / "pictures" / f"{i:03}.png")
    words = f"{TRAIN} --steps 60 --grid-every 20 --out run".replace("../", "")
    subprocess.run([sys.executable, "-m", module, *words.split()], cwd=root, check=True, stdout=subprocess.DEVNULL)


def start(words: Sequence[str], folder: Path, module: str, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """A command as a shell would start it: a script in the background would have it ignore SIGINT."""
    default = ";".join(f"signal.signal(signal.{number.name}, signal.SIG_DFL)" for number in SIGNALS)
    code = f"import os, signal, sys; {default}; os.execv(sys.executable, [sys.executable, '-m', *sys.argv[1:]])"
    with (folder / f"printed-{len(list(folder.glob('printed-*')))}").open("wb") as printed:
        return subprocess.Popen(
            [sys.executable, "-S", "-E", "-c", code, module, *words],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=environment,
        )


def send_and_wait(process: subprocess.Popen[bytes], numbers: list[signal.Signals], gaps: list[float]) -> Ended:
    """Send these signals, and wait for the end."""
    began, spent, second = time.monotonic(), processor_seconds(process.pid), None
    for number, gap in zip(numbers, gaps, strict=True):
        if process.poll() is None:
            if number is not numbers[0] or gap:
                time.sleep(gap)
            second = (time.monotonic(), processor_seconds(process.pid)) if gap and number != signal.SIGHUP else second
            process.send_signal(number)
    deadline = time.monotonic() + HANG_SECONDS
    last = spent
    while process.poll() is None:
        last = max(last, processor_seconds(process.pid))
        if time.monotonic() > deadline:
            process.kill()
            process.wait()
            break
        time.sleep(0.01)
    now = time.monotonic()
    hung = now > deadline
    since = 0.0 if second is None else now - second[0] if hung else min(now - second[0], max(0.0, last - second[1]))
    seconds = now - began if hung else min(now - began, max(0.0, last - spent))
    return Ended(process.returncode, seconds, since)


def whole(path: Path) -> bool:
    """Whether an output can be read to its end."""
    try:
        if path.suffix in (".png", ".gif"):
            with Image.open(path) as image:
                for frame in range(getattr(image, "n_frames", 1)):
                    image.seek(frame)
                    image.load()
        elif path.suffix == ".npz":
            with np.load(path) as arrays:
                return len(arrays["images"]) == 4000
        elif path.suffix == ".json":
            json.loads(path.read_bytes())
        elif path.suffix == ".html":
            return path.read_bytes().rstrip().endswith(b"</html>")
        elif path.suffix == ".onnx":
            import onnx

            onnx.checker.check_model(onnx.load(path))
        elif path.suffix == ".safetensors":
            from safetensors.numpy import load

            load(path.read_bytes())
    except Exception:
        return False
    return True


def left_behind(folder: Path, cache: Path, trial: str, aborted: Sequence[int] = ()) -> list[str]:
    """Temporary files, outputs that are cut short, and processes that go on.

    JAX aborts a process when process 0 of its training is gone (docs/distributed.md); such a process clears nothing.
    """
    found = [f"temporary {path.name}" for path in folder.rglob("*") if ".partial" in path.name]
    found += [f"temporary {path.name}" for path in (folder / "tmp").iterdir()]
    desks = [path for path in cache.glob("compiled/*/desk-*") if int(path.name.split("-")[1]) not in aborted]
    found += [f"temporary {path.name}" for path in desks]
    found += [f"temporary {path.name}" for path in cache.glob("images/.unfinished*")]
    kinds = (".png", ".gif", ".npz", ".json", ".html", ".onnx", ".safetensors")
    outputs = [path for path in folder.rglob("*") if path.suffix in kinds and path.parts[-2] not in ("copy", "other")]
    found += [f"cut short: {path.relative_to(folder)}" for path in outputs if path.is_file() and not whole(path)]
    made = [path for path in (folder / "made").glob("*") if not path.name.startswith(".")]
    if len(made) not in (0, 2000):
        found.append(f"made has {len(made)} of 2000 files")
    return found + [f"process {pid} goes on" for pid in processes_of(trial)]


def processes_of(trial: str) -> list[int]:
    """The processes that have the mark of a trial, a few seconds later."""
    for _ in range(60):
        found = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            try:
                if f"{MARK}={trial}\0".encode() in path.read_bytes():
                    found.append(int(path.parts[2]))
            except OSError:
                continue
        if not found:
            break
        time.sleep(0.1)
    return found


class Harness:
    """Runs trials in a folder."""

    def __init__(self, root: Path, module: str, seed: int) -> None:
        self.root, self.module, self.seed = root, module, seed
        self.rows: dict[str, Row] = {}
        self._usual: dict[str, float] = {}
        """How long each command takes by itself; the endless ones, until they have done the same for a while."""

    def trial(self, name: str, number: int) -> list[str]:
        """One command, interrupted at a moment that follows from the seed; what is wrong."""
        chance = random.Random(f"{self.seed} {name} {number}")
        row = self.rows.setdefault(name, Row())
        folder, cache = self.root / "trial", self.root / "cache"
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "tmp").mkdir(parents=True)
        for desk in cache.glob("compiled/*/desk-*"):  # of a process that was killed
            shutil.rmtree(desk, ignore_errors=True)
        for copied in ("copy", "other"):
            if copied in COMMANDS[name]:
                shutil.copytree(self.root / "run", folder / copied)
        mark = f"{os.getpid()}-{name}-{number}"
        environment = os.environ | {MARK: mark, "TMPDIR": str(folder / "tmp"), "SPARRING_CACHE": str(cache)}
        environment.pop("JAX_COMPILATION_CACHE_DIR", None)
        numbers = [signal.SIGINT if chance.random() < 0.6 else chance.choice(SIGNALS)]
        numbers += [chance.choice(SIGNALS) for _ in range(chance.choice([0, 0, 0, 1, 2]))]
        gaps = [0.0, *(chance.choice([0.01, 0.1, 0.5, 1.0]) for _ in numbers[1:])]
        if name not in self._usual:
            self._usual[name] = self._time(name, folder, environment)
            return self.trial(name, number)
        moment = chance.random() * chance.choice([0.3, 1.0, 1.0]) * self._usual[name]
        places = [0, 1] if name == "together" else [0]
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        processes = []
        for place in places:
            words = COMMANDS[name].replace("PORT", str(port)).replace("PLACE", str(place)).split()
            processes.append(start(words, folder, self.module, environment))
        hit = chance.choice(places)
        time.sleep(moment)
        alive = processes[hit].poll() is None
        ended = send_and_wait(processes[hit], numbers, gaps)
        wrong = []
        for place, process in enumerate(processes):
            if place != hit:
                wrong += self._wait_for_other(process)
            printed = (folder / f"printed-{place}").read_text(errors="replace")
            wrong += self._check_printed(row, printed, process.returncode, numbers)
        row.trials, row.signals = row.trials + 1, row.signals + (len(numbers) if alive else 0)
        row.worst = max(row.worst, ended.seconds if alive else 0.0)
        if alive and ended.seconds > FIRST_SECONDS:
            wrong.append(f"ended after {ended.seconds:.1f} s")
        if alive and ended.since_second > SECOND_SECONDS:
            wrong.append(f"ended {ended.since_second:.1f} s after the second signal")
        aborted = [each.pid for each in processes if each is not processes[hit] and each.returncode == -signal.SIGABRT]
        wrong += left_behind(folder, cache, mark, aborted)
        if name in RESUMED and chance.random() < 0.15 and not wrong:
            wrong += self._goes_on(name, folder, environment)
        words = f"{name} #{number} at {moment:.2f} s, {'+'.join(n.name for n in numbers)}, status {ended.status}"
        row.findings += [f"{words}: {one}" for one in wrong]
        return [f"{words}: {one}" for one in wrong]

    def _time(self, name: str, folder: Path, environment: dict[str, str]) -> float:
        if LONG in COMMANDS[name] or name == "watch":
            usual = "sweep" if name == "replicas" else "train finishing" if LONG in COMMANDS[name] else "data check"
            return 1.3 * self._time(usual, folder, environment)
        began = time.monotonic()
        start(COMMANDS[name].split(), folder, self.module, environment).wait()
        return 1.05 * (time.monotonic() - began)

    def _wait_for_other(self, process: subprocess.Popen[bytes]) -> list[str]:
        """The other one of two may wait for the one that is gone, up to five minutes; then a signal ends it, too."""
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=HANG_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return [f"the other process was still there after {HANG_SECONDS:.0f} s"]
        return []

    def _check_printed(self, row: Row, printed: str, status: int, numbers: list[signal.Signals]) -> list[str]:
        if TRACES.search(printed) and not re.search(r"/sparring/|site-packages/(?!__editable__)", printed):
            row.in_python += 1
            return []
        wrong = []
        if found := TRACES.search(printed):
            wrong.append(f"printed {found[0]!r}: ...{printed[-600:]!r}")
        if status not in (0, 2, *(128 + n for n in numbers), *(-n for n in numbers), 130):
            wrong.append(f"status {status}: {printed[-300:]!r}")
        sentences = [line for line in printed.splitlines() if line.startswith("sparring:")]
        if len(sentences) > 1:
            wrong.append(f"{len(sentences)} sentences: {sentences}")
        return wrong

    def _goes_on(self, name: str, folder: Path, environment: dict[str, str]) -> list[str]:
        words = COMMANDS[name if name != "together" else "train"].replace(LONG, "--steps 200").replace(" --watch", "")
        for run in [folder / "run", *folder.glob("runs/*"), *folder.glob("sweep/*")]:
            if (run / "events.jsonl").is_file() and "--steps 200" in words:
                steps = [json.loads(line).get("step", 0) for line in (run / "events.jsonl").read_text().splitlines()]
                words = words.replace("--steps 200", f"--steps {max([0, *steps]) + 50}")
        process = start(words.split(), folder, self.module, environment)
        if process.wait(timeout=300) != 0:
            printed = sorted(folder.glob("printed-*"))[-1].read_text(errors="replace")
            return [f"does not go on: {printed[-500:]!r}"]
        return []


def main() -> int:
    """Run the harness; 1 where something was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--commands", default=",".join(COMMANDS))
    parser.add_argument("--module", default="sparring")
    given = parser.parse_args()
    names, end = given.commands.split(","), time.monotonic() + given.seconds
    with tempfile.TemporaryDirectory(prefix="signals-", ignore_cleanup_errors=True) as folder:
        harness = Harness(Path(folder), given.module, given.seed)
        prepare(harness.root, given.module)
        number = 0
        while time.monotonic() < end:
            for name in names:
                for finding in harness.trial(name, number):
                    print(finding)
            number += 1
    print(f"{'command':20} {'trials':>6} {'signals':>7} {'slowest':>8} {'findings':>8} {'in Python itself':>17}")
    for name, row in harness.rows.items():
        numbers = f"{row.trials:6} {row.signals:7} {row.worst:6.2f} s {len(row.findings):8} {row.in_python:17}"
        print(f"{name:20} {numbers}")
    return int(any(row.findings for row in harness.rows.values()))


if __name__ == "__main__":
    sys.exit(main())

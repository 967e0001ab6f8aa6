"""THE COMPARISON: each tutorial's loop in Sparring, Keras and PyTorch, timed in turn in one run; ratios and spread.

    python3 -m venv venv-tf && venv-tf/bin/pip install tensorflow-cpu
    python3 -m venv venv-torch && venv-torch/bin/pip install torch==2.13.0 numpy
    python benchmarks/compare.py --keras-python venv-tf/bin/python --torch-python venv-torch/bin/python \\
        --json compare.json --markdown compare.md

Each loop lives in a process of its own (`benchmarks/peers/`), compiled and warmed up before anything is timed. In every
round each runs some steps for about `--seconds`, one after the other, alone; a ratio is theirs over ours of one round.
All use their own default settings and threads, the same batches and as many updates. `torch-compiled` needs a C++
compiler and takes up to a minute to compile, `torch-bf16` is not the same arithmetic; see `benchmarks/peers/*.py`.

On Linux it is watched what other programs use of the processors. Before a round it is waited, `--wait` seconds at most,
until that is below 5%; a round counts where it was so in both turns, too. There are more rounds until enough count, or
three times as many were tried. Where fewer than three count, all are taken and the line says `busy`: do not believe it,
for PyTorch's threads wait for each other and slow down tenfold where others work.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sparring import data
from sparring.recipes import TUTORIALS

PEERS = Path(__file__).parent / "peers"
QUIET = 0.05
"""Share of all processors' time that other programs may use in a turn that counts."""
PAUSE = 0.5
"""Seconds before a turn, so that the threads of the last one have stopped waiting for work."""
FEWEST = 3
"""Rounds that must count."""

SYSTEMS: dict[str, dict[str, list[str]]] = {
    "keras": {name: [] for name in TUTORIALS if name != "mlp-256"},
    "torch": {name: ["--how", "eager"] for name in TUTORIALS},
    "torch-loader": {"mlp-256": ["--how", "loader"]},
    "torch-compiled": {name: ["--how", "compiled"] for name in TUTORIALS},
    "torch-bf16": {name: ["--how", "eager-bf16"] for name in TUTORIALS},
    "torch-compiled-bf16": {name: ["--how", "compiled-bf16"] for name in TUTORIALS},
}
"""Of each peer the recipes that it has, and the words that it is started with beside the recipe."""
USUAL = ("keras", "torch", "torch-loader", "torch-compiled")


class WorkerError(Exception):
    """A loop that cannot be timed: it did not start, does not train, or ended too early."""


# ------------------------------------------------------------------------------------------------ a worker


class Worker:
    """A loop in a process of its own. It does nothing until it is told to."""

    def __init__(self, name: str, command: list[str]) -> None:
        self.name = name
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - it lives as long as the worker
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._orders, self._answers = self._process.stdin, self._process.stdout
        ready = self._answer()
        self.versions: dict[str, str] = ready["versions"]
        for network, change in ready["changed"].items():
            if not 0 < change < float("inf"):
                self.end()
                raise WorkerError(f"{name} does not train its {network}: an array changed by {change}")

    def turn(self, steps: int) -> dict[str, Any]:
        """Run steps: their `seconds`, the `losses`, and `others`, the share of the processors that others used."""
        before = _processor_seconds(self._process.pid)
        began = time.perf_counter()
        print(steps, file=self._orders, flush=True)
        answer = self._answer()
        wall = time.perf_counter() - began
        after = _processor_seconds(self._process.pid)
        answer["others"] = None
        if before is not None and after is not None:
            busy, own = after[0] - before[0], after[1] - before[1]
            answer["others"] = max(0.0, (busy - own) / (wall * (os.cpu_count() or 1)))
        return answer

    def end(self) -> None:
        """Let it end."""
        self._orders.close()
        self._process.wait()
        self._answers.close()
        self._errors.close()

    def _answer(self) -> dict[str, Any]:
        line = self._answers.readline()
        if not line:
            status = self._process.wait()
            self._errors.seek(0)
            told = self._errors.read()[-2000:]
            self.end()
            raise WorkerError(f"{self.name} ended with status {status}: {told}")
        answer: dict[str, Any] = json.loads(line)
        return answer


def _processor_seconds(process: int) -> tuple[float, float] | None:
    """Seconds that all programs and that this one have used all processors, since each began; None where unknown."""
    try:
        everybody = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
        own = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    busy = sum(everybody[:3]) + sum(everybody[5:8])  # user, nice, system; interrupts and what a host took
    tick = os.sysconf("SC_CLK_TCK")
    return busy / tick, (int(own[11]) + int(own[12])) / tick


# ------------------------------------------------------------------------------------------------ comparing


@dataclass(frozen=True)
class Turn:
    """One turn of a loop."""

    milliseconds: float
    """A step."""
    others: float | None
    """Share of all processors that other programs used meanwhile."""
    product_rate: float | None = None
    """GFLOP/s of XLA's matrix product, just before; of our turns only."""

    @property
    def quiet(self) -> bool:
        """Whether it was alone on the machine, as far as is known."""
        return self.others is None or self.others <= QUIET


@dataclass(frozen=True)
class Comparison:
    """A recipe in Sparring and in a peer, round by round."""

    recipe: str
    peer: str
    versions: dict[str, str]
    ours: list[Turn]
    theirs: list[Turn]

    @property
    def quiet(self) -> list[tuple[Turn, Turn]]:
        """The rounds that count."""
        return [pair for pair in zip(self.ours, self.theirs, strict=True) if all(turn.quiet for turn in pair)]

    @property
    def rounds(self) -> list[tuple[Turn, Turn]]:
        """The rounds that the numbers are of: all of them where too few count."""
        return self.quiet if len(self.quiet) >= FEWEST else list(zip(self.ours, self.theirs, strict=True))

    @property
    def ratios(self) -> list[float]:
        """How many times as long theirs took, of each round, sorted."""
        return sorted(theirs.milliseconds / ours.milliseconds for ours, theirs in self.rounds)

    def to_json(self) -> dict[str, Any]:
        """As JSON values, with every round."""
        return {
            "recipe": self.recipe,
            "peer": self.peer,
            "versions": self.versions,
            "ours_milliseconds": statistics.median(ours.milliseconds for ours, _ in self.rounds),
            "theirs_milliseconds": statistics.median(theirs.milliseconds for _, theirs in self.rounds),
            "ratio": statistics.median(self.ratios),
            "ratios": self.ratios,
            "product_rate": statistics.median(ours.product_rate or 0 for ours, _ in self.rounds),
            "quiet_rounds": len(self.quiet),
            "ours": [asdict(turn) for turn in self.ours],
            "theirs": [asdict(turn) for turn in self.theirs],
        }

    def row(self) -> list[str]:
        """A line of the table."""
        values = self.to_json()
        busy = "" if len(self.quiet) >= FEWEST else ", busy"
        return [
            self.recipe,
            self.peer,
            f"{values['ours_milliseconds']:.3g}",
            f"{values['theirs_milliseconds']:.3g}",
            f"{values['ratio']:.2f}",
            f"{self.ratios[0]:.2f} to {self.ratios[-1]:.2f}",
            f"{len(self.rounds)}{busy}",
            f"{values['product_rate']:.0f}",
        ]


HEADINGS = ["recipe", "peer", "ours, ms", "theirs, ms", "theirs / ours", "spread", "rounds", "product, GFLOP/s"]


def table(comparisons: list[Comparison]) -> str:
    """The comparisons as a Markdown table: medians of the rounds, the lowest and the highest ratio."""
    lines = [HEADINGS, ["---"] * len(HEADINGS), *(comparison.row() for comparison in comparisons)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def compare(
    recipe: str, workers: dict[str, Worker], rounds: int, seconds: float, wait: float = 0.0
) -> list[Comparison]:
    """Time the workers in turn, `ours` and the others, until that many rounds count for each peer."""
    steps = {name: _steps_in(worker, seconds) for name, worker in workers.items()}
    peers = [name for name in workers if name != "ours"]
    turns: dict[str, list[Turn]] = {name: [] for name in workers}
    found: list[Comparison] = []
    for tried in range(3 * rounds):
        wait_for_quiet(wait)
        for name, worker in workers.items():
            time.sleep(PAUSE)
            answer = worker.turn(steps[name])
            milliseconds = answer["seconds"] / steps[name] * 1000
            turns[name].append(Turn(milliseconds, answer["others"], answer.get("product_rate")))
        found = [Comparison(recipe, peer, workers[peer].versions, turns["ours"], turns[peer]) for peer in peers]
        print(f"{recipe}: round {tried + 1}, {min(len(c.quiet) for c in found)} count", file=sys.stderr)
        if all(len(comparison.quiet) >= rounds for comparison in found):
            break
    return found


def wait_for_quiet(most: float) -> None:
    """Wait until other programs rest, that many seconds at most. Our workers rest between their turns."""
    ends = time.monotonic() + most
    while time.monotonic() < ends:
        before, began = _processor_seconds(os.getpid()), time.perf_counter()
        time.sleep(PAUSE)
        after, wall = _processor_seconds(os.getpid()), time.perf_counter() - began
        if before is None or after is None or after[0] - before[0] <= QUIET * wall * (os.cpu_count() or 1):
            return


def _steps_in(worker: Worker, seconds: float) -> int:
    """How many steps take about so long."""
    steps = 1
    while (taken := float(worker.turn(steps)["seconds"])) < seconds / 4:
        steps *= 4
    return max(1, round(steps * seconds / taken))


# ------------------------------------------------------------------------------------------------ the command


def command_of(peer: str, recipe: str, images: Path, pythons: dict[str, str]) -> list[str]:
    """The words that start the worker."""
    library = peer.partition("-")[0]
    script = PEERS / {"ours": "ours.py", "keras": "keras_peer.py", "torch": "torch_peer.py"}[library]
    words = [] if peer == "ours" else SYSTEMS[peer][recipe]
    return [pythons[library], str(script), recipe, str(images), *words]


def main() -> None:
    """Compare what is asked for and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipes", nargs="+", choices=TUTORIALS, default=list(TUTORIALS), metavar="RECIPE")
    parser.add_argument("--peers", nargs="+", choices=SYSTEMS, default=list(USUAL), metavar="PEER")
    parser.add_argument("--keras-python", default=sys.executable, help="a Python that has keras and tensorflow")
    parser.add_argument("--torch-python", default=sys.executable, help="a Python that has torch")
    parser.add_argument("--data", default="mnist", help="the images: a name, an IDX file or a folder")
    parser.add_argument("--rounds", type=int, default=7, help="rounds that should count")
    parser.add_argument("--seconds", type=float, default=1.0, help="of each turn, about")
    parser.add_argument("--wait", type=float, default=30.0, help="seconds to wait for a quiet machine before a round")
    parser.add_argument("--json", type=Path, help="write every round to this file")
    parser.add_argument("--markdown", type=Path, help="write the table to this file")
    given = parser.parse_args()
    pythons = {"ours": sys.executable, "keras": given.keras_python, "torch": given.torch_python}
    comparisons: list[Comparison] = []
    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder) / "images.npy"
        np.save(images, data.load(given.data).images[..., 0])
        for recipe in given.recipes:
            names = ["ours", *(peer for peer in given.peers if recipe in SYSTEMS[peer])]
            workers: dict[str, Worker] = {}
            try:
                for name in names:
                    print(f"{recipe}: starting {name}", file=sys.stderr)
                    workers[name] = Worker(name, command_of(name, recipe, images, pythons))
                comparisons += compare(recipe, workers, given.rounds, given.seconds, given.wait)
            finally:
                for worker in workers.values():
                    worker.end()
            _write(given.json, json.dumps([comparison.to_json() for comparison in comparisons], indent=2))
            _write(given.markdown, table(comparisons))
    print(table(comparisons))


def _write(path: Path | None, text: str) -> None:
    if path is not None:
        path.write_text(text + "\n")


if __name__ == "__main__":
    main()

"""Hostile and damaged sweep folders: `sparring sweep --resume` of each ends with a sentence or the ranking, and changes
nothing outside of the folder.

    python benchmarks/fault_sweeps.py --seconds 600

One real sweep is made. Then one thing in a copy of it is changed at a time: a file or a folder becomes a link to a file
of the user's, a pipe, a device, a folder, garbage, half of itself; a value in a JSON file or in a record of the journal
becomes one of another kind, with a checksum that fits; lines of the journal are lost, doubled or exchanged; processes
and trials get names that lead elsewhere. Prints every finding and a table, and exits with status 1 where there is one.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import os
import random
import selectors
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faults

LIMIT_SECONDS = 240
"""No command may take longer, on a busy machine."""
WRONG = (*faults.WRONG, 2**70, "../../victim.txt")
OWN = ("sweep.json", "journal.log", "workers", "sweep.lock", "trial-0000", "trial-0002", "trial-0003")
SETTINGS = "--steps 4 --batch-size 10 --validation 0.3 --grid-rows 2 --grid-columns 2 --log-every 2 --seed 0,1,2,3"


# ------------------------------------------------------------------------------------------------ the command


def serve() -> None:
    """The child: runs a command for each line of words, and answers with its status and what it printed."""
    from sparring.cli import main as cli
    from sparring.evaluation import features, validation_judge
    from sparring.sweeps import study as sweeping

    judge = features.shipped_classifier("mnist")
    sweeping.ready_extractor = validation_judge.ready_extractor = lambda images: judge
    for line in sys.stdin:
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            try:
                status: int | str = cli.main(json.loads(line))
            except BaseException:
                status = traceback.format_exc()
        print(json.dumps([status, said.getvalue()]), file=sys.__stdout__, flush=True)


class Child:
    """A process that runs commands, and is started again after it hung or crashed."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None

    def run(self, *words: str) -> tuple[Any, str]:
        """(status, what was printed); the status is a text where there was none."""
        if self.process is None:
            command = [sys.executable, str(Path(__file__).resolve()), "--child"]
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(words) + "\n")
        self.process.stdin.flush()
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            line = self.process.stdout.readline() if selector.select(LIMIT_SECONDS) else ""
        if not line:
            self.close()
            return "it did not end, or the process died", ""
        status, said = json.loads(line)
        return status, said

    def close(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None


# ------------------------------------------------------------------------------------------------ the damage


def become_another_kind(path: Path, chance: random.Random) -> str:
    """Put something else where a file or a folder was."""
    victims = next(parent for parent in path.parents if (parent / "victim.txt").exists())
    kind = chance.choice(["file", "folder", "nothing", "zero", "pipe", "socket", "other", "garbage", "empty", "sparse"])
    was_folder = path.is_dir() and not path.is_symlink()
    faults.remove(path)
    make: dict[str, Callable[[], object]] = {
        "file": lambda: path.symlink_to(victims / "victim.txt"),
        "folder": lambda: path.symlink_to(victims / "victims"),
        "nothing": lambda: path.symlink_to(victims / "made"),
        "zero": lambda: path.symlink_to("/dev/zero"),
        "pipe": lambda: os.mkfifo(path),
        "socket": lambda: socket.socket(socket.AF_UNIX).bind(str(path)),
        "other": lambda: path.touch() if was_folder else path.mkdir(),
        "garbage": lambda: path.write_bytes(chance.randbytes(300)),
        "empty": lambda: path.touch(),
        "sparse": lambda: (path.touch(), os.truncate(path, 1 << 36)),
    }
    if path.name == "sweep.lock" and kind in ("garbage", "empty", "sparse"):
        kind = "pipe"  # a lock that is a file is waited for
    with contextlib.suppress(OSError):  # a path too long for a socket
        make[kind]()
    return f"{path.name} becomes {kind}"


def change_bytes(path: Path, chance: random.Random) -> str:
    """Flip a bit, or cut the file."""
    content = bytearray(path.read_bytes() or b"x")
    place = chance.randrange(len(content))
    if chance.random() < 0.7:
        content[place] ^= 1 << chance.randrange(8)
        path.write_bytes(content)
        return f"{path.name}: a bit of byte {place}"
    path.write_bytes(content[:place])
    return f"{path.name}: cut at {place}"


def change_json(path: Path, chance: random.Random) -> str:
    """A value of another kind in a sealed file, sealed again."""
    changed, where = faults.change_value(faults.read_unsealed(path), chance, WRONG)
    faults.write_sealed(path, changed)
    return f"{path.name}: {where}"


def change_journal(path: Path, chance: random.Random) -> str:
    """A record, or the order of the lines."""
    lines = path.read_text().splitlines(keepends=True)
    place = chance.randrange(len(lines))
    how = chance.choice(["value", "value", "value", "lost", "doubled", "exchanged", "nested", "long"])
    if how == "value":
        record = {name: part for name, part in json.loads(lines[place]).items() if name != "crc32"}
        changed, how = faults.change_value(record, chance, WRONG)
        lines[place] = faults.line_of(changed)
    elif how == "lost":
        del lines[place]
    elif how == "doubled":
        lines.insert(place, lines[chance.randrange(len(lines))])
    elif how == "exchanged":
        other = chance.randrange(len(lines))
        lines[place], lines[other] = lines[other], lines[place]
    else:
        lines.insert(place, ("[" if how == "nested" else "x") * 1_000_000 + "\n")
    path.write_text("".join(lines))
    return f"journal.log, line {place + 1}: {how}"


def add_names(folder: Path, chance: random.Random) -> str:
    """Something that the sweep did not make, under a name that it might look at."""
    name = chance.choice(
        ["trial-9999", "trial-x", "workers/a-1-00000000", "workers/\x1b[31m", ".partial-1-sweep.json", "x"]
    )
    path = folder / name
    return "added " + become_another_kind(path, chance)


def damage(folder: Path, chance: random.Random) -> str:
    """Change one thing in a sweep's folder, and say what."""
    dice = chance.random()
    if dice < 0.3:
        return become_another_kind(folder / chance.choice(OWN), chance)
    if dice < 0.55:
        return change_journal(folder / "journal.log", chance)
    if dice < 0.7:
        return change_json(folder / "sweep.json", chance)
    if dice < 0.78:
        return change_bytes(folder / chance.choice(["sweep.json", "journal.log"]), chance)
    if dice < 0.85:
        return add_names(folder, chance)
    files = sorted(path for path in folder.glob("trial-*/**/*") if path.is_file())
    path = chance.choice(files)
    if path.suffix == ".json" and dice < 0.93:
        return f"{path.parent.name}/" + change_json(path, chance)
    return f"{path.parent.name}/" + chance.choice([change_bytes, become_another_kind])(path, chance)


# ------------------------------------------------------------------------------------------------ the trial


def make_sweep(child: Child, root: Path) -> None:
    """A sweep of four trials: two are finished, one is taken by a process that is gone, one was not begun."""
    from sparring.sweeps.folder import SweepFolder
    from sparring.sweeps.sharing import Trials, at_work
    from sparring.sweeps.space import quiet_optuna

    pixels = random.Random(0).randbytes(200 * 784)
    data = root / "digits"
    data.mkdir()
    (data / "train-images-idx3-ubyte").write_bytes(struct.pack(">BBBB3I", 0, 0, 8, 3, 200, 28, 28) + pixels)
    (data / "train-labels-idx1-ubyte").write_bytes(
        struct.pack(">BBBBI", 0, 0, 8, 1, 200) + bytes(place % 10 for place in range(200))
    )
    words = ["sweep", "mlp-256", *SETTINGS.split(), "--data", str(data), "--out", str(root / "sweep")]
    status, said = child.run(*words)
    if status != 0:
        raise SystemExit(f"the sweep could not be made: {status} {said}")
    folder = SweepFolder(root / "sweep")
    lines = folder.journal.read_text().splitlines(keepends=True)
    third = [place for place, line in enumerate(lines) if '"op_code": 4' in line][2]
    folder.journal.write_text("".join(lines[:third]))
    shutil.rmtree(folder.run(3).path)
    with quiet_optuna(), at_work(folder) as worker:
        Trials(folder, folder.setup(), worker).claim()


def look(root: Path) -> dict[str, str]:
    """What is outside of the sweep: names, and checksums of contents."""
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        for path in sorted(root.rglob("*"))
        if "sweep" not in path.relative_to(root).parts[:1]
    }


def fault(status: Any, said: str) -> str | None:
    """What is wrong with how a command ended."""
    if status not in (0, 2):
        return str(status)
    if status == 2 and len([line for line in said.splitlines() if line.startswith("sparring: ")]) != 1:
        return f"not one sentence: {said}"
    if "Traceback" in said or "\x1b[31m" in said:
        return said
    return None


def main() -> int:
    """Try it for so long. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        serve()
        return 0
    child, counts, findings, slowest = Child(), Counter[str](), 0, 0.0
    with tempfile.TemporaryDirectory(prefix="sweeps-") as made:
        root = Path(made)
        make_sweep(child, root)
        (root / "sweep").rename(root / "whole")
        (root / "victim.txt").write_text("the first line\nthe last line, without an end")
        (root / "victims").mkdir()
        (root / "victims" / "victim.txt").write_text("of a folder")
        before, began, number = look(root), time.monotonic(), 0
        while time.monotonic() - began < given.seconds:
            chance = random.Random(f"{given.seed} {number}")
            number += 1
            shutil.copytree(root / "whole", root / "sweep")
            what, start = damage(root / "sweep", chance), time.monotonic()
            status, said = child.run("sweep", "--resume", str(root / "sweep"))
            slowest = max(slowest, time.monotonic() - start)
            wrong = fault(status, said)
            if look(root) != before:
                wrong = "something outside was changed"
                raise SystemExit(f"{number}: {what}: {wrong}")
            counts["finding" if wrong else "refused" if status else "went on"] += 1
            if wrong:
                findings += 1
                print(f"{number - 1}: {what}: {wrong}", flush=True)
            shutil.rmtree(root / "sweep")
        child.close()
    print(f"{number} folders: {dict(counts)}; the slowest took {slowest:.1f} s")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())

"""TWO WRITERS: of several processes that start to train one run, one trains and the others are refused."""

import itertools
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sparring.runs.run import Run

RACERS, ROUNDS, HELD_SECONDS = 10, 15, 0.05

RACER = """
import sys, time
from pathlib import Path
from sparring.errors import RunError
from sparring.runs.run import Run
folder, start, rounds, seconds = Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
for i in range(rounds):
    while time.time() < start + i * 6 * seconds:
        pass
    try:
        with Run(folder).lock():
            began = time.time()
            time.sleep(seconds)
            print(began, time.time())
    except RunError:
        print("refused")
"""


@pytest.mark.ci
def test_in_a_race_no_two_hold_the_lock_at_once(tmp_path: Path) -> None:
    """Half of them come by a link to the folder."""
    run = tmp_path / "run"
    run.mkdir()
    (tmp_path / "link").symlink_to(run)
    start = time.time() + 4
    racers = [
        subprocess.Popen(
            [
                sys.executable,
                "-c",
                RACER,
                tmp_path / ("link", "run")[i % 2],
                str(start),
                str(ROUNDS),
                str(HELD_SECONDS),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        for i in range(RACERS)
    ]
    said = [line for racer in racers for line in racer.communicate(timeout=120)[0].splitlines()]
    assert all(racer.returncode == 0 for racer in racers) and len(said) == RACERS * ROUNDS
    held = sorted(tuple(map(float, line.split())) for line in said if line != "refused")
    assert len(held) >= ROUNDS and said.count("refused") > len(held)
    assert all(end <= begin for (_, end), (begin, _) in itertools.pairwise(held))


def test_the_lock_of_a_dead_process_is_no_lock(tmp_path: Path) -> None:
    holder = "import sys, time; from pathlib import Path; from sparring.runs.run import Run\n"
    holder += "with Run(Path(sys.argv[1])).lock(): print('held', flush=True); time.sleep(100)"
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", holder, tmp_path], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        assert Run(tmp_path).is_held()
        process.kill()
        process.communicate()
        with Run(tmp_path).lock():
            pass
    assert not Run(tmp_path).is_held()

"""CRASHES: a process that is killed, or finds the disk full, at any write loses nothing that was saved."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ENDS = {"killed": {str(-signal.SIGKILL): 300}, "full": {"7": 300, "8": 10}}
"""How often a process ended how, at least: by the signal, with a sentence (7), or unhurt (8)."""
SOME = 21
"""The short test tries one operation of so many."""


@pytest.mark.parametrize("every", [SOME, pytest.param(1, marks=pytest.mark.long)])
@pytest.mark.parametrize("how", ENDS)
def test_whatever_operation_on_the_disk_is_the_last_one_nothing_is_lost(how: str, every: int, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("crashes.py"), tmp_path, how, str(every)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    ends = json.loads(done.stdout)
    assert set(ends) <= {"0", "8", *ENDS[how]}
    assert all(ends[end] >= count // every for end, count in ENDS[how].items()), ends

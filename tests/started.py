"""STARTED COMMANDS: `sparring` as a process of its own, without the plots at its end, which take long."""

import subprocess
import sys
import time
from typing import Any

from sparring.runs.run import Run

COMMAND = [
    sys.executable,
    "-c",
    "import sys; from sparring.cli import main as cli; from sparring.reports import plots;"
    "plots.write_plots = lambda run: None; sys.exit(cli.program())",
]


def wait_until(run: Run, event: str, process: subprocess.Popen[Any]) -> None:
    """Wait for an event of the run. Fails if the process ends before."""
    deadline = time.monotonic() + 120
    while not any(found["event"] == event for found in run.events()):
        assert process.poll() is None and time.monotonic() < deadline, f"there is no event {event!r}"
        time.sleep(0.02)

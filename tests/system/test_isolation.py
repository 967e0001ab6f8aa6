"""A process for a function of the package starts from any folder; `tests/promises` tests what does not run in it."""

import subprocess
from pathlib import Path

from sparring.system import isolation


def test_a_function_is_called_in_a_process_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "sparring.py").write_text("raise SystemExit('the wrong one')")
    command = isolation.command("sparring.terminal.output", "print_line", "hello")
    done = subprocess.run(
        command, env=isolation.environment(), cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "hello\n", "")

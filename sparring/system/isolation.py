"""ISOLATION: no code from the current folder runs, neither in a command's own process nor in one that it starts.

`python -m` looks for modules in the current folder first. So does Python where PYTHONPATH has an empty or a relative
entry. A file `jax.py` among somebody's pictures would run then. An absolute entry of PYTHONPATH is a decision of the
user, like an installation, and stays.
"""

import os
import sys

_START = """\
import sys
sys.path.insert(0, sys.argv[1])
import sparring
del sys.path[0]
from sparring.isolation import leave_current_folder
leave_current_folder()
from {module} import {name}
{name}(*sys.argv[2:])
"""
"""Imports the package from where it lies, and everything else from where an installed command would."""


def leave_current_folder() -> None:
    """Stop looking for modules in the current folder and beside the script. A process of ours calls this first.

    A folder that holds the package itself is moved to the end instead.
    """
    path = sys.path if sys.flags.safe_path else sys.path[1:]  # else the first is the script's folder
    relative = {os.path.abspath(entry) for entry in _python_path() if not os.path.isabs(entry)}
    kept = [entry for entry in path if _is_fixed(entry) and (entry not in relative or entry in _python_path())]
    home = _home()
    sys.path[:] = [*kept, home] if home in sys.path and home not in kept else kept


def command(module: str, name: str, *words: str) -> list[str]:
    """What to start for a function of the package, called with these words in a process of its own."""
    return [sys.executable, "-P", "-c", _START.format(module=module, name=name), _home(), *words]


def environment() -> dict[str, str]:
    """The environment of such a process: PYTHONPATH has no entries that depend on the current folder."""
    entries = os.pathsep.join(filter(os.path.isabs, _python_path()))
    others = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return others | {"PYTHONPATH": entries} if entries else others


def _python_path() -> list[str]:
    """The entries of PYTHONPATH; an empty one means the current folder."""
    given = os.environ.get("PYTHONPATH")
    return given.split(os.pathsep) if given else []


def _is_fixed(entry: str) -> bool:
    """Whether an entry does not depend on the current folder. Names that are no paths belong to import hooks."""
    return os.path.isabs(entry) or (entry != "" and not os.path.exists(entry))


def _home() -> str:
    """The folder in which the package lies."""
    return os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

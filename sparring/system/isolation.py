"""Isolation: no code from the current folder runs, neither in the process of a command nor in one that it starts.

`python -m` searches the current folder for modules first, and so does Python if PYTHONPATH has an empty or a relative
entry. A file `jax.py` in a folder of pictures would then run. An absolute entry of PYTHONPATH is the user's decision,
like an installation, and stays.
"""

import os
import sys

_START = """\
import sys
sys.path.insert(0, sys.argv[1])
import sparring
del sys.path[0]
from sparring.system.isolation import leave_current_folder
leave_current_folder()
from {module} import {name}
{name}(*sys.argv[2:])
"""
"""Imports the package from its own folder, and everything else from the folders of an installed command."""


def leave_current_folder() -> None:
    """Remove the current folder and the script's folder from the module search path. Every process calls this first.

    The folder that holds the package itself is moved to the end instead.
    """
    path = sys.path if sys.flags.safe_path else sys.path[1:]  # otherwise the first entry is the script's folder
    relative = {os.path.abspath(entry) for entry in _python_path() if not os.path.isabs(entry)}
    kept = [entry for entry in path if _is_fixed(entry) and (entry not in relative or entry in _python_path())]
    home = _home()
    sys.path[:] = [*kept, home] if home in sys.path and home not in kept else kept


def command(module: str, name: str, *words: str) -> list[str]:
    """Return the command line that calls a function of the package with `words` in a new process."""
    return [sys.executable, "-P", "-c", _START.format(module=module, name=name), _home(), *words]


def environment() -> dict[str, str]:
    """Return the environment for that process: PYTHONPATH without entries that depend on the current folder."""
    entries = os.pathsep.join(filter(os.path.isabs, _python_path()))
    others = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return others | {"PYTHONPATH": entries} if entries else others


def _python_path() -> list[str]:
    """Return the entries of PYTHONPATH. An empty one means the current folder."""
    given = os.environ.get("PYTHONPATH")
    return given.split(os.pathsep) if given else []


def _is_fixed(entry: str) -> bool:
    """Return whether an entry is independent of the current folder. Names that are not paths belong to import hooks."""
    return os.path.isabs(entry) or (entry != "" and not os.path.exists(entry))


def _home() -> str:
    """Return the folder that holds the package."""
    return os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

"""PLANTED MODULES: a folder with modules that write their name to a file, the canary, when they are imported."""

import re
import sys
from collections.abc import Collection
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

STARTED_BY_PYTHON = {"sitecustomize", "usercustomize", "jax_plugins"}
"""Modules that Python or JAX imports by itself where there are some."""


def plant(folder: Path, canary: Path, leave_out: Collection[str] = ()) -> set[str]:
    """Put a module of each name that anything of ours could import into `folder`. Returns the names."""
    names = {*dependencies(), *sys.stdlib_module_names, *STARTED_BY_PYTHON, "sparring"}.difference(leave_out)
    song = f"with open({str(canary)!r}, 'a') as canary:\n    canary.write(__name__ + '\\n')\n"
    (folder / "jax_plugins").mkdir(parents=True)  # JAX imports all that lies in such a package
    for name in [*names, "jax_plugins/__init__", "jax_plugins/planted"]:
        (folder / f"{name}.py").write_text(song)
    return names


def dependencies() -> set[str]:
    """The importable names of what the package requires, and what that requires, where it is installed."""
    wanted, found = ["sparring"], set[str]()
    while wanted:
        name = wanted.pop()
        try:
            needed = {normal(requirement) for requirement in requires(name) or []}
        except PackageNotFoundError:
            continue
        wanted += needed - found
        found |= needed
    return {
        top
        for top, owners in packages_distributions().items()
        if top.isidentifier() and any(normal(owner) in found for owner in owners)
    }


def normal(requirement: str) -> str:
    """The name of the distribution in a requirement."""
    return re.sub("[-_.]+", "-", re.split(r"[^\w.-]", requirement, maxsplit=1)[0]).lower()

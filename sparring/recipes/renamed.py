"""RENAMED settings. The old names still work: in older runs and sweeps, as options, and in Python."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

RENAMED = {"average_half_life": "ema_half_life", "held_out": "validation"}
"""Old name -> name."""
OLD_NAMES = {name: old for old, name in RENAMED.items()}


def with_new_names(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings by their names. An old name stays if the new one is also there, so that it is refused."""
    return {old if RENAMED.get(old) in settings else RENAMED.get(old, old): settings[old] for old in settings}


def with_old_names(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings by the names that older versions gave them, for files that those versions began."""
    return {OLD_NAMES.get(name, name): value for name, value in settings.items()}


def accept_old_names(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings by their names; a `FutureWarning` names each old one."""
    for old in set(settings) & set(RENAMED):
        warnings.warn(f"the setting {old} is now called {RENAMED[old]}", FutureWarning, stacklevel=3)
    return with_new_names(settings)


def accept_old_options(words: list[str]) -> tuple[list[str], list[str]]:
    """The words of a command with the options' names, and a sentence about each old one."""
    made, notices = [], []
    for word in words:
        option, equals, value = word.partition("=")
        name = RENAMED.get(option.removeprefix("--").replace("-", "_")) if option.startswith("--") else None
        if name is not None:
            new = "--" + name.replace("_", "-")
            notices.append(f"{option} is now called {new}")
            word = f"{new}{equals}{value}"
        made.append(word)
    return made, notices

"""THE CACHE FOLDER: where this program keeps what it fetched, decoded or compiled."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from sparring.errors import DataError


def cache_folder() -> Path:
    """Where this program keeps what it fetched.

    SPARRING_CACHE if that is set, else `sparring` in XDG_CACHE_HOME if that is set, else the system's usual place.

    Raises:
        DataError: none of these is known.
    """
    chosen = os.environ.get("SPARRING_CACHE")
    if chosen:
        return below_home(chosen) or Path(chosen)
    shared = os.environ.get("XDG_CACHE_HOME")
    if shared:
        return Path(shared) / "sparring"
    home = below_home("~")
    if home is None:
        raise DataError("the home folder is not known; set SPARRING_CACHE to a folder for downloads")
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "sparring" / "cache"
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "sparring"
    return home / ".cache" / "sparring"


def below_home(folder: str) -> Path | None:
    """`folder` with "~" replaced by the home folder; None where that is not known."""
    try:
        return Path(folder).expanduser()
    except RuntimeError:
        return None

"""The cache folder: for downloads, decoded pictures and compiled programs."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from sparring.errors import DataError


def cache_folder() -> Path:
    """Return the cache folder: SPARRING_CACHE, or `sparring` in XDG_CACHE_HOME, or the system's usual place.

    Raises:
        DataError: no home folder is known.
    """
    chosen = os.environ.get("SPARRING_CACHE")
    if chosen:
        return below_home(chosen) or Path(chosen)
    shared = os.environ.get("XDG_CACHE_HOME")
    if shared:
        return Path(shared) / "sparring"
    home = below_home("~")
    if home is None:
        raise DataError("the home folder is unknown; set SPARRING_CACHE to a folder for downloads")
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "sparring" / "cache"
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "sparring"
    return home / ".cache" / "sparring"


def below_home(folder: str) -> Path | None:
    """Replace "~" by the home folder. Returns None if the home folder is unknown."""
    try:
        return Path(folder).expanduser()
    except RuntimeError:
        return None

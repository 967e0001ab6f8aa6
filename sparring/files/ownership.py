"""Checks that other users of the machine cannot change a file or a folder that Sparring reads from or runs."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from itertools import takewhile
from pathlib import Path

from sparring.files.untrusted import special_kind


def make_folder(folder: Path) -> None:
    """Create a folder and its missing parents, accessible to this user only, whatever the umask. Raises `OSError`."""
    missing = list(takewhile(lambda part: not part.is_dir(), [folder, *folder.parents]))
    for part in reversed(missing):
        with suppress(FileExistsError):
            part.mkdir(mode=0o700)
    if not folder.is_dir():
        raise NotADirectoryError(20, "is no folder", str(folder))


def fault(path: Path) -> str | None:
    """Return why another user could have written this file or folder; None if only this user and root could.

    Write access for the user's private group is allowed: Debian and Fedora create one for each user, with a umask of
    002. Windows is not checked. Raises `OSError` if the path does not exist.
    """
    found = path.lstat()
    kind = special_kind(found.st_mode)
    if kind not in (None, "folder"):
        return f"{path} is a {kind}"
    if not hasattr(os, "geteuid"):
        return None
    if found.st_uid not in (os.geteuid(), 0):
        return f"{path} belongs to another user"
    if found.st_mode & stat.S_IWOTH or (found.st_mode & stat.S_IWGRP and not _is_own_group(found.st_gid)):
        return f"other users may write to {path}"
    return None


def first_fault(root: Path, *names: str) -> str | None:
    """Return the first fault of `root`, which may be a symlink, or of the folders below it on the path of `names`."""
    real = root.resolve()
    places = (real.joinpath(*names[:count]) for count in range(len(names) + 1))
    return next(filter(None, map(fault, places)), None)


def _is_own_group(group: int) -> bool:
    import grp
    import pwd

    try:
        user, owner = pwd.getpwuid(os.geteuid()), grp.getgrgid(group)
    except KeyError:
        return False
    return group == user.pw_gid and owner.gr_name == user.pw_name and set(owner.gr_mem) <= {user.pw_name}

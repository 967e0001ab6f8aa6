"""PRIVATE FILES: what other users of the machine cannot change, and so cannot make us read or run."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from itertools import takewhile
from pathlib import Path


def make_folder(folder: Path) -> None:
    """Make a folder, and the missing ones above it, for this user alone, whatever the umask. Raises `OSError`."""
    missing = list(takewhile(lambda part: not part.is_dir(), [folder, *folder.parents]))
    for part in reversed(missing):
        with suppress(FileExistsError):
            part.mkdir(mode=0o700)
    if not folder.is_dir():
        raise NotADirectoryError(20, "is no folder", str(folder))


def fault(path: Path) -> str | None:
    """Why another user could have written what is at this path; None where only this user and root could.

    Group members may write where the group is the user's own (Debian and Fedora give everybody one of his name, and a
    umask of 002). Windows is not checked. Raises `OSError` where there is nothing.
    """
    found = path.lstat()
    if not (stat.S_ISDIR(found.st_mode) or stat.S_ISREG(found.st_mode)):
        return f"{path} is a link or a device"
    if not hasattr(os, "geteuid"):
        return None
    if found.st_uid not in (os.geteuid(), 0):
        return f"{path} belongs to another user"
    if found.st_mode & stat.S_IWOTH or (found.st_mode & stat.S_IWGRP and not _is_own_group(found.st_gid)):
        return f"other users may write to {path}"
    return None


def first_fault(root: Path, *names: str) -> str | None:
    """The first fault of a folder, which may be a link, and of those below it that the names lead through."""
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

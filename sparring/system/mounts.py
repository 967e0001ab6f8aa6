"""System folders such as /proc: file systems without files of the user."""

from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path

from sparring.errors import DataError

PSEUDO = (
    *("autofs", "binder", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devfs", "devpts"),
    *("devtmpfs", "efivarfs", "fusectl", "hugetlbfs", "mqueue", "nsfs", "proc", "pstore", "rpc_pipefs", "securityfs"),
    *("selinuxfs", "sysfs", "tracefs"),
)
"""File systems of Linux and macOS that describe the system and hold no user files."""
ALWAYS = ("/proc", "/sys", "/dev")


@cache
def pseudo_folders() -> frozenset[str]:
    """Return the folders where these file systems are mounted."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text(errors="surrogateescape")
    except OSError:
        return frozenset(ALWAYS)
    lines = re.findall(r"^\S+ \S+ \S+ \S+ (\S+) .* - (\S+) ", mounts, re.M)
    return frozenset({_unescaped(place) for place, kind in lines if kind in PSEUDO} | set(ALWAYS))


def is_pseudo(folder: str) -> bool:
    """Return whether such a file system is mounted at a folder, given without symlinks."""
    return folder in pseudo_folders()


def refuse_pseudo(folder: Path) -> None:
    """Raise `DataError` for a folder (without symlinks) inside one, unless a disk is mounted there, as /dev/shm is."""
    above = next(
        (place for place in (folder, *folder.parents) if is_pseudo(str(place)) or os.path.ismount(place)), None
    )
    if above is not None and is_pseudo(str(above)):
        raise DataError(f"{folder} lies in the system folder {above}, which holds no pictures")


def _unescaped(place: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), place)

"""MOUNTS: where the system describes itself, in what looks like folders of files."""

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
"""File systems of Linux and macOS that hold no files, but what the system says of itself."""
ALWAYS = ("/proc", "/sys", "/dev")


@cache
def pseudo_folders() -> frozenset[str]:
    """Where these file systems are mounted."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text(errors="surrogateescape")
    except OSError:
        return frozenset(ALWAYS)
    lines = re.findall(r"^\S+ \S+ \S+ \S+ (\S+) .* - (\S+) ", mounts, re.M)
    return frozenset({_unescaped(place) for place, kind in lines if kind in PSEUDO} | set(ALWAYS))


def is_pseudo(folder: str) -> bool:
    """Whether a folder, named without links, is where such a file system is mounted."""
    return folder in pseudo_folders()


def refuse_pseudo(folder: Path) -> None:
    """Raise `DataError` for a folder (without links) within one: but a disk may be mounted there, as is /dev/shm."""
    above = next(
        (place for place in (folder, *folder.parents) if is_pseudo(str(place)) or os.path.ismount(place)), None
    )
    if above is not None and is_pseudo(str(above)):
        raise DataError(f"{folder} lies in {above}, where the system describes itself: it holds no pictures")


def _unescaped(place: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), place)

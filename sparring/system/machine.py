"""Free memory of this machine, within all limits that apply to this process. Does not need JAX."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

CGROUPS = (
    ("", "0::", "memory.max", "memory.current", "inactive_file"),
    ("memory", r"\d+:memory:", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)
"""The two versions of control groups on Linux: (folder below sys/fs/cgroup, start of the line with our group, file with
the limit, file with the usage, name of the reclaimable part of the usage)."""


def free_here(root: Path = Path("/")) -> int | None:
    """Return the bytes of memory that are free for this process; None if unknown."""
    found = [*_available(root), *_within_limits(root), *within_address_space(root)]
    if not found and hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        found = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    return max(0, min(found)) if found else None


def _available(root: Path) -> Iterator[int]:
    with contextlib.suppress(OSError):
        if found := re.search(r"^MemAvailable:\s*(\d+) kB", (root / "proc/meminfo").read_text(), re.M):
            yield 1024 * int(found[1])


def within_address_space(root: Path) -> Iterator[int]:
    """Yield the bytes that `ulimit -v` leaves to this process."""
    if resource is not None and (limit := resource.getrlimit(resource.RLIMIT_AS)[0]) != resource.RLIM_INFINITY:
        with contextlib.suppress(OSError):
            yield limit - int((root / "proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def _within_limits(root: Path) -> Iterator[int]:
    """Yield the bytes that our control group and each of its parents leave."""
    for mount, line, limit, use, spare in CGROUPS:
        with contextlib.suppress(OSError):
            named = re.search(rf"^{line}/(.*)$", (root / "proc/self/cgroup").read_text(), re.M)
            top = root / "sys/fs/cgroup" / mount
            ours = top / named[1] if named else top
            for group in (ours, *(above for above in ours.parents if above.is_relative_to(top))):
                with contextlib.suppress(OSError, ValueError):  # no such group, or no limit ("max")
                    reclaimable = re.search(rf"^{spare} (\d+)", (group / "memory.stat").read_text(), re.M)
                    taken = int((group / use).read_text()) - (int(reclaimable[1]) if reclaimable else 0)
                    yield int((group / limit).read_text()) - taken

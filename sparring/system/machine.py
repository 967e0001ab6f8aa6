"""THE MACHINE: how much memory a program may still take here, by all limits that apply to it. Needs no JAX."""

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
"""Linux's two kinds of control groups: (the folder below sys/fs/cgroup, how the line with our group begins, the files
with limit and use, what of that use can be given up at once)."""


def free_here(root: Path = Path("/")) -> int | None:
    """Bytes that a program here can still take without others being pushed out; None if nothing tells."""
    found = [*_available(root), *_within_limits(root), *within_address_space(root)]
    if not found and hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        found = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    return max(0, min(found)) if found else None


def _available(root: Path) -> Iterator[int]:
    with contextlib.suppress(OSError):
        if found := re.search(r"^MemAvailable:\s*(\d+) kB", (root / "proc/meminfo").read_text(), re.M):
            yield 1024 * int(found[1])


def within_address_space(root: Path) -> Iterator[int]:
    """What `ulimit -v` leaves to this process."""
    if resource is not None and (limit := resource.getrlimit(resource.RLIMIT_AS)[0]) != resource.RLIM_INFINITY:
        with contextlib.suppress(OSError):
            yield limit - int((root / "proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def _within_limits(root: Path) -> Iterator[int]:
    """What each group that we are in leaves, ours and those around it."""
    for mount, line, limit, use, spare in CGROUPS:
        with contextlib.suppress(OSError):
            named = re.search(rf"^{line}/(.*)$", (root / "proc/self/cgroup").read_text(), re.M)
            top = root / "sys/fs/cgroup" / mount
            ours = top / named[1] if named else top
            for group in (ours, *(above for above in ours.parents if above.is_relative_to(top))):
                with contextlib.suppress(OSError, ValueError):  # no such group here, or no limit: "max"
                    reclaimable = re.search(rf"^{spare} (\d+)", (group / "memory.stat").read_text(), re.M)
                    taken = int((group / use).read_text()) - (int(reclaimable[1]) if reclaimable else 0)
                    yield int((group / limit).read_text()) - taken

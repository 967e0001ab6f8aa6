"""THE MEMORY that is free: on the devices, and on this machine or in the part of it that a container may use."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

from sparring.devices import Devices
from sparring.errors import OutOfMemory

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

COMPILING = 800_000_000
"""Bytes of address space that compiling the smallest recipe takes (it went on with 890 million, and not with 690)."""
SHARE = 0.5
"""As much of it may be taken by training images: the rest is for the training, and for others."""
CGROUPS = (
    ("", "0::", "memory.max", "memory.current", "inactive_file"),
    ("memory", r"\d+:memory:", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)
"""Linux's two kinds of control groups: (the folder below sys/fs/cgroup, how the line with our group begins, the files
with limit and use, what of that use can be given up at once)."""


def room(used: Devices) -> int | None:
    """Bytes that training images may take on each of these devices; None where the machine does not tell."""
    devices = jax.local_devices()[:1] if used.mesh is None else list(used.mesh.local_devices)
    limits = [(device.memory_stats() or {}).get("bytes_limit") for device in devices]
    own = [int(limit) for limit in limits if limit]
    if len(own) < len(devices):  # a CPU: all share the machine's
        free = free_here()
        own += [] if free is None else [free // len(devices)]
    return int(SHARE * min(own)) if own else None


def free_on(used: Devices) -> int | None:
    """Bytes that a program may still take on each of these devices; None where the machine does not tell."""
    devices = jax.local_devices()[:1] if used.mesh is None else list(used.mesh.local_devices)
    found = [device.memory_stats() or {} for device in devices]
    own = [int(stats["bytes_limit"]) - int(stats.get("bytes_in_use", 0)) for stats in found if "bytes_limit" in stats]
    if len(own) < len(devices):  # a CPU: all share the machine's
        free = free_here()
        own += [] if free is None else [free // len(devices)]
    return min(own, default=None)


def refuse_too_large(state: Any, used: Devices, copies: int = 1) -> None:
    """Raise `OutOfMemory` where so many copies of a training state (arrays, or their shapes) have no room."""
    size = copies * sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))
    if (free := free_on(used)) is not None and size > free:
        raise OutOfMemory(
            f"the networks, and what is kept to train them, take {size / 1e6:,.0f} MB, and {free / 1e6:,.0f} MB are "
            "free: take smaller networks or images"
        )


def refuse_to_compile() -> None:
    """Raise `OutOfMemory` where a limit of address space leaves less than compiling takes: JAX would abort."""
    for free in _within_address_space(Path("/")):
        if free < COMPILING:
            raise OutOfMemory(
                f"JAX takes {COMPILING / 1e6:,.0f} MB of address space to compile, and the limit (ulimit -v) leaves "
                f"{free / 1e6:,.0f} MB: raise it"
            )


def refuse_to_begin(begin: jax.stages.Compiled, used: Devices) -> None:
    """Raise `OutOfMemory` where the program that makes the first state has no room: JAX may wait for it for ever."""
    if (free := free_on(used)) is not None and needed(begin) > free:
        raise OutOfMemory(
            f"the networks' first weights take {needed(begin) / 1e6:,.0f} MB to make, and {free / 1e6:,.0f} MB are "
            "free: take smaller networks or images"
        )


def needed(program: jax.stages.Compiled) -> int:
    """Bytes that a compiled program takes beside its arguments, on each device."""
    sizes: Any = program.memory_analysis()
    return 0 if sizes is None else sizes.temp_size_in_bytes + sizes.output_size_in_bytes - sizes.alias_size_in_bytes


def free_here(root: Path = Path("/")) -> int | None:
    """Bytes that a program here can still take without others being pushed out; None if nothing tells."""
    found = [*_available(root), *_within_limits(root), *_within_address_space(root)]
    if not found and hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        found = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    return max(0, min(found)) if found else None


def _available(root: Path) -> Iterator[int]:
    with contextlib.suppress(OSError):
        if found := re.search(r"^MemAvailable:\s*(\d+) kB", (root / "proc/meminfo").read_text(), re.M):
            yield 1024 * int(found[1])


def _within_address_space(root: Path) -> Iterator[int]:
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

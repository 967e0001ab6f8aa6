"""THE MEMORY that is free on the devices, and what does not fit into it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax

from sparring.errors import OutOfMemory
from sparring.system.machine import free_here as free_here
from sparring.system.machine import within_address_space
from sparring.training.devices import Devices

COMPILING = 800_000_000
"""Bytes of address space that compiling the smallest recipe takes (it went on with 890 million, and not with 690)."""
SHARE = 0.5
"""As much of it may be taken by training images: the rest is for the training, and for others."""


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
    for free in within_address_space(Path("/")):
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

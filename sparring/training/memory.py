"""FREE MEMORY on the devices, and errors for what does not fit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

from sparring.errors import OutOfMemory
from sparring.system.machine import free_here as free_here
from sparring.system.machine import within_address_space
from sparring.training.devices import Devices

COMPILING = 800_000_000
"""Bytes of address space to compile the smallest recipe (890 million were enough, 690 million were not)."""
SHARE = 0.5
"""Share of the memory that training images may take."""


def room(used: Devices) -> int | None:
    """Bytes that training images may take on each of these devices; None if unknown."""
    least = _least(used, lambda stats: stats["bytes_limit"])
    return None if least is None else int(SHARE * least)


def free_on(used: Devices) -> int | None:
    """Bytes that are free on each of these devices; None if unknown."""
    return _least(used, lambda stats: stats["bytes_limit"] - stats.get("bytes_in_use", 0))


def _least(used: Devices, bytes_of: Callable[[dict[str, int]], int]) -> int | None:
    """The least of these bytes over the devices, by their statistics; CPU devices share what is free here."""
    devices = jax.local_devices()[:1] if used.mesh is None else list(used.mesh.local_devices)
    found = [device.memory_stats() or {} for device in devices]
    own = [int(bytes_of(stats)) for stats in found if stats.get("bytes_limit")]
    if len(own) < len(devices) and (free := free_here()) is not None:
        own.append(free // len(devices))
    return min(own, default=None)


def refuse_too_large(state: Any, used: Devices, copies: int = 1) -> None:
    """Raise `OutOfMemory` if `copies` of a training state (arrays, or their shapes) do not fit."""
    size = copies * sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))
    _refuse_above_free("the state of the networks", size, used)


def refuse_to_compile() -> None:
    """Raise `OutOfMemory` if a limit of address space leaves too little to compile: JAX would abort."""
    for free in within_address_space(Path("/")):
        if free < COMPILING:
            raise OutOfMemory(
                f"JAX takes {COMPILING / 1e6:,.0f} MB of address space to compile, and the limit (ulimit -v) leaves "
                f"{free / 1e6:,.0f} MB: raise it"
            )


def refuse_to_begin(begin: jax.stages.Compiled, used: Devices) -> None:
    """Raise `OutOfMemory` if the program that makes the first state does not fit: JAX might wait for ever."""
    _refuse_above_free("initialising the networks", needed(begin), used)


def _refuse_above_free(what: str, size: int, used: Devices) -> None:
    if (free := free_on(used)) is not None and size > free:
        raise OutOfMemory(
            f"{what} takes {size / 1e6:,.0f} MB, and {free / 1e6:,.0f} MB are free: take smaller networks or images"
        )


def needed(program: jax.stages.Compiled) -> int:
    """Bytes that a compiled program needs on each device, besides its arguments."""
    sizes: Any = program.memory_analysis()
    return 0 if sizes is None else sizes.temp_size_in_bytes + sizes.output_size_in_bytes - sizes.alias_size_in_bytes

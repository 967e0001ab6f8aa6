"""Fixed values for JAX's settings that decide numbers or stop a computation, so that a seed gives the same images
everywhere, whatever the user's environment or notebook has set.

The values hold during a call, in its thread. Afterwards the user's own values are back.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

from sparring.errors import DeviceError, UsageError
from sparring.system import isolation

FIXED: dict[str, Any] = {
    "jax_enable_x64": False,
    "jax_threefry_partitionable": True,
    "jax_random_seed_offset": 0,
    "jax_default_prng_impl": "threefry2x32",
    "jax_enable_custom_prng": False,
    "jax_legacy_prng_key": "allow",
    "jax_high_dynamic_range_gumbel": False,
    "jax_default_matmul_precision": None,
    "jax_numpy_dtype_promotion": "standard",
    "jax_numpy_rank_promotion": "allow",
    "jax_softmax_custom_jvp": False,
    "jax_use_direct_linearize": True,
    "jax_disable_jit": False,
    "jax_debug_nans": False,
    "jax_debug_infs": False,
    "jax_debug_key_reuse": False,
    "jax_enable_checks": False,
    "jax_check_tracer_leaks": False,
    "jax_check_static_indices": False,
    "jax_no_tracing": False,
    "jax_no_execution": False,
    "jax_transfer_guard_host_to_device": "allow",
    "jax_transfer_guard_device_to_device": "allow",
    "jax_transfer_guard_device_to_host": "allow",
}
"""The defaults of JAX 0.10. Settings that the installed version lacks are skipped."""
ALSO = ("JAX_TRANSFER_GUARD",)
"""Another environment variable that sets some of these."""
USERS: dict[str, Any] = {
    "jax_disable_most_optimizations": False,
    "jax_optimization_level": "UNKNOWN",
    "jax_exec_time_optimization_effort": 0.0,
    "jax_memory_fitting_effort": 0.0,
    "jax_memory_fitting_level": "O2",
    "jax_num_cpu_devices": -1,
}
"""Settings that may change the last bits and are left to the user, with JAX's defaults."""
WORDS = {True: ("y", "yes", "t", "true", "on", "1"), False: ("n", "no", "f", "false", "off", "0")}
"""Values of environment variables that mean true and false."""

Result = TypeVar("Result")


@contextmanager
def fixed() -> Iterator[None]:
    """Fix the settings within the block or the decorated function, in this thread.

    Raises `DeviceError` if JAX has no devices.
    """
    check_devices()
    with settings():
        yield


@contextmanager
def settings() -> Iterator[None]:
    """Fix the settings without a check for devices, for another thread or before there are devices."""
    from jax._src.config import config_states  # there is no public access to all of them

    with ExitStack() as stack:
        for name, value in FIXED.items():
            if name in config_states:
                stack.enter_context(config_states[name](value))
        yield


def in_thread(work: Callable[..., Result]) -> Callable[..., Result]:
    """Return the function with fixed settings, to start a thread with."""
    return settings()(work)


def others() -> dict[str, str]:
    """Return the user's settings that may change the last bits and differ from JAX's defaults."""
    import jax

    found = jax.config.values
    return {name: str(found[name]) for name, usual in USERS.items() if found.get(name, usual) != usual}


@functools.cache
def check_devices() -> None:
    """Raise `DeviceError` if JAX finds no devices of the kind in JAX_PLATFORMS."""
    import jax

    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:
        wanted = os.environ.get("JAX_PLATFORMS") or jax.config.jax_platforms  # type: ignore[attr-defined]
        reason = str(error).partition("\n")[0] or "there is none"
        if not wanted:
            raise DeviceError(f"JAX cannot use any device: {reason}") from error
        raise DeviceError(
            f"JAX_PLATFORMS is {wanted!r}, but JAX has no such device ({reason}); set it to cpu, or unset it to use "
            "the devices of this machine"
        ) from error


# ------------------------------------------------------------------------------------------------ the environment


def leave_environment() -> list[str]:
    """Remove the environment variables that set anything in `FIXED`. Returns those that differ, as "NAME=VALUE".

    Does nothing if JAX has read them already."""
    if "jax" in sys.modules:
        return []
    usual = {name.upper(): value for name, value in FIXED.items()} | dict.fromkeys(ALSO, "allow")
    given = {name: os.environ.pop(name) for name in usual if name in os.environ}
    return [f"{name}={value}" for name, value in given.items() if value and not _means(value, usual[name])]


def _means(text: str, value: Any) -> bool:
    return text.lower() in (WORDS[value] if isinstance(value, bool) else (str(value).lower(),))


def check_environment() -> None:
    """Import JAX. Raises `UsageError` if an environment variable prevents that or would end the process."""
    flags = os.environ.get("XLA_FLAGS")
    if flags and "jax" not in sys.modules:  # XLA aborts the process for an unknown flag
        import subprocess  # here, because it is slow to import

        tried = isolation.command("sparring.system.numerics", "check_devices")
        done = subprocess.run(tried, env=isolation.environment(), capture_output=True, text=True, check=False)
        lines = [line.rpartition("] ")[2] for line in done.stderr.splitlines() if "XLA_FLAGS" in line]
        if done.returncode and lines:
            raise UsageError(f"XLA_FLAGS is {flags!r}, but XLA does not accept it: {lines[0]}")
    try:
        import jax  # noqa: F401
    except ValueError as error:
        raise UsageError(f"JAX cannot start with the environment variables that are set: {error}") from None

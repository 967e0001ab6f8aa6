"""THE ENVIRONMENT of a run: versions, devices, threads, data and command."""

import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax

from sparring.data import NAMES, ImageSet
from sparring.system import numerics

PACKAGES = ("sparring", "jax", "jaxlib", "flax", "optax", "numpy")


def describe(images: ImageSet, devices: int = 1, processes: int = 1, given: str | None = None) -> dict[str, Any]:
    """Versions, the devices that train and in how many processes, threads, data and command, as JSON values.

    `given` is the name or path by which the images were asked for.
    """
    device = jax.devices()[0]
    return {
        "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
        "platform": platform.platform(),
        "device": {"kind": device.device_kind, "platform": device.platform, "count": devices},
        "processes": processes,
        "threads": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "jax_settings": numerics.others(),
        "data": {
            "name": images.name,
            "source": images.source,
            "path": _path(given),
            "shape": list(images.images.shape),
            "checksum": images.checksum(),
            "classes": images.class_counts,
        },
        "command": sys.argv,
    }


def _path(given: str | None) -> str | None:
    """The absolute path of the images; None for a named data set."""
    return None if given is None or given in NAMES else str(Path(given).absolute())


def changes(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Differences that may change the last bits of a result, in words."""
    found = [
        f"{name} {old['versions'].get(name)} is now {new['versions'][name]}"
        for name in new["versions"]
        if old["versions"].get(name) != new["versions"][name] and name != "sparring"
    ]
    for key in ("device", "processes", "threads", "xla_flags", "jax_settings"):
        # Older environments have neither the number of processes nor settings of JAX.
        before = old.get(key, 1 if key == "processes" else new[key])
        if before != new[key]:
            found.append(f"{key} {before!r} is now {new[key]!r}")
    return found

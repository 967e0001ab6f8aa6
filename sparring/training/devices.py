"""DEVICES that train together: each has the whole state and all images, and computes its part of every batch.

This is JAX's SPMD sharding. The step is written for the whole batch, so BatchNorm, losses and gradients are over the
whole batch on any number of devices. With one device nothing is sharded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import jax
import numpy as np
from jax import Array
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from numpy.typing import NDArray

from sparring.errors import DeviceError
from sparring.recipes.arguments import LARGEST, whole

Asked = int | Literal["all"] | None
"""A number of devices; None is one, or all devices of several processes."""

WHOLE = PartitionSpec()  # type: ignore[no-untyped-call]
"""All of an array on every device."""
SHARED = PartitionSpec("batch")  # type: ignore[no-untyped-call]
"""Each device has its part of the first axis."""
SHARED_LATER = PartitionSpec(None, "batch")  # type: ignore[no-untyped-call]
"""Each device has its part of the second axis."""


@dataclass(frozen=True)
class Devices:
    """The devices of a training."""

    mesh: Mesh | None = None
    """One axis, "batch"; None for one device."""

    @property
    def count(self) -> int:
        """The number of devices in all processes."""
        return 1 if self.mesh is None else int(self.mesh.size)

    def check(self, **sizes: int) -> None:
        """Raise `DeviceError` if one of these batch sizes is no multiple of the number of devices."""
        for name, size in sizes.items():
            if size % self.count:
                raise DeviceError(
                    f"{size} {name.replace('_', ' ')} cannot be shared evenly by {self.count} devices; "
                    f"take another --batch-size or other --devices"
                )

    def place(self, tree: Any) -> Any:
        """The arrays of a pytree, replicated on every device."""
        if self.mesh is None:
            return tree
        whole = NamedSharding(self.mesh, WHOLE)

        def placed(leaf: Any) -> Array:
            value = np.asarray(leaf)
            return jax.make_array_from_callback(value.shape, whole, lambda index: value[index])

        return jax.tree.map(placed, tree)

    def put(self, tree: Any) -> Any:
        """The arrays of a pytree as JAX arrays, replicated on every device; without a copy if a device needs none."""
        if self.mesh is not None:
            return self.place(tree)
        return jax.tree.map(lambda leaf: jax.device_put(np.asarray(leaf)), tree)

    def divided(self, shape: tuple[int, ...], dtype: Any) -> jax.ShapeDtypeStruct:
        """The shape of batches of many steps (steps, N, ...), of which each device has its part."""
        sharding = None if self.mesh is None else NamedSharding(self.mesh, SHARED_LATER)
        return jax.ShapeDtypeStruct(shape, dtype, sharding=sharding)  # type: ignore[no-untyped-call]

    def divide(self, like: jax.ShapeDtypeStruct, part: Callable[[Any], NDArray[Any]]) -> Array:
        """An array like `like`; `part` returns the values at some slices, for the devices of this process."""
        if self.mesh is None:
            whole: Array = jax.device_put(part((slice(None),) * len(like.shape)))
            return whole
        return jax.make_array_from_callback(like.shape, like.sharding, part)

    def local(self, tree: Any) -> Any:
        """The same arrays on the first device of this process, for computations of this process alone."""
        return tree if self.mesh is None else jax.tree.map(lambda leaf: leaf.addressable_data(0), tree)

    def share(self, batch: Array) -> Array:
        """In a compiled function: shard a batch (N, ...) over the devices."""
        return self._constrained(batch, SHARED)

    def gather(self, tree: Any) -> Any:
        """In a compiled function: replicate arrays on all devices."""
        return jax.tree.map(lambda leaf: self._constrained(leaf, WHOLE), tree)

    def _constrained(self, leaf: Array, spec: PartitionSpec) -> Array:
        if self.mesh is None:
            return leaf
        constrained: Array = jax.lax.with_sharding_constraint(leaf, NamedSharding(self.mesh, spec))  # type: ignore[no-untyped-call]
        return constrained


ONE_DEVICE = Devices()


def choose_devices(asked: Asked) -> Devices:
    """The requested devices, out of those that JAX finds.

    Raises `DeviceError` if there are fewer, `UsageError` for anything but a number of devices.
    """
    if asked is not None and asked != "all":
        asked = whole("devices", asked, -LARGEST)
    found = jax.devices()
    if jax.process_count() > 1:
        per_process = {sum(d.process_index == process for d in found) for process in range(jax.process_count())}
        if len(per_process) > 1:
            raise DeviceError("the processes must have the same number of devices each")
        if asked not in (None, "all", len(found)):
            raise DeviceError(
                f"{jax.process_count()} processes train on all of their {len(found)} devices, so not on {asked}"
            )
        asked = "all"
    number = len(found) if asked == "all" else 1 if asked is None else asked
    if not 1 <= number <= len(found):
        here = f"there are {len(found)} devices" if len(found) > 1 else "there is 1 device"
        raise DeviceError(f"{here} here, so --devices cannot be {number}")
    return Devices(Mesh(np.array(found[:number]), ("batch",)) if number > 1 else None)

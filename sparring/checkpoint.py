"""CHECKPOINTS: the training state as named arrays with a checksummed manifest, written atomically, verified on load.

One checkpoint is a folder named after its step:

    checkpoints/00001000/state.safetensors   every array of the state, by its path in the state
    checkpoints/00001000/manifest.json       format, step, and size and SHA-256 of the arrays' file; its own SHA-256

A folder gets its name only when both files are on the disk, and an older checkpoint goes only when two newer ones are
whole. Nothing in it can run code.
"""

import hashlib
import os
import shutil
from pathlib import Path
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_safetensors
from safetensors.numpy import save as save_safetensors

from sparring import atomic, sealed
from sparring.errors import CheckpointError
from sparring.plain import open_plain

FORMAT = 1
STATE, MANIFEST = "state.safetensors", "manifest.json"
KEPT = 2

Arrays = dict[str, NDArray[Any]]


# ------------------------------------------------------------------------------------- trees of arrays, by name


def named_arrays(tree: Any) -> Arrays:
    """Every array of a pytree under its path: `{"generator/hidden/0/kernel": ...}`."""
    return {_name(path): np.asarray(leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def tree_like(template: Any, arrays: Arrays) -> Any:
    """The pytree of the template's structure with these arrays in its places.

    Raises `CheckpointError` where a name, a shape or a type differs from the template's.
    """
    paths, structure = jax.tree_util.tree_flatten_with_path(template)
    names = [_name(path) for path, _ in paths]
    if odd := sorted(set(names) ^ set(arrays)):
        whose = "lacks" if odd[0] in names else "has the unexpected array"
        raise CheckpointError(f"{whose} {odd[0]!r}")
    for name, (_, leaf) in zip(names, paths, strict=True):
        found = arrays[name]
        if found.shape != leaf.shape or found.dtype != leaf.dtype:
            raise CheckpointError(
                f"{name!r} should be {leaf.dtype} of shape {leaf.shape}, but is {found.dtype} of shape {found.shape}"
            )
    return jax.tree_util.tree_unflatten(structure, [arrays[name] for name in names])


def _name(path: tuple[Any, ...]) -> str:
    return "/".join(str(getattr(key, "name", getattr(key, "key", getattr(key, "idx", "")))) for key in path)


# --------------------------------------------------------------------------------- arrays in a file with a checksum


def pack(arrays: Arrays) -> tuple[bytes, dict[str, Any]]:
    """The arrays as safetensors, and what to write down about them: {"bytes", "sha256"}."""
    content = save_safetensors({name: np.asarray(array, order="C") for name, array in arrays.items()})
    return content, {"bytes": len(content), "sha256": sha256(content)}


def sha256(content: bytes) -> str:
    """The checksum of bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def unpack(path: Path, expected: dict[str, Any]) -> Arrays:
    """The arrays of a file that `pack` made. Raises `CheckpointError` where size or checksum differ."""
    try:
        with open_plain(path, links=True) as file:
            if (size := os.fstat(file.fileno()).st_size) != expected["bytes"]:
                raise CheckpointError(f"{path} should hold {expected['bytes']} bytes, but holds {size}")
            content = file.read(size)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from error
    found = sha256(content)
    if found != expected["sha256"]:
        raise CheckpointError(f"{path} is damaged: its SHA-256 should be {expected['sha256']}, but is {found}")
    try:
        return load_safetensors(content)
    except SafetensorError as error:
        raise CheckpointError(f"{path} is no safetensors file: {error}") from error


# ------------------------------------------------------------------------------------------------ checkpoints


def save(folder: Path, step: int, tree: Any, keep: int = KEPT) -> Path:
    """Write the state of `step` as a checkpoint below `folder`; keep the newest `keep` up to it, drop all others.

    One of a later step is damaged, or a run would have gone on from there: it must not take the place of a whole one.
    Raises `DiskError`; then all that was there is there still.
    """
    content, weights = pack(named_arrays(tree))
    manifest = {"format": FORMAT, "step": step, STATE: weights}
    final = folder / f"{step:08d}"
    partial = folder / f".partial-{os.getpid()}-{final.name}"
    with atomic.reporting(final, len(content)):
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(".partial-*"):  # by a killed process
            shutil.rmtree(left)
        try:
            partial.mkdir()
            atomic.write_bytes(partial / STATE, content)
            sealed.write(partial / MANIFEST, manifest)
            if final.exists():  # damaged, or from before a resume: this one replaces it
                final.rename(partial.with_name(f"{partial.name}-old"))
            partial.rename(final)
        except OSError:
            shutil.rmtree(partial, ignore_errors=True)  # a full disk needs the room
            raise
        atomic.sync(folder)
        kept = [path for path in all_checkpoints(folder) if int(path.name) <= step][-keep:]
        for other in {*all_checkpoints(folder), *folder.glob(".partial-*")} - set(kept):
            shutil.rmtree(other)
    return final


def load(checkpoint: Path, template: Any) -> Any:
    """The state in a checkpoint, as a pytree like the template. Raises `CheckpointError` if it is not whole."""
    manifest = read_manifest(checkpoint)
    try:
        return tree_like(template, unpack(checkpoint / STATE, manifest[STATE]))
    except CheckpointError as error:
        raise CheckpointError(f"the checkpoint {checkpoint}: {error}") from error


def load_newest(folder: Path, template: Any, up_to: int | None = None) -> tuple[int, Any, list[str]] | None:
    """(step, state, why newer ones were passed over) of the newest whole checkpoint, or None where there is none.

    Later ones than of step `up_to`, if given, are left alone. Raises `CheckpointError` where there are checkpoints, but
    not one whole.
    """
    damaged: list[str] = []
    for checkpoint in reversed(all_checkpoints(folder)):
        if up_to is not None and int(checkpoint.name) > up_to:
            continue
        try:
            return int(checkpoint.name), load(checkpoint, template), damaged
        except CheckpointError as error:
            damaged.append(str(error))
    if damaged:
        raise CheckpointError(f"no checkpoint in {folder} is whole: " + "; ".join(damaged))
    return None


def all_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints below `folder`, whole or not, the oldest first; but nothing that holds other files, too."""
    found = (path for path in folder.glob("[0-9]*") if path.name.isascii() and path.name.isdecimal() and path.is_dir())
    return sorted(path for path in found if _holds_nothing_else(path))


def _holds_nothing_else(checkpoint: Path) -> bool:
    try:
        return {path.name for path in checkpoint.iterdir()} <= {STATE, MANIFEST}
    except OSError:  # it was just removed
        return False


def newest_step(folder: Path) -> int:
    """The step of the newest checkpoint, whole or not; -1 where there is none."""
    return max((int(checkpoint.name) for checkpoint in all_checkpoints(folder)), default=-1)


def read_manifest(checkpoint: Path) -> dict[str, Any]:
    """The manifest, its own checksum verified. Raises `CheckpointError`."""
    path = checkpoint / MANIFEST
    try:
        manifest = sealed.read(path, always=True)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is damaged: {error}") from error
    if manifest.get("format") != FORMAT:
        raise CheckpointError(f"{path} has format {manifest.get('format')}, but this version reads format {FORMAT}")
    return manifest

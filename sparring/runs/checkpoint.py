"""CHECKPOINTS: the training state as named arrays with a checksummed manifest, written atomically, verified on load.

One checkpoint is a folder named after its step:

    checkpoints/00001000/state.safetensors   every array of the state, by its path in the state
    checkpoints/00001000/manifest.json       format, step, the run's id, the recipe's digest, and size and SHA-256 of
                                             the arrays' file; its own SHA-256

A folder is renamed to its step only when both files are on the disk. An older checkpoint is removed only when two newer
ones are whole. Other files in the folder (as from a sync client) are ignored and never removed, except the files that
file managers leave (`.DS_Store`). Loading a checkpoint cannot run code.
"""

import contextlib
import hashlib
import os
import re
from pathlib import Path
from typing import Any, cast

import jax
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_safetensors
from safetensors.numpy import save as save_safetensors

from sparring.errors import CheckpointError
from sparring.files import atomic, checksummed
from sparring.files.untrusted import open_plain
from sparring.gan.state import todays_name
from sparring.runs import identity, schemas
from sparring.runs.identity import Identity
from sparring.runs.schemas import Manifest, Weights

FORMAT = Manifest.FORMAT
STATE, MANIFEST = "state.safetensors", "manifest.json"
KEPT = 2
LITTER = re.compile(r"\.DS_Store|\._.*|\.localized|Thumbs\.db|ehthumbs\.db|desktop\.ini|\.directory")
"""Files that file managers leave in folders."""
OURS = re.compile(rf"{atomic.PARTIAL.pattern}|state\.safetensors|manifest\.json")
"""The files of a checkpoint, and their temporary names."""

Arrays = dict[str, NDArray[Any]]


# ------------------------------------------------------------------------------------- trees of arrays, by name


def named_arrays(tree: Any) -> Arrays:
    """Every array of a pytree under its path: `{"generator/params/hidden/0/kernel": ...}`."""
    return {_name(path): np.asarray(leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def tree_like(template: Any, arrays: Arrays) -> Any:
    """These arrays in a pytree with the structure of the template.

    Raises `CheckpointError` if a name, a shape or a type differs from the template's.
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


def pack(tree: Any) -> tuple[bytes, dict[str, Any]]:
    """The arrays of a pytree as safetensors, and {"bytes", "sha256"} of these, which `read` compares."""
    content = save_safetensors({name: np.asarray(array, order="C") for name, array in named_arrays(tree).items()})
    return content, {"bytes": len(content), "sha256": sha256(content)}


def read(path: Path, about: dict[str, Any], template: Any) -> Any:
    """The pytree in a file that `pack` made, like the template.

    Raises `CheckpointError` if size or checksum differ from `about`, or a name, a shape or a type from the template's.
    """
    return tree_like(template, unpack(path, Weights(about["bytes"], about["sha256"])))


def sha256(content: bytes) -> str:
    """SHA-256 of bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def unpack(path: Path, expected: Weights) -> Arrays:
    """The arrays in a file that `pack` made, by name. Raises `CheckpointError` if size or checksum differ."""
    try:
        with open_plain(path, links=True) as file:
            if (size := os.fstat(file.fileno()).st_size) != expected.bytes:
                raise CheckpointError(f"{path} should hold {expected.bytes} bytes, but holds {size}")
            content = file.read(size)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from error
    found = sha256(content)
    if found != expected.sha256:
        raise CheckpointError(f"{path} is damaged: its SHA-256 should be {expected.sha256}, but is {found}")
    try:
        return load_safetensors(content)
    except SafetensorError as error:
        raise CheckpointError(f"{path} is no safetensors file: {error}") from error


# ------------------------------------------------------------------------------------------------ checkpoints


def save(folder: Path, step: int, tree: Any, keep: int = KEPT, made_by: Identity | None = None) -> Path:
    """Write the state of `step` as a checkpoint in `folder`; keep the newest `keep` whole ones up to it, and no others.

    Checkpoints of later steps are removed: they must be damaged, because the run resumed from an earlier one. Those of
    other runs than `made_by` are never removed. Raises `DiskError`; the older checkpoints are then unchanged.
    """
    content, weights = pack(tree)
    marks = {} if made_by is None else identity.mark(made_by.run) | {"recipe": made_by.recipe}
    manifest = {"format": FORMAT, "step": step, STATE: weights} | marks
    final = folder / f"{step:08d}"
    partial, old = atomic.partial_beside(final), atomic.partial_beside(final)
    with atomic.reporting(final, len(content)):
        folder.mkdir(parents=True, exist_ok=True)
        for left in filter(_is_partial, folder.iterdir()):  # by a killed process
            _remove(left)
        try:
            partial.mkdir()
            atomic.write_bytes(partial / STATE, content)
            checksummed.write(partial / MANIFEST, manifest)
            if os.path.lexists(final):  # damaged, or from before the run resumed
                final.rename(old)
            partial.rename(final)
        except OSError:
            _remove(partial)  # the disk may be full
            raise
        atomic.sync(folder)
        if os.path.lexists(old):
            _remove(old, into=final)
        kept = {final}
        for other in reversed(all_checkpoints(folder)):
            if other != final and int(other.name) < step and len(kept) < keep and _is_whole(other, made_by):
                kept.add(other)
        for other in set(all_checkpoints(folder)) - kept:
            if _is_ours(other) and not _is_foreign(other, made_by):
                _remove(other)
    return final


def _is_partial(path: Path) -> bool:
    return atomic.partial_process(path) is not None and path.is_dir()


def _is_whole(checkpoint: Path, made_by: Identity | None) -> bool:
    """Whether its files are unchanged and in the right folder."""
    try:
        about = read_manifest(checkpoint, made_by).state
        with open_plain(checkpoint / STATE) as file:
            return bool(hashlib.file_digest(cast(Any, file), "sha256").hexdigest() == about.sha256)
    except (OSError, CheckpointError):
        return False


def _is_foreign(checkpoint: Path, made_by: Identity | None) -> bool:
    """Whether its manifest has the id of another run."""
    try:
        return made_by is not None and read_manifest(checkpoint).run != made_by.run
    except CheckpointError:
        return False


def _is_ours(checkpoint: Path) -> bool:
    """Whether this is a checkpoint that may be removed: a folder with a manifest, or with no files but ours."""
    if checkpoint.is_symlink() or not checkpoint.is_dir():
        return False
    names = {path.name for path in checkpoint.iterdir()}
    return MANIFEST in names or all(OURS.fullmatch(name) or LITTER.fullmatch(name) for name in names)


def _remove(checkpoint: Path, into: Path | None = None) -> None:
    """Remove our files and litter, the manifest last, then the folder if it is empty. Other files move `into` a folder.

    Of a symlink, only the link is removed.
    """
    if checkpoint.is_symlink() or not checkpoint.is_dir():
        checkpoint.unlink(missing_ok=True)
        return
    for path in sorted(checkpoint.iterdir(), key=lambda path: path.name == MANIFEST):
        with contextlib.suppress(OSError):  # a folder, or in use on a network file system
            if OURS.fullmatch(path.name) or LITTER.fullmatch(path.name):
                path.unlink()
            elif into is not None:
                path.rename(into / path.name)
    with contextlib.suppress(OSError):  # the user's files are in it
        checkpoint.rmdir()


def load(checkpoint: Path, template: Any, made_by: Identity | None = None) -> Any:
    """The state in a checkpoint, as a pytree like the template.

    Raises `CheckpointError` if it is damaged, of another step than its folder's, or not of the run `made_by`.
    """
    try:
        manifest = read_manifest(checkpoint, made_by)
        arrays = unpack(checkpoint / STATE, manifest.state)
        return tree_like(template, {todays_name(name): array for name, array in arrays.items()})
    except CheckpointError as error:
        raise CheckpointError(f"the checkpoint {checkpoint}: {error}") from error


def load_newest(
    folder: Path, template: Any, up_to: int | None = None, made_by: Identity | None = None
) -> tuple[int, Any, list[str]] | None:
    """(step, state, a line for each newer one that was skipped) of the newest whole checkpoint; None if there is none.

    Considers only those up to step `up_to`, if given. Raises `CheckpointError` if there are checkpoints and none is
    whole.
    """
    reasons: list[str] = []
    for checkpoint in reversed(all_checkpoints(folder)):
        if up_to is not None and int(checkpoint.name) > up_to:
            continue
        try:
            state = load(checkpoint, template, made_by)
            return int(checkpoint.name), state, [f"skipped {reason}" for reason in reasons]
        except CheckpointError as error:
            reasons.append(str(error))
    if reasons:
        raise CheckpointError(f"no checkpoint in {folder} is whole: " + "; ".join(reasons))
    return None


def all_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints in `folder`, whole or not, the oldest first; without folders that hold other files only.

    Raises `CheckpointError` if the folder cannot be read.
    """
    try:
        found = [path for path in folder.iterdir() if _step_of(path.name) is not None]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise CheckpointError(f"{folder} cannot be read: {error.strerror}") from error
    return sorted((path for path in found if _may_be_checkpoint(path)), key=lambda path: int(path.name))


def _step_of(name: str) -> int | None:
    """The step in the name of a checkpoint; None for any other name."""
    is_number = name.isascii() and name.isdecimal() and len(name) <= 10
    return int(name) if is_number and name == f"{int(name):08d}" else None


def _may_be_checkpoint(path: Path) -> bool:
    """Whether it is empty or has a file of ours. A symlink or a file counts, as a damaged checkpoint."""
    if path.is_symlink() or not path.is_dir():
        return True
    try:
        names = {inside.name for inside in path.iterdir() if not LITTER.fullmatch(inside.name)}
    except OSError:  # it was just removed
        return False
    return not names or not names.isdisjoint((STATE, MANIFEST))


def newest_step(folder: Path, made_by: Identity | None = None) -> int:
    """The step of the newest checkpoint with a whole manifest; -1 if there is none."""
    for checkpoint in reversed(all_checkpoints(folder)):
        with contextlib.suppress(CheckpointError):
            return read_manifest(checkpoint, made_by).step
    return -1


def read_manifest(checkpoint: Path, made_by: Identity | None = None) -> Manifest:
    """The manifest, with its own checksum verified.

    Raises `CheckpointError` if it is damaged, of another step than its folder's, or not of the run `made_by`.
    """
    if checkpoint.is_symlink() or not checkpoint.is_dir():
        raise CheckpointError(f"it is a {'link' if checkpoint.is_symlink() else 'file'}, not a folder")
    path = checkpoint / MANIFEST
    try:
        manifest = schemas.check(checksummed.read(path, always=True), Manifest)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise CheckpointError(checksummed.damaged(path, error)) from error
    if manifest.step != int(checkpoint.name):
        raise CheckpointError(f"it is of step {manifest.step:,}, not of {int(checkpoint.name):,} as its name says")
    if made_by is not None and manifest.run != made_by.run:
        raise CheckpointError("it belongs to another run")
    if made_by is not None and manifest.recipe not in (None, made_by.recipe):
        raise CheckpointError("it was trained with another recipe than recipe.json says")
    return manifest

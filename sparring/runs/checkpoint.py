"""CHECKPOINTS: the training state as named arrays with a checksummed manifest, written atomically, verified on load.

One checkpoint is a folder named after its step:

    checkpoints/00001000/state.safetensors   every array of the state, by its path in the state
    checkpoints/00001000/manifest.json       format, step, the run's id, the recipe's digest, and size and SHA-256 of
                                             the arrays' file; its own SHA-256

A folder gets its name only when both files are on the disk, and an older checkpoint goes only when two newer ones are
whole. Other files in it (`.DS_Store`, a sync client's) do not count and are never removed, but for the litter that file
managers leave. Nothing in it can run code.
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
from sparring.runs import identity, schemas
from sparring.runs.identity import Identity
from sparring.runs.schemas import Manifest, Weights

FORMAT = Manifest.FORMAT
STATE, MANIFEST = "state.safetensors", "manifest.json"
KEPT = 2
LITTER = re.compile(r"\.DS_Store|\._.*|\.localized|Thumbs\.db|ehthumbs\.db|desktop\.ini|\.directory")
"""What file managers leave in folders that somebody looks into."""
OURS = re.compile(r"\.partial-\d+-[0-9a-f]{16}|state\.safetensors|manifest\.json")
"""The files of a checkpoint, also while they are written."""
PARTIAL = re.compile(r"\.partial-\d+-\d{8,10}(-old)?")
"""A checkpoint while it is written or replaced."""

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


def pack(tree: Any) -> tuple[bytes, dict[str, Any]]:
    """The arrays of a pytree as safetensors, and {"bytes", "sha256"} of these, which `read` compares."""
    content = save_safetensors({name: np.asarray(array, order="C") for name, array in named_arrays(tree).items()})
    return content, {"bytes": len(content), "sha256": sha256(content)}


def read(path: Path, about: dict[str, Any] | Weights, template: Any) -> Any:
    """The pytree in a file that `pack` made, like the template.

    Raises `CheckpointError` if size or checksum differ from `about`, or a name, a shape or a type from the template's.
    """
    return tree_like(
        template, unpack(path, about if isinstance(about, Weights) else Weights(about["bytes"], about["sha256"]))
    )


def sha256(content: bytes) -> str:
    """The checksum of bytes, in hexadecimal."""
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
    """Write the state of `step` as a checkpoint below `folder`; keep the newest `keep` whole ones up to it, no others.

    One of a later step is damaged, or a run would have gone on from there: it must not take the place of a whole one.
    What another run than `made_by` left is left alone.
    Raises `DiskError`; then all that was there is there still.
    """
    content, weights = pack(tree)
    marks = {} if made_by is None else identity.mark(made_by.run) | {"recipe": made_by.recipe}
    manifest = {"format": FORMAT, "step": step, STATE: weights} | marks
    final = folder / f"{step:08d}"
    partial = folder / f".partial-{os.getpid()}-{final.name}"
    old = partial.with_name(f"{partial.name}-old")
    with atomic.reporting(final, len(content)):
        folder.mkdir(parents=True, exist_ok=True)
        for left in filter(_is_partial, folder.iterdir()):  # by a killed process
            _remove(left)
        try:
            partial.mkdir()
            atomic.write_bytes(partial / STATE, content)
            checksummed.write(partial / MANIFEST, manifest)
            if os.path.lexists(final):  # damaged, or from before a resume: this one replaces it
                final.rename(old)
            partial.rename(final)
        except OSError:
            _remove(partial)  # a full disk needs the room
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
    return PARTIAL.fullmatch(path.name) is not None


def _is_whole(checkpoint: Path, made_by: Identity | None) -> bool:
    """Whether its files are as they were written, and in their place."""
    try:
        about = read_manifest(checkpoint, made_by).state
        with open_plain(checkpoint / STATE) as file:
            return bool(hashlib.file_digest(cast(Any, file), "sha256").hexdigest() == about.sha256)
    except (OSError, CheckpointError):
        return False


def _is_foreign(checkpoint: Path, made_by: Identity | None) -> bool:
    """Whether it is known to be another run's."""
    try:
        return made_by is not None and read_manifest(checkpoint).run != made_by.run
    except CheckpointError:
        return False


def _is_ours(checkpoint: Path) -> bool:
    """Whether this is a checkpoint that may be removed: a folder with a manifest, or with nothing but our files."""
    if checkpoint.is_symlink() or not checkpoint.is_dir():
        return False
    names = {path.name for path in checkpoint.iterdir()}
    return MANIFEST in names or all(OURS.fullmatch(name) or LITTER.fullmatch(name) for name in names)


def _remove(checkpoint: Path, into: Path | None = None) -> None:
    """Remove our files and litter, the manifest last, then the folder if it is empty; or move the rest `into` another.

    A link is removed, and what it leads to is left alone.
    """
    if checkpoint.is_symlink() or not checkpoint.is_dir():
        checkpoint.unlink(missing_ok=True)
        return
    for path in sorted(checkpoint.iterdir(), key=lambda path: path.name == MANIFEST):
        with contextlib.suppress(OSError):  # it is no file, or held by a network file system
            if OURS.fullmatch(path.name) or LITTER.fullmatch(path.name):
                path.unlink()
            elif into is not None:
                path.rename(into / path.name)
    with contextlib.suppress(OSError):  # the user's files are in it
        checkpoint.rmdir()


def load(checkpoint: Path, template: Any, made_by: Identity | None = None) -> Any:
    """The state in a checkpoint, as a pytree like the template. Raises `CheckpointError` if it is not whole, or is not
    what its place says, or not of the run `made_by`."""
    try:
        manifest = read_manifest(checkpoint, made_by)
        return read(checkpoint / STATE, manifest.state, template)
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
            return (
                int(checkpoint.name),
                load(checkpoint, template, made_by),
                [f"skipped {reason}" for reason in reasons],
            )
        except CheckpointError as error:
            reasons.append(str(error))
    if reasons:
        raise CheckpointError(f"no checkpoint in {folder} is whole: " + "; ".join(reasons))
    return None


def all_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints below `folder`, whole or not, the oldest first; but no folder that holds only other things.

    Raises `CheckpointError` where the folder cannot be read.
    """
    try:
        found = [path for path in folder.iterdir() if _step_of(path.name) is not None]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise CheckpointError(f"{folder} cannot be read: {error.strerror}") from error
    return sorted((path for path in found if _may_be_checkpoint(path)), key=lambda path: int(path.name))


def _step_of(name: str) -> int | None:
    """The step of a checkpoint of that name; None where that is no name of ours."""
    is_number = name.isascii() and name.isdecimal() and len(name) <= 10
    return int(name) if is_number and name == f"{int(name):08d}" else None


def _may_be_checkpoint(path: Path) -> bool:
    """Whether it has a file of ours or nothing at all in it; a link or a file counts too, as one that is damaged."""
    if path.is_symlink() or not path.is_dir():
        return True
    try:
        names = {inside.name for inside in path.iterdir() if not LITTER.fullmatch(inside.name)}
    except OSError:  # it was just removed
        return False
    return not names or not names.isdisjoint((STATE, MANIFEST))


def newest_step(folder: Path, made_by: Identity | None = None) -> int:
    """The step of the newest checkpoint whose manifest is whole and in its place; -1 where there is none."""
    for checkpoint in reversed(all_checkpoints(folder)):
        with contextlib.suppress(CheckpointError):
            return read_manifest(checkpoint, made_by).step
    return -1


def read_manifest(checkpoint: Path, made_by: Identity | None = None) -> Manifest:
    """The manifest, its own checksum verified. Raises `CheckpointError`, also where it is not that of this place, or
    not of the run `made_by`."""
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

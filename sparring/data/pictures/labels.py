"""LABELS from folders: the split and the class of each picture.

Folders called "train", "test" and similar are splits. If the pictures of a split are in two or more folders, the first
folder is the class, unless the folders are shards (see `shards.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparring.data.arrays.idx import Split
from sparring.data.pictures.label_file import FileLabels
from sparring.data.pictures.listing import shown
from sparring.data.pictures.shards import are_shards
from sparring.data.splits import Part, Role, SplitName, split_name, splits_among
from sparring.errors import DataError

Folders = tuple[str, ...]
"""The folders of a picture, outermost first."""
Placed = dict[int, Folders]
"""Index of a picture -> its folders."""
STRAY_LEVELS = 4
"""Levels of folders beside which a few stray pictures are allowed."""
LISTED = 3
"""Names listed in a note."""
DEEPEST = 64
"""Deepest folder that is used. An archive may have any depth."""


@dataclass(frozen=True, eq=False)
class Arrangement:
    """The pictures of a split in order, with their classes."""

    places: NDArray[np.int64]
    """Indices (N,) of the pictures, shuffled with a fixed seed, because a recipe may read its data in order."""
    labels: NDArray[np.int32] | None
    """(N,), or None."""
    class_names: tuple[str, ...]
    notes: tuple[str, ...]
    """Remarks for the user."""
    parts: tuple[Part, ...]
    """The splits, if there are any."""


@dataclass(frozen=True)
class _Splits:
    """Pictures by split, with their folders below the split."""

    pictures: dict[Role, Placed]
    parts: tuple[Part, ...]
    notes: tuple[str, ...]


def arrange(
    folders: Sequence[Folders], split: Split, name: str, files: Sequence[str] = (), given: FileLabels | None = None
) -> Arrangement:
    """Find the split and the class of one or more pictures.

    Args:
        folders: The folders of each picture.
        split: The split to return.
        name: The name of the source in errors.
        files: The file name of each picture, to distinguish shards from classes.
        given: Labels from a label file, used instead of folders.

    Raises `DataError` if the split does not exist.
    """
    placed = _shallow(folders)
    found = _split_up(placed, files)
    if found is None:
        if split == "test":
            raise DataError(f"{name} has no test split: it holds no folders called train and test")
        found = _no_splits(placed)
    if not found.pictures.get(split):
        raise DataError(f"{name} has no {split} split: it holds no folder called {split}")
    labels, notes = _classes(found.pictures, split, files, given)
    kept = np.array(sorted(found.pictures[split] if labels is None else labels), np.int64)
    places = kept[np.random.Generator(np.random.PCG64(0)).permutation(len(kept))]
    every = (*found.notes, *notes)
    if labels is None:
        return Arrangement(places, None, (), every, found.parts)
    names = _class_names(found.pictures, labels, given)
    index = {one: i for i, one in enumerate(names)}
    numbers = np.array([index[labels[place]] for place in places.tolist()], np.int32)
    return Arrangement(places, numbers, tuple(shown(str(one)) for one in names), every, found.parts)


def _shallow(folders: Sequence[Folders]) -> Placed:
    """Remove the folders common to all, up to one that names a split. Keep at most `DEEPEST` folders."""
    placed = _without_common(dict(enumerate(folders)), lambda name: split_name(name) is not None)
    return {place: each[:DEEPEST] for place, each in placed.items()}


# ------------------------------------------------------------------------------------------------ splits


def _split_up(placed: Placed, files: Sequence[str]) -> _Splits | None:
    """Find the splits of these pictures; None if no folders are called like splits."""
    beside: list[int] = []
    for _ in range(STRAY_LEVELS):
        placed = _without_common(placed, lambda name: (found := split_name(name)) is not None and found.role == "train")
        loose = [place for place, folders in placed.items() if not folders]
        names = Counter(folders[0] for folders in placed.values() if folders)
        splits = splits_among(names)
        if _are_splits(names, splits) and len(loose) < names.total():
            return _sorted_out(placed, splits, [*beside, *loose], files)
        if not loose and (turned := _splits_in_classes(placed)) is not None:
            return _sorted_out(turned, splits_among({folders[0] for folders in turned.values()}), beside, files)
        if len(names) != 1 or not _few(len(loose), names.total()):
            return None
        beside += loose
        placed = {place: folders[1:] for place, folders in placed.items() if folders}
    return None


def _are_splits(names: Mapping[str, int], splits: Mapping[str, SplitName]) -> bool:
    """Whether these folders are splits. "train" may also be a class beside "bus"."""
    roles = {split.role for split in splits.values()}
    others = len(names) - len(splits)
    return "train" in roles and (others == 0 or (len(roles) > 1 and others <= len(splits)))


def _splits_in_classes(placed: Placed) -> Placed | None:
    """Put the splits first if each of several folders has splits in it: cats/train, cats/test, ..."""
    inner: dict[str, set[str]] = {}
    for folders in placed.values():
        if len(folders) < 2:
            return None
        inner.setdefault(folders[0], set()).add(folders[1])
    if len(inner) < 2:
        return None
    for names in inner.values():
        splits = splits_among(names)
        if len(splits) < len(names) or "train" not in {split.role for split in splits.values()}:
            return None
    if all(len(names) == 1 for names in inner.values()):
        return None  # just one folder in each class
    return {place: (folders[1], folders[0], *folders[2:]) for place, folders in placed.items()}


def _sorted_out(
    placed: Placed, splits: Mapping[str, SplitName], beside: Sequence[int], files: Sequence[str]
) -> _Splits:
    pictures: dict[Role, Placed] = {}
    counts = Counter(folders[0] for folders in placed.values() if folders)
    for place, folders in placed.items():
        if folders and (found := splits.get(folders[0])):
            domain = () if found.domain is None else (found.domain,)
            pictures.setdefault(found.role, {})[place] = (*domain, *folders[1:])
    parts = tuple(Part(shown(name), splits[name].role, counts[name]) for name in sorted(splits))
    unused = [part for part in parts if part.role not in ("train", "test")]
    notes = [
        f"{_pictures(part.images)} in {part.name} are used neither for training nor for testing" for part in unused
    ]
    others = {name: count for name, count in counts.items() if name not in splits}
    if others:
        listed = _listed([shown(name) for name in sorted(others)])
        notes.append(f"{_pictures(sum(others.values()))} in {listed} are left out, because they are beside the splits")
    return _Splits(pictures, parts, (*notes, *_left_out(beside, files)))


def _no_splits(placed: Placed) -> _Splits:
    """Use all pictures for training, with a note if folders are named like splits but are not used as such."""
    inner, _ = _stripped(placed)
    names = {folders[0] for folders in inner.values() if folders}
    found = sorted(name for name in names if split_name(name))
    if not found:
        return _Splits({"train": placed}, (), ())
    listed = _listed([shown(name) for name in found])
    if len(found) == len(names):
        note = f"{listed} are all read as training images, because there is no folder called train"
        return _Splits({"train": {place: folders[1:] for place, folders in inner.items()}}, (), (note,))
    verb = "is" if len(found) == 1 else "are"
    note = f"{listed} {verb} read as classes, not as splits; splits are folders called train and test"
    return _Splits({"train": placed}, (), (note,))


# ------------------------------------------------------------------------------------------------ classes

Classes = dict[int, str | int]
"""Index of a picture -> its class."""


def _classes(
    pictures: Mapping[Role, Placed], split: Split, files: Sequence[str], given: FileLabels | None
) -> tuple[Classes | None, list[str]]:
    """Find (the classes of the pictures of the split that are used, or None without classes; notes)."""
    ours = pictures[split]
    if given is not None and given.note is None:
        return _given_classes(ours, given)
    notes = [given.note] if given is not None and given.note else []
    known = _inner(pictures)
    inner, loose = known[split]
    names = {folders[0] for placed, _ in known.values() for folders in placed.values() if folders}
    outside = [place for place, folders in inner.items() if not folders]
    inside = len(inner) - len(outside)
    if len(names) < 2 or not inside:
        return None, [
            *notes,
            *(_no_classes(sum(not folders for folders in ours.values())) if any(ours.values()) else []),
        ]
    if _shards(inner, files):
        listed = _listed([shown(name) for name in sorted({folders[0] for folders in inner.values() if folders})])
        return None, [
            *notes,
            f"the folders {listed} are parts of one numbering and not classes; if they are classes, rename them, or "
            "list the labels in dataset.json",
        ]
    if outside and not _few(len(outside), inside):
        return None, [*notes, *_no_classes(len(outside) + len(loose))]
    notes += _left_out([*loose, *outside], files)
    return {place: folders[0] for place, folders in inner.items() if folders}, notes


def _given_classes(ours: Placed, given: FileLabels) -> tuple[Classes | None, list[str]]:
    if given.labels is None:
        return None, ["according to dataset.json there are no labels"]
    known = {place: given.labels[place] for place in ours if place in given.labels}
    if len(known) < len(ours):
        return None, [f"dataset.json has labels for {len(known):,} of {len(ours):,} pictures, so it is not used"]
    return (known if len(set(given.labels.values())) > 1 else None), []  # type: ignore[return-value]


def _class_names(pictures: Mapping[Role, Placed], labels: Classes, given: FileLabels | None) -> list[str | int]:
    """The classes of all splits, sorted."""
    if given is not None and given.note is None and given.labels is not None:
        return sorted(set(given.labels.values()))
    inner = [placed for placed, _ in _inner(pictures).values()]
    return sorted({folders[0] for placed in inner for folders in placed.values() if folders})


def _inner(pictures: Mapping[Role, Placed]) -> dict[Role, tuple[Placed, list[int]]]:
    """For training and test pictures: (the pictures with their class folders first, strays beside these folders)."""
    known = {role: placed for role, placed in pictures.items() if role in ("train", "test")}
    common, beside = _stripped({place: folders for placed in known.values() for place, folders in placed.items()})
    found: dict[Role, tuple[Placed, list[int]]] = {}
    for role, placed in known.items():
        others = {folders[0] for place, folders in common.items() if folders and place not in placed}
        inner, loose = _stripped({place: common[place] for place in placed if place in common}, others)
        found[role] = (inner, [*(place for place in beside if place in placed), *loose])
    return found


def _stripped(placed: Placed, kept: Collection[str] = ()) -> tuple[Placed, list[int]]:
    """Remove the folders common to all pictures, except the `kept` ones. Return (the pictures, strays beside them)."""
    beside: list[int] = []
    for _ in range(STRAY_LEVELS):
        placed = _without_common(placed, lambda name: name in kept)
        loose = [place for place, folders in placed.items() if not folders]
        names = Counter(folders[0] for folders in placed.values() if folders)
        if len(names) != 1 or next(iter(names)) in kept or not _few(len(loose), names.total()):
            break
        beside += loose
        placed = {place: folders[1:] for place, folders in placed.items() if folders}
    return placed, beside


def _without_common(placed: Placed, stops: Callable[[str], bool]) -> Placed:
    """Remove the folders common to all, up to one at which it `stops`."""
    if not placed:
        return placed
    first, last = min(placed.values()), max(placed.values())  # all others have the same common prefix
    common = 0
    while common < len(first) and first[common] == last[common] and not stops(first[common]):
        common += 1
    return {place: folders[common:] for place, folders in placed.items()} if common else placed


def _shards(inner: Placed, files: Sequence[str]) -> bool:
    if not files:
        return False
    folders: dict[str, list[str]] = {}
    for place, lies_in in inner.items():
        if lies_in:
            folders.setdefault(lies_in[0], []).append(files[place])
    return are_shards(folders)


# ------------------------------------------------------------------------------------------------ words


def _few(loose: int, inside: int) -> bool:
    """Whether this many pictures beside folders are strays, such as a logo."""
    return loose == 0 or (loose <= max(1, inside // 10) and 4 * loose <= inside)


def _no_classes(outside: int) -> list[str]:
    if not outside:
        return []
    return [f"{outside:,} pictures are beside the folders, so the folders are not read as classes"]


def _left_out(beside: Sequence[int], files: Sequence[str]) -> list[str]:
    if not beside:
        return []
    listed = f": {_listed([shown(files[place]) for place in sorted(beside)])}" if files else ""
    return [f"{_pictures(len(beside))} beside the folders {'is' if len(beside) == 1 else 'are'} left out{listed}"]


def _pictures(count: int) -> str:
    return "1 picture" if count == 1 else f"{count:,} pictures"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - LISTED:,} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more

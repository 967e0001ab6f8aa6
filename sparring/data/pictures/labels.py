"""LABELS from folders: which split a picture is in, and which class it is of.

Folders called "train", "test" and the like are splits. Where the pictures of a split lie in two or more folders, the
first folder is the class, unless the folders are only parts of a numbering.
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
"""The folders that a picture lies in, from the outside in."""
Placed = dict[int, Folders]
"""The folders that some pictures lie in, by the pictures' numbers."""
STRAY_LEVELS = 4
"""A few pictures may lie beside so many folders that lie in each other."""
LISTED = 3
"""Names that a note lists."""
DEEPEST = 64
"""Folders in folders that are looked at; an archive can claim any depth."""


@dataclass(frozen=True, eq=False)
class Arrangement:
    """Which pictures are in a split, in which order, and of which class each is."""

    places: NDArray[np.int64]
    """(N,), among the pictures that were given; in an order that is chance, but always the same, because folders lie
    class by class and a recipe may read its data in order."""
    labels: NDArray[np.int32] | None
    """(N,), or None."""
    class_names: tuple[str, ...]
    notes: tuple[str, ...]
    """What the user should know about it."""
    parts: tuple[Part, ...]
    """The splits, where there are any."""


@dataclass(frozen=True)
class _Splits:
    """Pictures by split, each with the folders that it lies in there."""

    pictures: dict[Role, Placed]
    parts: tuple[Part, ...]
    notes: tuple[str, ...]


def arrange(
    folders: Sequence[Folders], split: Split, name: str, files: Sequence[str] = (), given: FileLabels | None = None
) -> Arrangement:
    """The arrangement of pictures that lie in these folders, one or more.

    Args:
        folders: Of each picture.
        split: Which pictures are wanted.
        name: What the source is called.
        files: The name of each picture's file, which tells shards from classes.
        given: Labels from a label file, instead of folders.

    Raises `DataError` where there is no such split.
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
    """The same without the folders that all have in common, up to one that names a split; at most `DEEPEST` of each."""
    placed = _without_common(dict(enumerate(folders)), lambda name: split_name(name) is not None)
    return {place: each[:DEEPEST] for place, each in placed.items()}


# ------------------------------------------------------------------------------------------------ splits


def _split_up(placed: Placed, files: Sequence[str]) -> _Splits | None:
    """The splits of these pictures; None where no folders are called so."""
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
    """Whether folders of these names, some of which name splits, are the splits of a set: "train" may be a class beside
    "bus", and so may "test"."""
    roles = {split.role for split in splits.values()}
    others = len(names) - len(splits)
    return "train" in roles and (others == 0 or (len(roles) > 1 and others <= len(splits)))


def _splits_in_classes(placed: Placed) -> Placed | None:
    """The same with the splits first, where each of several folders has splits in it: cats/train, cats/test, ..."""
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
        return None  # then that is nothing but a folder in each class
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
        f"{_pictures(part.images)} in {part.name} are not used: neither trained on nor tested with" for part in unused
    ]
    others = {name: count for name, count in counts.items() if name not in splits}
    if others:
        listed = _listed([shown(name) for name in sorted(others)])
        notes.append(f"{_pictures(sum(others.values()))} in {listed} are left out, for they lie beside the splits")
    return _Splits(pictures, parts, (*notes, *_left_out(beside, files)))


def _no_splits(placed: Placed) -> _Splits:
    """All pictures to train on, with a note where folders have names of splits and are not taken for them."""
    inner, _ = _stripped(placed)
    names = {folders[0] for folders in inner.values() if folders}
    found = sorted(name for name in names if split_name(name))
    if not found:
        return _Splits({"train": placed}, (), ())
    listed = _listed([shown(name) for name in found])
    if len(found) == len(names):
        note = f"{listed} are read together as training images, for there is no folder called train"
        return _Splits({"train": {place: folders[1:] for place, folders in inner.items()}}, (), (note,))
    verb = "is" if len(found) == 1 else "are"
    note = f"{listed} {verb} taken for classes and not for splits; splits would be folders called train and test"
    return _Splits({"train": placed}, (), (note,))


# ------------------------------------------------------------------------------------------------ classes

Classes = dict[int, str | int]
"""The class of some pictures."""


def _classes(
    pictures: Mapping[Role, Placed], split: Split, files: Sequence[str], given: FileLabels | None
) -> tuple[Classes | None, list[str]]:
    """(the class of each picture of the split that is kept, or None where there are no classes; notes)."""
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
        told = _listed([shown(name) for name in sorted({folders[0] for folders in inner.values() if folders})])
        return None, [
            *notes,
            f"the folders {told} are parts of one numbering and not classes; if they are classes, give them names, or "
            "list the labels in dataset.json",
        ]
    if outside and not _few(len(outside), inside):
        return None, [*notes, *_no_classes(len(outside) + len(loose))]
    notes += _left_out([*loose, *outside], files)
    return {place: folders[0] for place, folders in inner.items() if folders}, notes


def _given_classes(ours: Placed, given: FileLabels) -> tuple[Classes | None, list[str]]:
    if given.labels is None:
        return None, ["dataset.json says that there are no labels"]
    known = {place: given.labels[place] for place in ours if place in given.labels}
    if len(known) < len(ours):
        return None, [f"dataset.json has labels for {len(known):,} of {len(ours):,} pictures, so none is used"]
    return (known if len(set(given.labels.values())) > 1 else None), []  # type: ignore[return-value]


def _class_names(pictures: Mapping[Role, Placed], labels: Classes, given: FileLabels | None) -> list[str | int]:
    """The classes of all splits in their order."""
    if given is not None and given.note is None and given.labels is not None:
        return sorted(set(given.labels.values()))
    inner = [placed for placed, _ in _inner(pictures).values()]
    return sorted({folders[0] for placed in inner for folders in placed.values() if folders})


def _inner(pictures: Mapping[Role, Placed]) -> dict[Role, tuple[Placed, list[int]]]:
    """Of training and test pictures: (those with the folders that tell classes apart, a few that lie beside these)."""
    known = {role: placed for role, placed in pictures.items() if role in ("train", "test")}
    common, beside = _stripped({place: folders for placed in known.values() for place, folders in placed.items()})
    found: dict[Role, tuple[Placed, list[int]]] = {}
    for role, placed in known.items():
        others = {folders[0] for place, folders in common.items() if folders and place not in placed}
        inner, loose = _stripped({place: common[place] for place in placed if place in common}, others)
        found[role] = (inner, [*(place for place in beside if place in placed), *loose])
    return found


def _stripped(placed: Placed, kept: Collection[str] = ()) -> tuple[Placed, list[int]]:
    """(the pictures without the folders that all have in common, a few that lie beside such a folder). A folder whose
    name is among the `kept` ones stays."""
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
    """The same without the folders that all have in common, up to one at which it `stops`."""
    if not placed:
        return placed
    first, last = min(placed.values()), max(placed.values())  # what these two begin with, all others do
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
    """Whether so many pictures beside folders are strays, such as a logo."""
    return loose == 0 or (loose <= max(1, inside // 10) and 4 * loose <= inside)


def _no_classes(outside: int) -> list[str]:
    if not outside:
        return []
    return [f"{outside:,} pictures lie beside the folders, so these are not taken for classes"]


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

"""Data sets: `load` takes a name or a path and gives an `ImageSet`."""

import difflib
from contextlib import suppress
from pathlib import Path

from sparring.data.idx import Split, is_file, is_folder, load_idx_file, load_idx_folder
from sparring.data.images import ImageSet
from sparring.data.named import NAMED, NamedSet, load_named, recognised
from sparring.data.stacked import STACKED, load_stacked
from sparring.errors import DataError

__all__ = ["NAMED", "NAMES", "ImageSet", "NamedSet", "Split", "load"]

NAMES = (*NAMED, STACKED)
"""Every name that `load` knows."""


def load(source: str, split: Split = "train") -> ImageSet:
    """The images that `source` stands for, with their labels where there are any.

    Args:
        source: The name of a data set (one of `NAMES`); or the path of an IDX file with images, gzipped or not, whose
            labels are taken from the file beside it that is named alike; or the path of a folder that holds IDX files
            under MNIST's file names. A name comes first: write "./mnist" for a folder of that name.
        split: Which part of the set. An images file given by its path is all training data and has no test split.

    Raises:
        DataError: `source` is none of these, or what it stands for is missing, damaged, or not what it should be.
    """
    if split not in ("train", "test"):
        raise DataError(f"there is no split {split!r}, only 'train' and 'test'")
    if source in NAMED:
        return load_named(source, split)
    if source == STACKED:
        return load_stacked(split)
    path = Path(source)
    with suppress(RuntimeError):  # "~" where no home folder is known
        path = path.expanduser()
    if source and is_folder(path):
        return recognised(load_idx_folder(path, split, name=source))
    if is_file(path):
        if split == "test":
            raise DataError(f"{source} is one file and has no test split; give the folder that holds both splits")
        return recognised(load_idx_file(path, name=source))
    near = difflib.get_close_matches(source.lower(), NAMES, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise DataError(
        f"{source!r} is not a data set: expected a name ({', '.join(NAMES)}), the path of an IDX file with images, or "
        f"a folder of such files{hint}"
    )

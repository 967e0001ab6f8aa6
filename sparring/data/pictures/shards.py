"""SHARDS: numbered folders that divide many files evenly and are not classes.

FFHQ, StyleGAN's dataset tool and img2dataset put a thousand files each into 00000, 00001, ... Classes may also be
numbered (0 to 9; 00000 to 00042), so the numbers of the files are used as well.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

LONG_NUMBER = 5
"""Names of at least this many digits are longer than the number of classes needs."""


def are_shards(folders: Mapping[str, Sequence[str]]) -> bool:
    """Whether folders, given as name -> names of its files, are shards.

    Their names must be zero-padded numbers of the same length. In addition, either the number of a file determines its
    folder (by division or by its last digits), or the names are longer than needed for classes and all folders have
    the same number of files.
    """
    names = sorted(folders)
    width = len(names[0])
    if len(names) < 2 or not all(name.isascii() and name.isdigit() and len(name) == width for name in names):
        return False
    if width < 2 or not names[0].startswith("0"):
        return False
    numbers = {int(name): [_number(file) for file in folders[name]] for name in names}
    if all(number is not None for some in numbers.values() for number in some):
        known = {place: [number for number in some if number is not None] for place, some in numbers.items()}
        if _divided(known) or _by_last_digits(known, 10**width):
            return True
    sizes = [len(folders[name]) for name in names]
    longer = width >= LONG_NUMBER and len(names) <= 10 ** (width - 2)
    return longer and min(sizes[:-1]) == max(sizes[:-1]) >= sizes[-1]


def _number(file: str) -> int | None:
    """The last number in the name of a file."""
    found: list[str] = re.findall("[0-9]+", file.rpartition(".")[0] or file)
    return int(found[-1]) if found and len(found[-1]) <= 18 else None


def _divided(numbers: Mapping[int, Sequence[int]]) -> bool:
    """Whether every file is in the folder number // size, for some size.

    Both may be counted from 0 or from the first one. Folders may be named after their first file.
    """
    step = math.gcd(*numbers)
    first_folder, first_file = min(numbers), min(min(some) for some in numbers.values())
    begins = {(0, 0), (0, 1), (first_folder, first_file)} if first_file else {(0, 0), (first_folder, first_file)}
    return any(_divided_from(numbers, step or 1, *begin) for begin in begins)


def _divided_from(numbers: Mapping[int, Sequence[int]], step: int, first_folder: int, first_file: int) -> bool:
    least, most = 1, 10**18
    for folder, some in numbers.items():
        place = (folder - first_folder) // step
        low, high = min(some) - first_file, max(some) - first_file
        if low < 0:
            return False
        least = max(least, high // (place + 1) + 1)
        most = min(most, low // place) if place else most
    return least <= most


def _by_last_digits(numbers: Mapping[int, Sequence[int]], size: int) -> bool:
    """Whether every file is in the folder of its last digits, as in Danbooru."""
    return sum(map(len, numbers.values())) > len(numbers) and all(
        number % size == folder for folder, some in numbers.items() for number in some
    )

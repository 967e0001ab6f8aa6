"""SPLITS: the usual names of the parts of a data set (train, test, validation) in folders, arrays and files."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

Role = Literal["train", "test", "validation", "extra"]

WORDS: dict[str, Role] = {
    **dict.fromkeys(("train", "training", "trn"), "train"),
    **dict.fromkeys(("test", "testing", "tst", "t10k"), "test"),
    **dict.fromkeys(("val", "valid", "validation", "validate", "dev", "devel", "eval", "evaluation"), "validation"),
    **dict.fromkeys(("extra", "unlabeled", "unlabelled", "unsup", "unsupervised"), "extra"),
}
FILLERS = {
    "set",
    "data",
    "dataset",
    "image",
    "images",
    "img",
    "imgs",
    "picture",
    "pictures",
    "photos",
    "split",
    "samples",
}
"""Words beside these that are ignored, as in "train_images"."""
USES: dict[Role, str] = {
    "train": "trained on",
    "test": "not trained on; `sparring measure` compares with them",
    "validation": "not used",
    "extra": "not used",
}
"""How the images of a split are used."""


@dataclass(frozen=True)
class Part:
    """One split of a data set."""

    name: str
    """The name of its folder or array."""
    role: Role
    images: int


@dataclass(frozen=True)
class SplitName:
    """The parts of a split's name."""

    role: Role
    rest: str
    """The other words of the name, such as "mnist" of "mnist_train"."""

    @property
    def domain(self) -> str | None:
        """The letter of two domains, as in CycleGAN's "trainA" and "trainB"."""
        return self.rest.upper() if self.rest in ("a", "b") else None


def words_of(name: str) -> list[str]:
    """The words of a name. "trainA", "x_train" and "Train Images" have two each."""
    if name.lower() in WORDS:
        return [name.lower()]
    found = re.findall(r"t10k|[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)
    return [piece for word in found for piece in _without_filler(word.lower())]


@lru_cache(4096)
def split_name(name: str) -> SplitName | None:
    """The split that a folder or an array of this name holds; None if the name has no split or several."""
    words = words_of(name)
    roles = [word for word in words if word in WORDS]
    if len(roles) != 1:
        return None
    return SplitName(WORDS[roles[0]], "_".join(word for word in words if word not in WORDS and word not in FILLERS))


def splits_among(names: Iterable[str]) -> dict[str, SplitName]:
    """The folders that are splits of one set: the rest of their names is the same."""
    found = {name: split for name in names if (split := split_name(name))}
    rests = Counter("" if split.domain else split.rest for split in found.values())
    if not rests:
        return {}
    common = "" if "" in rests else rests.most_common(1)[0][0]
    return {name: split for name, split in found.items() if split.domain or split.rest == common}


def _without_filler(word: str) -> list[str]:
    """Take "trainset" apart into "train" and "set"."""
    for filler in sorted(FILLERS, key=len, reverse=True):
        if word.endswith(filler) and word.removesuffix(filler) in WORDS:
            return [word.removesuffix(filler), filler]
    return [word]

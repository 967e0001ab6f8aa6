"""THE LABEL FILE of StyleGAN's data sets: dataset.json, {"labels": [["00000/img00000000.png", 3], ...]} or null.

The file is untrusted. Names in it are compared with those of the pictures and never opened.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sparring.data.pictures.decode import Unreadable
from sparring.data.pictures.listing import File
from sparring.files.untrusted import LARGEST_JSON

NAME = "dataset.json"
LARGEST_LABEL = 2**31 - 1


@dataclass(frozen=True)
class FileLabels:
    """The labels in a label file."""

    labels: dict[int, int] | None
    """Index of the picture -> label; None if the file states that there are no labels."""
    note: str | None = None
    """The reason why the file is not used."""


def read_label_file(files: Sequence[File], pictures: Sequence[File]) -> FileLabels | None:
    """Read the labels of `pictures`, which are some of the `files`, from the outermost dataset.json.

    None if there is no such file or it has another format.
    """
    found = [file for file in files if file.parts[-1] == NAME]
    if not found:
        return None
    outermost = min(found, key=lambda file: len(file.parts))
    try:
        content = _read(outermost)
        if not isinstance(content, dict) or "labels" not in content:
            return None
        if content["labels"] is None:
            return FileLabels(None)
        known = _checked(content["labels"])
    except ValueError as error:
        return FileLabels({}, f"{outermost.name} is not used: {error}")
    folder = outermost.parts[:-1]
    labels = {}
    for place, file in enumerate(pictures):
        parts = file.parts
        name = "/".join(parts[len(folder) :])
        if parts[: len(folder)] == folder and name in known:
            labels[place] = known[name]
    return FileLabels(labels)


def _read(file: File) -> Any:
    """Read the JSON in a file. Raises `ValueError`."""
    try:
        content = file.read(LARGEST_JSON + 1)
    except (Unreadable, OSError) as error:
        raise ValueError(f"it cannot be read ({error})") from None
    if len(content) > LARGEST_JSON:
        raise ValueError(f"it is larger than {LARGEST_JSON >> 20} MiB")
    try:
        return json.loads(content)
    except (RecursionError, ValueError):  # Python raises ValueError for numbers of thousands of digits
        raise ValueError("it is not JSON that can be read") from None


def _checked(labels: Any) -> dict[str, int]:
    """Name -> label. Raises `ValueError` unless `labels` is a list of [name, integer of 0 or more]."""
    if not isinstance(labels, list):
        raise ValueError("its labels should be a list or null")
    known: dict[str, int] = {}
    for entry in labels:
        match entry:
            case [str(name), int(label)] if not isinstance(label, bool) and 0 <= label <= LARGEST_LABEL:
                known[name.replace("\\", "/").removeprefix("./")] = label
            case _:
                raise ValueError('each of its labels should be a name and a whole number, such as ["00000/a.png", 3]')
    return known

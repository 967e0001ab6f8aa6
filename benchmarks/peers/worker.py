"""A WORKER: a training loop in a process of its own, which runs as many steps as it is told and says how long it took.

It says first that it is ready, after steps that warm it up, by a line of JSON: its `versions`, and by how much each of
its networks' matrices changed in the warm-up (`changed`, the least of all; above 0 where all of them learn). Then
for every line with a number of steps that it reads, it writes one with the `seconds` they took and the last losses
`d_loss` and `g_loss`. It ends with its input. Whatever else it prints goes to the standard error.

Nothing but NumPy is needed here, so that every environment can use it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray]
Losses = tuple[float, float]
"""Of the discriminator and of the generator."""


@dataclass(frozen=True)
class Loop:
    """A training loop, ready to run."""

    run: Callable[[int], Losses]
    """Go on by that many steps, to the very end of the last one."""
    arrays: Callable[[], Arrays]
    """Copies of all trained arrays, by names that begin with `generator.` or `discriminator.`."""
    versions: dict[str, str]
    extra: Callable[[], dict[str, Any]] = dict
    """What else to say in each answer; it is not timed."""


def serve(make: Callable[[np.ndarray], Loop], images_file: str, warm_up: int) -> None:
    """Make the loop for the images in that .npy file (uint8, N x 28 x 28), warm it up, answer until the input ends."""
    answers = _own_output()
    loop = make(np.load(images_file))
    before = loop.arrays()
    began = time.perf_counter()
    loop.run(warm_up)
    print(f"warmed up in {time.perf_counter() - began:.1f} s", file=sys.stderr)
    _say(answers, versions=loop.versions, changed=least_changes(before, loop.arrays()))
    for line in sys.stdin:
        extra = loop.extra()
        began = time.perf_counter()
        d_loss, g_loss = loop.run(int(line))
        seconds = time.perf_counter() - began
        _say(answers, seconds=seconds, d_loss=d_loss, g_loss=g_loss, **extra)


def least_changes(before: Arrays, after: Arrays) -> dict[str, float]:
    """For each network the change of the matrix or kernel that changed least: the greatest difference in it.

    Vectors are left out: a bias before BatchNorm has no gradient.
    """
    changes: dict[str, list[float]] = {"generator": [], "discriminator": []}
    for name, array in before.items():
        if array.ndim > 1:
            changes[name.partition(".")[0]].append(float(np.abs(after[name] - array).max()))
    return {network: min(found) for network, found in changes.items()}


def _own_output() -> Any:
    """The standard output as a file for us alone; what libraries print goes to the standard error from now on."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return answers


def _say(answers: Any, **values: Any) -> None:
    print(json.dumps(values), file=answers, flush=True)

"""REPORTERS: what shows the progress of a training: a terminal, or nothing."""

from __future__ import annotations

from typing import Protocol

from sparring.evaluation.alarms import Judged
from sparring.images import Images
from sparring.recipes.recipe import Recipe
from sparring.runs.run import Run


class Reporter(Protocol):
    """Shows how a training goes."""

    def print(self, text: str) -> None:
        """Show one line of text."""

    def begin(self, run: Run, recipe: Recipe, step: int, epoch: int, replicas: int = 1) -> None:
        """Training starts after `step`. An epoch has `epoch` steps; `replicas` seeds are trained at once."""

    def progress(self, step: int, values: dict[str, float]) -> None:
        """`step` is reached; `values` are the means of `METRICS` since the last call."""

    def grid(self, step: int, samples: Images) -> None:
        """New images of the fixed noise (N, H, W, C)."""

    def judged(self, values: Judged) -> None:
        """The values of a judgement, as in the events."""

    def end(self) -> None:
        """Training is over, for any reason."""


class Silence:
    """A reporter that shows nothing."""

    def print(self, text: str) -> None: ...
    def begin(self, run: Run, recipe: Recipe, step: int, epoch: int, replicas: int = 1) -> None: ...
    def progress(self, step: int, values: dict[str, float]) -> None: ...
    def grid(self, step: int, samples: Images) -> None: ...
    def judged(self, values: Judged) -> None: ...
    def end(self) -> None: ...

"""TENSORBOARD: the curves and grids of a run once more, for people who look there (extra `tensorboard`).

Scalars lie in `tensorboard/`, the grids of fakes and of real images as runs of their own in `tensorboard/fake` and
`tensorboard/real`.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparring.errors import reason
from sparring.system import extras


class _Careful:
    """Writes the events of a `SummaryWriter`, and notes what fails: its own thread would end, and then it would wait
    for that thread for ever."""

    def __init__(self, summaries: Any) -> None:
        self.problem: str | None = None
        events = summaries.file_writer.event_writer
        self._writer = events._ev_writer
        events._ev_writer = events._worker._record_writer = self

    def write_event(self, event: Any) -> None:
        self._attempt(self._writer.write_event, event)

    def flush(self) -> None:
        self._attempt(self._writer.flush)

    def close(self) -> None:
        self._attempt(self._writer.close)

    def _attempt(self, write: Callable[..., object], *values: Any) -> None:
        try:
            write(*values)
        except Exception as error:
            self.problem = self.problem or reason(error)


class TensorBoard:
    """Writes TensorBoard's event files below `folder`; what lies beyond `step` from before a resume is purged."""

    def __init__(self, folder: Path, step: int) -> None:
        writer = extras.load("tensorboardX", "tensorboard", "--tensorboard").SummaryWriter
        options: dict[str, Any] = {"purge_step": step + 1} if step else {}
        options["filename_suffix"] = f".{os.urandom(8).hex()}"  # a name that nobody can plant a link at
        self._scalars: Any = writer(str(folder), **options)
        self._fake: Any = writer(str(folder / "fake"), **options)
        self._real: Any = writer(str(folder / "real"), **options)
        self._writers = [_Careful(writer) for writer in (self._scalars, self._fake, self._real)]

    @property
    def problem(self) -> str | None:
        """Why something could not be written."""
        return next((writer.problem for writer in self._writers if writer.problem), None)

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """One point of every curve."""
        for name, value in values.items():
            self._scalars.add_scalar(name, value, step)

    def grids(self, step: int, fake: NDArray[np.uint8], real: NDArray[np.uint8]) -> None:
        """The grid of samples and, beside it, the one of real images, each (H, W, C)."""
        self._fake.add_image("fake images", fake, step, dataformats="HWC")
        self._real.add_image("real images", real, step, dataformats="HWC")

    def close(self) -> None:
        """Write out what is left."""
        for writer in (self._scalars, self._fake, self._real):
            writer.close()

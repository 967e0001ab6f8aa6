"""The curves and grids of a run as TensorBoard event files (extra `tensorboard`).

Scalars are in `tensorboard/`. The grids of fake and real images are separate TensorBoard runs in `tensorboard/fake` and
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


class _SafeWriter:
    """Writes the events of a `SummaryWriter` and records errors.

    Without it, an error ends tensorboardX's thread, and the next event waits for that thread forever.
    """

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
    """Writes TensorBoard event files below `folder`. After a resume, events beyond `step` are purged."""

    def __init__(self, folder: Path, step: int) -> None:
        writer = extras.load("tensorboardX", "tensorboard", "--tensorboard").SummaryWriter
        options: dict[str, Any] = {"purge_step": step + 1} if step else {}
        options["filename_suffix"] = f".{os.urandom(8).hex()}"  # unpredictable, so that no symlink can be planted there
        self._scalars: Any = writer(str(folder), **options)
        self._fake: Any = writer(str(folder / "fake"), **options)
        self._real: Any = writer(str(folder / "real"), **options)
        self._writers = [_SafeWriter(writer) for writer in (self._scalars, self._fake, self._real)]

    @property
    def problem(self) -> str | None:
        """The first error, or None."""
        return next((writer.problem for writer in self._writers if writer.problem), None)

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """Add one point to each curve."""
        for name, value in values.items():
            self._scalars.add_scalar(name, value, step)

    def grids(self, step: int, fake: NDArray[np.uint8], real: NDArray[np.uint8]) -> None:
        """Add the grids of samples and of real images, each (H, W, C)."""
        self._fake.add_image("fake images", fake, step, dataformats="HWC")
        self._real.add_image("real images", real, step, dataformats="HWC")

    def close(self) -> None:
        """Write all pending events."""
        for writer in (self._scalars, self._fake, self._real):
            writer.close()

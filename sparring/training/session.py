"""THE SESSION: the training state of one run, and what is written to the run between two chunks of steps.

log, sample, judge, save, and again -> finish, draw
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from sparring.errors import TrainingDiverged, reason
from sparring.evaluation.monitor import Monitor
from sparring.gan.gan import GAN
from sparring.gan.state import TrainState, is_finite
from sparring.gan.step import METRICS
from sparring.images import Images, save_picture
from sparring.recipes.recipe import Recipe
from sparring.reports import plots
from sparring.reports.curves import JUDGED_KEYS
from sparring.reports.tensorboard import TensorBoard
from sparring.runs import checkpoint
from sparring.runs import generator as sampling
from sparring.runs.run import Run
from sparring.runs.writer import Writer
from sparring.training.chunks import Rows
from sparring.training.grids import SampleGrids
from sparring.training.plan import Plan
from sparring.training.reporter import Reporter
from sparring.training.reporter import Silence as Silence
from sparring.training.setup import Setup, image_shape

SLOWER = 0.5
"""Factor of the learning rates each time the training diverges."""
DIVERGED = "diverged"
"""Kind of the alarm that records it."""


@dataclass
class Session:
    """A run that is being trained."""

    run: Run
    recipe: Recipe
    setup: Setup
    gan: GAN
    """With the learning rates of this session."""
    plan: Plan
    grids: SampleGrids
    other_grids: bool
    """Whether the run began with another `grid_every`; then grids are only removed if there are too many."""
    writer: Writer
    reporter: Reporter
    board: TensorBoard | None
    monitor: Monitor | None
    state: TrainState
    step: int
    saved: int | None
    """Step of the checkpoint that was written or loaded last."""
    rate: float
    """Factor of the recipe's learning rates; less than 1 after the training diverged."""
    seconds: float
    """Time spent training, over all sessions of the run."""

    @property
    def local_state(self) -> TrainState:
        """The state on the first device of this process."""
        state: TrainState = self.setup.devices.local(self.state)
        return state

    @property
    def flat(self) -> bool:
        """Whether the judgements no longer get better."""
        return self.monitor is not None and self.monitor.flat is not None

    def note(self, event: str, **values: Any) -> None:
        """Write an event."""
        self.writer.do(partial(self.run.add_event, event, **({"step": self.step} | values)))

    def log(self, rows: Rows) -> None:
        """Write the means of these steps' metrics (steps, 6). Raises `TrainingDiverged` for NaN or infinity."""
        start, end = self.step, self.step + len(rows)
        if not np.isfinite(rows).all():
            first = start + 1 + int(np.argmin(np.isfinite(rows).all(axis=1)))
            raise TrainingDiverged(f"a loss is NaN or infinite at step {first:,}")
        last = start
        for point in self.plan.log_points(start, end):
            values = means(rows[last - start : point - start])
            if self.plan.is_kept(point):
                self.note("log", step=point, seconds=round(self.seconds, 3), **values)
            if self.board is not None:
                self.writer.do(partial(self.board.scalars, point, values))
            if (spacing := self.plan.log_spacing(point)) != self.plan.log_spacing(last):
                self.writer.do(partial(self.run.thin_events, spacing))
            last = point
        self.step = end

    def verify(self) -> None:
        """Raise `TrainingDiverged` if the state holds NaN or infinity, before it is used or saved."""
        if not is_finite(self.state):
            raise TrainingDiverged(f"a parameter is NaN or infinite at step {self.step:,}")

    def slow_down(self, why: str, retries: int) -> None:
        """End this session, which diverged; the next one starts at the newest checkpoint with lower learning rates.

        Raises `TrainingDiverged` after `retries` attempts.
        """
        back, tries = self.saved or 0, round(math.log(self.rate, SLOWER))
        if tries >= retries:
            also = f", also at {self.rate:g} of its learning rates" if tries else ""
            raise TrainingDiverged(
                f"{why}{also}: try a lower learning rate (the checkpoints in {self.run.checkpoints} are from before)"
            )
        text = f"{why}: back to step {back:,}, with {SLOWER * self.rate:g} of its learning rates from there"
        self.note("alarm", step=back, kind=DIVERGED, rate=SLOWER * self.rate, text=text)
        self.writer.finish()
        if self.board is not None:
            self.board.close()
        self.reporter.print(f"alarm: {text}")

    def sample_real(self) -> None:
        """Write the grid of real images."""
        save_picture(self.run.real_grid, self.grids.sheet(self.grids.real()))

    def sample(self) -> None:
        """Write the sample grid of this step."""
        samples = self.grids.samples(self.local_state)
        self.writer.do(partial(self._write_grid, self.step, self.run.grid(self.step), samples))
        spacing = self.plan.grid_spacing(self.step)
        if spacing > self.plan.grid_every or not self.other_grids:
            self.writer.do(partial(self.run.thin_grids, spacing))
        if self.board is not None:
            write, step = self.board.grids, self.step
            self.writer.do(lambda: write(step, self.grids.sheet(samples), self.grids.sheet(self.grids.real())))
        self.reporter.grid(self.step, samples)

    def _write_grid(self, step: int, file: Path, samples: Images) -> None:
        save_picture(file, self.grids.sheet(samples))
        self.run.add_event("grid", step, file=file.name, sha256=checkpoint.sha256(file.read_bytes()))

    def judge(self, rate: float) -> None:
        """Judge the state, if that is due; `rate` is in steps a second."""
        if self.monitor is None or not self.plan.is_judged(self.step):
            return
        self.writer.finish()  # the monitor writes its own events
        if values := self.monitor.judge_if_due(self.step, self.plan.steps, rate, self.local_state):
            if self.board is not None:
                self.board.scalars(self.step, {f"judge/{name}": values[name] for name in JUDGED_KEYS if name in values})
            self.reporter.judged(values)

    def save(self) -> None:
        """Write a checkpoint, unless this step's exists."""
        if self.saved == self.step:
            return
        state = jax.tree.map(np.array, self.local_state)  # a copy: the next chunk donates the state
        self.writer.do(partial(checkpoint.save, self.run.checkpoints, self.step, state, made_by=self.run.identity))
        self.note("checkpoint")
        self.saved = self.step

    def finish(self, event: str) -> None:
        """Write the generator of the saved state, and the event with which the training ended."""
        self.writer.finish()
        training = self.setup.images.training
        about = {"recipe": self.recipe.name, "step": self.step, "data": training.name}
        sampling.save(self.run, self.recipe, image_shape(training), training.class_counts, self.local_state, about)
        if self.monitor is not None and (summary := self.monitor.summary()):
            self.reporter.print(summary)
        self.note(event, seconds=round(self.seconds, 3))
        self.writer.finish()
        if self.board is not None:
            self.board.close()
            if self.board.problem is not None:
                self.reporter.print(
                    f"TensorBoard's files could not be written ({self.board.problem}); everything else is saved"
                )

    def draw(self) -> None:
        """Draw the plots and the animation."""
        draw_plots(self.run, self.reporter)


def draw_plots(run: Run, reporter: Reporter, if_old: bool = False) -> None:
    """Draw the plots and the animation of a run; report a failure without raising it.

    With `if_old`, only if the events are newer than the plots: a process may have been killed while it drew.
    """
    try:
        drawn = run.losses_plot.stat().st_mtime_ns if run.losses_plot.is_file() else 0
        if not if_old or drawn < run.events_file.stat().st_mtime_ns:
            plots.write_plots(run)
    except Exception as error:
        reporter.print(f"the plots in {run.path} could not be drawn ({reason(error)}); everything else is saved")


class Follower(Session):
    """The session of any process but process 0: it trains, and writes nothing."""

    def note(self, event: str, **values: Any) -> None: ...
    def sample_real(self) -> None: ...
    def sample(self) -> None: ...
    def save(self) -> None: ...
    def finish(self, event: str) -> None: ...
    def draw(self) -> None: ...


def means(rows: Rows) -> dict[str, float]:
    """The mean of each of the `METRICS` over these steps (steps, 6)."""
    return {name: float(mean) for name, mean in zip(METRICS, rows.mean(axis=0, dtype=np.float64), strict=True)}

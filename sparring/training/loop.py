"""THE LOOP: trains sessions to their end, one alone or several replicas at once.

first grids -> compiled chunk -> chunk, log, sample, judge, save, and again -> save, generator, plots
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import jax
import numpy as np

from sparring.errors import TrainingDiverged
from sparring.gan.state import TrainState, stack_states
from sparring.runs.run import Run
from sparring.training import processes
from sparring.training.chunks import CAPACITY, Chunk, Rows, compile_chunk
from sparring.training.feed import Feed
from sparring.training.operations import timed
from sparring.training.reporter import Reporter
from sparring.training.session import Session, means
from sparring.training.setup import image_shape
from sparring.training.stopping import Stop, unless_stopped

CHUNK_SECONDS = 0.25
"""Seconds from one report to the next."""


def train_sessions(
    sessions: Sequence[Session],
    reporter: Reporter,
    stop: Stop,
    checkpoint_seconds: float,
    stop_when_flat: bool = False,
    replicas: bool = False,
) -> None:
    """Train sessions that are at the same step to their end, or until `stop` is requested; then save everything.

    Without `replicas` there is one session. With them, their states are stacked and trained in one program; they differ
    only in the seed.

    Raises `TrainingDiverged` for a loss or a parameter that is NaN or infinite.
    """
    first = sessions[0]
    plan = first.plan
    shown = Run(first.run.path.parent) if replicas else first.run
    expected = timed(first.recipe, image_shape(first.setup.images.training))
    reporter.begin(shown, expected, first.step, first.setup.epoch, replicas=len(sessions))
    if first.step >= plan.steps:  # the process was killed after everything was saved
        _close(sessions, "finished")
        return
    group = _prepare(sessions, stop, replicas)
    if group is None:
        for session in sessions:
            session.note("stopped")  # nothing was trained, so nothing has to be saved
        return
    wanted, saved, end = 1, time.monotonic(), "finished"
    while first.step < plan.steps:
        # What depends on a clock or a signal has to be the same in all processes.
        messages = processes.exchange({"wanted": wanted, "stop": stop.requested, "flat": first.flat})
        if any(message["stop"] for message in messages):
            end = "stopped"
            break
        if stop_when_flat and messages[0]["flat"]:
            end = "flat"
            break
        wanted = messages[0]["wanted"]
        rows, seconds = group.advance(plan.chunk_end(first.step, wanted))
        rate = len(rows) / seconds
        wanted = min(CAPACITY, int(CHUNK_SECONDS * rate))
        group.log(rows, seconds)
        reporter.progress(first.step, means(rows.mean(axis=1)))
        due = time.monotonic() - saved >= checkpoint_seconds
        if due or plan.is_grid(first.step) or not replicas:
            group.unstack()
        for session in sessions:
            if plan.is_grid(first.step):
                session.sample()
            session.judge(rate)
        if due:
            for session in sessions:
                session.save()
            saved = time.monotonic()
    group.unstack()
    _close(sessions, end)


class _Group:
    """Sessions that are trained in one program, and their states as it takes them: one alone, or several stacked."""

    def __init__(
        self, sessions: Sequence[Session], state: TrainState, chunk: Chunk, feed: Feed, replicas: bool
    ) -> None:
        self._sessions, self._state, self._chunk, self._feed, self._replicas = sessions, state, chunk, feed, replicas

    def advance(self, end: int) -> tuple[Rows, float]:
        """Train up to step `end` of the same epoch: the metrics (steps, sessions, 6), and the seconds it took."""
        began = time.perf_counter()
        parts = []
        with processes.reaching_others():
            for segment in self._feed.segments(self._sessions[0].step, end):
                self._state, metrics = self._chunk(self._state, *segment)
                parts.append(metrics)
        seconds = time.perf_counter() - began
        rows = np.concatenate(parts)
        return rows if self._replicas else rows[:, None], seconds

    def log(self, rows: Rows, seconds: float) -> None:
        """Log these metrics (steps, sessions, 6) in every session's run. Raises `TrainingDiverged`."""
        for i, session in enumerate(self._sessions):
            session.seconds += seconds
            with self._seed_named(session):
                session.log(rows[:, i])

    def unstack(self) -> None:
        """Give every session its own state. Raises `TrainingDiverged`."""
        for i, session in enumerate(self._sessions):
            session.state = jax.tree.map(lambda leaf, i=i: leaf[i], self._state) if self._replicas else self._state
            with self._seed_named(session):
                session.verify()

    @contextmanager
    def _seed_named(self, session: Session) -> Iterator[None]:
        """Record which replica diverged, and name its seed in the error."""
        try:
            yield
        except TrainingDiverged as error:
            if not self._replicas:
                raise
            session.note("failed", reason=str(error))
            raise TrainingDiverged(f"seed {session.recipe.seed}: {error}") from error


def _prepare(sessions: Sequence[Session], stop: Stop, replicas: bool) -> _Group | None:
    """Write the grids of step 0 and compile the chunk; None if `stop` is requested meanwhile."""
    first = sessions[0]
    heeded = Stop() if processes.count() > 1 else stop  # one process cannot skip what the others compute
    if first.step == 0:
        if unless_stopped(heeded, partial(first.grids.draw, first.local_state)) is None:
            return None
        for session in sessions:
            session.sample_real()
            session.sample()
    seed = [session.recipe.seed for session in sessions] if replicas else first.recipe.seed
    state = stack_states([session.state for session in sessions]) if replicas else first.state
    feed = first.setup.feed(seed, first.recipe.steps)
    chunk = unless_stopped(
        heeded,
        partial(
            compile_chunk,
            first.gan,
            state,
            feed.data,
            seed,
            first.setup.devices,
            streamed=feed.streamed,
        ),
    )
    return None if chunk is None else _Group(sessions, state, chunk, feed, replicas)


def _close(sessions: Sequence[Session], event: str) -> None:
    """Save all sessions before anything else is written for one; draw last."""
    for session in sessions:
        session.save()
    for session in sessions:
        session.finish(event)
    for session in sessions:
        session.draw()

"""THE PLAN of a run: at which steps something happens. A function of the recipe alone, never of the clock.

A chunk of steps may be of any length between two log points, and what is logged, sampled and learnt is the same.
"""

from dataclasses import dataclass

MOST_GRIDS, MOST_LOGGED = 400, 20_000
"""Grids and log events that are all kept; of more, only every second one, every fourth, and so on."""


@dataclass(frozen=True)
class Plan:
    """When to log, when to sample, when to judge, when to shuffle, when to stop; all in steps."""

    steps: int
    grid_every: int
    log_every: int
    judge_every: int
    """0 for never."""
    shuffle_every: int | None
    """Steps of one epoch, where each has a permutation of its own."""

    def is_grid(self, step: int) -> bool:
        """Whether a sample grid is due after that step."""
        return step % self.grid_every == 0 or step == self.steps

    def is_judged(self, step: int) -> bool:
        """Whether a judgement is due after that step."""
        return self.judge_every > 0 and (step % self.judge_every == 0 or step == self.steps)

    def barrier(self, step: int) -> int:
        """The next step at which a chunk has to end: for a grid, a judgement, a new permutation, or for good."""
        shuffle = self.steps if self.shuffle_every is None else _next_multiple(step, self.shuffle_every)
        judge = _next_multiple(step, self.judge_every) if self.judge_every else self.steps
        return min(_next_multiple(step, self.grid_every), judge, shuffle, self.steps)

    def grid_spacing(self, step: int) -> int:
        """After that step, every how many steps a grid is kept; the newest one always is."""
        return _spacing(step, self.grid_every, MOST_GRIDS)

    def log_spacing(self, step: int) -> int:
        """After that step, every how many steps a log event is kept."""
        return _spacing(step, self.log_every, MOST_LOGGED)

    def is_kept(self, step: int) -> bool:
        """Whether the log event of that step, at a log point, is among them."""
        return self.log_spacing(step) == self.log_every or step % self.log_spacing(step) == 0 or step == self.steps

    def epoch(self, step: int) -> int:
        """How often the data have been shuffled anew before the step that follows `step`."""
        return 0 if self.shuffle_every is None else step // self.shuffle_every

    def log_points(self, step: int, end: int) -> list[int]:
        """The steps s with step < s <= end, end not beyond the barrier, after which means are logged."""
        points = list(range(_next_multiple(step, self.log_every), end + 1, self.log_every))
        return points if self.barrier(step) != end or end in points else [*points, end]

    def chunk_end(self, step: int, wanted: int) -> int:
        """Where the chunk that starts after `step` ends: the last log point within `wanted` steps, or else the next."""
        points = self.log_points(step, self.barrier(step))
        return max((point for point in points if point <= step + wanted), default=points[0])


def _spacing(step: int, every: int, most: int) -> int:
    while step > every * most:
        every *= 2
    return every


def _next_multiple(step: int, every: int) -> int:
    return (step // every + 1) * every

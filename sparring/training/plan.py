"""THE PLAN of a run: the steps at which to log, sample, judge and shuffle. It depends on the recipe, not on the clock.

Chunks may have any length between two log points: logs, samples and the result are the same.
"""

from dataclasses import dataclass

MOST_GRIDS, MOST_LOGGED = 400, 20_000
"""The most grids and log events that are all kept; of more, every second one is kept, every fourth, and so on."""


@dataclass(frozen=True)
class Plan:
    """When to log, sample, judge, shuffle and stop, in steps."""

    steps: int
    grid_every: int
    log_every: int
    judge_every: int
    """0 for never."""
    shuffle_every: int | None
    """Steps of an epoch if each has its own permutation; else None."""

    def is_grid(self, step: int) -> bool:
        """Whether a sample grid is due after that step."""
        return step % self.grid_every == 0 or step == self.steps

    def is_judged(self, step: int) -> bool:
        """Whether a judgement is due after that step."""
        return self.judge_every > 0 and (step % self.judge_every == 0 or step == self.steps)

    def barrier(self, step: int) -> int:
        """The next step at which a chunk must end: for a grid, a judgement, a new permutation, or the end."""
        shuffle = self.steps if self.shuffle_every is None else _next_multiple(step, self.shuffle_every)
        judge = _next_multiple(step, self.judge_every) if self.judge_every else self.steps
        return min(_next_multiple(step, self.grid_every), judge, shuffle, self.steps)

    def grid_spacing(self, step: int) -> int:
        """Steps between the grids that are kept after `step`; the newest is always kept."""
        return _spacing(step, self.grid_every, MOST_GRIDS)

    def log_spacing(self, step: int) -> int:
        """Steps between the log events that are kept after `step`."""
        return _spacing(step, self.log_every, MOST_LOGGED)

    def is_kept(self, step: int) -> bool:
        """Whether the log event of a log point is kept."""
        return self.log_spacing(step) == self.log_every or step % self.log_spacing(step) == 0 or step == self.steps

    def log_points(self, step: int, end: int) -> list[int]:
        """The steps s with step < s <= end after which means are logged; `end` is at most the barrier."""
        points = list(range(_next_multiple(step, self.log_every), end + 1, self.log_every))
        return points if self.barrier(step) != end or end in points else [*points, end]

    def chunk_end(self, step: int, wanted: int) -> int:
        """The end of the chunk after `step`: the last log point within `wanted` steps, or else the next log point."""
        points = self.log_points(step, self.barrier(step))
        return max((point for point in points if point <= step + wanted), default=points[0])


def _spacing(step: int, every: int, most: int) -> int:
    while step > every * most:
        every *= 2
    return every


def _next_multiple(step: int, every: int) -> int:
    return (step // every + 1) * every

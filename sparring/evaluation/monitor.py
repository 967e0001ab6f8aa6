"""THE MONITOR: judges a run while it trains, keeps its best state and raises alarms, within 5% of the run's time.

Training never depends on it. How many judgements are made depends on the speed of the machine.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from sparring.errors import DiskError
from sparring.evaluation.alarms import ALARMS, NEEDED, Judged, best_of, comparable
from sparring.evaluation.validation_judge import ValidationJudge
from sparring.gan.state import TrainState
from sparring.images import grid, grid_scale, save_picture
from sparring.runs import checkpoint
from sparring.runs.run import Run

SHARE = 0.05
"""The largest share of a run's time that judging may take."""
PREPARATION_SECONDS, JUDGEMENT_SECONDS = 1.8, 0.25
"""Assumed costs until they are measured: two CPU cores, 60,000 small gray images."""
PAIR_COLUMNS = 8
"""Columns of the picture of pairs: four samples in a row, each with its training image."""
ASSUMED_VALUES = 60_000 * 28 * 28
"""Pixel values of those images. The assumed costs grow in proportion to them."""


class Budget:
    """Decides whether to judge at a due step, so that judgements are evenly spaced and take no more than `SHARE`."""

    def __init__(self, elapsed: float = 0.0, spent: float = 0.0, values: int = ASSUMED_VALUES) -> None:
        """`values` is the number of pixel values of the training images."""
        self.spent = spent
        self._began = time.monotonic() - elapsed
        self._judged_at = 0
        times = max(1.0, values / ASSUMED_VALUES)
        self._preparation, self._judgement = times * PREPARATION_SECONDS, times * JUDGEMENT_SECONDS

    @property
    def elapsed(self) -> float:
        """Seconds since the start of the run."""
        return time.monotonic() - self._began

    @property
    def share(self) -> float:
        """Share of the run's time spent on judging so far."""
        return self.spent / self.elapsed

    def allows(self, step: int, steps: int, every: int, rate: float) -> bool:
        """Whether to judge after `step` of `steps`. One is due `every` this many steps; `rate` is in steps/s."""
        left = SHARE * (self.elapsed + (steps - step) / rate) - self.spent - self._preparation
        affordable = left / self._judgement
        if step == steps:
            return affordable >= 1
        due, waited, whole = 2 + (steps - step - 1) // every, step - self._judged_at, steps - self._judged_at
        return affordable >= due or (affordable >= 2 and waited * affordable >= whole)  # keep one for the end

    def prepared(self, seconds: float) -> None:
        """Record the cost of making the validation judge."""
        self.spent += seconds
        self._preparation = 0.0

    def judged(self, step: int, seconds: float) -> None:
        """Record the cost of a judgement after `step`."""
        self.spent += seconds
        self._judged_at, self._judgement = step, seconds


class Monitor:
    """Judges a run at due steps. `make_judge` is called when the validation judge is first needed."""

    def __init__(
        self,
        run: Run,
        make_judge: Callable[[], ValidationJudge],
        every: int,
        print_line: Callable[[str], None],
        values: int = ASSUMED_VALUES,
    ) -> None:
        """`values` is the number of pixel values of the training images, to estimate the cost."""
        events = list(run.events())
        self.judged: list[Judged] = [e for e in events if e["event"] == "judged" and e.keys() >= NEEDED]
        self.flat: str | None = None
        """The message of early stopping, once the score no longer improves."""
        self._run, self._make_judge, self._every, self._print = run, make_judge, every, print_line
        self._raised = {event["kind"] for event in events if event["event"] == "alarm"}
        elapsed = max((event.get("seconds", 0.0) for event in events), default=0.0)
        self._budget = Budget(elapsed, max((judged.get("cost", 0.0) for judged in self.judged), default=0.0), values)
        self._judge: ValidationJudge | None = None

    def judge_if_due(self, step: int, steps: int, rate: float, state: TrainState) -> Judged | None:
        """Judge the state after a due step if the budget allows it. Write an event, and keep the best state."""
        if not self._budget.allows(step, steps, self._every, rate):
            return None
        began = time.monotonic()
        if self._judge is None:
            self._judge = self._make_judge()
            self._budget.prepared(time.monotonic() - began)
            began = time.monotonic()
        values = {"step": step} | self._judge.judge(state)
        self.judged = comparable([*self.judged, values])[:-1]
        is_best = all(values["score"] < earlier["score"] for earlier in self.judged)
        if is_best:
            checkpoint.save(self._run.best, step, state, keep=1, made_by=self._run.identity)
        if (pairs := self._judge.closest) is not None:
            scale = grid_scale(*pairs.shape[1:3])
            try:
                save_picture(self._run.closest, grid(pairs, -(-len(pairs) // PAIR_COLUMNS), PAIR_COLUMNS, scale))
            except DiskError as error:  # the picture is not essential
                self._print(str(error))
        self._budget.judged(step, time.monotonic() - began)
        values |= {"best": is_best, "cost": round(self._budget.spent, 3), "cost_share": round(self._budget.share, 4)}
        self._run.add_event("judged", **values)
        self.judged.append(values)
        self._raise_alarms(step)
        return values

    def summary(self) -> str | None:
        """The number of judgements, their cost, and the best step; None without judgements."""
        if not self.judged:
            return None
        best = best_of(self.judged)
        times = "once" if len(self.judged) == 1 else f"{len(self.judged)} times"
        return (
            f"judged {times} on validation images, {self._budget.share:.1%} of the time; best was step {best['step']:,}"
        )

    def _raise_alarms(self, step: int) -> None:
        for kind, holds in ALARMS.items():
            text = holds(self.judged)
            if kind == "flat":
                self.flat = text
            if text and kind not in self._raised:
                self._raised.add(kind)
                self._run.add_event("alarm", step, kind=kind, text=text)
                self._print(f"alarm at step {step:,}: {text}")

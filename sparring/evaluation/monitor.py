"""THE MONITOR: judges a run while it is trained, keeps its best state, and raises the alarms; within 5% of its time.

What is trained never depends on it. At which of the due steps it looks depends on how fast the machine is.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from sparring.errors import DiskError
from sparring.evaluation.alarms import ALARMS, NEEDED, Judged, best_of
from sparring.evaluation.validation_judge import ValidationJudge
from sparring.gan.state import TrainState
from sparring.images import grid, grid_scale, save_picture
from sparring.runs import checkpoint
from sparring.runs.run import Run

SHARE = 0.05
"""The most of a run's time that judging may take."""
PREPARATION_SECONDS, JUDGEMENT_SECONDS = 1.8, 0.25
"""What these cost on two CPU cores, for 60,000 small gray images; assumed until it is measured."""
PAIR_COLUMNS = 8
"""Columns of the picture of pairs: four samples, each with its training image, a row."""
ASSUMED_VALUES = 60_000 * 28 * 28
"""The values of those images: of more, both are assumed to cost as many times as much."""


class Budget:
    """Decides whether to judge at a due step, so that judgements are spread evenly and take no more than `SHARE`."""

    def __init__(self, elapsed: float = 0.0, spent: float = 0.0, values: int = ASSUMED_VALUES) -> None:
        """`values` is how many the training images have."""
        self.spent = spent
        self._began = time.monotonic() - elapsed
        self._judged_at = 0
        times = max(1.0, values / ASSUMED_VALUES)
        self._preparation, self._judgement = times * PREPARATION_SECONDS, times * JUDGEMENT_SECONDS

    @property
    def elapsed(self) -> float:
        """Seconds that the run has taken so far."""
        return time.monotonic() - self._began

    @property
    def share(self) -> float:
        """Share of the run's time that judging has taken so far."""
        return self.spent / self.elapsed

    def allows(self, step: int, steps: int, every: int, rate: float) -> bool:
        """Whether to judge after `step` of `steps`; judgements are due `every` so many, and `rate` steps take 1 s."""
        left = SHARE * (self.elapsed + (steps - step) / rate) - self.spent - self._preparation
        affordable = left / self._judgement
        if step == steps:
            return affordable >= 1
        due, waited, whole = 2 + (steps - step - 1) // every, step - self._judged_at, steps - self._judged_at
        return affordable >= due or (affordable >= 2 and waited * affordable >= whole)  # one is left for the end

    def prepared(self, seconds: float) -> None:
        """Note how long making the instrument took."""
        self.spent += seconds
        self._preparation = 0.0

    def judged(self, step: int, seconds: float) -> None:
        """Note what a judgement after `step` cost."""
        self.spent += seconds
        self._judged_at, self._judgement = step, seconds


class Monitor:
    """Looks at a run at the due steps, with the instrument that `make_judge` makes when it is first needed."""

    def __init__(
        self,
        run: Run,
        make_judge: Callable[[], ValidationJudge],
        every: int,
        say: Callable[[str], None],
        values: int = ASSUMED_VALUES,
    ) -> None:
        """`values` is how many the training images have, by which the cost is guessed."""
        events = list(run.events())
        self.judged: list[Judged] = [e for e in events if e["event"] == "judged" and e.keys() >= NEEDED]
        self.flat: str | None = None
        """What the patience rule says, once it says to stop."""
        self._run, self._make_judge, self._every, self._say = run, make_judge, every, say
        self._raised = {event["kind"] for event in events if event["event"] == "alarm"}
        elapsed = max((event.get("seconds", 0.0) for event in events), default=0.0)
        self._budget = Budget(elapsed, max((judged.get("cost", 0.0) for judged in self.judged), default=0.0), values)
        self._judge: ValidationJudge | None = None

    def look(self, step: int, steps: int, rate: float, state: TrainState) -> Judged | None:
        """Judge the state after `step`, a due one, if the budget allows it; write it down, keep the best one."""
        if not self._budget.allows(step, steps, self._every, rate):
            return None
        began = time.monotonic()
        if self._judge is None:
            self._judge = self._make_judge()
            self._budget.prepared(time.monotonic() - began)
            began = time.monotonic()
        values = {"step": step} | self._judge.judge(state)
        is_best = all(values["score"] < earlier["score"] for earlier in self.judged)
        if is_best:
            checkpoint.save(self._run.best, step, state, keep=1, made_by=self._run.identity)
        if (pairs := self._judge.closest) is not None:
            scale = grid_scale(*pairs.shape[1:3])
            try:
                save_picture(self._run.closest, grid(pairs, -(-len(pairs) // PAIR_COLUMNS), PAIR_COLUMNS, scale))
            except DiskError as error:  # it only shows something
                self._say(str(error))
        self._budget.judged(step, time.monotonic() - began)
        values |= {"best": is_best, "cost": round(self._budget.spent, 3), "cost_share": round(self._budget.share, 4)}
        self._run.add_event("judged", **values)
        self.judged.append(values)
        self._raise_alarms(step)
        return values

    def summary(self) -> str | None:
        """How often it judged, what that cost, and which step was best; None where it never did."""
        if not self.judged:
            return None
        best = best_of(self.judged)
        times = "once" if len(self.judged) == 1 else f"{len(self.judged)} times"
        return (
            f"judged {times} on held-out images, {self._budget.share:.1%} of the time; best was step {best['step']:,}"
        )

    def _raise_alarms(self, step: int) -> None:
        for kind, holds in ALARMS.items():
            text = holds(self.judged)
            if kind == "flat":
                self.flat = text
            if text and kind not in self._raised:
                self._raised.add(kind)
                self._run.add_event("alarm", step, kind=kind, text=text)
                self._say(f"alarm at step {step:,}: {text}")

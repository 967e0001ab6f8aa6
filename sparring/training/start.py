"""THE START of a session: at the first state of a new run, or at the newest checkpoint of one that resumes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
from jax import Array

from sparring.errors import CheckpointError
from sparring.evaluation.monitor import Monitor
from sparring.evaluation.validation_judge import ValidationJudge
from sparring.gan.randomness import random_key
from sparring.recipes.recipe import Recipe
from sparring.reports.tensorboard import TensorBoard
from sparring.runs import checkpoint, environment
from sparring.runs.resume import display_changes
from sparring.runs.run import Run
from sparring.runs.writer import Writer
from sparring.training import memory, processes
from sparring.training.grids import SampleGrids
from sparring.training.plan import Plan
from sparring.training.reporter import Reporter
from sparring.training.session import DIVERGED, Follower, Session
from sparring.training.setup import Setup


class Replica(NamedTuple):
    """How a session starts that is trained at once with others."""

    step: int
    """It starts at its newest checkpoint up to this step."""
    seeds: Sequence[int]
    """The seeds that are trained at once."""


def open_session(
    run: Run,
    recipe: Recipe,
    setup: Setup,
    writer: Writer,
    reporter: Reporter,
    tensorboard: bool = False,
    replica: Replica | None = None,
) -> Session:
    """The session at the newest whole checkpoint, or at step 0 if there is none. A replica is not judged."""
    key, leads = random_key(recipe.seed, "weights"), processes.leads()
    state, saved, seconds, rate, board, monitor = jax.eval_shape(setup.init, key), None, 0.0, 1.0, None, None
    with processes.together():
        if leads:
            state, saved = _first_or_newest(run, setup, key, reporter, None if replica is None else replica.step)
            begin_or_resume(
                run, recipe, setup.environment, saved or 0, reporter, () if replica is None else replica.seeds
            )
            board = TensorBoard(run.tensorboard, saved or 0) if tensorboard else None
            seconds = max((event.get("seconds", 0.0) for event in run.events()), default=0.0)
            rate = rate_of(run)
            monitor = _monitor(run, recipe, setup, reporter) if replica is None else None
    state = processes.from_leader(state)
    rate = processes.exchange({"rate": rate})[0]["rate"]
    if rate < 1:
        reporter.print(f"the learning rates are {rate:g} of the recipe's, because the training diverged before")
    make_session = Session if leads else Follower
    return make_session(
        run=run,
        recipe=recipe,
        setup=setup,
        gan=setup.gan if rate == 1 else setup.gan.slowed(rate),
        plan=Plan(
            steps=recipe.steps,
            grid_every=recipe.grid_every,
            log_every=recipe.log_every,
            judge_every=recipe.judge_every,
            shuffle_every=setup.epoch if setup.gan.batches.order == "shuffle" else None,
        ),
        grids=SampleGrids(setup, recipe),
        other_grids=leads and run.recipe().grid_every != recipe.grid_every,
        writer=writer,
        reporter=reporter,
        board=board,
        monitor=monitor,
        state=setup.devices.place(state),
        step=int(state.step),
        saved=saved,
        rate=rate,
        seconds=seconds,
    )


def _monitor(run: Run, recipe: Recipe, setup: Setup, reporter: Reporter) -> Monitor | None:
    """What judges the run while it trains; None without enough validation images."""
    if not setup.images.can_judge:
        return None
    make_judge = partial(ValidationJudge, setup.gan, recipe.seed, setup.images)
    return Monitor(run, make_judge, recipe.judge_every, reporter.print, setup.images.training.images.size)


def rate_of(run: Run) -> float:
    """The factor of the recipe's learning rates; less than 1 after the training diverged."""
    alarms = (event for event in run.events() if event["event"] == "alarm")
    return min((alarm["rate"] for alarm in alarms if alarm["kind"] == DIVERGED), default=1.0)


def load_newest(run: Run, template: Any, up_to: int | None = None) -> tuple[int, Any, list[str]] | None:
    """`sparring.runs.checkpoint.load_newest` for a run that resumes: the error says how to start again."""
    try:
        return checkpoint.load_newest(run.checkpoints, template, up_to, run.identity)
    except CheckpointError as error:
        raise CheckpointError(
            f"{error}. Put a whole checkpoint there; or, to begin anew at step 0, choose another --out or remove "
            f"{run.checkpoints}"
        ) from error


def _first_or_newest(
    run: Run, setup: Setup, key: Array, reporter: Reporter, up_to: int | None
) -> tuple[Any, int | None]:
    """(state of the newest whole checkpoint, its step), or (first state, None) if there is none."""
    newest = load_newest(run, jax.eval_shape(setup.init, key), up_to)
    if newest is None:
        memory.refuse_to_begin(setup.init.lower(key).compile(), setup.devices)
        return setup.init(key), None
    step, state, skipped = newest
    for problem in skipped:
        reporter.print(problem)
    return state, step


def begin_or_resume(
    run: Run, recipe: Recipe, made_with: dict[str, Any], step: int, reporter: Reporter, together: Sequence[int]
) -> None:
    """Write the recipe and the environment of a run that starts after `step`; report what changed since before."""
    run.grids.mkdir(exist_ok=True)
    run.clear_partial()
    if run.exists():
        reporter.print(f"resuming {run.path} after step {step:,}")
        for damage in run.damages():
            reporter.print(damage)
        before = run.environment()
        for change in environment.changes(before, made_with):
            reporter.print(f"the result may differ in its last bits: {change}")
        kept, changed = display_changes(run.recipe(), recipe)
        if changed:
            reporter.print(changed)
        run.forget_events_after(step)
        run.begin(kept, before)
    else:
        run.begin(recipe, made_with)
    seeds = {"together": list(together)} if together else {}
    run.add_event("resumed" if step else "started", step, steps=recipe.steps, **seeds)

"""DIVERGENCE: after NaN or infinity a run resumes from a checkpoint with lower rates; no good state is lost."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array
from safetensors.numpy import load_file

import sparring
from sparring.errors import TrainingDiverged
from sparring.gan.gan import GAN
from sparring.gan.state import TrainState
from sparring.gan.step import train_step
from sparring.recipes.recipe import Recipe
from sparring.runs import checkpoint
from sparring.runs import generator as sampling
from sparring.runs.run import Run
from sparring.training import chunks as chunk
from sparring.training.reporter import Silence

Poison = Callable[[TrainState, Array, Array], tuple[TrainState, Array]]


def poison_weights(state: TrainState, metrics: Array, bad: Array) -> tuple[TrainState, Array]:
    """What a gradient that is no number does in that step: the losses of the step itself are still finite."""
    generator = jax.tree.map(lambda leaf: jnp.where(bad, jnp.nan, leaf), state.generator.params)
    return replace(state, generator=replace(state.generator, params=generator)), metrics


def poison_moments(state: TrainState, metrics: Array, bad: Array) -> tuple[TrainState, Array]:
    """The optimiser alone has an infinity."""
    moments = jax.tree.map(
        lambda leaf: jnp.where(bad, jnp.inf, leaf) if leaf.dtype == jnp.float32 else leaf, state.discriminator.opt_state
    )
    return replace(state, discriminator=replace(state.discriminator, opt_state=moments)), metrics


def poison_loss(state: TrainState, metrics: Array, bad: Array) -> tuple[TrainState, Array]:
    return state, metrics.at[0].set(jnp.where(bad, jnp.nan, metrics[0]))


def poisoned(monkeypatch: pytest.MonkeyPatch, steps: list[int], poison: Poison, least_rate: float) -> None:
    """Poison these steps where the rates are at least so high."""

    def one(gan: GAN, state: TrainState, *rest: Any) -> tuple[TrainState, Array]:
        trained, metrics = train_step(gan, state, *rest)
        bad = jnp.isin(trained.step, jnp.array(steps)) & (gan.rate.scale >= least_rate)
        return poison(trained, metrics, bad)

    monkeypatch.setattr(chunk, "train_step", one)


def alarms(run: Run) -> list[dict[str, Any]]:
    return [event for event in run.events() if event["event"] == "alarm" and event["kind"] == "diverged"]


def all_finite(run: Run) -> bool:
    files = [saved / checkpoint.STATE for saved in checkpoint.all_checkpoints(run.checkpoints)]
    return all(np.isfinite(array).all() for file in files for array in load_file(file).values())


@pytest.mark.parametrize("poison", [poison_weights, poison_moments])
def test_a_poisoned_step_is_undone_and_the_run_ends(
    poison: Poison, tiny_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poisoned(monkeypatch, [18], poison, least_rate=1.0)
    run = sparring.train(tiny_recipe, out=tmp_path / "run", checkpoint_seconds=0, reporter=Silence())
    assert run.ended() == "finished" and run.reached() == 30
    (alarm,) = alarms(run)
    assert alarm["rate"] == 0.5 and alarm["step"] in (10, 15) and "NaN or infinite" in alarm["text"]
    assert all_finite(run)
    assert np.isfinite(sampling.load(run.path).values(np.zeros((2, tiny_recipe.latent_size), np.float32))).all()
    assert [event["step"] for event in run.events() if event["event"] == "log"] == [5, 10, 15, 20, 25, 30]


def test_the_lower_rate_stays_when_the_run_is_stopped_and_goes_on(
    tiny_recipe: Recipe, tiny_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poisoned(monkeypatch, [8], poison_loss, least_rate=1.0)
    recipe = tiny_recipe.replace(steps=20)
    whole = sparring.train(tiny_recipe, out=tmp_path / "whole", checkpoint_seconds=0, reporter=Silence())
    run = sparring.train(recipe, out=tmp_path / "run", checkpoint_seconds=0, reporter=Silence())
    monkeypatch.undo()
    for one in (run, whole):
        assert [(alarm["step"], alarm["rate"]) for alarm in alarms(one)] == [(5, 0.5)] and all_finite(one)
    run = sparring.resume(run.path, steps=30, reporter=Silence())
    assert run.generator_weights.read_bytes() == whole.generator_weights.read_bytes()
    assert run.generator_weights.read_bytes() != tiny_run.generator_weights.read_bytes()


def test_before_the_first_checkpoint_it_begins_anew(
    tiny_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poisoned(monkeypatch, [3], poison_weights, least_rate=0.5)
    run = sparring.train(tiny_recipe, out=tmp_path / "run", checkpoint_seconds=1000, reporter=Silence())
    assert run.ended() == "finished"
    assert [(alarm["step"], alarm["rate"]) for alarm in alarms(run)] == [(0, 0.5), (0, 0.25)]


def test_after_three_tries_it_ends_with_the_reason_and_the_good_checkpoint(
    tiny_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poisoned(monkeypatch, [18], poison_weights, least_rate=0.0)
    with pytest.raises(TrainingDiverged, match=r"NaN or infinite at step \d+, also at 0.125 of its learning rates"):
        sparring.train(tiny_recipe, out=tmp_path / "run", checkpoint_seconds=0, reporter=Silence())
    run = Run(tmp_path / "run")
    assert run.ended() == "failed"
    assert [alarm["rate"] for alarm in alarms(run)] == [0.5, 0.25, 0.125]
    assert checkpoint.newest_step(run.checkpoints) in (10, 15) and all_finite(run)


def test_without_tries_it_ends_at_once(tiny_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    poisoned(monkeypatch, [18], poison_loss, least_rate=0.0)
    with pytest.raises(TrainingDiverged, match="try a lower learning rate"):
        sparring.train(tiny_recipe, out=tmp_path / "run", retries=0, reporter=Silence())
    assert alarms(Run(tmp_path / "run")) == []

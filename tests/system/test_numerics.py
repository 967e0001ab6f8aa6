"""Numerics: with any settings of JAX a seed gives the same params and images, or one sentence says why not."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import sparring
from sparring import export
from sparring.recipes.recipe import Recipe
from sparring.runs.run import Run
from sparring.system import numerics
from sparring.training import train as training
from sparring.training.reporter import Silence

SETTINGS: dict[str, Any] = {
    "jax_enable_x64": True,
    "jax_threefry_partitionable": False,
    "jax_random_seed_offset": 5,
    "jax_default_prng_impl": "rbg",
    "jax_default_matmul_precision": "bfloat16",
    "jax_numpy_dtype_promotion": "strict",
    "jax_numpy_rank_promotion": "raise",
    "jax_transfer_guard": "disallow",
    "jax_disable_jit": True,
    "jax_debug_nans": True,
    "jax_check_tracer_leaks": True,
    "jax_debug_key_reuse": True,
    "jax_enable_custom_prng": True,
    "jax_enable_checks": True,
    "jax_no_tracing": True,
}
"""Settings that a user may have changed, in the environment or in a notebook."""


@pytest.fixture(
    params=[*(pytest.param(name, marks=pytest.mark.long) for name in [*SETTINGS][:-1]), [*SETTINGS][-1], "all"]
)
def setting(request: pytest.FixtureRequest) -> Iterator[str]:
    """One setting, or all but the last, changed in this process, as in a notebook."""
    names = [*SETTINGS][:-1] if request.param == "all" else [request.param]
    before = {name: getattr(jax.config, name) for name in names}
    guards = {name: getattr(jax.config, name) for name in numerics.FIXED if "guard" in name}
    try:
        for name in names:
            jax.config.update(name, SETTINGS[name])  # type: ignore[no-untyped-call]
        yield request.param
        assert all(getattr(jax.config, name) in (SETTINGS[name], "strict") for name in names), "the user's own stay"
    finally:
        for name, value in (before | guards).items():
            jax.config.update(name, value)  # type: ignore[no-untyped-call]


def weights(run: Run) -> bytes:
    return run.generator_weights.read_bytes()


def test_a_training_is_the_same(setting: str, tiny_run: Run, tiny_recipe: Recipe, tmp_path: Path) -> None:
    run = training.train(tiny_recipe, out=tmp_path / "run", reporter=Silence())
    assert weights(run) == weights(tiny_run)
    assert run.grid(0).read_bytes() == tiny_run.grid(0).read_bytes()


def test_so_are_samples_walks_and_latents(setting: str, tiny_run: Run) -> None:
    def made() -> list[np.ndarray[Any, Any]]:
        generator = sparring.load(tiny_run.path)
        return [generator.sample(9, seed=3), generator.interpolate(2, 5), generator.draw_latents(3)]

    here = made()
    with numerics.fixed():
        for one, other in zip(here, made(), strict=True):
            np.testing.assert_array_equal(one, other)
            assert one.dtype == other.dtype


@pytest.mark.parametrize("setting", ["all"], indirect=True)
def test_a_run_goes_on_and_is_exported(setting: str, tiny_run: Run, tiny_recipe: Recipe, tmp_path: Path) -> None:
    out = tmp_path / "run"
    training.train(tiny_recipe.replace(steps=5), out=out, reporter=Silence())
    with numerics.fixed():
        run = training.train(tiny_recipe, out=out, reporter=Silence())
    assert weights(run) == weights(tiny_run)
    export.export(run.path, "html", out=tmp_path / "page")


def test_threads_of_ours_have_the_settings_too(tiny_recipe: Recipe) -> None:
    with jax.enable_x64(True):
        assert numerics.in_thread(lambda: jax.numpy.arange(2.0).dtype)() == np.float32
        assert jax.numpy.arange(2.0).dtype == np.float64


def test_what_stays_the_users_is_written_down(monkeypatch: pytest.MonkeyPatch) -> None:
    before = jax.config.values["jax_disable_most_optimizations"]
    try:
        jax.config.update("jax_disable_most_optimizations", False)  # type: ignore[no-untyped-call]
        assert numerics.others() == {}
        jax.config.update("jax_disable_most_optimizations", True)  # type: ignore[no-untyped-call]
        assert numerics.others() == {"jax_disable_most_optimizations": "True"}
    finally:
        jax.config.update("jax_disable_most_optimizations", before)  # type: ignore[no-untyped-call]


def command(*words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "sparring", *words],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_a_command_names_the_settings_that_it_ignores(tiny_run: Run, tmp_path: Path) -> None:
    odd = {"JAX_ENABLE_X64": "1", "JAX_THREEFRY_PARTITIONABLE": "0", "JAX_TRANSFER_GUARD": "disallow"}
    usual = {"JAX_DISABLE_JIT": "false", "JAX_RANDOM_SEED_OFFSET": "0", "JAX_NUMPY_RANK_PROMOTION": "allow"}
    out = tmp_path / "samples.npz"
    done = command("sample", str(tiny_run.path), "--out", str(out), **odd, **usual)
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 3 and all(
        any(f"{name}={value} is ignored" in line for line in lines) for name, value in odd.items()
    )
    np.testing.assert_array_equal(np.load(out)["images"], sparring.load(tiny_run.path).sample(64))


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("JAX_PLATFORMS", "cuda", ("'cuda'", "cpu")),
        pytest.param("JAX_PLATFORMS", "abacus", ("'abacus'", "cpu"), marks=pytest.mark.long),
        ("XLA_FLAGS", "--xla_abacus=1", ("--xla_abacus",)),
        ("JAX_LOG_COMPILES", "perhaps", ("JAX_LOG_COMPILES", "perhaps")),
        pytest.param("JAX_NUM_CPU_DEVICES", "many", ("jax_num_cpu_devices", "many"), marks=pytest.mark.long),
    ],
)
def test_what_jax_cannot_use_is_one_sentence(name: str, value: str, words: tuple[str, ...], tiny_run: Run) -> None:
    done = command("sample", str(tiny_run.path), **{name: value})
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert all(word in done.stderr for word in words), done.stderr


def test_old_and_new_settings_of_jax_are_compared(tiny_run: Run) -> None:
    from sparring.runs import environment

    old = tiny_run.environment()
    new = old | {"jax_settings": {"jax_optimization_level": "O0"}}
    assert any("jax_settings" in change for change in environment.changes(old, new))
    del old["jax_settings"]
    assert environment.changes(old, new) == []

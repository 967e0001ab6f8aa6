"""Compile in half of the time, where compiling takes most of it and the last bits do not matter."""

from collections.abc import Callable
from typing import Any

import jax


def jit(function: Callable[..., Any]) -> Callable[..., Any]:
    """`jax.jit` without optimisations and without MLIR's fusions."""
    return jax.jit(
        function,
        compiler_options={"xla_backend_optimization_level": "0", "xla_cpu_use_fusion_emitters": False},
    )

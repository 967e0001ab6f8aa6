"""Sparring's own loop as a worker: `python ours.py RECIPE IMAGES.npy`."""

from __future__ import annotations

import sys
from typing import Any

import jax
import numpy as np
import worker

from sparring.recipes import named_recipe
from sparring.training import benchmark as speed


def make(recipe: str, images: np.ndarray) -> worker.Loop:
    """The compiled loop that `sparring train` runs. With each answer comes the rate of a matrix product in XLA."""
    loop = speed.Loop(named_recipe(recipe), images[..., None])
    product_rate = speed.matrix_product()

    def arrays() -> worker.Arrays:
        found = {}
        for network in ("generator", "discriminator"):
            for path, array in jax.tree.leaves_with_path(getattr(loop.state, network)):
                found[f"{network}.{jax.tree_util.keystr(path)}"] = np.array(array)
        return found

    def run(steps: int) -> worker.Losses:
        row = loop.run(steps)
        return float(row[0]), float(row[1])

    def extra() -> dict[str, Any]:
        return {"product_rate": product_rate()}

    return worker.Loop(run, arrays, {"jax": jax.__version__}, extra)


if __name__ == "__main__":
    name, images_file = sys.argv[1:]
    worker.serve(lambda images: make(name, images), images_file, warm_up=100 if name != "dcgan-tanh" else 3)

"""SAMPLE GRIDS of a run: generated images of the same noise every time, and real images to compare them with."""

from __future__ import annotations

import numpy as np
from jax import Array
from numpy.typing import NDArray

from sparring.data.classes import grid_labels
from sparring.gan.randomness import random_key
from sparring.gan.state import TrainState
from sparring.images import Images, grid, grid_scale, some_places, to_uint8
from sparring.recipes.recipe import Recipe
from sparring.training.setup import Setup


class SampleGrids:
    """Draws the images of a run's grids."""

    def __init__(self, setup: Setup, recipe: Recipe) -> None:
        classes = setup.gan.classes
        self._setup, self._columns, self._rows = setup, recipe.grid_columns, recipe.grid_rows
        self._labels = grid_labels(classes, recipe.grid_columns) if classes else None
        count = recipe.grid_rows * recipe.grid_columns if self._labels is None else len(self._labels)
        self._noise = setup.gan.latents.draw(random_key(recipe.seed, "grid"), count)

    def draw(self, state: TrainState) -> Array:
        """Images of the fixed noise (N, H, W, C) in [-1, 1]."""
        return self._setup.draw(state, self._noise, self._labels)

    def samples(self, state: TrainState) -> Images:
        """The same as bytes."""
        return to_uint8(np.asarray(self.draw(state)))

    def real(self) -> Images:
        """Real images for one grid, spread over the data. A conditional run has one class a row, as its samples."""
        image_set = self._setup.images.training
        if self._labels is None:
            places = some_places(len(image_set.images), self._rows * self._columns)
        else:
            assert image_set.labels is not None
            classes = (np.flatnonzero(image_set.labels == label) for label in self._labels[:: self._columns])
            rows = [np.resize(one[some_places(len(one), self._columns)], self._columns) for one in classes]
            places = np.concatenate(rows)
        return image_set.images[places]

    def sheet(self, images: Images) -> NDArray[np.uint8]:
        """These images as one picture."""
        return grid(images, len(images) // self._columns, self._columns, grid_scale(*images.shape[1:3]))

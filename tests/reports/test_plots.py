"""Plots: the curves and the animation can be opened and show the right data."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sparring.images import save_picture
from sparring.reports import plots
from sparring.reports.animation import MAX_FRAMES
from sparring.reports.plots import write_plots
from sparring.runs.run import Run

VALUES = {"d_loss": 0.6, "g_loss": 1.2, "accuracy_real": 0.7, "accuracy_fake": 0.9, "d_real": 0.5, "d_fake": 0.1}


def frames_of(path: Path) -> list[Image.Image]:
    frames = []
    with Image.open(path) as animation:
        for i in range(getattr(animation, "n_frames", 1)):
            animation.seek(i)
            frames.append(animation.copy())
    return frames


# ----------------------------------------------------------------------------------------------- of a finished run


@pytest.mark.parametrize(("name", "size"), [("losses.png", (1000, 500)), ("accuracy.png", (1000, 800))])
def test_plots_show_curves(name: str, size: tuple[int, int], tiny_run: Run) -> None:
    with Image.open(tiny_run.path / name) as plot:
        plot.load()
        assert plot.size == size
        colours = set(plot.convert("RGB").get_flattened_data())
    assert {(0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)} <= colours, "a blue and an orange curve"


def test_animation_shows_the_grids_in_order(tiny_run: Run) -> None:
    frames = frames_of(tiny_run.animation)
    grids = tiny_run.all_grids()
    assert [step for step, _ in grids] == [0, 10, 20, 30]
    assert len(frames) == len(grids)
    for frame, (_, path) in zip(frames, grids, strict=True):
        with Image.open(path) as grid:
            assert frame.size == (grid.width, grid.height + 16)
            np.testing.assert_array_equal(np.asarray(frame.convert("L"))[: grid.height], np.asarray(grid))
    texts = [np.asarray(frame.convert("L"))[-16:] for frame in frames]
    assert all(text.max() > 100 for text in texts)
    assert len({text.tobytes() for text in texts}) == len(texts), "each says its own step"
    assert [frame.info["duration"] for frame in frames] == [120, 120, 120, 2500]


# ------------------------------------------------------------------------------------------------- of made-up runs


def test_many_grids_are_thinned_evenly(new_run: Run) -> None:
    count = MAX_FRAMES + 100
    for i in range(count):
        save_picture(new_run.grid(1000 * i), np.full((30, 40, 1), i, np.uint8))
    new_run.add_event("grid", 1000 * (count - 1))
    write_plots(new_run)
    shown = [int(np.asarray(frame.convert("L"))[0, 0]) for frame in frames_of(new_run.animation)]
    assert len(shown) == MAX_FRAMES
    assert shown[0] == 0 and shown[-1] == count - 1
    assert set(np.diff(shown)) == {1, 2}, "in order, none twice, no more than one left out between two"


def test_grids_from_before_a_resume_are_left_out(new_run: Run) -> None:
    for i in range(4):
        save_picture(new_run.grid(10 * i), np.full((30, 40, 1), 50 * i, np.uint8))
    new_run.add_event("grid", 20)
    write_plots(new_run)
    assert len(frames_of(new_run.animation)) == 3


def test_colour_grids_stay_coloured(new_run: Run) -> None:
    for i in range(2):
        save_picture(new_run.grid(i), np.full((30, 40, 3), (200, 100 * i, 20), np.uint8))
    new_run.add_event("grid", 1)
    write_plots(new_run)
    pixels = [frame.convert("RGB").getpixel((0, 0)) for frame in frames_of(new_run.animation)]
    assert pixels == [(200, 0, 20), (200, 100, 20)]


def test_one_logged_point_is_enough(new_run: Run) -> None:
    new_run.add_event("log", 5, **VALUES)
    write_plots(new_run)
    for path in (new_run.losses_plot, new_run.accuracy_plot):
        with Image.open(path) as plot:
            plot.load()
            assert plot.width == 1000
    assert not new_run.animation.exists()


def test_a_run_without_events_has_no_plots(new_run: Run) -> None:
    write_plots(new_run)
    assert {path.name for path in new_run.path.iterdir()} == {"recipe.json", "grids"}


# ------------------------------------------------------------------------------------------------- the moving mean


@given(values=st.lists(st.floats(-100, 100), min_size=1, max_size=60), width=st.integers(1, 70))
def test_moving_mean_is_the_mean_of_the_neighbours(values: list[float], width: int) -> None:
    means = plots._moving_mean(np.array(values), width)
    assert len(means) == len(values)
    for i, mean in enumerate(means):
        near = values[max(0, i - width) : i + width + 1]
        assert math.isclose(mean, math.fsum(near) / len(near), abs_tol=1e-9)

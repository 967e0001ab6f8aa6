"""TensorBoard: the event files contain the right curves and images at the right steps."""

import io
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sparring.errors import MissingExtra
from sparring.recipes.recipe import Recipe
from sparring.reports.tensorboard import TensorBoard

event_pb2 = pytest.importorskip("tensorboardX.proto.event_pb2", reason="needs the extra `tensorboard`")


def read_events(folder: Path) -> list[Any]:
    """The events in the files of one folder, in the order in which they were written."""
    events = []
    for path in sorted(folder.glob("events.out.tfevents.*")):
        content = path.read_bytes()
        while content:  # a TFRecord: length (8 bytes), its checksum (4), the event, its checksum (4)
            (length,) = struct.unpack_from("<Q", content)
            events.append(event_pb2.Event.FromString(content[12 : 12 + length]))
            content = content[12 + length + 4 :]
    return events


def points(folder: Path) -> list[tuple[str, int, float]]:
    """(tag, step, value) of each point of a curve."""
    values = [(event.step, value) for event in read_events(folder) for value in event.summary.value]
    return [(value.tag, step, value.simple_value) for step, value in values if value.HasField("simple_value")]


def pictures(folder: Path) -> list[tuple[str, int, Any]]:
    """(tag, step, pixels) of each picture."""
    found = []
    for event in read_events(folder):
        for value in event.summary.value:
            if value.HasField("image"):
                with Image.open(io.BytesIO(value.image.encoded_image_string)) as image:
                    found.append((value.tag, event.step, np.asarray(image.convert("RGB"))))
    return found


def purged(folder: Path) -> list[int]:
    """The steps from which on older points are no longer shown."""
    return [event.step for event in read_events(folder) if event.HasField("session_log")]


def test_curves_have_their_names_and_steps(tmp_path: Path) -> None:
    board = TensorBoard(tmp_path, 0)
    board.scalars(5, {"d_loss": 0.5, "g_loss": 1.5})
    board.scalars(10, {"d_loss": 0.25, "g_loss": 2.5})
    board.close()
    assert points(tmp_path) == [("d_loss", 5, 0.5), ("g_loss", 5, 1.5), ("d_loss", 10, 0.25), ("g_loss", 10, 2.5)]
    assert purged(tmp_path) == []


@pytest.mark.parametrize("channels", [1, 3])
def test_grids_lie_beside_each_other(channels: int, tmp_path: Path) -> None:
    fake, real = np.random.default_rng(0).integers(0, 256, (2, 7, 9, channels), dtype=np.uint8)
    board = TensorBoard(tmp_path, 0)
    board.grids(20, fake, real)
    board.close()
    for name, pixels in (("fake", fake), ("real", real)):
        ((tag, step, shown),) = pictures(tmp_path / name)
        assert (tag.replace("_", " "), step) == (f"{name} images", 20)  # tensorboardX likes no spaces
        np.testing.assert_array_equal(shown, np.broadcast_to(pixels, (7, 9, 3)))
    assert pictures(tmp_path) == []


def test_a_resume_purges_what_lies_beyond_its_step(tmp_path: Path) -> None:
    TensorBoard(tmp_path, 30).close()
    for folder in (tmp_path, tmp_path / "fake", tmp_path / "real"):
        assert purged(folder) == [31]


def test_a_training_writes_the_values_of_its_events(tiny_recipe: Recipe, tmp_path: Path) -> None:
    from sparring.training import train as training

    run = training.train(tiny_recipe.replace(steps=20), out=tmp_path / "run", tensorboard=True)
    logged = [event for event in run.events() if event["event"] == "log"]
    expected = [
        (name, event["step"], value)
        for event in logged
        for name, value in event.items()
        if name not in ("event", "step", "time", "seconds", "run")
    ]
    found = points(run.tensorboard)
    assert len(found) == 4 * 6
    assert [point[:2] for point in found] == [point[:2] for point in expected]
    np.testing.assert_allclose([point[2] for point in found], [point[2] for point in expected], rtol=1e-6)
    fakes, reals = pictures(run.tensorboard / "fake"), pictures(run.tensorboard / "real")
    assert [step for _, step, _ in fakes] == [step for _, step, _ in reals] == [0, 10, 20]
    for _, step, pixels in fakes:
        with Image.open(run.grid(step)) as grid:
            np.testing.assert_array_equal(pixels, np.asarray(grid.convert("RGB")))


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(
        MissingExtra, match=r"needs the package tensorboardX; install it with: pip install 'sparring\[tensorboard\]'"
    ):
        TensorBoard(tmp_path / "board", 0)
    assert not (tmp_path / "board").exists()

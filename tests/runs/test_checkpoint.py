"""CHECKPOINTS: they load as they were saved, damage is detected, and a whole one always remains."""

import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sparring.errors import CheckpointError
from sparring.files import atomic
from sparring.runs import checkpoint


class Moments(NamedTuple):
    """Stands for a state of Optax."""

    count: Any
    mean: Any


def state(value: float = 1.0) -> dict[str, Any]:
    return {
        "weights": {"hidden": {0: {"kernel": np.full((3, 4), value, np.float32)}}},
        "optimizer": (Moments(np.int32(7), np.arange(4, dtype=np.float32)), ()),
        "step": np.int32(3),
        "transposed": np.arange(6, dtype=np.float32).reshape(2, 3).T,
    }


def assert_equal(a: Any, b: Any) -> None:
    left, right = checkpoint.named_arrays(a), checkpoint.named_arrays(b)
    assert left.keys() == right.keys()
    for name in left:
        assert left[name].dtype == right[name].dtype
        np.testing.assert_array_equal(left[name], right[name])


def load_newest(folder: Path) -> tuple[int, Any, list[str]]:
    found = checkpoint.load_newest(folder, state())
    assert found is not None
    return found


def test_names_are_paths() -> None:
    assert set(checkpoint.named_arrays(state())) == {
        "weights/hidden/0/kernel", "optimizer/0/count", "optimizer/0/mean", "step", "transposed",
    }  # fmt: skip


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    made = checkpoint.save(tmp_path, 3, state())
    assert sorted(path.name for path in made.iterdir()) == ["manifest.json", "state.safetensors"]
    loaded = checkpoint.load(made, state())
    assert_equal(loaded, state())
    assert isinstance(loaded["optimizer"][0], Moments)


def test_two_are_kept_and_the_newest_is_loaded(tmp_path: Path) -> None:
    for step in (5, 900, 1000):
        checkpoint.save(tmp_path, step, state(step))
    assert [path.name for path in checkpoint.all_checkpoints(tmp_path)] == ["00000900", "00001000"]
    step, loaded, damaged = load_newest(tmp_path)
    assert (step, damaged) == (1000, [])
    assert checkpoint.newest_step(tmp_path) == 1000
    assert_equal(loaded, state(1000))


def test_a_damaged_one_of_a_later_step_takes_no_place_of_a_whole_one(tmp_path: Path) -> None:
    for step in (1, 2, 9):
        checkpoint.save(tmp_path, step, state(step))
    (tmp_path / "00000009" / checkpoint.MANIFEST).write_text("noise")
    assert load_newest(tmp_path)[0] == 2
    checkpoint.save(tmp_path, 4, state(4))
    assert [path.name for path in checkpoint.all_checkpoints(tmp_path)] == ["00000002", "00000004"]


def test_a_damaged_one_of_an_earlier_step_takes_no_place_of_a_whole_one(tmp_path: Path) -> None:
    for step in (1, 2):
        checkpoint.save(tmp_path, step, state(step))
    (tmp_path / "00000002" / checkpoint.STATE).write_bytes(b"noise")
    checkpoint.save(tmp_path, 3, state(3))
    assert [path.name for path in checkpoint.all_checkpoints(tmp_path)] == ["00000001", "00000003"]


STRAY = (".DS_Store", "._state.safetensors", "Thumbs.db", ".nfs0001", "state.safetensors.sync-conflict", "notes.txt")


@pytest.mark.parametrize("name", STRAY)
def test_a_stray_file_spoils_no_checkpoint(tmp_path: Path, name: str) -> None:
    for step in (1, 2):
        (checkpoint.save(tmp_path, step, state(step)) / name).write_text("stray")
    assert load_newest(tmp_path)[::2] == (2, [])
    for step in (2, 3, 4):  # the first of these is written over the one that is there
        checkpoint.save(tmp_path, step, state(step))
    assert [path.name for path in checkpoint.all_checkpoints(tmp_path)] == ["00000003", "00000004"]
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob(name)}
    assert left == (set() if checkpoint.LITTER.fullmatch(name) else {f"00000001/{name}", f"00000002/{name}"})
    assert not list(tmp_path.rglob("*.partial*"))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        {*(place[:8] for place in left), "00000003", "00000004"}
    )


def test_a_folder_of_the_users_own_is_no_checkpoint_and_is_kept(tmp_path: Path) -> None:
    for name in ("00000001", "00000002", "00000003", "3", "00000002 (copy)", ".partial-7-x"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "thesis.tex").write_text("years of work")
    assert checkpoint.load_newest(tmp_path, state()) is None
    for step in (2, 3, 4):
        checkpoint.save(tmp_path, step, state(step))
    assert len(list(tmp_path.rglob("thesis.tex"))) == 6
    assert load_newest(tmp_path)[::2] == (4, [])


@pytest.mark.parametrize("kind", ["link", "dangling", "file", "empty"])
def test_what_is_no_folder_with_a_checkpoint_is_named_and_never_followed(tmp_path: Path, kind: str) -> None:
    elsewhere = checkpoint.save(tmp_path / "elsewhere", 5, state(5))
    place = tmp_path / "run" / "00000005"
    place.parent.mkdir()
    if kind == "link":
        place.symlink_to(elsewhere)
    elif kind == "dangling":
        place.symlink_to(tmp_path / "nowhere")
    elif kind == "file":
        place.write_text("")
    else:
        place.mkdir()
    with pytest.raises(CheckpointError, match="00000005"):
        checkpoint.load_newest(place.parent, state())
    checkpoint.save(place.parent, 4, state(4))
    assert os.path.lexists(place) == (kind != "empty")
    checkpoint.save(place.parent, 5, state(6))
    assert_equal(load_newest(place.parent)[1], state(6))
    assert_equal(load_newest(elsewhere.parent)[1], state(5))


def test_a_folder_that_cannot_be_read_is_not_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").write_text("")
    with pytest.raises(CheckpointError, match="checkpoints cannot be read"):
        checkpoint.load_newest(tmp_path / "checkpoints", state())


def test_nothing_saved_is_nothing_loaded(tmp_path: Path) -> None:
    assert checkpoint.load_newest(tmp_path / "none", state()) is None
    assert checkpoint.newest_step(tmp_path / "none") == -1


def test_saving_a_step_again_replaces_it(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, 5, state(1))
    checkpoint.save(tmp_path, 5, state(2))
    assert_equal(load_newest(tmp_path)[1], state(2))


@pytest.mark.parametrize("file", ["state.safetensors", "manifest.json"])
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_flipped_bit_or_a_lost_end_is_noticed_and_the_one_before_loaded(
    tmp_path: Path, file: str, data: st.DataObject
) -> None:
    checkpoint.save(tmp_path, 1, state(1))
    damaged = checkpoint.save(tmp_path, 2, state(2)) / file
    content = bytearray(damaged.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content[place] ^= 1 << data.draw(st.integers(0, 7))
    else:
        del content[place:]
    if json_equal(damaged, bytes(content)):
        return  # only white space of the manifest changed: it still says the same
    damaged.write_bytes(content)
    with pytest.raises(CheckpointError):
        checkpoint.load(damaged.parent, state())
    step, loaded, problems = load_newest(tmp_path)
    assert step == 1
    assert_equal(loaded, state(1))
    assert len(problems) == 1
    assert "00000002" in problems[0]


def json_equal(file: Path, content: bytes) -> bool:
    """Whether a damaged manifest still means what it meant."""
    if file.suffix != ".json":
        return False
    try:
        return bool(json.loads(content) == json.loads(file.read_bytes()))
    except ValueError:
        return False


def test_a_missing_file_is_noticed(tmp_path: Path) -> None:
    for file in ("state.safetensors", "manifest.json"):
        (checkpoint.save(tmp_path, 1, state()) / file).unlink()
        with pytest.raises(CheckpointError, match=r"no checkpoint in .* is whole"):
            checkpoint.load_newest(tmp_path, state())


def test_other_networks_are_refused_in_words(tmp_path: Path) -> None:
    made = checkpoint.save(tmp_path, 1, state())
    with pytest.raises(CheckpointError, match=r"'step' should be float32 of shape \(\), but is int32 of shape \(\)"):
        checkpoint.load(made, state() | {"step": np.float32(0)})
    with pytest.raises(CheckpointError, match="lacks 'extra'"):
        checkpoint.load(made, state() | {"extra": np.float32(0)})
    with pytest.raises(CheckpointError, match="has the unexpected array 'step'"):
        checkpoint.load(made, {key: value for key, value in state().items() if key != "step"})


def test_another_format_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "FORMAT", 2)
    made = checkpoint.save(tmp_path, 1, state())
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match="has format 2, but this version reads format 1"):
        checkpoint.load(made, state())


@pytest.mark.parametrize("call", ["write_bytes", "write_json", "sync"])
def test_a_crash_at_any_write_leaves_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    checkpoint.save(tmp_path, 1, state(1))

    def crash(*_: Any) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(atomic, call, crash)
    with pytest.raises(OSError, match="no space left"):
        checkpoint.save(tmp_path, 2, state(2))
    monkeypatch.undo()
    step, loaded, _ = load_newest(tmp_path)
    assert_equal(loaded, state(float(step)))
    checkpoint.save(tmp_path, 3, state(3))
    assert not list(tmp_path.glob(".partial*"))

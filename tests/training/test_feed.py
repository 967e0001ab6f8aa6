"""THE FEED: a streamed training gives the same result, bit for bit, as one with all images on the device."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from recorder import Lines
from slow import later
from test_train import assert_same_run, curves, small

import sparring
from sparring.cli.main import main
from sparring.data import batches
from sparring.errors import UsageError
from sparring.gan.batch import Batch
from sparring.gan.gan import make_gan
from sparring.recipes.recipe import Recipe
from sparring.training import feed as windows
from sparring.training import memory, replicas
from sparring.training.devices import ONE_DEVICE
from sparring.training.feed import Order, StreamedFeed, steps_in_window
from sparring.training.reporter import Silence

KIB = 1 << 10
ROOM = 100
"""KiB: two windows of 3 steps of 20 digits (784 bytes each); an epoch of 200 digits has 10 steps."""


@pytest.fixture(autouse=True)
def kib(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows are asked for in KiB, for the test's images are few."""
    monkeypatch.setattr(windows, "MIB", KIB)


@pytest.fixture(scope="module", params=list(batches.DRAWS))
def recipe(request: pytest.FixtureRequest, tiny_recipe: Recipe) -> Recipe:
    """20 steps in each order of the data."""
    return tiny_recipe.replace(data_order=request.param, seed=5, steps=20)


@pytest.fixture(scope="module")
def held(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> sparring.Run:
    return sparring.train(recipe, out=tmp_path_factory.mktemp("held") / "run", reporter=Silence())


# ------------------------------------------------------------------------------------------------ bit for bit


def test_the_same_is_trained_in_every_order_across_epochs(recipe: Recipe, held: sparring.Run, tmp_path: Path) -> None:
    reporter = Lines()
    run = sparring.train(recipe, out=tmp_path / "run", window=ROOM, reporter=reporter)
    (said,) = reporter.lines
    assert "in windows of 3 steps" in said
    assert_same_run(run, held)


@pytest.mark.parametrize("recipe", ["shuffle"], indirect=True)
def test_windows_of_one_step_will_do(recipe: Recipe, held: sparring.Run, tmp_path: Path) -> None:
    reporter = Lines()
    run = sparring.train(recipe, out=tmp_path / "run", window=1, reporter=reporter)
    assert "in windows of 1 step," in reporter.lines[0]
    assert_same_run(run, held)


@pytest.mark.parametrize("recipe", ["shuffle", "replacement"], indirect=True)
def test_a_streamed_run_goes_on_bit_for_bit_in_the_middle_of_a_window(
    recipe: Recipe, held: sparring.Run, tmp_path: Path
) -> None:
    run = sparring.train(recipe, out=tmp_path / "run", window=ROOM, steps=13, reporter=Silence())
    assert run.reached() == 13
    sparring.train(recipe, out=run.path, window=ROOM + 32, steps=17, reporter=Silence())
    sparring.train(recipe, out=run.path, reporter=Silence())
    assert run.generator_weights.read_bytes() == held.generator_weights.read_bytes()


@pytest.mark.parametrize("name", later(["mlp-adam", "quick"], "quick"))
def test_so_is_what_takes_other_batches(name: str, digits: Path, tmp_path: Path) -> None:
    recipe = small(name, digits)
    whole = sparring.train(recipe, out=tmp_path / "whole", reporter=Silence())
    assert_same_run(sparring.train(recipe, out=tmp_path / "run", window=ROOM, reporter=Silence()), whole)


@pytest.mark.parametrize("order", later(["shuffle", "replacement"], "replacement"))
def test_each_replica_has_an_order_of_its_own(order: str, tiny_recipe: Recipe, tmp_path: Path) -> None:
    recipe = tiny_recipe.replace(data_order=order)
    whole = replicas.train_replicas(2, recipe, out=tmp_path / "whole", reporter=Silence())
    reporter = Lines()
    streamed = replicas.train_replicas(2, recipe, out=tmp_path / "streamed", window=ROOM, reporter=reporter)
    assert sum("windows of 1 step," in said for said in reporter.lines) == 1
    for ours, theirs in zip(streamed.runs, whole.runs, strict=True):
        assert_same_run(ours, theirs)
    assert curves(whole.runs[0]) != curves(whole.runs[1])


def test_labels_come_with_their_images(tiny_recipe: Recipe, tmp_path: Path) -> None:
    recipe = tiny_recipe.replace(conditional=True)
    whole = sparring.train(recipe, out=tmp_path / "whole", reporter=Silence())
    assert_same_run(sparring.train(recipe, out=tmp_path / "run", window=ROOM, reporter=Silence()), whole)


# ------------------------------------------------------------------------------------------------ one after the other


def numbered(count: int) -> NDArray[np.uint8]:
    """Images (count, 1, 1, 1) that each show their own number."""
    return np.arange(count, dtype=np.uint8).reshape(count, 1, 1, 1)


def in_windows(recipe: Recipe, count: int, steps: int, last: int) -> StreamedFeed:
    labels = 2 * np.arange(count, dtype=np.int32)
    order = Order(make_gan(recipe, (28, 28, 1)).batches, count, recipe.seed)
    return StreamedFeed(Batch(numbered(count), labels), order, steps, last, ONE_DEVICE)


def walk(feed: StreamedFeed, *ends: int, step: int = 0) -> list[tuple[int, list[list[int]]]]:
    """(the first step, the numbers of the images of each of its steps), of each piece of these chunks."""
    found = []
    for end in ends:
        for data, where, steps in feed.segments(step, end):
            begin = step - int(where)
            numbers = np.asarray(data.images)[begin : begin + steps, :, 0, 0, 0]
            np.testing.assert_array_equal(np.asarray(data.labels)[begin : begin + steps], 2 * numbers.astype(np.int32))
            found.append((step, numbers.tolist()))
            step += steps
    return found


def test_chunks_and_windows_may_end_anywhere(tiny_recipe: Recipe) -> None:
    recipe = tiny_recipe.replace(data_order="sequential", batch_size=2)
    feed = in_windows(recipe, 7, steps=4, last=11)
    found = walk(feed, 1, 3, 9, 11)
    assert [step for step, _ in found] == [0, 1, 3, 4, 8, 9]
    batch = [[0, 1], [2, 3], [4, 5]]
    assert [numbers for _, piece in found for numbers in piece] == [batch[step % 3] for step in range(11)]


def test_going_on_begins_a_window_where_it_goes_on(tiny_recipe: Recipe) -> None:
    recipe = tiny_recipe.replace(data_order="sequential", batch_size=2)
    feed = in_windows(recipe, 7, steps=4, last=100)
    assert walk(feed, 8, step=7) == [(7, [[2, 3]])]
    assert walk(feed, 2, step=0) == [(0, [[0, 1], [2, 3]])]


def test_each_epoch_has_its_own_permutation_also_where_it_begins_within_a_window(tiny_recipe: Recipe) -> None:
    recipe = tiny_recipe.replace(data_order="shuffle", batch_size=5)
    seen = [numbers for _, piece in walk(in_windows(recipe, 10, steps=3, last=8), 8) for numbers in piece]
    epochs = [seen[i] + seen[i + 1] for i in range(0, 8, 2)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4


def test_the_next_window_is_read_while_one_is_used_and_no_more(
    tiny_recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    of_window = StreamedFeed._read

    def spy(self: StreamedFeed, first: int) -> Any:
        read.append(first)
        return of_window(self, first)

    monkeypatch.setattr(StreamedFeed, "_read", spy)
    feed = in_windows(tiny_recipe.replace(batch_size=2), 10, steps=4, last=10)
    walk(feed, 1)
    wait_until(lambda: len(read) == 2)
    assert read == [0, 4]
    walk(feed, 10, step=1)
    feed._thread.shutdown()
    assert read == [0, 4, 8]


def wait_until(holds: Callable[[], bool]) -> None:
    for _ in range(1000):
        if holds():
            return
        time.sleep(0.01)


def test_what_goes_wrong_in_the_thread_is_told(tiny_recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise OSError("the disk is gone")

    monkeypatch.setattr(windows, "_read", broken)
    with pytest.raises(OSError, match="the disk is gone"):
        walk(in_windows(tiny_recipe, 200, steps=4, last=10), 1)


# ------------------------------------------------------------------------------------------------ when, and how large


def test_a_window_is_half_of_what_was_asked_for(tiny_recipe: Recipe) -> None:
    images = np.zeros((200, 28, 28, 1), np.uint8)  # 153 KiB; a step takes 20
    assert steps_in_window(images, 20, 10, ONE_DEVICE, 154) is None
    assert steps_in_window(images, 20, 10, ONE_DEVICE, 153) == 4
    assert steps_in_window(images, 40, 10, ONE_DEVICE, 153) == 2
    assert steps_in_window(images, 20, 10, ONE_DEVICE, 1) == 1
    assert steps_in_window(images, 20, 3, ONE_DEVICE, 153) == 3


def test_unasked_it_depends_on_the_room_there_is(tiny_recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.zeros((200, 28, 28, 1), np.uint8)
    for room, steps in ((None, None), (images.size, None), (images.size - 1, 4), (32 * KIB, 1)):
        monkeypatch.setattr(memory, "room", lambda used, room=room: room)
        assert steps_in_window(images, 20, 10, ONE_DEVICE, None) == steps
    monkeypatch.setattr(memory, "room", lambda used: images.size - 1)
    monkeypatch.setattr(windows, "WINDOW_BYTES", 64 * KIB)
    assert steps_in_window(images, 20, 10, ONE_DEVICE, None) == 2


def test_the_command_line_takes_it_and_says_so(
    digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = f"train mlp-256 --data {digits} --steps 2 --grid-every 2 --validation 0".split()
    assert main([*words, "--out", str(tmp_path / "run"), "--window", "50"]) == 0
    assert "the 153 KiB of images do not stay on the device".replace("KiB", "MiB") in capsys.readouterr().out
    assert main([*words, "--out", str(tmp_path / "none"), "--window", "0"]) == 2
    assert "window, in MiB, should be 1 or more, not 0" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_no_room_is_refused_before_anything_is_written(tiny_recipe: Recipe, tmp_path: Path) -> None:
    for train in (sparring.train, lambda recipe, **how: replicas.train_replicas(2, recipe, **how)):
        with pytest.raises(UsageError, match="window, in MiB, should be 1 or more, not -3"):
            train(tiny_recipe, out=tmp_path / "run", window=-3, reporter=Silence())
    assert not (tmp_path / "run").exists()

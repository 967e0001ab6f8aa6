"""Progress: a bar on a terminal, lines elsewhere, and the time left."""

import io
import time

import pytest
from rich.console import Console

from sparring.terminal import progress


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Standard error that is not a terminal, with ten lines a second."""
    file = io.StringIO()
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.1)
    monkeypatch.setattr(progress, "QUIET_SECONDS", 0.0)
    monkeypatch.setattr(progress, "plain_console", lambda stderr: Console(file=file, highlight=False, markup=False))
    return file


def test_each_stage_prints_a_line_and_a_long_one_prints_lines_with_the_time_left(printed: io.StringIO) -> None:
    with progress.shown("runs/x") as report:
        report("samples")
        time.sleep(0.5)
        report("training", 100, 300)
        time.sleep(0.5)
    lines = printed.getvalue().splitlines()
    assert lines[0] == "runs/x: samples" and lines[1] == "runs/x: samples, for 0 s"
    assert lines[-1].startswith("runs/x: training: 100 of 300, ") and lines[-1].endswith(" s left")
    assert 4 < len(lines) < 15


def test_short_work_prints_nothing(printed: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "QUIET_SECONDS", 5.0)
    with progress.shown() as report:
        for done in range(100):
            report("decoding", done, 100)
    assert printed.getvalue() == ""


def test_a_nested_block_uses_the_outer_display(printed: io.StringIO) -> None:
    with progress.shown("runs/x") as outer, progress.shown() as inner:
        assert inner is outer


def test_names_are_printed_on_one_line(printed: io.StringIO) -> None:
    with progress.shown("a\nb\033[31m") as report:
        report("[bold]samples")
        time.sleep(0.05)
    assert printed.getvalue() == "a\\nb\\x1b[31m: [bold]samples\n"


def test_a_terminal_shows_a_bar_that_disappears(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=100, color_system=None)
    monkeypatch.setattr(progress, "plain_console", lambda stderr: console)
    with progress.shown("runs/x") as report:
        report("training", 30, 100)
        time.sleep(0.3)
    assert "runs/x: training" in file.getvalue()
    assert "\033[?25h" in file.getvalue()


@pytest.mark.parametrize(("seconds", "words"), [(0.4, "0 s"), (99, "99 s"), (180, "3 min"), (18720, "5.2 h")])
def test_seconds_in_words(seconds: float, words: str) -> None:
    assert progress.duration(seconds) == words

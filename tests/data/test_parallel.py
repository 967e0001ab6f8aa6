"""PARALLEL: results in order, errors where they belong, not far ahead, and a bar on a terminal only."""

import sys
import threading
import time

import pytest

from sparring.data.pictures import parallel
from sparring.data.pictures.parallel import AHEAD, in_order


def test_results_come_in_the_order_of_the_items() -> None:
    def slow_at_first(i: int) -> int:
        time.sleep(0.02 if i < 3 else 0)
        return i * i

    assert list(in_order(slow_at_first, range(50), "squares")) == [i * i for i in range(50)]


def test_work_is_shared_among_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "_processors", lambda: 2)
    both = threading.Barrier(2, timeout=20)
    assert len(list(in_order(lambda i: both.wait(), range(8), "meetings"))) == 8


def test_an_error_comes_out_and_ends_it() -> None:
    done: list[int] = []

    def fail(i: int) -> int:
        done.append(i)
        if i == 5:
            raise ValueError("five")
        return i

    with pytest.raises(ValueError, match="five"):
        list(in_order(fail, range(10_000), "numbers"))
    assert len(done) < 9_000


def test_it_does_not_run_far_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "_processors", lambda: 1)
    done: list[int] = []
    results = in_order(done.append, range(1000), "numbers")
    next(results)
    time.sleep(0.2)
    assert len(done) <= AHEAD + 1
    results.close()  # type: ignore[attr-defined]


def test_there_is_a_bar_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert list(in_order(abs, range(3), "numbers")) == [0, 1, 2]
    assert capsys.readouterr() == ("", "")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert list(in_order(abs, range(3), "numbers")) == [0, 1, 2]
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "numbers" in printed.err and "3/3" in printed.err

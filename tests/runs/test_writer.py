"""THE WRITER: jobs run in order, none runs after a failure, and the training does not wait."""

import threading
import time

import pytest

from sparring.runs import writer as module
from sparring.runs.writer import Writer


def test_jobs_are_done_in_order_and_all_of_them() -> None:
    done: list[int] = []
    with Writer() as writer:
        for i in range(200):
            writer.do(lambda i=i: done.append(i))  # type: ignore[misc]
    assert done == list(range(200))
    assert not any(thread.name == "writer" for thread in threading.enumerate())


def test_who_gives_a_job_does_not_wait_for_it() -> None:
    may_go_on = threading.Event()
    done: list[str] = []
    with Writer() as writer:
        writer.do(lambda: may_go_on.wait(10))
        writer.do(lambda: done.append("second"))
        assert done == []
        may_go_on.set()
        writer.finish()
        assert done == ["second"]


def test_a_failure_reaches_who_gives_the_next_job_and_nothing_is_done_after_it() -> None:
    done: list[str] = []

    def fail() -> None:
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"), Writer() as writer:
        writer.do(fail)
        with pytest.raises(OSError, match="the disk is full"):
            writer.finish()
        with pytest.raises(OSError, match="the disk is full"):
            writer.do(lambda: done.append("later"))
    assert done == []


def test_an_error_of_the_training_is_not_hidden_and_what_waits_is_written() -> None:
    done: list[str] = []
    with pytest.raises(ZeroDivisionError), Writer() as writer:
        writer.do(lambda: time.sleep(0.05))
        writer.do(lambda: done.append("written"))
        raise ZeroDivisionError
    assert done == ["written"]


def test_not_everything_waits_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_WAITING", 2)
    may_go_on = threading.Event()
    given: list[int] = []
    with Writer() as writer:

        def give() -> None:
            for i in range(6):
                writer.do(lambda: may_go_on.wait(10))
                given.append(i)

        giver = threading.Thread(target=give)
        giver.start()
        giver.join(0.3)
        assert len(given) == 3  # one at work, two that wait
        may_go_on.set()
        giver.join(10)
    assert len(given) == 6

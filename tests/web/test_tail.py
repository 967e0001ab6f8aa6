"""The tail of events: complete lines are read once and in order, even if the file is truncated or replaced."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparring.files import checksummed
from sparring.files.checksummed import Lines
from sparring.runs.run import Run
from sparring.web import tail
from sparring.web.tail import Event, Tail


def steps(made: Tail) -> list[int]:
    return [event["step"] for event in made.read()]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


def test_only_what_is_new_is_read(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    made, parsed = Tail(run.events_file), list[str]()

    def count(lines: Lines, line: str) -> Event | None:
        parsed.append(line)
        return read(lines, line)

    read = Lines.read
    monkeypatch.setattr(Lines, "read", count)
    assert made.read() == []
    run.add_event("started", 0)
    run.add_event("log", 10)
    assert steps(made) == [0, 10]
    run.add_event("log", 20)
    assert steps(made) == [0, 10, 20]
    assert steps(made) == [0, 10, 20]
    assert len([line for line in parsed if line]) == 3


def test_a_line_is_read_when_it_is_whole(run: Run) -> None:
    made = Tail(run.events_file)
    run.add_event("started", 0)
    line = checksummed.line({"event": "log", "step": 10, "d_loss": 0.5}).encode()
    for place in range(len(line)):
        with run.events_file.open("ab") as file:
            file.write(line[place : place + 1])
        assert steps(made) == ([0] if place + 1 < len(line) else [0, 10])


def test_a_run_that_goes_on_forgets_what_came_after_its_checkpoint(run: Run) -> None:
    made = Tail(run.events_file)
    for step in (0, 10, 20, 30):
        run.add_event("log", step)
    assert steps(made) == [0, 10, 20, 30]
    run.forget_events_after(10)
    assert steps(made) == [0, 10]
    run.add_event("resumed", 10)
    assert steps(made) == [0, 10, 10]


def test_a_file_that_was_cut_in_place_is_read_anew(run: Run) -> None:
    made = Tail(run.events_file)
    for step in (0, 10, 20):
        run.add_event("log", step)
    assert steps(made) == [0, 10, 20]
    with run.events_file.open("r+b") as file:
        file.truncate(len(file.readline()))
    assert steps(made) == [0]


def test_a_run_that_is_gone_has_no_events_and_a_new_one_in_its_place_its_own(run: Run) -> None:
    made = Tail(run.events_file)
    run.add_event("log", 10)
    assert steps(made) == [10]
    run.events_file.unlink()
    assert steps(made) == []
    run.add_event("started", 0)
    assert steps(made) == [0]


def test_a_link_is_not_followed(run: Run, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text('{"event": "log", "step": 1}\n')
    run.events_file.symlink_to(elsewhere)
    assert Tail(run.events_file).read() == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_does_not_block(run: Run) -> None:
    os.mkfifo(run.events_file)
    assert Tail(run.events_file).read() == []


def test_a_long_file_is_read_bit_by_bit(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "MAX_READ_BYTES", 200)
    for step in range(20):
        run.add_event("log", step)
    made, seen = Tail(run.events_file), []
    for _ in range(20):
        seen.append(len(made.read()))
    assert seen[0] < 20 and seen[-1] == 20 and steps(made) == list(range(20))


@given(st.lists(st.one_of(st.binary(max_size=40), st.integers(0, 99))))
def test_no_bytes_hide_the_events_between_them(lines: list[bytes | int]) -> None:
    content = b""
    for line in lines:
        content += line.replace(b"\n", b"") if isinstance(line, bytes) else b'{"event": "log", "step": %d}' % line
        content += b"\n"
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.jsonl"
        path.write_bytes(content)
        assert steps(Tail(path)) == [line for line in lines if isinstance(line, int)]


@pytest.mark.parametrize(
    "line",
    ['{"event": 3, "step": 1}', '{"event": "log", "step": "1"}', '{"event": "log", "step": -1}', "[" * 9000, "{}"],
)
def test_what_looks_like_an_event_and_is_none_is_left_out(line: str, run: Run) -> None:
    run.events_file.write_text(f'{line}\n{{"event": "log", "step": 5}}\n')
    assert steps(Tail(run.events_file)) == [5]

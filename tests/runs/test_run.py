"""THE RUN FOLDER: events that survive a crash, a lock that ends with its holder, and the view in a notebook."""

import base64
import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sparring.errors import RunError
from sparring.recipes.recipe import Recipe
from sparring.runs.run import Run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """An empty folder."""
    run = Run(tmp_path / "run")
    run.path.mkdir()
    return run


# ---------------------------------------------------------------------------------------------------------- events


def test_events_come_back_as_they_were_added(run: Run) -> None:
    assert list(run.events()) == []
    run.add_event("started", 0, steps=30)
    run.add_event("log", 10, d_loss=0.5, note="ünï\ncode")
    first, second = run.events()
    assert {"event": "started", "step": 0, "steps": 30}.items() <= first.items()
    assert {"event": "log", "step": 10, "d_loss": 0.5, "note": "ünï\ncode"}.items() <= second.items()
    assert 0 <= second["time"] - first["time"] < 60
    assert run.events_file.read_text().count("\n") == 2


@pytest.mark.parametrize(
    "half",
    [
        b'{"event": "log", "step": 3, "d_loss": "\\ud800"}\n',
        b'{"event": "log", "st',
        b"\xff\xfe\x00",
        b"\n\n",
        b"[1, 2]\n",
        b'"event"\n',
        b"3\n",
        b'{"step": 3}\n',
    ],
)
def test_lines_that_are_no_event_are_left_out(half: bytes, run: Run) -> None:
    run.add_event("started", 0)
    run.add_event("log", 10)
    with run.events_file.open("ab") as file:
        file.write(half)
    assert [event["event"] for event in run.events()] == ["started", "log"]
    assert run.reached() == 10


def test_forgetting_keeps_what_comes_before(run: Run) -> None:
    for step in (0, 10, 20, 20, 30):
        run.add_event("log", step, value=step / 3)
    before = list(run.events())
    with run.events_file.open("a") as file:
        file.write('{"event": "log", "st')
    run.forget_events_after(20)
    assert list(run.events()) == before[:4]
    run.add_event("resumed", 20)
    assert [event["event"] for event in run.events()] == ["log"] * 4 + ["resumed"]


def test_how_far_it_came_and_how_it_ended(run: Run) -> None:
    assert run.reached() == 0
    assert run.ended() is None
    for event, step, ended in (
        ("started", 0, None),
        ("log", 10, None),
        ("stopped", 10, "stopped"),
        ("resumed", 5, None),
        ("failed", 8, "failed"),
        ("resumed", 5, None),
        ("finished", 30, "finished"),
    ):
        run.add_event(event, step)
        assert run.ended() == ended, event
    assert run.reached() == 30


def test_a_finished_run_tells_its_story(tiny_run: Run) -> None:
    events = list(tiny_run.events())
    assert [event["event"] for event in events if event["event"] != "log"] == [
        "started", "grid", "grid", "grid", "grid", "checkpoint", "finished",
    ]  # fmt: skip
    assert [event["step"] for event in events if event["event"] == "log"] == [5, 10, 15, 20, 25, 30]
    assert [event["file"] for event in events if event["event"] == "grid"] == [
        path.name for _, path in tiny_run.all_grids()
    ]
    assert (tiny_run.reached(), tiny_run.ended()) == (30, "finished")


def test_grids_are_listed_by_their_step(run: Run) -> None:
    run.grids.mkdir()
    for step in (100, 0, 20, 123_456_789):
        run.grid(step).touch()
    run.real_grid.touch()
    (run.grids / ".partial-7-00000300.png").touch()
    assert [step for step, _ in run.all_grids()] == [0, 20, 100, 123_456_789]
    assert run.grid(20).name == "00000020.png"


# ------------------------------------------------------------------------------------------------------------ lock


def test_lock_refuses_a_second_holder(run: Run) -> None:
    refusal = f"another process is training {re.escape(str(run.path))}"
    with run.lock(), pytest.raises(RunError, match=refusal), run.lock():
        pass
    with run.lock():
        assert run.lock_file.exists()


def test_lock_is_let_go_after_an_error(run: Run) -> None:
    with pytest.raises(ZeroDivisionError), run.lock():
        raise ZeroDivisionError
    with run.lock():
        pass


def test_lock_holds_across_processes_until_its_holder_is_killed(run: Run) -> None:
    program = (
        "import sys, time; from pathlib import Path; from sparring.runs.run import Run\n"
        "with Run(Path(sys.argv[1])).lock():\n"
        "    print('held', flush=True)\n"
        "    time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(run.path)], stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            with pytest.raises(RunError, match="another process"), run.lock():
                pass
        finally:
            holder.send_signal(signal.SIGKILL)
        assert holder.wait(timeout=60) == -signal.SIGKILL
    with run.lock():
        pass


# ------------------------------------------------------------------------------------------------------ its files


def test_recipe_and_environment_are_read_back(tiny_run: Run, tiny_recipe: Recipe) -> None:
    assert tiny_run.exists()
    assert tiny_run.recipe() == tiny_recipe
    assert tiny_run.environment()["data"]["shape"] == [200, 28, 28, 1]


def test_missing_files_are_named(run: Run) -> None:
    assert not run.exists()
    with pytest.raises(RunError, match=f"{re.escape(str(run.path))} is no run of Sparring: it has no recipe.json"):
        run.recipe()
    with pytest.raises(RunError, match=r"is no run of Sparring: it has no environment.json"):
        run.environment()


@pytest.mark.parametrize("content", [b"", b'{"name": ', b"\xff\xfe"])
def test_damaged_files_are_named(content: bytes, run: Run) -> None:
    run.recipe_file.write_bytes(content)
    run.environment_file.write_bytes(content)
    with pytest.raises(RunError, match=r"recipe.json is damaged"):
        run.recipe()
    with pytest.raises(RunError, match=r"environment.json is damaged"):
        run.environment()


def test_a_recipe_with_an_unknown_setting_is_refused(run: Run, tiny_recipe: Recipe) -> None:
    run.recipe_file.write_text(json.dumps(tiny_recipe.to_json() | {"warmth": 3}))
    with pytest.raises(RunError, match=r"recipe.json is damaged: .*unknown setting 'warmth'"):
        run.recipe()


@pytest.mark.parametrize("content", ["[]", "3", "null"])
def test_an_environment_that_is_no_object_is_refused(content: str, run: Run) -> None:
    run.environment_file.write_text(content)
    with pytest.raises(RunError, match=r"environment\.json"):
        run.environment()


# --------------------------------------------------------------------------------------------------- in a notebook


def test_a_notebook_shows_the_newest_grid_the_real_one_and_the_losses(tiny_run: Run) -> None:
    shown = tiny_run._repr_html_()
    assert "mlp-256, step 30 of 30" in shown
    embedded = [base64.b64decode(text) for text in re.findall(r'src="data:image/png;base64,([^"]+)"', shown)]
    pictures = (tiny_run.grid(30), tiny_run.real_grid, tiny_run.losses_plot)
    assert embedded == [path.read_bytes() for path in pictures]


def test_a_notebook_gets_names_as_text(tiny_recipe: Recipe, tmp_path: Path) -> None:
    run = Run(tmp_path / "<script>alert(1)<" / "script>&")
    run.path.mkdir(parents=True)
    run.recipe_file.write_text(json.dumps(tiny_recipe.replace(name="<b>&").to_json()))
    shown = run._repr_html_()
    assert "<script" not in shown and "<b>" not in shown
    assert "&lt;b&gt;&amp;, step 0 of 30" in shown
    assert "&lt;script&gt;alert(1)&lt;/script&gt;&amp;" in shown
    assert "<img" not in shown, "there is no picture yet"

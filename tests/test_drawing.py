"""Plots and reporters cannot fail a run: it is saved first, and an error becomes a notice."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from recorder import Lines

from sparring.errors import DamageWarning, DiskError
from sparring.recipes.recipe import Recipe
from sparring.reports import plots
from sparring.reports.tensorboard import TensorBoard
from sparring.runs import checkpoint
from sparring.runs.run import Run
from sparring.training import replicas
from sparring.training import train as training
from sparring.training.reporter import Silence

DRAW = "import sys; from pathlib import Path; from sparring.reports.plots import write_plots\n"
DRAW += "from sparring.runs.run import Run\nwrite_plots(Run(Path(sys.argv[1])))"
HOSTILE = "text.usetex: True\nno colon\nbackend: nonsense\naxes.facecolor: red\nfigure.dpi: 7\nsavefig.format: pdf\n"


@pytest.fixture
def drawn(copied_run: Run, with_plots: None, no_plots: Callable[[Run], None]) -> Run:
    """A run with its curves."""
    no_plots(copied_run)
    return copied_run


INLINE = "module://matplotlib_inline.backend_inline"


@pytest.mark.parametrize(
    "backend", [INLINE, *(pytest.param(name, marks=pytest.mark.long) for name in ("garbage", "module://gone"))]
)
def test_a_users_settings_of_matplotlib_change_nothing(backend: str, drawn: Run, tmp_path: Path) -> None:
    expected = drawn.losses_plot.read_bytes(), drawn.accuracy_plot.read_bytes()
    drawn.losses_plot.unlink()
    drawn.accuracy_plot.unlink()
    here = tmp_path / "here"
    here.mkdir()
    (here / "matplotlibrc").write_text(HOSTILE)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", DRAW, str(drawn.path.absolute())],
        cwd=here,
        env=os.environ | {"MPLBACKEND": backend},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (drawn.losses_plot.read_bytes(), drawn.accuracy_plot.read_bytes()) == expected


def test_settings_of_the_same_process_are_as_before(drawn: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    import matplotlib

    expected = drawn.losses_plot.read_bytes()
    monkeypatch.setenv("MPLBACKEND", "module://gone")
    with matplotlib.rc_context({"text.usetex": True, "figure.facecolor": "red"}):
        plots.write_plots(drawn)
        assert matplotlib.rcParams["text.usetex"] is True
    assert drawn.losses_plot.read_bytes() == expected and os.environ["MPLBACKEND"] == "module://gone"


def broken_import(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)


def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def save(path: Path, *given: object) -> None:
        raise DiskError(f"{path} could not be written: No space left on device")

    monkeypatch.setattr("sparring.reports.plots._save", save)


def test_a_failure_to_draw_is_a_notice(tiny_recipe: Recipe, tmp_path: Path, with_plots: None) -> None:
    for breaks, steps in ((broken_import, 10), (full_disk, 20)):
        reporter = Lines()
        with pytest.MonkeyPatch.context() as patched:
            breaks(patched)
            run = training.train(tiny_recipe.replace(steps=steps), out=tmp_path / "run", reporter=reporter)
        assert run.ended() == "finished" and run.generator_weights.is_file()
        assert checkpoint.newest_step(run.checkpoints) == steps
        assert [text for text in reporter.lines if "could not be drawn" in text and "else is saved" in text]
        assert run.animation.is_file(), "what can be drawn is drawn"
        run.animation.unlink()


def test_replicas_are_saved_before_any_is_drawn(
    tiny_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[list[str | None]] = []

    def draw(run: Run) -> None:
        ended.append([other.ended() for other in map(Run, sorted(run.path.parent.iterdir()))])
        raise ValueError("no font")

    monkeypatch.setattr(plots, "write_plots", draw)
    reporter = Lines()
    done = replicas.train_replicas(2, tiny_recipe.replace(steps=3), out=tmp_path / "x2", reporter=reporter)
    assert not done.stopped and ended == [["finished", "finished"]] * 2
    assert sum("no font" in text for text in reporter.lines) == 2


def test_plots_that_a_killed_process_did_not_draw_are_drawn_by_the_same_command(
    copied_run: Run, tiny_recipe: Recipe, with_plots: None
) -> None:
    copied_run.losses_plot.unlink(missing_ok=True)
    training.train(tiny_recipe, out=copied_run.path, reporter=Silence())
    before = copied_run.losses_plot.stat().st_mtime_ns
    training.train(tiny_recipe, out=copied_run.path, reporter=Silence())
    assert copied_run.losses_plot.stat().st_mtime_ns == before, "once is enough"


def test_a_reporter_that_fails_costs_no_run(tiny_recipe: Recipe, tmp_path: Path) -> None:
    class Broken(Silence):
        def progress(self, step: int, values: dict[str, float]) -> None:
            raise ValueError("no such colour")

    with pytest.warns(DamageWarning, match="no such colour"):
        run = training.train(tiny_recipe.replace(steps=10), out=tmp_path / "run", reporter=Broken())
    assert run.ended() == "finished"
    with pytest.warns(DamageWarning, match="no such colour"):
        done = replicas.train_replicas(2, tiny_recipe.replace(steps=3), out=tmp_path / "x2", reporter=Broken())
    assert not done.stopped


def test_a_tensorboard_that_cannot_write_does_not_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """tensorboardX's thread used to end, and the twelfth event then waited forever."""
    pytest.importorskip("tensorboardX")
    board = TensorBoard(tmp_path, 0)

    def full(event: object) -> None:
        raise OSError(28, "No space left on device")

    for writer in board._writers:
        monkeypatch.setattr(writer._writer, "write_event", full)
    for step in range(30):
        board.scalars(step, {"loss": 0.5})
    board.close()
    assert board.problem is not None and "No space left" in board.problem

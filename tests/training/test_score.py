"""THE SCORE: the terminal shows the progress while a finished run is judged."""

import io
import time
from typing import Any

import pytest
from rich.console import Console

from sparring.runs.run import Run
from sparring.terminal import progress
from sparring.training import score as scoring
from sparring.training.live import Plain
from sparring.training.reporter import Reporter, Silence


@pytest.mark.parametrize(("reporter", "lines"), [(Plain(Console(file=io.StringIO())), True), (Silence(), False)])
def test_judging_is_shown_where_the_terminal_is_told_of_the_training(
    reporter: Reporter, lines: bool, new_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = io.StringIO()
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.1)
    monkeypatch.setattr(progress, "QUIET_SECONDS", 0.0)
    monkeypatch.setattr(progress, "plain_console", lambda stderr: Console(file=file, highlight=False, markup=False))

    def judge(run: Run, tell: progress.ReportProgress) -> dict[str, Any]:
        tell("judging 1,000 samples")
        time.sleep(0.4)
        return {"score": 1.0}

    monkeypatch.setattr(scoring, "judge", judge)
    assert scoring.judge_with_progress(new_run, reporter) == {"score": 1.0}
    assert (f"{new_run.path.name}: judging 1,000 samples" in file.getvalue()) is lines

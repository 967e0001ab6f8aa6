"""SHARING: each trial belongs to one process at a time; those of the dead are taken up again."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sparring.recipes import named_recipe
from sparring.sweeps import sharing, space
from sparring.sweeps.folder import Setup, SweepFolder
from sparring.sweeps.sharing import Trials, Worker, at_work, known_trials

POINTS = tuple({"generator.hidden": hidden, "seed": seed} for hidden in ((8,), (8, 16)) for seed in (0, 1))
ABOUT = {"error": 0.5, "floor": 1.0, "measure": "frechet", "seconds": 3.0}


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with space.quiet_optuna():
        yield


@pytest.fixture
def setup() -> Setup:
    tried: space.Space = {"generator.hidden": ((8,), (8, 16)), "seed": (0, 1)}
    return Setup(named_recipe("mlp-256"), tried, None, 0, "c", POINTS)


@pytest.fixture
def folder(tmp_path: Path) -> SweepFolder:
    return SweepFolder(tmp_path)


def states(folder: SweepFolder, setup: Setup) -> list[str]:
    return [trial.state for trial in known_trials(folder, setup)]


def test_trials_are_handed_out_once_in_their_order(folder: SweepFolder, setup: Setup) -> None:
    with at_work(folder) as one, at_work(folder) as other:
        first, second = Trials(folder, setup, one), Trials(folder, setup, other)
        assert [first.claim(), second.claim(), second.claim(), first.claim()] == [0, 1, 2, 3]
        assert first.claim() is None and second.claim() is None
        assert states(folder, setup) == ["running"] * 4
        first.finish(0, 2.5, **ABOUT)
        second.fail(1, "it broke")
        second.give_back(2)
        assert states(folder, setup) == ["finished", "failed", "waiting", "running"]
        assert first.claim() == 2
    known = known_trials(folder, setup)
    assert [trial.point for trial in known] == list(POINTS)
    assert known[0].about == {"value": 2.5, **ABOUT} and known[1].about == {"reason": "it broke"}
    assert states(folder, setup) == ["finished", "failed", "waiting", "waiting"], "nobody is at work any more"
    assert list(folder.workers.iterdir()) == []


def test_optuna_finds_the_values_of_each_trial(folder: SweepFolder, setup: Setup) -> None:
    with at_work(folder) as worker:
        shared = Trials(folder, setup, worker)
        for _ in POINTS:
            shared.claim()
    optuna = space.load_optuna()
    from optuna.storages.journal import JournalFileBackend

    storage = optuna.storages.JournalStorage(JournalFileBackend(str(folder.journal)))
    (study,) = optuna.get_all_study_summaries(storage)
    trials = optuna.load_study(study_name=study.study_name, storage=storage).trials
    assert [trial.params for trial in trials] == [
        {"generator.hidden": hidden, "seed": seed} for hidden in ("8", "8-16") for seed in (0, 1)
    ]


def dead_worker(folder: SweepFolder, machine: str | None = None) -> str:
    """The name of a process that took a trial and was killed."""
    program = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from sparring.sweeps import sharing, space\n"
        "from sparring.sweeps.folder import SweepFolder\n"
        "folder = SweepFolder(Path(sys.argv[1]))\n"
        "with space.quiet_optuna(), sharing.at_work(folder) as worker:\n"
        "    sharing.Trials(folder, folder.setup(), worker).claim()\n"
        "    print(worker.name, flush=True)\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder.path)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == -9, done.stderr
    name = done.stdout.strip()
    if machine is not None:
        (folder.workers / name).write_text(json.dumps({"machine": machine}))
    return name


def test_a_trial_of_a_process_that_was_killed_is_taken_up_at_once(folder: SweepFolder, setup: Setup) -> None:
    folder.begin(setup)
    name = dead_worker(folder)
    assert (folder.workers / name).is_file()
    with at_work(folder) as worker:
        assert Trials(folder, setup, worker).claim() == 0
        assert [path.name for path in folder.workers.iterdir()] == [worker.name]


def test_one_on_another_machine_is_dead_after_a_long_silence(folder: SweepFolder, setup: Setup) -> None:
    folder.begin(setup)
    name = dead_worker(folder, machine="elsewhere")
    with at_work(folder) as worker:
        shared = Trials(folder, setup, worker)
        assert worker.is_alive(name)
        assert shared.claim() == 1
        touched = (folder.workers / name).stat().st_mtime - sharing.SILENCE_SECONDS - 1
        os.utime(folder.workers / name, (touched, touched))
        assert not worker.is_alive(name)
        assert shared.claim() == 0


def test_who_was_taken_for_dead_changes_nothing_any_more(folder: SweepFolder, setup: Setup) -> None:
    with at_work(folder) as slow, at_work(folder) as quick:
        asleep, awake = Trials(folder, setup, slow), Trials(folder, setup, quick)
        assert asleep.claim() == 0
        quick.bury(slow.name)
        assert awake.claim() == 0
        asleep.finish(0, 1.0, **ABOUT)
        asleep.give_back(0)
        assert states(folder, setup)[0] == "running"
        awake.finish(0, 2.0, **ABOUT)
    assert known_trials(folder, setup)[0].about["value"] == 2.0


def test_a_worker_touches_its_file(folder: SweepFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "TOUCH_SECONDS", 0.01)
    with at_work(folder) as worker:
        path = folder.workers / worker.name
        os.utime(path, (0, 0))
        while path.stat().st_mtime == 0:
            time.sleep(0.01)
        assert Worker(folder.workers, "").is_alive(worker.name)
    assert not Worker(folder.workers, "").is_alive(worker.name)


def test_half_a_line_at_the_end_of_the_journal_is_cut_off(folder: SweepFolder, setup: Setup) -> None:
    with at_work(folder) as worker:
        Trials(folder, setup, worker).claim()
        whole = folder.journal.read_bytes()
        folder.journal.write_bytes(whole + b'{"op_code": 5, "wor')
        assert Trials(folder, setup, worker).claim() == 1
        assert folder.journal.read_bytes().startswith(whole)

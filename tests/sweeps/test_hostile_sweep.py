"""A SWEEP FROM SOMEBODY ELSE: nothing in its folder leads out of it, and damage is one sentence."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sparring.errors import RunError
from sparring.files import checksummed
from sparring.recipes import named_recipe
from sparring.sweeps import space
from sparring.sweeps.folder import Setup, SweepFolder
from sparring.sweeps.sharing import Trials, Worker, at_work, known_trials

POINTS = tuple({"seed": seed} for seed in range(4))
SETUP = Setup(named_recipe("mlp-256"), {"seed": (0, 1, 2, 3)}, None, 0, "c", POINTS)
ABOUT = {"error": 0.5, "floor": 1.0, "measure": "frechet", "seconds": 3.0}


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with space.quiet_optuna():
        yield


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep with a finished trial, a failed one, and one whose process is gone."""
    folder = SweepFolder(tmp_path_factory.mktemp("begun") / "sweep")
    folder.path.mkdir()
    folder.begin(SETUP)
    with space.quiet_optuna(), at_work(folder) as worker:
        shared = Trials(folder, SETUP, worker)
        for _ in range(3):
            shared.claim()
        shared.finish(0, 2.5, **ABOUT)
        shared.fail(1, "it broke")
    return folder.path


@pytest.fixture
def folder(begun: Path, tmp_path: Path) -> SweepFolder:
    return SweepFolder(Path(shutil.copytree(begun, tmp_path / "sweep")))


@pytest.fixture
def victim(tmp_path: Path) -> Iterator[Path]:
    """A file of the user's beside the sweep, which is the same afterwards."""
    path = tmp_path / "victim.txt"
    path.write_bytes(b"the first line\nthe last line, without an end")
    before = path.read_bytes(), path.stat().st_mtime_ns, sorted(tmp_path.iterdir())
    yield path
    assert (path.read_bytes(), path.stat().st_mtime_ns, sorted(tmp_path.iterdir())) == before


def work(folder: SweepFolder) -> int | None:
    """What a process does first: the number of the trial that it is to train."""
    folder.refuse_links()
    setup = folder.begin(SETUP)
    with at_work(folder) as worker:
        return Trials(folder, setup, worker).claim()


def rewrite(folder: SweepFolder, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change the records of the journal, each with a fitting checksum."""
    lines = checksummed.Lines()
    records = [lines.read(line) or {} for line in folder.journal.read_text().splitlines()]
    for record in records:
        change(record)
    folder.journal.write_text("".join(map(checksummed.line, records)))


def give(folder: SweepFolder, worker: str) -> None:
    """Have the journal say that the process of this name trains the third trial."""

    def change(record: dict[str, Any]) -> None:
        if record.get("trial_id") == 2 and "user_attr" in record:
            record["user_attr"]["worker"] = worker

    rewrite(folder, change)


def test_the_sweep_goes_on(folder: SweepFolder, victim: Path) -> None:
    assert work(folder) == 2
    assert [trial.state for trial in known_trials(folder, SETUP)] == ["finished", "failed", "waiting", "waiting"]
    assert sorted(path.name for path in folder.path.iterdir()) == ["journal.log", "sweep.json", "workers"]


@pytest.mark.parametrize(
    "name", ["../../victim.txt", "{victim}", "..", ".", "", "/", "x\0y", 7, None, ["a"], "a" * 5000]
)
def test_the_name_of_a_process_is_never_a_path(name: Any, folder: SweepFolder, victim: Path) -> None:
    named = name.format(victim=victim) if isinstance(name, str) else name
    worker = Worker(folder.workers, "")
    worker.bury(named)
    assert not worker.is_alive(named)
    if isinstance(named, str):
        rewrite(
            folder,
            lambda record: (
                record.get("user_attr", {}).update({"worker": named}) if record.get("trial_id") == 2 else None
            ),
        )
        assert work(folder) == 2


@pytest.mark.parametrize("name", ["journal.log", "sweep.json", "sweep.lock", "workers", "trial-0002"])
@pytest.mark.parametrize("kind", ["link", "dangling", "pipe", "zero", "hard link", "other"])
def test_what_is_no_file_or_folder_of_the_sweep_is_refused(
    name: str, kind: str, folder: SweepFolder, victim: Path
) -> None:
    path, is_folder = folder.path / name, name in ("workers", "trial-0002")
    if is_folder and kind == "hard link":
        return
    elsewhere = victim.parent / "victim-folder"
    elsewhere.mkdir()
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    make: dict[str, Callable[[], Any]] = {
        "link": lambda: path.symlink_to(elsewhere if is_folder else victim),
        "dangling": lambda: path.symlink_to(victim.parent / "made"),
        "pipe": lambda: os.mkfifo(path),
        "zero": lambda: path.symlink_to("/dev/zero"),
        "hard link": lambda: os.link(victim, path),
        "other": lambda: path.touch() if is_folder else path.mkdir(),
    }
    make[kind]()
    with pytest.raises(RunError, match=name if name != "sweep.json" else "sweep"):
        work(folder)
    assert list(elsewhere.iterdir()) == []
    elsewhere.rmdir()


@pytest.mark.parametrize("kind", ["pipe", "zero", "folder", "list", "nested", "large", "future"])
def test_a_process_that_is_none_is_dead(kind: str, folder: SweepFolder, victim: Path) -> None:
    name = "somewhere-77-0123abcd"
    give(folder, name)
    path = folder.workers / name
    contents = {"list": "[]", "nested": "[" * 4000, "large": " " * 5000 + "{}"}
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "zero":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    else:
        path.write_text(contents.get(kind, '{"machine": "elsewhere"}'))
    if kind == "future":
        os.utime(path, (4e9, 4e9))
    assert not Worker(folder.workers, "").is_alive(name)
    if kind != "folder":
        assert work(folder) == 2


def test_a_changed_character_of_the_journal_is_said(folder: SweepFolder, victim: Path) -> None:
    whole = folder.journal.read_bytes()
    for place in range(0, len(whole) - 1, 97):
        folder.journal.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        with pytest.raises(RunError, match=rf"journal.log is damaged: line {1 + whole[:place].count(10)}"):
            known_trials(folder, SETUP)


@pytest.mark.parametrize(
    "line",
    [
        b"\xff\xfe\n",
        b"\n",
        b"[]\n",
        b"7\n",
        b"{}\n",
        b"[" * 1_000_000 + b"\n",
        b'{"op_code": 5}\n',
        b"\0" * 100 + b"\n",
    ],
)
def test_a_line_that_is_no_record_is_said(line: bytes, folder: SweepFolder, victim: Path) -> None:
    for content in (line, folder.journal.read_bytes() + line):
        folder.journal.write_bytes(content)
        with pytest.raises(RunError, match=f"journal.log is damaged: line {content.count(10)} "):
            work(folder)


def test_a_journal_too_large_to_be_one_is_not_read(folder: SweepFolder) -> None:
    os.truncate(folder.journal, 1 << 40)
    with pytest.raises(RunError, match="cannot be read"):
        work(folder)


WRONG = [None, -1, 5, 1e300, 1.5, "x", True, [], {}, [1, 2], {"x": 1}, "NaN"]
FIELDS = {
    0: ["op_code", "worker_id", "study_name", "directions"],
    4: ["study_id", "datetime_start", "state", "values", "distributions", "params", "user_attrs", "system_attrs"],
    5: ["trial_id", "param_name", "param_value_internal", "distribution"],
    6: ["trial_id", "state", "values", "datetime_start", "datetime_complete"],
    8: ["trial_id", "user_attr"],
}


@pytest.mark.parametrize(("code", "field"), [(code, field) for code, fields in FIELDS.items() for field in fields])
def test_a_record_of_another_kind_is_said_or_changes_nothing(
    code: int, field: str, folder: SweepFolder, victim: Path
) -> None:
    whole, refused = folder.journal.read_bytes(), 0
    for wrong in WRONG:
        folder.journal.write_bytes(whole)
        value = float(wrong) if wrong == "NaN" else wrong
        rewrite(folder, lambda record: record.update({field: value}) if record["op_code"] == code else None)  # noqa: B023
        try:
            assert work(folder) in (0, 1, 2, 3, None)
        except RunError as error:
            refused += 1
            assert "journal.log is damaged: line" in str(error) and "move this file away" in str(error)
    assert refused > len(WRONG) // 2


def test_the_journal_of_another_sweep_is_refused(folder: SweepFolder) -> None:
    rewrite(folder, lambda record: record.update({"study_name": "other"}) if record["op_code"] == 0 else None)
    with pytest.raises(RunError, match="line 1 is not of this sweep"):
        work(folder)


def test_a_journal_without_checksums_is_read_and_gone_on_with(folder: SweepFolder) -> None:
    lines = checksummed.Lines()
    records = [lines.read(line) for line in folder.journal.read_text().splitlines()]
    folder.journal.write_text("".join(f"{json.dumps(record)}\n" for record in records))
    assert work(folder) == 2 and work(folder) == 2


def test_without_its_journal_the_sweep_goes_on_with_the_runs(folder: SweepFolder) -> None:
    folder.journal.unlink()
    assert work(folder) == 0


@pytest.mark.long
def test_hostile_folders_by_chance_have_no_findings() -> None:
    """The long one: python benchmarks/fault_sweeps.py --seconds 600."""
    program = Path(__file__).parents[2] / "benchmarks" / "fault_sweeps.py"
    done = subprocess.run([sys.executable, program, "--seconds", "20", "--seed", "2"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr

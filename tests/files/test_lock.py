"""The lock: only a regular file is opened, and errors of the system are reported as they are."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sparring.errors import RunError
from sparring.files.lock import lock
from sparring.runs.run import Run

fcntl = pytest.importorskip("fcntl", reason="Windows has other locks")


def fail_with(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every request for a lock fail with that error."""

    def flock(*given: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)


@pytest.mark.parametrize("kind", ["pipe", "symlink", "dangling symlink", "folder", "device", "socket"])
def test_anything_but_a_regular_file_is_refused_at_once(kind: str, tmp_path: Path) -> None:
    run, elsewhere = Run(tmp_path / "run"), tmp_path / "elsewhere"
    run.path.mkdir()
    if kind == "pipe":
        os.mkfifo(run.lock_file)
    elif kind == "folder":
        run.lock_file.mkdir()
    elif kind == "device":
        try:
            os.mknod(run.lock_file, 0o20600, os.makedev(1, 3))
        except PermissionError:
            pytest.skip("only root makes devices")
    elif kind == "socket":
        import socket

        with socket.socket(socket.AF_UNIX) as made:
            made.bind(str(run.lock_file))
    else:
        run.lock_file.symlink_to(elsewhere)
        if kind == "symlink":
            elsewhere.write_text("mine")
    before = elsewhere.exists()
    with pytest.raises(RunError, match=rf"lock is a {kind.split()[-1]}.*remove it"), run.lock():
        pass
    assert elsewhere.exists() == before


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL])
def test_a_file_system_without_locks_gives_a_notice(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_with(number, monkeypatch)
    with Run(tmp_path).lock() as notice:
        assert notice is not None and str(tmp_path) in notice and "no locks" in notice and "\n" not in notice


@pytest.mark.parametrize("number", [errno.EWOULDBLOCK, errno.EACCES])
def test_only_a_lock_that_is_held_means_another_process(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_with(number, monkeypatch)
    with pytest.raises(RunError, match=f"another process is training {tmp_path}"), Run(tmp_path).lock():
        pass


def test_another_error_is_reported_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_with(errno.EIO, monkeypatch)
    with pytest.raises(RunError, match="lock cannot be taken: Input/output error"), Run(tmp_path).lock():
        pass


def test_the_error_names_a_lock_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"lock cannot be opened: No such file"), lock(tmp_path / "gone" / "lock"):
        pass


def test_with_locks_there_is_no_notice(tmp_path: Path) -> None:
    with Run(tmp_path).lock() as notice:
        assert notice is None


def test_the_notice_with_a_flock_that_fails_in_the_c_library(tmp_path: Path) -> None:
    """A library replaces the C library's `flock` in a new process."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("needs a C compiler and LD_PRELOAD")
    source, library = tmp_path / "none.c", tmp_path / "none.so"
    source.write_text("#include <errno.h>\nint flock(int file, int how) { errno = ENOLCK; return -1; }\n")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True)
    program = "import sys; from pathlib import Path; from sparring.runs.run import Run\n"
    program += "with Run(Path(sys.argv[1])).lock() as notice: print(notice)"
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path],
        env=os.environ | {"LD_PRELOAD": str(library)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "has no locks" in done.stdout

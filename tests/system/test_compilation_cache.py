"""The cache of compiled programs: the next process reads them, and files are never incomplete."""

import grp
import os
import pwd
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from sparring.errors import DamageWarning
from sparring.files import ownership
from sparring.system import compilation_cache
from sparring.system.compilation_cache import ProcessCache, machine

PROGRAM = """
import os, signal, sys
import jax, jax.numpy as jnp
from sparring.system import compilation_cache as compiled

hits = []
jax.monitoring.register_event_listener(lambda name, **_: hits.append(name) if name.endswith("/cache_hits") else None)
compiled.LEAST_SECONDS = 0.0
cache = compiled.keep_compiled()
jax.jit(lambda x: jnp.sin(x) @ x.T)(jnp.ones((30, 20))).block_until_ready()
print(len(hits), 0 if cache is None else len(list(cache.path.glob("*-cache"))), flush=True)
if "kill" in sys.argv:
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    found = dict(os.environ) | {"SPARRING_CACHE": str(tmp_path)}
    for name in [name for name in found if name.startswith("JAX_")]:
        del found[name]
    return found


def run(environment: dict[str, str], *words: str) -> tuple[int, int]:
    """Return (programs read, programs in the process cache) of a process that compiles a function."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == (-signal.SIGKILL if "kill" in words else 0), done.stderr
    hits, programs = done.stdout.split()
    return int(hits), int(programs)


def test_the_next_process_reads_what_was_compiled_and_a_killed_one_leaves_nothing(
    environment: dict[str, str], tmp_path: Path
) -> None:
    def store() -> list[Path]:
        return list(tmp_path.glob("compiled/*/store/*"))

    hits, programs = run(environment, "kill")
    assert hits == 0 and programs > 0 and store() == []
    hits, programs = run(environment)
    assert hits == 0 and len(store()) == programs > 0
    contents = {path: path.read_bytes() for path in store()}
    hits, again = run(environment)
    assert hits == again == programs
    assert {path: path.read_bytes() for path in store()} == contents
    assert len(list(tmp_path.glob("compiled/*/desk-*"))) == 1, "only the killed process left its cache"


def test_the_folder_that_the_user_chose_for_jax_stays(environment: dict[str, str], tmp_path: Path) -> None:
    chosen = tmp_path / "chosen"
    run(environment | {"JAX_COMPILATION_CACHE_DIR": str(chosen), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"})
    assert list(chosen.glob("*-cache")) and not (tmp_path / "compiled").exists()


def test_the_cache_of_a_dead_process_is_removed(tmp_path: Path) -> None:
    dead, living = ProcessCache(tmp_path), ProcessCache(tmp_path)
    (dead.path / "half-cache").touch()
    os.utime(dead.path, (0, 0))
    ProcessCache(tmp_path)
    assert not dead.path.exists() and living.path.exists()


def test_old_programs_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compilation_cache, "MOST_PROGRAMS", 2)
    cache = ProcessCache(tmp_path)
    for age, name in enumerate(["new-cache", "middle-cache", "old-cache"]):
        (cache.path / name).touch()
        os.utime(cache.path / name, (1e9 - age, 1e9 - age))
    cache.clear()
    assert sorted(path.name for path in cache.store.iterdir()) == ["middle-cache", "new-cache"]
    assert not cache.path.exists()


@pytest.mark.parametrize("call", ["mkdtemp", "link"])
def test_a_cache_folder_that_cannot_be_used_is_left_alone(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import jax

    def refuse(*_: object, **__: object) -> None:
        raise OSError("not here")

    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path))
    monkeypatch.setattr(tempfile if call == "mkdtemp" else os, call, refuse)
    before = jax.config.jax_compilation_cache_dir  # type: ignore[attr-defined]
    try:
        jax.config.update("jax_compilation_cache_dir", None)  # type: ignore[no-untyped-call]
        assert compilation_cache.keep_compiled() is None
        assert jax.config.jax_compilation_cache_dir is None  # type: ignore[attr-defined]
    finally:
        jax.config.update("jax_compilation_cache_dir", before)  # type: ignore[no-untyped-call]


@pytest.fixture
def trusting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A store with one program."""
    import jax

    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path / "cache"))
    before = jax.config.jax_compilation_cache_dir  # type: ignore[attr-defined]
    jax.config.update("jax_compilation_cache_dir", None)  # type: ignore[no-untyped-call]
    cache = compilation_cache._make_cache()
    (cache.path / "a-cache").touch()
    cache.clear()
    yield cache.store
    jax.config.update("jax_compilation_cache_dir", before)  # type: ignore[no-untyped-call]


def distrust(found: Path) -> None:
    """Assert that the cache is not used, and that a warning names the path."""
    import jax

    with pytest.warns(DamageWarning, match=f"{found}.*(remove that|SPARRING_CACHE)"):
        assert compilation_cache.keep_compiled() is None
    assert jax.config.jax_compilation_cache_dir is None  # type: ignore[attr-defined]


@pytest.mark.parametrize("mask", [0o000, 0o002, 0o022, 0o077])
def test_folders_and_programs_are_made_for_their_user_alone(mask: int, tmp_path: Path) -> None:
    before = os.umask(mask)
    try:
        ownership.make_folder(tmp_path / "cache" / "compiled")
        cache = ProcessCache(tmp_path / "cache" / "compiled")
        (cache.path / "a-cache").touch()
        cache.clear()
        again = ProcessCache(tmp_path / "cache" / "compiled")
    finally:
        os.umask(before)
    assert [path.name for path in again.path.iterdir()] == ["a-cache"]
    for path in (tmp_path / "cache", *(tmp_path / "cache").rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


@pytest.mark.parametrize("mode", [0o777, 0o702, 0o1777])
@pytest.mark.parametrize("place", ["..", "../..", "../../..", ".", "a-cache"])
def test_what_others_may_write_to_is_not_read(place: str, mode: int, trusting: Path) -> None:
    found = (trusting / place).resolve()
    found.chmod(mode)
    distrust(found)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("place", ["..", "../..", "../../..", ".", "a-cache"])
def test_what_another_user_made_is_not_read(place: str, trusting: Path) -> None:
    found = (trusting / place).resolve()
    os.chown(found, 12345, 12345)
    distrust(found)


@pytest.mark.parametrize("place", ["..", "../..", ".", "a-cache"])
def test_a_link_in_the_cache_is_not_followed(place: str, trusting: Path) -> None:
    found = (trusting / place).resolve()
    found.rename(trusting.parents[2] / "elsewhere")
    found.symlink_to(trusting.parents[2] / "elsewhere")
    distrust(found)


def test_a_program_that_is_exchanged_while_it_is_taken_is_not_read(
    trusting: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = os.link

    def exchange(source: Path, target: Path) -> None:
        link(source, target)
        target.chmod(0o666)

    monkeypatch.setattr(os, "link", exchange)
    distrust(trusting / "a-cache")


def test_a_cache_folder_behind_a_link_of_the_users_is_used(trusting: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = trusting.parents[3] / "link"
    link.symlink_to(trusting.parents[2])
    monkeypatch.setenv("SPARRING_CACHE", str(link))
    assert (compilation_cache._make_cache().path / "a-cache").is_file()


def test_the_users_own_group_may_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o770)
    user = SimpleNamespace(pw_gid=tmp_path.stat().st_gid, pw_name="ann")
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: user)
    for name, members, trusted in (
        ("ann", [], True),
        ("ann", ["ann"], True),
        ("ann", ["bob"], False),
        ("lab", [], False),
    ):
        monkeypatch.setattr(grp, "getgrgid", lambda gid: SimpleNamespace(gr_name=name, gr_mem=members))  # noqa: B023
        assert (ownership.fault(tmp_path) is None) == trusted


def test_the_machine_has_a_name() -> None:
    assert machine() == machine() and len(machine()) == 12

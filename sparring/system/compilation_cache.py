"""The cache of compiled programs, in the user's cache folder.

It uses JAX's persistent compilation cache. JAX writes its files in place, so that a killed process may leave an
incomplete file, which JAX would never write again. Therefore every process works in its own folder (the process cache),
with hard links to all programs in the store, and adds its new programs to the store at exit. A killed process loses
only its new programs.

JAX runs any program that it finds. Therefore programs that another user could have written are not read.

    compiled/VERSION-MACHINE/store/          the programs, under JAX's names
    compiled/VERSION-MACHINE/desk-PID-.../   a process cache
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import os
import platform
import shutil
import tempfile
import time
import warnings
from importlib.metadata import version
from pathlib import Path

from sparring import interrupts
from sparring.errors import DamageWarning
from sparring.files import ownership
from sparring.files.cache_folder import cache_folder

LEAST_SECONDS = 0.1
"""Programs that compile faster are not kept."""
MOST_PROGRAMS = 400
"""Maximum number of programs. The least recently used ones are removed first. One takes about 100 kB."""
MAX_AGE_SECONDS = 2 * 86_400.0
"""An older process cache belongs to a dead process."""
SUFFIX = "-cache"
"""The end of the names of JAX's files."""


class Untrusted(Exception):
    """Another user could have written programs into the store."""


class ProcessCache:
    """A folder from which JAX reads compiled programs, and into which it writes new ones."""

    def __init__(self, folder: Path) -> None:
        self.store = folder / "store"
        ownership.make_folder(self.store)
        _clear_dead_caches(folder)
        self.path = Path(tempfile.mkdtemp(prefix=f"desk-{os.getpid()}-", dir=folder))
        interrupts.remove_at_end(self.path)
        for program in self.store.glob(f"*{SUFFIX}"):
            with contextlib.suppress(OSError):  # another process has just removed it
                self._take(program)

    def _take(self, program: Path) -> None:
        """Link a program into this folder, where nobody can exchange it, and then check its owner."""
        taken = self.path / program.name
        os.link(program, taken)
        if ownership.fault(taken):
            shutil.rmtree(self.path, ignore_errors=True)
            raise Untrusted(ownership.fault(program) or f"{program} was replaced")

    def supports_links(self) -> bool:
        """Return whether the file system supports hard links."""
        try:
            (self.path / "probe").touch()
            os.link(self.path / "probe", self.path / "link")
        except OSError:
            return False
        return True

    def publish(self) -> None:
        """Add new programs to the store. Call this while nothing is compiled."""
        for program in self.path.glob(f"*{SUFFIX}"):
            with contextlib.suppress(OSError):  # it exists, or the disk is full
                program.chmod(0o600)
                os.link(program, self.store / program.name)
        programs = sorted(self.store.glob(f"*{SUFFIX}"), key=_last_used)
        for program in programs[:-MOST_PROGRAMS]:
            program.unlink(missing_ok=True)

    def clear(self) -> None:
        """Publish new programs and remove the folder."""
        self.publish()
        shutil.rmtree(self.path, ignore_errors=True)


def keep_compiled() -> ProcessCache | None:
    """Let this process read compiled programs from the cache folder, and add new ones at exit.

    Returns None and changes nothing if the user has set `JAX_COMPILATION_CACHE_DIR`, or if the cache folder is not
    writable or does not support hard links. The same happens, with a `DamageWarning`, if another user could have
    written programs there.
    """
    import jax

    if jax.config.jax_compilation_cache_dir:  # type: ignore[attr-defined]
        return None
    try:
        cache = _make_cache()
    except Untrusted as error:
        what = "remove that, or set SPARRING_CACHE to a folder of your own"
        warnings.warn(f"compiled programs are not read from the cache: {error}; {what}", DamageWarning, stacklevel=2)
        return None
    except OSError:
        return None
    if not cache.supports_links():
        shutil.rmtree(cache.path, ignore_errors=True)
        return None
    for name, value in (
        ("compilation_cache_dir", str(cache.path)),
        ("persistent_cache_min_compile_time_secs", LEAST_SECONDS),
        ("persistent_cache_min_entry_size_bytes", -1),
        ("persistent_cache_enable_xla_caches", "none"),
    ):
        jax.config.update(f"jax_{name}", value)  # type: ignore[no-untyped-call]
    atexit.register(cache.clear)
    return cache


def _make_cache() -> ProcessCache:
    """Create a process cache in the cache folder. Raises `Untrusted`, or `OSError`."""
    root, names = cache_folder(), ("compiled", f"{version('jaxlib')}-{machine()}")
    ownership.make_folder(root.joinpath(*names, "store"))
    if found := ownership.first_fault(root, *names, "store"):
        raise Untrusted(found)
    return ProcessCache(root.resolve().joinpath(*names))


def machine() -> str:
    """Return a name for the kind of processor, because programs are compiled for its features."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        features = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    except OSError:
        features = platform.processor()
    return hashlib.sha256(f"{platform.machine()} {features}".encode()).hexdigest()[:12]


def _last_used(program: Path) -> float:
    with contextlib.suppress(OSError):
        return program.stat().st_atime
    return 0.0


def _clear_dead_caches(folder: Path) -> None:
    for cache in folder.glob("desk-*"):
        with contextlib.suppress(OSError):
            if time.time() - cache.stat().st_mtime > MAX_AGE_SECONDS:
                shutil.rmtree(cache, ignore_errors=True)

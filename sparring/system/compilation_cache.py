"""COMPILED PROGRAMS, kept in the user's cache folder: what was compiled once is read the next time.

JAX keeps them (its persistent compilation cache), but writes a file in place: a process that is killed while it writes
leaves a torn one that is never written again. So every process works in a folder of its own, its desk, with hard links
to all that is in the store, and at its end puts what is new into the store. What is new when it is killed is lost, and
nothing else. JAX also runs what it finds, whoever wrote it. So nothing is read that another user could have written.

    compiled/VERSION-MACHINE/store/          the programs, under the names that JAX gives them
    compiled/VERSION-MACHINE/desk-PID-.../   the folder of a process
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
"""What takes less time to compile is not kept."""
MOST_PROGRAMS = 400
"""So many are kept; those that nobody used for longest go first. One takes some 100 kB."""
DESK_SECONDS = 2 * 86_400.0
"""A desk so old belongs to a dead process."""
SUFFIX = "-cache"
"""How the names of JAX's files end."""


class Untrusted(Exception):
    """Another user could have put programs there."""


class Desk:
    """A folder for JAX to read compiled programs from and to write new ones into."""

    def __init__(self, folder: Path) -> None:
        self.store = folder / "store"
        ownership.make_folder(self.store)
        _clear_dead_desks(folder)
        self.path = Path(tempfile.mkdtemp(prefix=f"desk-{os.getpid()}-", dir=folder))
        interrupts.remove_at_end(self.path)
        for program in self.store.glob(f"*{SUFFIX}"):
            with contextlib.suppress(OSError):  # another process has just removed it
                self._take(program)

    def _take(self, program: Path) -> None:
        """Put a program on the desk, where nobody can exchange it, and then look whose it is."""
        taken = self.path / program.name
        os.link(program, taken)
        if ownership.fault(taken):
            shutil.rmtree(self.path, ignore_errors=True)
            raise Untrusted(ownership.fault(program) or f"{program} was exchanged")

    def takes_links(self) -> bool:
        """Whether there can be hard links here."""
        try:
            (self.path / "probe").touch()
            os.link(self.path / "probe", self.path / "link")
        except OSError:
            return False
        return True

    def publish(self) -> None:
        """Put what is new into the store. To be called while nothing is being compiled."""
        for program in self.path.glob(f"*{SUFFIX}"):
            with contextlib.suppress(OSError):  # it is there already, or the disk is full
                program.chmod(0o600)
                os.link(program, self.store / program.name)
        programs = sorted(self.store.glob(f"*{SUFFIX}"), key=_last_used)
        for program in programs[:-MOST_PROGRAMS]:
            program.unlink(missing_ok=True)

    def clear(self) -> None:
        """Publish, and leave."""
        self.publish()
        shutil.rmtree(self.path, ignore_errors=True)


def keep_compiled() -> Desk | None:
    """From now on this process reads compiled programs from the cache folder, and at its end leaves new ones there.

    Nothing happens where the user has chosen a folder for JAX (`JAX_COMPILATION_CACHE_DIR`), or where the cache folder
    cannot be written, or takes no hard links: then everything is compiled, as without it. So it is where another user
    could have put programs there, and a `DamageWarning` says so.
    """
    import jax

    if jax.config.jax_compilation_cache_dir:  # type: ignore[attr-defined]
        return None
    try:
        desk = _own_desk()
    except Untrusted as error:
        what = "remove that, or set SPARRING_CACHE to a folder of your own"
        warnings.warn(f"compiled programs are not read from the cache: {error}; {what}", DamageWarning, stacklevel=2)
        return None
    except OSError:
        return None
    if not desk.takes_links():
        shutil.rmtree(desk.path, ignore_errors=True)
        return None
    for name, value in (
        ("compilation_cache_dir", str(desk.path)),
        ("persistent_cache_min_compile_time_secs", LEAST_SECONDS),
        ("persistent_cache_min_entry_size_bytes", -1),
        ("persistent_cache_enable_xla_caches", "none"),
    ):
        jax.config.update(f"jax_{name}", value)  # type: ignore[no-untyped-call]
    atexit.register(desk.clear)
    return desk


def _own_desk() -> Desk:
    """A desk in the cache folder. Raises `Untrusted`, or `OSError` where there can be none."""
    root, names = cache_folder(), ("compiled", f"{version('jaxlib')}-{machine()}")
    ownership.make_folder(root.joinpath(*names, "store"))
    if found := ownership.first_fault(root, *names, "store"):
        raise Untrusted(found)
    return Desk(root.resolve().joinpath(*names))


def machine() -> str:
    """A name for the kind of processor: programs are compiled for what it can do."""
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


def _clear_dead_desks(folder: Path) -> None:
    for desk in folder.glob("desk-*"):
        with contextlib.suppress(OSError):
            if time.time() - desk.stat().st_mtime > DESK_SECONDS:
                shutil.rmtree(desk, ignore_errors=True)

"""`sparring watch`: show runs in a browser."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from sparring.cli.parsing import Flag, check_range, optional, parse
from sparring.errors import UsageError
from sparring.terminal.output import print_line


@dataclass(frozen=True)
class WatchOptions:
    """Show runs in a browser, during training and afterwards: pictures, curves and alarms, side by side. Also explore
    their networks. The page writes nothing and slows no training. Ctrl-C ends it.

    The printed address contains a token. Clients without the token see nothing."""

    folder: Annotated[Positional[Path], arg(metavar="RUNS|RUN")] = Path("runs")
    """A folder of runs, or one run."""
    port: Annotated[int | None, optional("INT")] = None
    """Port to listen on. Default: the first free one from 8765."""
    host: str = "127.0.0.1"
    """Address to listen on. One that other machines can reach needs --i-know, because nothing is encrypted."""
    i_know: Flag = False
    """Accept connections from other machines. They still need the token."""


def run(words: list[str]) -> int:
    """Run `sparring watch [RUNS|RUN] [OPTIONS]`."""
    given = parse(WatchOptions, words, "sparring watch")
    check_range("--port", given.port, 1, 65_535)
    if not given.folder.is_dir():
        raise UsageError(f"{given.folder} is not a folder; sparring train writes runs into the folder runs")
    try:
        given.host.encode("idna")
    except UnicodeError:
        raise UsageError(f"--host should be the name or the address of a machine, not {given.host!r}") from None

    from sparring.web import server

    server.require()
    if not given.i_know and not server.is_loopback(given.host):
        raise UsageError(
            f"on {given.host} other machines can connect, and nothing is encrypted: add --i-know to allow that"
        )

    from sparring.web.run_index import RunIndex

    index = RunIndex(given.folder)
    if not index.runs() and not index.complete:
        print_line(f"{given.folder} has more folders than are searched, and no run was found; name the run's folder")
    elif not index.complete:
        print_line(f"found {len(index.runs()):,} runs; {given.folder} has more folders than are searched")

    def show(address: str) -> None:
        print_line(f"the page of {given.folder}: {address}")
        print_line("Ctrl-C ends it", flush=True)

    server.serve(given.folder, host=given.host, port=given.port, report=show)
    return 0

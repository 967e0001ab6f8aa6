"""PLAIN FILES AND TEXTS: what is opened and printed of a run that anybody may have made.

A pipe or a device may never end, a link may lead to anything, a file may be larger than the memory, and a name may hold
what a terminal obeys.
"""

from __future__ import annotations

import errno
import html
import os
import shlex
import stat
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from rich.console import Console

LARGEST_JSON = 64 << 20
"""Bytes of a JSON file."""
LARGEST_PICTURE = 1 << 28
"""Pixels of a picture."""


def open_plain(path: Path, most: int | None = None, links: bool = False) -> BinaryIO:
    """Open a file to read, unless it is a pipe or a device, has more than `most` bytes or, without `links`, is a link.

    Raises `OSError`.
    """
    nowhere_else = 0 if links else getattr(os, "O_NOFOLLOW", 0)
    file = os.fdopen(os.open(path, os.O_RDONLY | nowhere_else | getattr(os, "O_NONBLOCK", 0)), "rb")
    found = os.fstat(file.fileno())
    if stat.S_ISREG(found.st_mode) and (most is None or found.st_size <= most):
        return file
    file.close()
    raise OSError(errno.EINVAL, "is no plain file, or too large", str(path))


def read_plain(path: Path, most: int) -> bytes:
    """What is in a file, or where a link to one leads, of at most so many bytes. Raises `OSError`."""
    with open_plain(path, most, links=True) as file:
        return file.read(most)


def printable(text: str) -> str:
    """The text on one line, with what terminals obey written out."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def printable_lines(text: str) -> str:
    """The same for a text of several lines."""
    return text if text.isprintable() else "\n".join(map(printable, text.split("\n")))


def html_escaped(text: str) -> str:
    """The text for a page of HTML: no markup, and no character that turns the direction of writing."""
    return html.escape(printable(text))


def shell_quoted(word: str) -> str:
    """The word as it is typed in a shell, also after it was printed: odd characters as in $'\\x1b'."""
    if word.isprintable():
        return shlex.quote(word)
    return f"$'{''.join(map(_ansi_c_quoted, word))}'"


def _ansi_c_quoted(char: str) -> str:
    if char in "\\'":
        return f"\\{char}"
    return char if char.isprintable() else "".join(f"\\x{byte:02x}" for byte in os.fsencode(char))


def shell_joined(words: Iterable[str]) -> str:
    """A command as it is typed in a shell."""
    return " ".join(map(shell_quoted, words))


def say(text: str, *, stderr: bool = False, flush: bool = False) -> None:
    """Print one line. All that the program prints goes through `say`, `say_block` or `plain_console`."""
    print(printable(text), file=sys.stderr if stderr else sys.stdout, flush=flush or stderr)


def say_block(text: str, *, stderr: bool = False) -> None:
    """Print a text of several lines, such as JSON. Names in it must be on one line already."""
    print(printable_lines(text), file=sys.stderr if stderr else sys.stdout, flush=stderr)


def plain_console(stderr: bool = False) -> Console:
    """A console that prints words as they are: a name may look like Rich's markup, or like `:dog:`; and that lets no
    name send codes to the terminal. A closed pipe raises `BrokenPipeError`."""
    return _console_class()(stderr=stderr, highlight=False, markup=False, emoji=False)


@cache
def _console_class() -> type[Console]:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment

    class PlainConsole(Console):
        def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
            for segment in super().render(renderable, options):
                if segment.control or segment.text.isprintable():
                    yield segment
                else:
                    yield Segment(printable_lines(segment.text), segment.style)

        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # Rich would end the program, and a training has something to save

    return PlainConsole

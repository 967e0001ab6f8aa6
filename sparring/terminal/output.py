"""Printing and quoting of text that anybody may have made: no name can send control codes to the terminal.

Everything that the program prints goes through `print_line`, `print_block` or `plain_console`.
"""

from __future__ import annotations

import html
import os
import shlex
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def printable(text: str) -> str:
    """Return the text on one line, with control characters escaped."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def printable_lines(text: str) -> str:
    """Escape the control characters of a text of several lines."""
    return text if text.isprintable() else "\n".join(map(printable, text.split("\n")))


def html_escaped(text: str) -> str:
    """Escape a text for HTML: no markup, and no characters that change the direction of writing."""
    return html.escape(printable(text))


def shell_quoted(word: str) -> str:
    """Quote a word for a shell, so that it can also be printed: unprintable characters become $'\\x1b'."""
    if word.isprintable():
        return shlex.quote(word)
    return f"$'{''.join(map(_ansi_c_quoted, word))}'"


def _ansi_c_quoted(char: str) -> str:
    if char in "\\'":
        return f"\\{char}"
    return char if char.isprintable() else "".join(f"\\x{byte:02x}" for byte in os.fsencode(char))


def shell_joined(words: Iterable[str]) -> str:
    """Return a command as it is typed in a shell."""
    return " ".join(map(shell_quoted, words))


def print_line(text: str, *, stderr: bool = False, flush: bool = False) -> None:
    """Print a text on one line."""
    print(printable(text), file=sys.stderr if stderr else sys.stdout, flush=flush or stderr)


def print_block(text: str, *, stderr: bool = False) -> None:
    """Print a text of several lines, such as JSON."""
    print(printable_lines(text), file=sys.stderr if stderr else sys.stdout, flush=stderr)


def plain_console(stderr: bool = False) -> Console:
    """Return a console that prints names literally, without Rich's markup, emoji and control codes.

    A closed pipe raises `BrokenPipeError`."""
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
            raise BrokenPipeError  # Rich would exit, and a training has to save its state

    return PlainConsole

"""The command line: `sparring COMMAND`. Runs a command and returns its exit status; prints an error as one sentence.

Nothing here imports JAX before a command needs it.
"""

from __future__ import annotations

if __name__ == "__main__":  # of `python -m sparring.cli.main`
    from sparring.system.isolation import leave_current_folder

    leave_current_folder()

import importlib
import io
import os
import sys
import warnings
from collections.abc import Callable
from types import TracebackType
from typing import Any, cast

from sparring import interrupts
from sparring.errors import DamageWarning, ProcessLost, SparringError, UsageError, without_addresses
from sparring.terminal.output import print_block, print_line, printable
from sparring.training.stopping import is_left_alone

Command = Callable[[list[str]], int]

PIPE_CLOSED = 141
"""Exit status after the reader of a pipe has closed it, as shells report SIGPIPE: 128 + 13."""
MAX_WORD, MAX_SENTENCE = 200, 580
"""Characters of an error message. The middle of a longer one is left out."""
NO_MEMORY = "RESOURCE_EXHAUSTED"
"""How JAX's message begins if memory is too small."""

COMMANDS = {
    "train": "train",
    "sweep": "sweep",
    "sample": "sample",
    "export": "export",
    "animate": "animate",
    "watch": "watch",
    "measure": "measure",
    "compare": "compare",
    "data": "data_check",
    "recipes": "recipes",
    "bench": "bench",
}
"""The module of each command. Only that of the given one is imported, so that `--help` answers at once."""
COMPILING = {"train", "sample", "export", "animate", "measure", "compare", "sweep", "bench"}
"""Commands that run networks."""

HELP = """\
usage: sparring [--help] [--version] [--debug] COMMAND ...

Trains generative adversarial networks fast.

commands:
  train     train a GAN: sparring train, or sparring train RECIPE [OPTIONS]
  sweep     try several values of settings: sparring sweep RECIPE --seed 0,1,2
  sample    draw images from a trained generator: sparring sample RUN
  export    write a generator for ONNX, a browser, or others: sparring export RUN --format html
  animate   make an animation of a training, or of a walk: sparring animate RUN --of walk
  watch     show runs in a browser, and explore them: sparring watch [RUNS]
  measure   judge a run, or samples made elsewhere: sparring measure RUN
  compare   show measured runs side by side: sparring compare RUN RUN...
  data      look at images before training on them: sparring data check FOLDER
  recipes   list the recipes
  bench     time the recipes beside a matrix product: sparring bench [RECIPE ...]

options:
  --debug   show the traceback of an error

`sparring COMMAND --help` lists the options of a command."""


def main(words: list[str] | None = None) -> int:
    """Run the command line.

    Returns the exit status: 0, 2 for an error, 130 for a training stopped before its end, 141 for a closed pipe.
    """
    return _main(list(sys.argv[1:] if words is None else words))


def program() -> int:
    """Run the command line as a process of its own, which handles signals."""
    interrupts.listen()
    sys.excepthook = _show_traceback
    try:
        status = main()
        if is_left_alone():  # Python would wait for it at exit
            interrupts.leave(status)
        return status
    finally:
        interrupts.finish()


def _main(words: list[str]) -> int:
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # file names may hold what the terminal cannot show
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", DamageWarning)
            warnings.showwarning = _show_warning
            status = _dispatch(words)
            if sys.stdout is not None:
                sys.stdout.flush()
            return status
    except BrokenPipeError:
        # The reader is gone, as in `sparring train | head`. End quietly, also when Python closes its output.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except (SparringError, OSError, MemoryError, RuntimeError) as error:
        if debug or (isinstance(error, RuntimeError) and not str(error).startswith(NO_MEMORY)):
            raise
        interrupts.wait_if_ending()
        print_line(f"sparring: {_sentence(error)}", stderr=True)
        if isinstance(error, ProcessLost):
            interrupts.leave(2)  # JAX would wait for the lost process, and then abort
        return 2
    except KeyboardInterrupt:
        if debug:
            raise
        print_line("sparring: interrupted", stderr=True)
        return interrupts.EXIT_STATUS


def _show_traceback(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print a traceback as Python does, but without control codes from names in it."""
    import traceback

    print_block("".join(traceback.format_exception(kind, error, trace)).rstrip("\n"), stderr=True)


def _show_warning(message: Warning | str, category: type[Warning], *place: Any, **named: Any) -> None:
    """Print a warning of Sparring on one line. Warnings of libraries are hidden."""
    if issubclass(category, DamageWarning):
        print_line(f"sparring: {message}", stderr=True)


def load_command(name: str) -> Command:
    """Import the module of a command and return its function."""
    return cast(Command, importlib.import_module(f"sparring.cli.{COMMANDS[name]}").run)


def _dispatch(words: list[str]) -> int:
    if any("\0" in word for word in words):
        raise UsageError("an argument cannot contain the character NUL")
    if not words or words[0] in ("-h", "--help"):
        print_block(HELP)
        return 0 if words else 2
    if words[0] == "--version":
        from importlib.metadata import version

        print_line(f"sparring {version('sparring')}")
        return 0
    if words[0] not in COMMANDS:
        import difflib  # here, because it is slow to import and `--help` does not need it

        near = difflib.get_close_matches(words[0], [*COMMANDS, "--help", "--version"], n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"the commands are {', '.join(COMMANDS)}"
        raise UsageError(f"there is no command {words[0]!r}; {hint}")
    from sparring.cli.parsing import wants_help
    from sparring.recipes.renamed import accept_old_options

    words, notices = accept_old_options(words)
    for notice in notices:
        print_line(f"sparring: {notice}", stderr=True)
    run = load_command(words[0])
    if wants_help(words):
        return run(words[1:])
    from sparring.system import numerics

    for setting in numerics.leave_environment():
        print_line(f"sparring: {setting} is ignored, so that a seed gives the same images everywhere", stderr=True)
    if words[0] in COMPILING:
        numerics.check_environment()
        from sparring.system.compilation_cache import keep_compiled

        keep_compiled()
    return run(words[1:])


def _sentence(error: Exception) -> str:
    """Return the message of an error as one printable line of limited length."""
    text = str(error)
    if isinstance(error, OSError) and error.strerror is not None:
        text = error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"
    if isinstance(error, MemoryError) or text.startswith(NO_MEMORY):
        text = f"there is not enough memory for this: {text or 'no more is available'}"
    line = " ".join(_shortened(word, MAX_WORD) for word in without_addresses(text).split())
    return _shortened(printable(line), MAX_SENTENCE)


def _shortened(text: str, most: int) -> str:
    if len(text) <= most:
        return text
    end = most // 4
    return f"{text[: most - end - 5]} ... {text[-end:]}"


if __name__ == "__main__":
    sys.exit(program())

"""Parsing of a command's words into a dataclass, by tyro. Every mistake is a `UsageError` of one sentence.

tyro reports a mistake by printing a box and exiting. Its only other way is the hook in `tyro._errors`, which passes the
mistake as data. It also keeps the line breaks of docstrings in the help, unless they are removed in `tyro._docstrings`.
These modules are private, so only this file uses them, pyproject.toml limits the version of tyro, and tests/cli covers
each kind of mistake and the help.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterable, Mapping
from types import NoneType, UnionType
from typing import Any, Literal, NoReturn, TypeVar, Union, get_args, get_origin, get_type_hints

import tyro
from tyro import _docstrings, _errors
from tyro.conf import FlagCreatePairsOff, Positional, arg
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from sparring.errors import UsageError
from sparring.recipes.arguments import parse_whole
from sparring.recipes.settings import Networks
from sparring.terminal.output import printable

Options = TypeVar("Options")
Flag = FlagCreatePairsOff[bool]
OPEN_FLAGS = {name for name, hint in get_type_hints(Networks).items() if get_args(hint) == (bool, NoneType)}
"""Settings that are true or false, and may be left open by a recipe: None."""
POSITIONAL = Positional[int].__metadata__[0]  # type: ignore[attr-defined]
"""tyro's mark of an argument without a name."""
MAX_SEED = 2**32 - 1


def parse(
    kind: type[Options],
    words: list[str],
    program: str,
    default: Options | None = None,
    known: Iterable[str] = (),
) -> Options:
    """Parse the words into the dataclass `kind`. Prints the help and raises `SystemExit` for --help.

    Args:
        kind: The dataclass.
        words: The words after the command.
        program: The command, for messages and the help.
        default: Values of the options that are not given.
        known: Other options, which an error about an unknown option may suggest.

    Raises:
        UsageError: the words are not understood.
    """
    options = [*option_names(kind), *known]
    if wants_help(words):
        default = _printable_texts(default)
        _join_lines(kind, default)
    given = tyro.MISSING_NONPROP if default is None else default
    made: Options = _parsed(kind, words, program, options, default=given)
    return made


def parse_known(kind: type[Options], words: list[str], program: str) -> tuple[Options, list[str]]:
    """Parse the words that are options of `kind`. Returns the dataclass and the other words, --help among them.

    Raises `UsageError`.
    """
    made: tuple[Options, list[str]] = _parsed(kind, words, program, [], return_unknown_args=True, add_help=False)
    return made


def _parsed(kind: type[Options], words: list[str], program: str, options: list[str], **how: Any) -> Any:
    """Call tyro. Raises `UsageError`, which may suggest one of the `options`."""
    if words and words[0].replace("_", "-").startswith("--tyro-"):  # these print or write a completion script
        raise unrecognized(words[:1], program, [])
    with _errors.on_parse_error(lambda event: _refuse(event, program, options)):
        return tyro.cli(kind, args=words, prog=program, registry=RULES, **how)


def optional(metavar: str) -> Any:
    """Mark an option that may be left out. Its text says what happens then, in place of "(default: None)"."""
    return arg(metavar=metavar, help_behavior_hint="")


def wants_help(words: list[str]) -> bool:
    return "-h" in words or "--help" in words


def split_recipe(words: list[str]) -> tuple[str | None, list[str]]:
    """Split off the name of the recipe, which comes before all options."""
    return (words[0], words[1:]) if words and not words[0].startswith("-") else (None, words)


def as_option(name: str) -> str:
    """The option for a field: `batch_size` becomes --batch-size."""
    return "--" + name.replace("_", "-")


def option_names(kind: type) -> list[str]:
    """The options for the fields of a dataclass. The recipe has none: its settings are options."""
    marks = {
        name: getattr(hint, "__metadata__", ()) for name, hint in get_type_hints(kind, include_extras=True).items()
    }
    return [as_option(name) for name, found in marks.items() if POSITIONAL not in found and name != "recipe"]


def setting_options(settings: Mapping[str, Any]) -> list[str]:
    """The options for the settings of a recipe, given with their values."""
    off = [negated(name) for name, value in settings.items() if is_flag(name, value)]
    return [as_option(name) for name in [*settings, *off]]


def is_flag(setting: str, value: Any) -> bool:
    """Whether the option of a setting takes no value."""
    return isinstance(value, bool) or (value is None and setting in OPEN_FLAGS)


def negated(setting: str) -> str:
    """The name of the option that sets a boolean setting to false."""
    head, dot, tail = setting.rpartition(".")
    return f"{head}{dot}no_{tail}"


def check_range(name: str, value: int | None, least: int, most: int) -> None:
    """Raise `UsageError` if the value lies outside."""
    if value is not None and not least <= value <= most:
        raise UsageError(f"{name} must lie between {least:,} and {most:,}, not {value:,}")


def check_seconds(value: float) -> None:
    """Raise `UsageError` for a negative value of --checkpoint-seconds, or NaN."""
    if not value >= 0:
        raise UsageError(f"--checkpoint-seconds cannot be {value:g}; it should be 0 or more")


def _join_lines(kind: type, default: Any) -> None:
    """Remove line breaks from the docstrings of a dataclass's fields, and of those of the dataclasses in it."""
    for owner in filter(dataclasses.is_dataclass, kind.__mro__):
        texts = _docstrings.parse_docstring_from_object(owner)
        texts |= {name: " ".join(text.split()) for name, text in texts.items()}
    for field in dataclasses.fields(kind):
        part = getattr(default, field.name, None)
        if dataclasses.is_dataclass(part):
            _join_lines(type(part), part)


# ------------------------------------------------------------------------------------------------ mistakes


def unrecognized(words: Iterable[str], program: str, options: list[str]) -> UsageError:
    """The error for words that are no options of a command. Values that follow an unknown option are not listed."""
    words = list(words)
    unknown = [word.partition("=")[0] for word in words if word.startswith("--")]
    if not unknown:
        return UsageError(f"unrecognized words: {' '.join(words)}; see {program} --help")
    import difflib  # here, because it is slow to import and `--help` does not need it

    near = difflib.get_close_matches(unknown[0].replace("_", "-"), options, n=1)
    hint = f"did you mean {near[0]}?" if near else f"see {program} --help"
    return UsageError(f"unrecognized options: {' '.join(unknown)}; {hint}")


def _refuse(event: _errors.ParseErrorEvent, program: str, options: list[str]) -> NoReturn:
    """Raise the `UsageError` for a mistake that tyro found."""
    program = program.removesuffix(" [RECIPE]")
    unknown = getattr(event, "tokens", None) or getattr(event, "unrecognized_tokens", None)
    if unknown:
        raise unrecognized(unknown, program, options)
    if isinstance(event, _errors.MissingArgs):
        missing = ", ".join(_name(context.arg) for context in event.missing_arguments)
        raise UsageError(f"missing {missing}; see {program} --help")
    if isinstance(event, _errors.InvalidChoice):
        choices = ", ".join(event.choices)
        raise UsageError(f"{_name(event.argument)} should be one of {choices}, not {event.value!r}")
    if isinstance(event, _errors.InstantiationFailure) and event.argument is not None:
        message = str(event.message).partition("\n")[0]
        if not message.startswith("should be"):
            message = f"should be {event.argument.lowered.metavar}: {message[:1].lower()}{message[1:]}"
        raise UsageError(f"{_name(event.argument)} {message}; see {program} --help")
    if isinstance(event, _errors.BadValue):
        raise UsageError(f"missing value for {_name(event.argument)}; see {program} --help")
    raise UsageError(f"the options do not fit together; see {program} --help")


def _name(argument: Any) -> str:
    """An option as it is typed; the placeholder of an argument without a name."""
    return str(argument.lowered.metavar if argument.is_positional() else argument.lowered.name_or_flags[-1])


# ------------------------------------------------------------------------------------------------ values

RULES = ConstructorRegistry()
"""How words become numbers: 3e3 is a whole number, and an error names the word."""
NUMBERS: dict[Any, tuple[str, str, Callable[[str], Any]]] = {
    int: ("INT", "a whole number, such as 3000 or 3e3", parse_whole),
    float: ("FLOAT", "a number", float),
}
NAMES = {NoneType: ("none", None), Literal["all"]: ("all", "all")}
"""Names that some options take in place of a number, with their values."""


@RULES.primitive_rule
def _number(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    """A number, or a number or a name."""
    kinds = set(get_args(info.type)) if get_origin(info.type) in (Union, UnionType) else {info.type}
    names = dict(NAMES[kind] for kind in NAMES if kind in kinds)
    found = [NUMBERS[kind] for kind in kinds - set(NAMES) if kind in NUMBERS]
    if len(found) != 1 or len(found) + len(names) != len(kinds):
        return None
    metavar, what, parse_number = found[0]

    def from_words(words: list[str]) -> Any:
        if words[0].lower() in names:
            return names[words[0].lower()]
        try:
            if words[0].isascii():  # Python also accepts digits of other alphabets
                return parse_number(words[0])
        except ValueError:
            pass
        raise ValueError(f"should be {', or '.join([what, *names])}, not {words[0]!r}")

    return PrimitiveConstructorSpec(
        nargs=1,
        metavar="|".join([metavar, *names]),
        instance_from_str=from_words,
        is_instance=lambda value: value in names.values() or isinstance(value, int | float),
        str_from_instance=lambda value: [str(value)],
    )


def _printable_texts(value: Any) -> Any:
    """Copy a dataclass and escape its texts for the help: the recipe of a run may be anybody's."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        copied = copy.copy(value)  # `replace` would refuse some names
        for field in dataclasses.fields(value):
            object.__setattr__(copied, field.name, _printable_texts(getattr(value, field.name)))
        return copied
    return printable(value) if isinstance(value, str) else value

"""THE FAULTS that `fault_files.py` puts into a run's files, and other benchmarks into other JSON."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from sparring.files import checksummed

LITTER = (".DS_Store", "Thumbs.db", "._recipe.json", ".nfs000001", "state.safetensors.tmp", "notes (1).txt")
WRONG: tuple[Any, ...] = (
    None, True, 0, -1, 1.5, 1e30, 1e308, 10**19, "", "text", "\ud800", [], [1], {}, {"a": 1}, [[[[[[[[[[1]]]]]]]]]],
    float("nan"), float("inf"), float("-inf"), "9" * 5000,
)  # fmt: skip
"""What a field may be replaced by."""
RAW = ("[" * 100_000, '{"a": 1, "a": 2}', "9" * 6000, "1e999")
"""The same as text that no writer makes."""
MISSING = object()

Fault = tuple[str, Callable[[Path], bool]]
"""(what is wrong, how to do that to a run; whether it could be done)."""


# ------------------------------------------------------------------------------------------------ faults in place


def files_of(run: Path) -> list[str]:
    """Every file of a run that matters, by its place."""
    return sorted(str(path.relative_to(run)) for path in run.rglob("*") if path.is_file() and path.name != "lock")


def faults(run: Path, other: Path) -> Iterator[Fault]:
    """Everything that may lie where something of ours should."""
    places = files_of(run)
    for folder in sorted({str(Path(name).parent) for name in places}):
        for name in LITTER:
            yield f"stray {folder}/{name}", _doing(_put, f"{folder}/{name}", b"stray")
        yield f"stray folder in {folder}", _doing(_put, f"{folder}/New folder/x", b"mine")
    for name in places:
        own, theirs = (run / name).read_bytes(), _theirs(other, name)
        for what, content in (
            ("another run's", theirs.read_bytes()),
            ("empty", b""),
            ("noise", b"\x00\xff" * 99),
            ("half", own[: len(own) // 2]),
            ("missing", None),
        ):
            yield f"{what} {name}", _doing(_put, name, content)
        yield f"link at {name}", _doing(_link, name, theirs)
        yield f"folder at {name}", _doing(_make_folder, name)
    abouts = [f"{kind}{copy}.json" for kind in ("recipe", "environment") for copy in ("", ".copy")]
    for what, names in (
        ("recipe.json twice", abouts[:2]),
        ("environment.json twice", abouts[2:]),
        ("recipe and environment", abouts),
        ("generator", ["generator.json", "generator.safetensors"]),
    ):
        yield f"another run's {what}", _doing(_put_all, names, other)
    for folder in ("checkpoints", "best"):
        steps = sorted(path.name for path in (run / folder).iterdir())
        for step in steps:
            yield f"another run's {folder}/{step}", _doing(_copy, other / folder / step, f"{folder}/{step}")
            yield f"missing {folder}/{step}", _doing(_remove, f"{folder}/{step}")
        for later in (*steps, "00000025", "00000099"):
            yield f"oldest of {folder} as {later}", _doing(_copy, run / folder / steps[0], f"{folder}/{later}")
            foreign = next((other / folder).iterdir())
            yield f"another run's in {folder} as {later}", _doing(_copy, foreign, f"{folder}/{later}")
    for name in abouts[:2]:
        yield f"ten times the rate in {name}", _doing(_change_rate, name)


def _doing(do: Callable[..., bool], *given: Any) -> Callable[[Path], bool]:
    return lambda run: do(run, *given)


def _theirs(other: Path, name: str) -> Path:
    """The same file of the other run, whose best step may be another one."""
    path = other / name
    return path if path.exists() else next((other / "best").glob(f"*/{path.name}"))


def remove(path: Path) -> None:
    """Take a file, a link or a folder away."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _put(run: Path, name: str, content: bytes | None) -> bool:
    path = run / name
    if path.is_file():
        path.unlink()
    if content is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return True


def _link(run: Path, name: str, to: Path) -> bool:
    (run / name).unlink()
    (run / name).symlink_to(to)
    return True


def _make_folder(run: Path, name: str) -> bool:
    return _put(run, name, None) and _put(run, f"{name}/x", b"mine")


def _put_all(run: Path, names: list[str], other: Path) -> bool:
    return all(_put(run, name, (other / name).read_bytes()) for name in names)


def _copy(run: Path, source: Path, name: str) -> bool:
    if not source.is_dir() or source.name == name:
        return False
    shutil.rmtree(run / name, ignore_errors=True)
    shutil.copytree(source, run / name)
    return True


def _remove(run: Path, name: str) -> bool:
    shutil.rmtree(run / name)
    return True


def _change_rate(run: Path, name: str) -> bool:
    value = checksummed.read(run / name)
    value["generator_optimizer"]["learning_rate"] *= 10
    checksummed.write(run / name, value)
    return True


# ------------------------------------------------------------------------------------------------ faults in JSON


def json_places(value: Any, prefix: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The place of every value inside; of long lists the first three."""
    items = value.items() if isinstance(value, dict) else enumerate(value[:3]) if isinstance(value, list) else ()
    for key, inside in items:
        yield (*prefix, key)
        yield from json_places(inside, (*prefix, key))


def damaged(run: Path, chance: random.Random) -> Fault:
    """A field of a JSON file of the run, by chance, replaced by a value of another kind; its checksum is right."""
    name = chance.choice([name for name in files_of(run) if name.endswith((".json", ".jsonl"))])
    wrong: Any = chance.choice((*WRONG, MISSING, *RAW))
    if name.endswith(".jsonl"):
        lines = (run / name).read_text().splitlines()
        at = chance.randrange(len(lines))
        value = json.loads(lines[at])
        value.pop("crc32")
    else:
        value = read_unsealed(run / name)
    place = chance.choice([(), *json_places(value)])

    def do(run: Path) -> bool:
        changed = put_in(value, place, f"RAW{RAW.index(wrong)}" if wrong in RAW else wrong)
        if name.endswith(".jsonl"):
            (run / name).write_text(
                "\n".join([*lines[:at], _raw(line_of(changed).rstrip("\n")), *lines[at + 1 :]]) + "\n"
            )
        else:
            write_sealed(run / name, changed)
            (run / name).write_text(_raw((run / name).read_text()))
        return True

    said = "left out" if wrong is MISSING else repr(wrong)[:40]
    return f"{name} {'.'.join(map(str, place)) or 'itself'}: {said}", do


def put_in(value: Any, place: tuple[Any, ...], wrong: Any) -> Any:
    """A copy of the value, with something else in that place."""
    made = json.loads(json.dumps(value))
    if not place:
        return {} if wrong is MISSING else wrong
    inside = made
    for key in place[:-1]:
        inside = inside[key]
    if wrong is MISSING:
        del inside[place[-1]]
    else:
        inside[place[-1]] = wrong
    return made


def change_value(value: Any, chance: random.Random, wrong: Sequence[Any] = WRONG) -> tuple[Any, str]:
    """Another kind of value at a place of a JSON value by chance: (the whole, where)."""
    if isinstance(value, (dict, list)) and value and chance.random() < 0.85:
        key = chance.choice(list(value) if isinstance(value, dict) else range(len(value)))
        if isinstance(value, dict) and chance.random() < 0.1:
            return {name: part for name, part in value.items() if name != key}, f".{key} lost"
        part, where = change_value(value[key], chance, wrong)
        changed = value.copy()
        changed[key] = part
        return changed, f".{key}{where}"
    other = chance.choice(wrong)
    return other, f" = {other!r:.40}"


def read_unsealed(path: Path) -> dict[str, Any]:
    """The object in a sealed file, unchecked."""
    return {name: part for name, part in json.loads(path.read_bytes()).items() if name not in ("sealed", "sha256")}


def write_sealed(path: Path, value: Any) -> None:
    """Write a value with a checksum that fits; what is no object has none."""
    if isinstance(value, dict):
        checksummed.write(path, value)
    else:
        path.write_text(json.dumps(value))


def line_of(value: Any) -> str:
    """The value as a line with a checksum that fits; what is no object has none."""
    return checksummed.line(value) if isinstance(value, dict) else json.dumps(value) + "\n"


def _raw(text: str) -> str:
    for i, raw in enumerate(RAW):
        text = text.replace(f'"RAW{i}"', raw)
    return text

"""THE FUZZ of the command line: words that no person would type, for every option of every command.

    python benchmarks/fuzz_commands.py --seconds 600 --seed 1

The options are read from the commands and recipes themselves. First each is given every bad value alone, then several
by chance. A command has to answer with status 0, or with 2 and one sentence, or with 130, in good time; whatever else
it does is a finding, and the program then ends with 1. What would only take long is cut short where its real work
begins, once all that a user can do wrong was looked at; of the trainings some are real, if they are tiny.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import inspect
import io
import os
import random
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any, get_type_hints
from unittest import mock

import jax
import numpy as np
from deadlines import TooLong, where, within
from faults import remove
from tyro.conf import Positional

from sparring.cli import main as cli
from sparring.cli import recipes as catalogue
from sparring.cli.parsing import parse
from sparring.cli.train import TrainWithSettings
from sparring.data.pictures import store
from sparring.files import atomic
from sparring.gan import gan as gan
from sparring.gan import state
from sparring.recipes import RECIPES, named_recipe
from sparring.recipes.recipe import Recipe
from sparring.reports import measure as measuring
from sparring.reports import plots
from sparring.runs import generator as sampling
from sparring.sweeps import space
from sparring.training import setup
from sparring.training import train as training
from sparring.training.reporter import Silence

LONGEST = 600
"""Characters of a sentence."""
SECONDS = 30.0
"""Within these a command has to answer."""
BYTES = 64 << 20
"""What takes more memory or room on the disk is not really done."""
DEPTHS = [0, 0, 0, 1, 2]
"""Of five trainings of small networks one is real, and one ends at the compiler."""
SIDE, IMAGES = 12, 200
"""Pixels and number of the images that are learnt from."""
TINY = "--batch-size 20 --steps 3 --grid-every 2 --grid-rows 1 --grid-columns 2 --log-every 2 --validation 0.3"
"""Settings with which every recipe is quick."""
SMALLEST = {"hidden": "4", "channels": "4", "dense": "4", "blocks": "1", "latent_size": "3", "judge_every": "0"}
"""The same of settings that only some recipes have."""

NUMBERS = [
    "0", "-1", "1", "2", "-0", "0.5", "1.5", "1e3", "1e308", "-1e308", "1e309", "1e-320", "nan", "-nan", "inf", "-inf",
    "2147483647", "2147483648", "4294967295", "4294967296", "9223372036854775807", "9223372036854775808", "65536",
    "1_000", "0x10", "1e1", "+3", "٣", "²", "½", "1,2", "1:5", "5:1", "nan:1", "0:inf", "nan,1", "1:1.00001", "none",
    "5", "10000", "1000000", "3e38", "0.999999999", "1e-45",
]  # fmt: skip
TEXTS = [
    "", " ", "-", "--", "---", "-x", "--help=1", "--debug=1", "--no-such", "--seed", "--tyro-print-completion", "true",
    "None", "FALSE", "all", "mnist", "../up", ".", "..", "~", "~nobody/x", "a b", "a'b\"c", "a;b", "$(a)", "%s%n",
    "{0}", "[/b]", "[red]", "[[", "<b>&amp;", "*", "**", "?[", "ä", "日本", "e\u0301", "\U0001f469\u200d\U0001f467",
    "\ufeff", "\u202eright to left", "\udcff", "x\udc80y", "\x7f", "\x1b[31mred", "\t", "a\nb", "a\r\nb", "\x85",
    "\u2028", "a\0b", "\\", "C:\\x", "con", "http://a.b/c", "é" * 200, "x" * 300, "y/" * 3000, "9" * 5000,
    "z" * 100_000, "=", "a=b", "a=-1", "0=3", "0=99999999", "1=9223372036854775808", "0=²", "localhost:1", "[::1]:2",
    ":3", "a:0", "a:²", "::", "::1", "0.0.0.0", "256.1.1.1", "x.png", "x.PNG", ".png", "x.npz", "x.gif", "x.webp",
    "x.jpg", "in/side/x.png", "x.safetensors", "[/b].png", "\udcff.png", "a\nb.npz", "\udcff.gif", "ä.html",
]  # fmt: skip


FORMS = ["missing", "joined", "twice"]
"""Of an option: without its value, as one word with it, or given again."""


class Enough(BaseException):
    """The real work would begin here."""


# ------------------------------------------------------------------------------------------------ the options


@dataclass(frozen=True)
class Option:
    """One option of a command, or a place for a word without a name."""

    name: str
    """With its dashes; of a place, what it is called in the code."""
    hint: Any
    """Its type."""
    placed: bool = False


def parsers() -> dict[str, type]:
    """Command -> the dataclass that its words are parsed into."""
    found = {}
    for command in cli.COMMANDS:
        name = "data_check" if command == "data" else command
        module = import_module(f"sparring.cli.{name}")
        kinds = [kind for kind in vars(module).values() if _is_parsed(kind, module.__name__)]
        found[name.replace("_", " ")] = kinds[-1]  # with the settings of a recipe, where there are two
    return found


def _is_parsed(kind: Any, module: str) -> bool:
    return inspect.isclass(kind) and dataclasses.is_dataclass(kind) and kind.__module__ == module


@cache
def options(command: str, recipe: str) -> tuple[Option, ...]:
    """All options of a command; with those of the recipe, where it takes one."""
    found: list[Option] = []
    marked, hints = (get_type_hints(parsers()[command], include_extras=extras) for extras in (True, False))
    for name, bare in hints.items():
        marks = getattr(marked[name], "__metadata__", ())
        if bare is Recipe:
            made = named_recipe(recipe)
            found += [Option(option_of(setting), space.hint_of(made, setting)) for setting in space.settings(made)]
        else:
            placed = PLACED in marks
            found.append(Option(name if placed else option_of(name), bare, placed))
    return tuple(found)


PLACED = Positional[int].__metadata__[0]  # type: ignore[attr-defined]


def option_of(name: str) -> str:
    return "--" + name.replace("_", "-")


# ------------------------------------------------------------------------------------------------ the sandbox


@dataclass
class Sandbox:
    """A folder with all that words may name, and a folder inside it to work in."""

    folder: Path
    run: Path
    """Finished, and measured if `whole`."""
    conditional: Path
    values: list[str] = field(default_factory=list)
    """Words that are paths of all kinds."""

    @property
    def work(self) -> Path:
        return self.folder / "a" / "b" / "c"

    @property
    def pristine(self) -> Path:
        return self.folder / "pristine"

    def restore(self) -> None:
        """Make good what the last command changed."""
        shutil.rmtree(self.folder / "a", ignore_errors=True)
        self.work.mkdir(parents=True)
        for path in (self.run, self.conditional):
            if _stamps(path) != _stamps(self.pristine / path.name):
                shutil.rmtree(path, ignore_errors=True)
                shutil.copytree(self.pristine / path.name, path)


def _stamps(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(p.relative_to(folder)): (p.stat().st_size, p.stat().st_mtime_ns) for p in folder.rglob("*")}


def make_sandbox(folder: Path) -> Sandbox:
    """Images, runs and files of every odd kind."""
    chance = np.random.default_rng(0)
    images = chance.integers(0, 256, (IMAGES, SIDE, SIDE, 1), np.uint8)
    np.savez(folder / "images.npz", images=images)
    np.savez(folder / "labelled.npz", images=images, labels=np.arange(IMAGES) % 4)
    run, conditional = folder / "run", folder / "conditional"
    told = Silence()
    with mock.patch.object(plots, "write_plots"):
        training.train(tiny("mlp-256").replace(data=str(folder / "images.npz")), out=run, reporter=told)
        other = tiny("mlp-256").replace(data=str(folder / "labelled.npz"), conditional=True)
        training.train(other, out=conditional, reporter=told)
    made = Sandbox(folder, run, conditional)
    for path in (run, conditional):
        shutil.copytree(path, made.pristine / path.name)
    made.values = list(_odd_paths(made, images))
    made.restore()
    return made


def tiny(name: str) -> Recipe:
    """The recipe with sizes as small as they go."""
    default = TrainWithSettings(recipe=named_recipe(name))
    return parse(TrainWithSettings, tiny_words(name), "fuzz", default).recipe


def tiny_words(name: str) -> list[str]:
    """The options for that."""
    words = TINY.split()
    for setting, value in space.settings(named_recipe(name)).items():
        small = SMALLEST.get(setting.rpartition(".")[2])
        if small is not None and setting != "channels":
            words += [option_of(setting), *([small] * (len(value) if setting.endswith("channels") else 1)
                      if isinstance(value, list) else [small])]  # fmt: skip
    return words


def _odd_paths(box: Sandbox, images: Any) -> Iterator[str]:
    """Files and folders of every kind, and paths that lead nowhere."""
    odd = box.folder / "odd"
    odd.mkdir()

    def put(name: str, content: bytes) -> Path:
        (odd / name).write_bytes(content)
        return odd / name

    text = put("text", b"not what it should be")
    for name, content in (
        ("empty", b""), ("empty.npz", b""), ("text.npz", b"no archive"), ("text.zip", b"PK\3\4 no archive"),
        ("images.png", b"\x89PNG\r\n\x1a\n broken"), ("x-images-idx3-ubyte", b"\0\0\x08\3" + b"\xff" * 12),
        ("x.gz", b"\x1f\x8b\x08"), ("x.onnx", b"\x08\x07 no network"), ("g.safetensors", b"\xff" * 64),
        ("g.json", b"{}"),
        ("h.safetensors", b""), ("h.json", b"[" * 100_000), ("i.safetensors", b""), ("i.json", b'{"format": 1}'),
        ("labels.npz", (box.folder / "labelled.npz").read_bytes()[:900]),
    ):  # fmt: skip
        yield str(put(name, content))
    for name, arrays in (
        ("one.npz", images[:1]), ("flat.npz", images[:, 0, 0, 0]), ("nan.npz", np.full((30, 8, 8, 1), np.nan)),
        ("objects.npz", np.array([None, {}], dtype=object)), ("none.npz", images[:0]),
        ("thin.npz", images[:, :1, :, :]), ("pixel.npz", images[:, :1, :1, :]), ("same.npz", images * 0),
    ):  # fmt: skip
        np.savez(odd / name, images=arrays)
        yield str(odd / name)
    shutil.copytree(box.run, odd / "damaged")
    (odd / "damaged" / "recipe.json").write_text('{"name": 3}')
    (odd / "damaged" / "recipe.copy.json").unlink(missing_ok=True)
    shutil.copytree(box.run, odd / "no-environment")
    for lost in (odd / "no-environment").glob("environment*"):
        lost.unlink()
    shutil.copytree(box.run, odd / "unsaved")
    for name in ("checkpoints", "generator.safetensors", "events.jsonl"):
        remove(odd / "unsaved" / name)
    (odd / "folder").mkdir()
    (odd / "folder" / "recipe.json").mkdir()
    (odd / "locked").mkdir(mode=0)
    (odd / "read-only").mkdir(mode=0o555)
    (odd / "dangling").symlink_to(odd / "nowhere")
    (odd / "loop").symlink_to(odd / "loop")
    (odd / "full.npz").symlink_to("/dev/full")
    (odd / "null.png").symlink_to("/dev/null")
    os.mkfifo(odd / "pipe")
    os.mkfifo(odd / "pipe.npz")
    (odd / "sub").mkdir()
    os.mkfifo(odd / "sub" / "pipe.png")
    (odd / "sub" / "a.png").write_bytes(b"")
    (odd / b"\xff.npz".decode(errors="surrogateescape")).write_bytes(b"")
    for name in ("damaged", "no-environment", "unsaved", "folder", "locked", "read-only", "dangling", "loop",
                 "full.npz", "null.png", "pipe", "pipe.npz", "sub", "nowhere/x.png", "\udcff.npz", "folder/",
                 ):  # fmt: skip
        yield str(odd / name)
    yield from (f"{text}/x", f"{text}/x.png", f"{box.run}/events.jsonl", f"{box.run}/generator.safetensors")
    yield from (f"{box.run}/recipe.json", f"{box.run}/checkpoints", f"{box.run}/grids/real.png", f"{box.run}/../run")
    yield from (str(box.run), str(box.conditional), str(box.folder / "images.npz"), str(box.folder / "labelled.npz"))
    yield from ("/dev/null", "/dev/zero", "/dev/full", "/proc/self/mem", "/proc/none/x.png", "/proc/self/fd", "/sys/x")


# ------------------------------------------------------------------------------------------------ no real work


@contextlib.contextmanager
def harmless(box: Sandbox) -> Iterator[Callable[[int], None]]:
    """What would take long, ask a network or write outside of the sandbox does not; what comes back sets how far
    trainings go: 0 up to the networks, 1 up to the compiler, 2 to their end."""
    environment = {"SPARRING_CACHE": str(box.folder / "cache"), "SPARRING_DATA": str(box.folder / "no-data"),
                   "SPARRING_OFFLINE": "1", "HOME": str(box.folder / "home"), "COLUMNS": "100"}  # fmt: skip
    (box.folder / "no-data").mkdir(exist_ok=True)
    here = Path.cwd()
    depth = [0]
    replaced: dict[str, Any] = {
        "sparring.training.train.make_setup": partial(_setup, setup.make_setup, depth),
        "sparring.training.replicas.make_setup": partial(_setup, setup.make_setup, depth),
        "jax.stages.Lowered.compile": _compile(jax.stages.Lowered.compile, depth),
        "sparring.reports.plots.write_plots": lambda run: None,
        "sparring.reports.measure._extractor": partial(_extractor, measuring._extractor),
        "sparring.evaluation.rejection_sampling.classifier_for": _enough,
        "sparring.training.benchmark.measure": _enough,
        "sparring.cli.recipes.entry": cache(catalogue.entry),
        "sparring.runs.generator.Generator.draw_latents": _few(sampling.Generator.draw_latents),
        "sparring.runs.generator.load": _loaded_once(sampling.load),
        "sparring.data.pictures.collection.stored": partial(_stored, store.stored),
        "sparring.web.server.serve_in_background": lambda folder: contextlib.nullcontext("http://"),
        "sparring.files.atomic.write_file": partial(_write_inside, box.folder, atomic.write_file),
        "inspect.getsourcelines": cache(inspect.getsourcelines),  # which is half of the time of parsing
        "jax.distributed.initialize": _not_met,
        "logging.config.dictConfig": lambda config: None,  # which closes what others write their logs to
        "asyncio.run": lambda coroutine: coroutine.close(),
        "os.nice": lambda by: 0,
    }
    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.dict(os.environ, environment))
        for name, instead in replaced.items():
            stack.enter_context(mock.patch(name, instead))
        os.chdir(box.work)
        try:
            yield lambda wanted: depth.__setitem__(0, wanted)
        finally:
            os.chdir(here)


def _enough(*given: Any, **named: Any) -> Any:
    raise Enough


def _not_met(*given: Any, **named: Any) -> Any:
    raise RuntimeError("nobody is there")


def _setup(make: Callable[..., Any], depth: list[int], images: Any, recipe: Recipe, *rest: Any) -> Any:
    shape = setup.image_shape(images.training)
    made = gan.make_gan(recipe, shape, len(images.training.class_names))
    if not depth[0]:
        raise Enough
    sizes = jax.eval_shape(partial(state.init_state, made), jax.random.key(0))
    numbers = sum(leaf.size for leaf in jax.tree.leaves(sizes)) + recipe.reals_per_step * np.prod(shape)
    numbers += recipe.grid_rows * recipe.grid_columns * (np.prod(shape) + recipe.latent_size)
    numbers += recipe.batch_size * recipe.latent_size * recipe.discriminator_steps
    if numbers > BYTES // 64 or recipe.steps > 100 or recipe.discriminator_steps > 10:
        raise Enough
    return make(images, recipe, *rest)


def _compile(compile: Callable[..., Any], depth: list[int]) -> Callable[..., Any]:
    return lambda lowered, *given, **named: compile(lowered, *given, **named) if depth[0] > 1 else _enough()


def _extractor(choose: Callable[..., Any], real: Any, onnx: Path | None, tell: Any) -> Any:
    return _enough() if onnx is None else (choose(real, onnx, tell), _enough())


def _few(draw: Callable[..., Any]) -> Callable[..., Any]:
    def draw_latents(self: Any, count: int, *rest: Any, **named: Any) -> Any:
        return draw(self, count, *rest, **named) if count <= 3000 else _enough()

    return draw_latents


def _loaded_once(load: Callable[..., Any]) -> Callable[..., Any]:
    known: dict[Any, Any] = {}

    def loaded(path: Any, best: bool = False) -> Any:
        run = Path(path) / "events.jsonl"
        key = (str(path), best, run.stat().st_mtime_ns if run.is_file() else 0)
        if key not in known:
            known[key] = load(path, best)
        return known[key]

    return loaded


def _stored(store: Callable[..., Any], key: str, largest: int, write: Any) -> Any:
    return store(key, largest, write) if largest < BYTES else _enough()


def _write_inside(folder: Path, write_file: Callable[..., Any], path: Path, *rest: Any, **named: Any) -> Any:
    """As a user who may write nowhere else; the super-user may replace devices."""
    if not os.path.realpath(path.parent).startswith(str(folder.resolve())):
        raise PermissionError(13, "Permission denied", str(path))
    return write_file(path, *rest, **named)


# ------------------------------------------------------------------------------------------------ one try


def trouble(words: list[str], seconds: float = SECONDS, encoding: str = "utf-8") -> str | None:
    """What is wrong with how the command line answers these words; None if nothing is."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding, write_through=True, errors=errors)
                for errors in ("strict", "backslashreplace"))  # fmt: skip
    try:
        with within(seconds), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status: Any = cli.main(words)
    except Enough:
        status = 0
    except TooLong as error:
        return f"no answer within {seconds:g} s, {where(error)}"
    except SystemExit as end:
        status = end.code or 0
        if status or not {"-h", "--help"} & set(words):
            return f"SystemExit({end.code!r})"
    except BaseException as error:
        return f"{type(error).__name__}, {where(error)}: {str(error)[:200]}"
    said = err.buffer.getvalue().decode(encoding)
    if status not in (0, 2, 130):
        return f"status {status!r}"
    if status == 2 and words:
        return _trouble_with(said, LONGEST if encoding == "utf-8" else 10 * LONGEST)
    return f"a traceback: {said[-300:]}" if "Traceback" in said else None


def _trouble_with(said: str, limit: int) -> str | None:
    if not said.startswith("sparring: ") or not said.endswith("\n"):
        return f"no sentence: {said[:300]!r}"
    if len(said.splitlines()) > 1:
        return f"{len(said.splitlines())} lines: {said[:300]!r}"
    if "Traceback" in said or len(said) > limit:
        return f"{len(said)} characters: {said[:300]!r}"
    return None if said[10:].strip(" \n;") else "an empty sentence"


# ------------------------------------------------------------------------------------------------ the words


@dataclass
class Fuzz:
    """Words by chance, and what came of them."""

    box: Sandbox
    chance: random.Random
    depth: Callable[[int], None]
    depths: list[int]
    """How far trainings of small networks go, by chance."""
    tried: Counter[str] = field(default_factory=Counter)
    covered: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(command, option) -> how often it was given."""
    findings: dict[str, list[str]] = field(default_factory=dict)
    """What is wrong -> the first words that showed it."""
    slowest: tuple[float, list[str]] = (0.0, [])

    def alone(
        self,
        values: int | None = None,
        commands: Sequence[str] = (),
        alike: Callable[[Option], Any] = lambda option: (option.name, str(option.hint)),
    ) -> Iterator[Callable[[], None]]:
        """Tries that give every option of these commands, or of all, so many bad values, or each of them, and nothing
        else. What is `alike` in several recipes is one option."""
        seen = set()
        for command in commands or parsers():
            for recipe in RECIPES if command in ("train", "sweep") else ["mlp-256"]:
                for option in options(command, recipe):
                    if (command, alike(option)) not in seen:
                        seen.add((command, alike(option)))
                        pool = self.values_of(option)
                        chosen = pool if values is None else self.chance.sample(pool, min(values, len(pool)))
                        for value in chosen:
                            form = "plain" if self.chance.random() < 0.7 else self.chance.choice(FORMS)
                            yield partial(self.one, command, recipe, option, value, form)

    def values_of(self, option: Option) -> list[str]:
        """What may be given it; those of its own kind come too."""
        return [*NUMBERS, *TEXTS, *self.box.values] if option.hint is not bool else [*NUMBERS[:5], *TEXTS[:12]]

    def one(self, command: str, recipe: str, option: Option, value: str, form: str = "plain") -> None:
        """Try one option of a command that is otherwise in order."""
        given = {"missing": [option.name], "joined": [f"{option.name}={value}"], "plain": [option.name, value],
                 "twice": [option.name, value, option.name, value]}[form]  # fmt: skip
        if option.placed:
            self.attempt(command, [*command.split(), *self.required(command, without=option.name), value], [option])
            return
        if option.hint is bool and form == "plain" and self.chance.random() < 0.5:
            given = [option.name]
        self.attempt(command, self.usual(command, recipe, without=option.name) + given, [option])

    def some(self) -> None:
        """Try several options at once, and sometimes words that belong nowhere."""
        chance = self.chance
        command, recipe = chance.choice([*parsers()]), chance.choice([*RECIPES])
        words, given = self.usual(command, recipe), []
        for option in chance.choices(options(command, recipe), k=chance.randint(1, 5)):
            value = chance.choice(self.likely(option))
            if option.placed:
                words.insert(chance.randint(len(command.split()), len(words)), value)
            elif option.hint is bool:
                words.append(option.name if chance.random() < 0.8 else option.name.replace("--", "--no-", 1))
            else:
                words += chance.choice([[option.name, value], [f"{option.name}={value}"], [option.name, value, value]])
            given.append(option)
        if chance.random() < 0.15:
            words.insert(chance.randint(0, len(words)), chance.choice(TEXTS))
        if chance.random() < 0.1:
            del words[chance.randrange(len(words))]
        if chance.random() < 0.05:
            words = [word[: chance.randint(0, len(word))] if chance.random() < 0.1 else word for word in words]
        self.attempt(command, words, given)

    def likely(self, option: Option) -> list[str]:
        """Values of which about half could be meant."""
        hint = str(option.hint)
        if chosen := [*getattr(option.hint, "__args__", ())]:
            named = [str(one) for one in chosen if isinstance(one, str)]
            if named and self.chance.random() < 0.6:
                return named
        if "int" in hint or "float" in hint:
            return NUMBERS if self.chance.random() < 0.8 else TEXTS
        return self.chance.choice([TEXTS, self.box.values, self.box.values])

    def usual(self, command: str, recipe: str, without: str = "") -> list[str]:
        """Words that are in order, but for what is put behind them."""
        if command not in ("train", "sweep"):
            return [*command.split(), *self.required(command, without)]
        words = [command, recipe, *_left_out(tiny_words(recipe), without)]
        if command == "sweep" and without != "--seed":
            words += ["--seed", "0,1"]
        return words if without == "--data" else [*words, "--data", str(self.box.folder / "labelled.npz")]

    def required(self, command: str, without: str = "") -> list[str]:
        """Words that a command cannot do without."""
        run = str(self.chance.choice([self.box.run, self.box.run, self.box.conditional]))
        words = {
            "sample": {"run": [run]},
            "export": {"run": [run], "--format": ["--format", self.chance.choice(["html", "onnx", "safetensors"])]},
            "animate": {"run": [run], "--of": self.chance.choice([[], ["--of", "walk"]])},
            "watch": {"folder": [run]},
            "measure": {"subject": [run], "--count": ["--count", "20"]},
            "compare": {"runs": [run, str(self.box.run)]},
            "data check": {"source": [str(self.box.folder / "labelled.npz")]},
            "bench": {"recipes": ["mlp-256"]},
        }
        return [word for name, some in words.get(command, {}).items() if name != without for word in some]

    def attempt(self, command: str, words: list[str], given: list[Option]) -> None:
        """One try. Whoever looks into a run has it as it was."""
        self.box.restore()
        os.chdir(self.box.work)
        self.depth(self.chance.choice(self.depths if "mlp" in " ".join(words) and command == "train" else [0]))
        began = time.monotonic()
        found = trouble(words, encoding=self.chance.choice(["utf-8", "utf-8", "ascii"]))
        took = time.monotonic() - began
        self.slowest = max(self.slowest, (took, words))
        self.tried[command] += 1
        self.covered.update((command, option.name) for option in given)
        kind = re.sub(r"\d+", "0", found or "")[:80]
        if found is not None and kind not in self.findings:
            self.findings[kind] = words
            print(f"FINDING: {found}\n    {shown(words)}", flush=True)


def _left_out(words: list[str], option: str) -> list[str]:
    """The words without that option and its values."""
    if option not in words:
        return words
    at = words.index(option)
    end = next((i for i in range(at + 1, len(words)) if words[i].startswith("--")), len(words))
    return words[:at] + words[end:]


def shown(words: list[str]) -> str:
    """Words as Python, long ones shortened."""
    return " ".join(ascii(word) if len(word) < 120 else f"{word[:20]!a}*{len(word)}" for word in words)


# ------------------------------------------------------------------------------------------------ the program


def main() -> int:
    """Fuzz for that long; the exit status says whether something was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--values", type=int, help="bad values that each option gets alone; all by default")
    given = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        box = make_sandbox(Path(folder).resolve())
        with harmless(box) as depth:
            fuzz = Fuzz(box, random.Random(given.seed), depth, DEPTHS)
            alone = list(fuzz.alone(given.values))
            fuzz.chance.shuffle(alone)
            while time.monotonic() - began < given.seconds:
                (alone.pop() if alone and fuzz.chance.random() < 0.5 else fuzz.some)()
    report(fuzz, time.monotonic() - began, len(alone))
    return 1 if fuzz.findings else 0


def report(fuzz: Fuzz, seconds: float, left: int) -> None:
    """Print what was tried."""
    print("\n| command | inputs | options | each given at least | all together |\n| --- | --- | --- | --- | --- |")
    for command in parsers():
        names = {option.name for recipe in RECIPES for option in options(command, recipe)}
        counts = [fuzz.covered[command, name] for name in names]
        print(f"| {command} | {fuzz.tried[command]:,} | {len(names)} | {min(counts)} | {sum(counts):,} |")
    print(f"\n{fuzz.tried.total():,} inputs in {seconds:.0f} s; {left:,} of an option alone were left")
    print(f"the slowest took {fuzz.slowest[0]:.1f} s: {shown(fuzz.slowest[1])}")
    print(f"findings: {len(fuzz.findings)}")
    for found, words in fuzz.findings.items():
        print(f"- {found}\n      {shown(words)}")


if __name__ == "__main__":
    sys.exit(main())

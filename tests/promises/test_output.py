"""THE OUTPUT: names of folders, files, classes and recipes cannot send control codes to the terminal."""

import ast
import io
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from rich.table import Table

import sparring
from sparring.cli.main import main
from sparring.files import checksummed
from sparring.images import save_images
from sparring.runs.run import Run
from sparring.terminal.output import html_escaped, plain_console, print_block, print_line, shell_quoted

PACKAGE = Path(sparring.__file__).parent
HOSTILE = "a\x1b]0;pwned\x07\x1b[31m\u202e\n\x9bb\u2066"
CODES = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def check(output: str) -> None:
    assert not CODES.search(output), ascii(output)
    assert "\x9b" not in output and "\n\x9bb" not in output


def test_every_character_is_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    print_line(f"one {HOSTILE} line")
    print_block(f"{HOSTILE}")
    table = Table("name")
    table.add_row(HOSTILE)
    plain_console().print(table)
    plain_console().print(HOSTILE)
    out = capsys.readouterr().out
    check(out)
    assert out.startswith("one a\\x1b]0;pwned\\x07\\x1b[31m\\u202e\\n\\x9bb\\u2066 line\n")
    assert html_escaped(f"<{HOSTILE}>").isprintable()


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize("word", [HOSTILE, "it's\ta \\ tab", "plain", "two words", "é'\x00"[:2], "\udc80raw"])
def test_a_quoted_word_can_be_pasted(word: str) -> None:
    quoted = shell_quoted(word)
    assert quoted.isprintable()
    done = subprocess.run(["bash", "-c", f"printf %s {quoted}"], capture_output=True, check=True)
    assert done.stdout == word.encode("utf-8", "surrogateescape")


def test_escapes_of_our_own_stay() -> None:
    file = io.StringIO()
    console = type(plain_console())(file=file, force_terminal=True, color_system="truecolor", width=99, highlight=False)
    console.print(HOSTILE, style="red")
    assert file.getvalue().startswith("\x1b[31m") and "\\x1b]0;pwned" in file.getvalue()
    assert "\x1b]0" not in file.getvalue() and isinstance(console, Console)


COMMANDS = [
    ["train", "mlp-256", "--data", "NONE"],
    ["train", "--resume", "RUN"],
    ["train", "--resume", "NONE"],
    ["train", "--resume", "RUN", "--help"],
    ["train", "mlp-256", "--data", "DATA", "--steps", "0", "--out", "RUN"],
    ["sweep", "mlp-256", "--data", "DATA", "--seed", "0,1", "--out", "RUN"],
    ["sweep", "--resume", "RUN"],
    ["sample", "RUN", "--out", "MADE.png"],
    ["sample", "RUN", "--out", "MADE"],
    ["sample", "RUN", "--label", "NONE"],
    ["sample", "RUN", "--out", "MADE.NONE"],
    ["sample", "NONE"],
    ["export", "RUN", "--format", "safetensors", "--out", "MADE"],
    ["export", "RUN", "--format", "html", "--licence", "NONE"],
    ["animate", "RUN", "--out", "MADE.gif"],
    ["animate", "NONE"],
    ["watch", "NONE"],
    ["watch", "RUN", "--host", "NONE"],
    ["measure", "NONE"],
    ["measure", "RUN", "--count", "20"],
    ["compare", "RUN", "NONE"],
    ["data", "check", "DATA", "--sheet", "MADE.png"],
    ["data", "check", "DATA", "--sheet", "MADE.json", "--json"],
    ["data", "check", "NONE"],
    ["bench", "NONE"],
    ["NONE"],
    ["train", "--NONE", "1"],
    ["train", "--steps", "NONE"],
]


@pytest.fixture(scope="module")
def hostile(tiny_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run, pictures and a hostile name, and hostile names within."""
    folder = tmp_path_factory.mktemp("hostile") / HOSTILE
    run = Run(Path(shutil.copytree(tiny_run.path, folder / f"run {HOSTILE}")))
    recipe = checksummed.read(run.recipe_file) | {"name": f"mlp{HOSTILE}"}
    for path in (run.recipe_file, run.path / "recipe.copy.json"):
        checksummed.write(path, recipe)
    images = np.random.default_rng(0).integers(0, 256, (60, 28, 28, 1), dtype=np.uint8)
    save_images(folder / f"data {HOSTILE}", images, 8)
    (folder / f"data {HOSTILE}" / HOSTILE).mkdir()
    (folder / f"data {HOSTILE}" / HOSTILE / f"{HOSTILE}.png").write_bytes(b"no picture")
    return folder


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_no_command_prints_codes(
    words: list[str],
    hostile: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    places = {
        "RUN": str(hostile / f"run {HOSTILE}"),
        "DATA": str(hostile / f"data {HOSTILE}"),
        "MADE": str(hostile / f"made {HOSTILE}"),
        "NONE": HOSTILE,
    }
    filled = [re.sub("RUN|DATA|MADE|NONE", lambda found: places[found[0]], word) for word in words]
    try:
        main(filled)
    except SystemExit as error:
        assert error.code == 0  # after --help
    output = capsys.readouterr()
    check(output.out + output.err)
    assert output.out + output.err
    if "--json" in words and output.out:
        json.loads(output.out)


def test_a_traceback_is_printed_without_codes(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "sparring", "--debug", "data", "check", HOSTILE]
    done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, timeout=100)
    assert done.returncode == 1 and "Traceback" in done.stderr and "DataError" in done.stderr
    check(done.stdout + done.stderr)


def test_nothing_else_prints() -> None:
    """All output goes through `sparring.terminal.output`."""
    for path in PACKAGE.rglob("*.py"):
        if path == PACKAGE / "terminal" / "output.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                name = node.func.id if isinstance(node.func, ast.Name) else ""
                written = ast.unparse(node.func)
                assert name not in ("print", "Console"), f"{path}:{node.lineno} prints by itself"
                assert not re.search(r"(stdout|stderr)(\.buffer)?\.write", written), f"{path}:{node.lineno}"

"""`sparring data check`: look at images before training on them."""

from __future__ import annotations

import json as jsonlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from sparring.cli.parsing import Flag, optional, parse, wants_help
from sparring.errors import UsageError
from sparring.recipes import named_recipe
from sparring.recipes.settings import Channels, Fit
from sparring.terminal.output import plain_console, print_block, print_line


@dataclass(frozen=True)
class CheckOptions:
    """Look at images before training on them: their number, sizes and classes, and which files cannot be read and why.
    Writes a contact sheet that shows the images as the networks will see them, and prints the command to train."""

    source: Annotated[Positional[str], arg(metavar="SOURCE")]
    """A folder or a zip of pictures or IDX files, an NPZ, NPY or IDX file, or the name of a data set."""
    size: Annotated[int | None, optional("INT")] = None
    """As for `sparring train`."""
    fit: Fit = "crop"
    """As for `sparring train`."""
    channels: Channels = "auto"
    """As for `sparring train`."""
    range: Annotated[str | None, optional("LOW,HIGH")] = None
    """As for `sparring train`."""
    follow_links: Flag = False
    """As for `sparring train`."""
    strict: Flag = False
    """Fail if any picture cannot be read."""
    sheet: Annotated[Path, arg(metavar="FILE")] = Path("contact-sheet.png")
    """File for the contact sheet, a PNG."""
    force: Flag = False
    """Replace an existing file even if Sparring did not make it."""
    json: Flag = False
    """Print JSON, with every file that is skipped."""


def run(words: list[str]) -> int:
    """Run `sparring data check SOURCE [OPTIONS]`."""
    if words[:1] == ["check"]:
        words = words[1:]
    elif not wants_help(words[:1]):
        raise UsageError("`sparring data` has one command: sparring data check SOURCE")
    given = parse(CheckOptions, words, "sparring data check")
    if given.sheet.suffix.lower() != ".png":
        raise UsageError(f"{given.sheet} should end in .png")
    recipe = named_recipe().replace(
        data=given.source,
        size=given.size,
        fit=given.fit,
        channels=given.channels,
        range=given.range,
        follow_links=given.follow_links,
    )

    from sparring.files import marks

    may_replace = marks.claim(given.sheet, given.force)

    from sparring.data import check, collect, collect_test, shaping_of, whole_set

    shaping = shaping_of(recipe)
    collection = collect(given.source, shaping=shaping)
    report = check.report(collection, shaping, recipe, collect_test(collection, given.source, shaping))
    problem = None
    if collection.images is not None:
        try:
            check.save_sheet(given.sheet, collection.images, may_replace)
            report["sheet"] = str(given.sheet)
        except OSError as error:
            problem = error
    if given.json:
        print_block(jsonlib.dumps(report, indent=2))
    else:
        check.print_report(report, plain_console())
    check.refuse_untrainable(collection)
    whole_set(collection, given.strict)
    if not given.json:
        if problem is None:
            print_line(f"the contact sheet: {given.sheet}")
        print_line(f"Train on them: {report['command']}")
    if problem is not None:
        raise problem
    return 0

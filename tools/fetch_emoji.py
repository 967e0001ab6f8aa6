"""THE EMOJI: fetches a set of real colour pictures with alpha, 64 x 64, to train on; none is kept in this project.

python tools/fetch_emoji.py emoji              # a folder of PNG files
python tools/fetch_emoji.py emoji --classes    # in sub-folders by kind: animals, flags, food ...
python tools/fetch_emoji.py emoji --one-skin   # without the five variants of each that differ in the colour of skin

The pictures are Twemoji, copyright Twitter, Inc. and other contributors, under CC BY 4.0, as the npm package
emoji-datasource-twitter holds them; `npm pack` gets that from whatever registry npm is set up with. The archive must
have the checksum that is written here.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

PACKAGE = "emoji-datasource-twitter@16.0.0"
SHA256 = "f64a530c63bca463bd8317fdc4615ce63a53a0c65018e4ce2d848aaba7a28877"
PICTURES = "package/img/twitter/64/"
LIST = "package/emoji.json"
NOTICE = f"""\
Twemoji, copyright Twitter, Inc. and other contributors, licensed under CC BY 4.0
(https://creativecommons.org/licenses/by/4.0/), in 64 x 64 pixels as the npm package {PACKAGE}
holds them; the package's own code is under the MIT licence.
"""
SKINS = {"1f3fb", "1f3fc", "1f3fd", "1f3fe", "1f3ff"}
"""The code points that choose a colour of skin."""


def main() -> None:
    """Fetch the package, check it, and unpack its pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the pictures go; new or empty")
    parser.add_argument("--classes", action="store_true", help="a sub-folder for each kind")
    parser.add_argument("--one-skin", action="store_true", help="leave out variants in the colour of skin")
    parser.add_argument("--archive", type=Path, help="the package's archive, where it was fetched already")
    given = parser.parse_args()
    if given.folder.exists() and (not given.folder.is_dir() or any(given.folder.iterdir())):
        sys.exit(f"{given.folder} is there already and not an empty folder")
    with tempfile.TemporaryDirectory() as scratch:
        archive = given.archive or fetch(Path(scratch))
        check(archive)
        count = 0
        for path, content in pictures(archive, given.classes, given.one_skin):
            target = given.folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
            count += 1
    (given.folder / "LICENCE.txt").write_text(NOTICE)
    print(f"{count:,} pictures in {given.folder}\n{NOTICE}", end="")


def fetch(folder: Path) -> Path:
    """The archive of the package, fetched by npm."""
    command = ["npm", "pack", "--silent", "--pack-destination", str(folder), PACKAGE]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        sys.exit(f"npm is not installed; fetch {PACKAGE} by other means and name the file with --archive")
    found = list(folder.glob("*.tgz"))
    if done.returncode != 0 or len(found) != 1:
        sys.exit(f"npm could not fetch {PACKAGE}: {done.stderr.strip()}")
    return found[0]


def check(archive: Path) -> None:
    """End with a sentence where the archive is not the one that is known."""
    try:
        found = hashlib.sha256(archive.read_bytes()).hexdigest()
    except OSError as error:
        sys.exit(f"{archive} cannot be read: {error.strerror}")
    if found != SHA256:
        sys.exit(f"{archive} is not {PACKAGE} as it should be: its SHA-256 is {found}, not {SHA256}")


def pictures(archive: Path, classes: bool, one_skin: bool) -> Iterator[tuple[Path, bytes]]:
    """(where it goes, its content) of each picture in an archive that was checked."""
    with tarfile.open(archive) as opened:
        listed = opened.extractfile(LIST)
        assert listed is not None
        kinds = kinds_of(json.load(listed))
        for member in opened:
            name = member.name.removeprefix(PICTURES)
            if name == member.name or not member.isfile() or not name.endswith(".png") or "/" in name:
                continue
            if one_skin and SKINS & set(name.removesuffix(".png").split("-")):
                continue
            content = opened.extractfile(member)
            assert content is not None
            yield Path(kinds[name], name) if classes else Path(name), content.read()


def kinds_of(listed: list[dict[str, object]]) -> dict[str, str]:
    """For each picture's file name the kind that the package's list puts it into, as the name of a folder."""
    kinds = {}
    for emoji in listed:
        kind = re.sub("[^a-z]+", "-", str(emoji["category"]).lower())
        variants = emoji.get("skin_variations", {})
        assert isinstance(variants, dict)
        for image in (emoji["image"], *(variant["image"] for variant in variants.values())):
            kinds[str(image)] = kind
    return kinds


if __name__ == "__main__":
    main()

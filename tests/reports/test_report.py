"""The report: a self-contained page with all measures, no scripts, and all text escaped."""

import base64
import dataclasses
import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from sparring import data
from sparring.data import ImageSet
from sparring.evaluation.comparison import print_verdict
from sparring.evaluation.metrics.asked import Asked
from sparring.evaluation.metrics.balance import Balance
from sparring.evaluation.metrics.discriminator import Discrimination
from sparring.evaluation.metrics.memorisation import Memorisation, Pair
from sparring.evaluation.metrics.modes import Modes
from sparring.evaluation.metrics.spectrum import Spectrum
from sparring.evaluation.protocol import RealImages
from sparring.evaluation.verdict import MEASURES, Measure, MetricInfo, Verdict
from sparring.files import atomic
from sparring.images import Images, save_picture, some_places
from sparring.recipes.recipe import settings_of
from sparring.reports import charts, report
from sparring.reports.history import MAX_GRIDS
from sparring.reports.html import PAGE, STYLE
from sparring.reports.report import SHEET_SIDE, page, write_report
from sparring.runs.run import Run

VOID = {"meta", "img", "br", "hr", "link", "input"}
HOSTILE = '<script>alert(\'x\')</script>" onload="alert(1)" & </title></style></svg>'

FIGURES = {
    "frechet_ratio": (Measure(42.1234, 0.9, 1.0), "42.1 ± 1.8", "1.0"),
    "frechet": (Measure(50.7026, 1.1, 1.2887), "50.7 ± 2.2", "1.3"),
    "kernel": (Measure(0.96, 0.0107, -0.0004), "0.960 ± 0.021", "0.000"),
    "precision": (Measure(0.692, 0.0102, 0.925), "69.2% ± 2.0", "92.5%"),
    "recall": (Measure(0.1942, 0.004, 0.932), "19.4% ± 0.8", "93.2%"),
    "density": (Measure(0.299, 0.0077, 0.923), "0.299 ± 0.015", "0.923"),
    "coverage": (Measure(0.5, 0.1, None), "50% ± 20", "–"),
    "fine": (Measure(0.61, 0.004, 1.0031), "0.610 ± 0.008", "1.003"),
    "grid": (Measure(3.2, 0.05, 1.01), "3.20 ± 0.10", "1.01"),
    "modes": (Measure(1.0, None, 1000), "1", "1,000"),
    "mode_divergence": (Measure(0.05112, 0.0009, 0.0241), "0.0511 ± 0.0018", "0.0241"),
    "variation": (Measure(0.323, None, 0.033), "32.3%", "3.3%"),
    "confident": (Measure(1.0, 0.0, 0.997), "100%", "100%"),
    "score": (Measure(4.83, float("nan"), 9.9), "4.83", "9.90"),
    "recognised": (Measure(0.981, 0.001, 0.999), "98.10% ± 0.20", "99.90%"),
    "copies": (Measure(0.0, 0.0, 0.01), "0.0%", "1.0%"),
    "memorising": (Measure(0.509, 0.004, 0.5), "50.9% ± 0.8", "50.0%"),
}
"""Measures by name, each with the text of its value and of its floor."""


# ------------------------------------------------------------------------------------------------ reading a page


@dataclass
class Element:
    """One element of a page."""

    tag: str
    attributes: dict[str, str]
    children: list["Element | str"] = field(default_factory=list)

    def text(self) -> str:
        """What is read there, with single spaces."""
        return " ".join(self._words().split())

    def _words(self) -> str:
        return "".join(child if isinstance(child, str) else child._words() for child in self.children)

    def all(self, tag: str = "", kind: str = "") -> Iterator["Element"]:
        """Every element in it of that tag and class, in their order."""
        for child in self.children:
            if isinstance(child, Element):
                if tag in ("", child.tag) and (not kind or kind in child.attributes.get("class", "").split()):
                    yield child
                yield from child.all(tag, kind)

    def one(self, tag: str = "", kind: str = "") -> "Element":
        (found,) = self.all(tag, kind)
        return found


class Reader(HTMLParser):
    """Builds the tree of a page; fails where elements do not nest or an attribute comes twice."""

    def __init__(self) -> None:
        super().__init__()
        self.open = [Element("document", {})]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        assert len(element.attributes) == len(attrs), f"an attribute of {tag} comes twice"
        self.open[-1].children.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"</{tag}> closes {self.open[-1].tag}"
        self.open.pop()

    def handle_data(self, text: str) -> None:
        self.open[-1].children.append(text)


def read(text: str) -> Element:
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert [element.tag for element in reader.open] == ["document"], "every element is closed"
    return reader.open[0].one("html")


def section(root: Element, title: str) -> Element:
    """The section under that heading."""
    (found,) = [part for part in root.all("section") if next(part.all("h2")).text() == title]
    return found


def titles(root: Element) -> list[str]:
    return [heading.text() for heading in root.all("h2")]


def picture_of(image: Element) -> Image.Image:
    kind, _, content = image.attributes["src"].partition(",")
    assert kind == "data:image/png;base64"
    opened = Image.open(io.BytesIO(base64.b64decode(content, validate=True)))
    opened.load()
    return opened


def rows(table: Element) -> list[list[str]]:
    return [[cell.text() for cell in row.children if isinstance(cell, Element)] for row in table.one("tbody").all("tr")]


# ------------------------------------------------------------------------------------------------ what is reported


@pytest.fixture(scope="module")
def digit_images(digits: Path) -> ImageSet:
    return data.load(str(digits))


@pytest.fixture(scope="module")
def real(digit_images: ImageSet) -> RealImages:
    """The first 100 digits for training, the others unseen."""
    training, unseen = (
        dataclasses.replace(digit_images, images=digit_images.images[part], labels=None, class_names=())
        for part in (slice(0, 100), slice(100, 200))
    )
    labelled = dataclasses.replace(
        training, labels=np.arange(100, dtype=np.int32) % 3, class_names=("ant", "bee", "cat")
    )
    return RealImages("digits", "d" * 64, labelled, unseen, "test", None)


@pytest.fixture(scope="module")
def samples(digit_images: ImageSet) -> Images:
    """120 digits, upside down."""
    turned: Images = digit_images.images[:120, ::-1]
    return turned


@pytest.fixture(scope="module")
def verdict() -> Verdict:
    """The verdict of a run with all parts and no alarm."""
    return Verdict(
        subject={
            "kind": "run",
            "path": "runs/first",
            "recipe": "mlp-256",
            "seed": 3,
            "step": 12_000,
            "best": False,
            "seconds": 34.6,
            "command": "sparring measure runs/first --count 120",
        },
        data={"name": "digits", "checksum": "d" * 64, "training": 100, "unseen": 90, "split": "test"},
        extractor={"name": "the judge", "sha256": "e" * 64, "caveat": "It knows nothing of cats."},
        samples=120,
        seed=7,
        measures={name: measure for name, (measure, _, _) in FIGURES.items()},
        balance=Balance(
            histogram=(72, 12, 36),
            frequencies=(0.34, 0.33, 0.33),
            variation=0.26,
            variation_band=0.08,
            class_bands=((0.26, 0.42), (0.25, 0.41), (0.25, 0.41)),
            confident=1.0,
            score=4.83,
            errors={"confident": 0.0, "score": 0.1},
        ),
        memorisation=Memorisation(
            copies=0.031,
            copies_unseen=0.011,
            threshold=0.7,
            distance=52.84,
            distance_unseen=39.21,
            error=0.01,
            alarm=False,
            closest=(Pair(5, 17, 12.345, 0.4, suspicious=True), Pair(60, 2, 45.6, 0.8)),
        ),
        discriminator=Discrimination(0.61, 0.58, 0.12, 0.86, 0.88, 0.514, 0.01, False),
        alarms=(),
        notices=(),
        asked=Asked(
            names=("ant", HOSTILE, "cat"),
            recognised=0.981,
            error=0.001,
            recognised_real=0.999,
            shares=(0.875, None, 1.0),
            distances=(3.21, None, None),
            floors=(0.5, None, None),
        ),
        spectrum=Spectrum((1.02, 0.5), {"2": 1.1, "3": 3.2}, 3, 3.2, 0.61, {"grid": 0.05, "fine": 0.004}, False),
    )


def changed(verdict: Verdict, **fields: Any) -> Verdict:
    """Another verdict; a dictionary changes a part of what it is for."""
    for name, value in fields.items():
        before = getattr(verdict, name)
        if isinstance(value, dict) and isinstance(before, dict):
            fields[name] = before | value
        elif isinstance(value, dict):
            fields[name] = dataclasses.replace(before, **value)
    return dataclasses.replace(verdict, **fields)


Render = Callable[..., Element]
"""(a run or None, changes of the verdict) -> the page."""


@pytest.fixture(scope="module")
def rendered(verdict: Verdict, samples: Images, real: RealImages) -> Render:
    def render(run: Run | None = None, **changes: Any) -> Element:
        return read(page(changed(verdict, **changes), samples, real, run))

    return render


JUDGEMENT = {"measure": "frechet", "floor": 1.25, "diversity": 0.4, "copies": 0.01, "memorising": 0.5}
JUDGEMENT |= {"right_unseen": 0.8, "right_fake": 0.9, "variation": 0.3, "variation_band": 0.05, "confident": 0.6}


@pytest.fixture
def judged_run(copied_run: Run) -> Run:
    """The tiny run, judged three times, with an alarm."""
    for step, score in ((10, 90.0), (20, 40.0), (30, 60.0)):
        copied_run.add_event("judged", step, score=score, **JUDGEMENT)
    copied_run.add_event("alarm", 20, kind="collapse", text="collapse: all are bees")
    return copied_run


# ------------------------------------------------------------------------------------------------ the page


def test_the_page_is_whole(verdict: Verdict, samples: Images, real: RealImages, judged_run: Run) -> None:
    text = page(verdict, samples, real, judged_run)
    assert text.startswith("<!doctype html>\n")
    root = read(text)
    assert root.attributes["lang"] == "en"
    assert root.one("head").one("title").text() == "mlp-256, step 12,000, seed 3 – Sparring"
    assert root.one("h1").text() == "mlp-256, step 12,000, seed 3"
    assert {"charset": "utf-8"} in [meta.attributes for meta in root.all("meta")]
    assert titles(root) == [
        "Measures",
        "Real images and samples",
        "Classes",
        "Recognised classes",
        "Spectrum",
        "Closest training images",
        "Training",
        "The discriminator",
        "How to repeat this",
    ]
    levels = [int(element.tag[1]) for element in root.all() if re.fullmatch("h[1-6]", element.tag)]
    assert all(after <= before + 1 for before, after in zip([0, *levels], levels, strict=False)), "no level is skipped"


def test_everything_is_labelled(judged_run: Run, rendered: Render) -> None:
    root = rendered(judged_run)
    images = list(root.all("img"))
    assert len(images) == 2 + 2 + 4, "sheets, pairs and grids"
    for image in images:
        assert image.attributes["alt"]
        assert picture_of(image).size == (int(image.attributes["width"]), int(image.attributes["height"]))
    heads = list(root.all("th"))
    assert {head.attributes["scope"] for head in heads} == {"row", "col"}
    assert all(head.text() for head in heads)
    for drawing in root.all("svg"):
        assert drawing.attributes.get("aria-label") or drawing.attributes.get("aria-hidden") == "true"
    for region in root.all("div", "scroll"):
        assert region.attributes["tabindex"] == "0" and region.attributes["aria-label"], "it scrolls by the keyboard"


def test_nothing_runs_and_nothing_is_fetched(
    verdict: Verdict, samples: Images, real: RealImages, judged_run: Run
) -> None:
    text = page(verdict, samples, real, judged_run)
    root = read(text)
    policy = next(meta for meta in root.all("meta") if meta.attributes.get("http-equiv") == "Content-Security-Policy")
    assert policy.attributes["content"] == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    tags = {element.tag for element in root.all()}
    assert tags.isdisjoint(
        {"script", "link", "iframe", "object", "embed", "form", "base", "a", "use", "image", "video"}
    )
    for element in root.all():
        for name, value in element.attributes.items():
            assert not name.startswith("on") and name not in ("href", "xlink:href", "srcset", "action")
            assert name != "src" or value.startswith("data:image/png;base64,")
    without_pictures = re.sub(r'src="[^"]*"', "", text)
    assert "//" not in without_pictures and "www." not in without_pictures
    assert "url(" not in without_pictures and "@import" not in without_pictures


def test_all_text_is_escaped(verdict: Verdict, samples: Images, real: RealImages, judged_run: Run) -> None:
    hostile = changed(
        verdict,
        subject={"recipe": f"R{HOSTILE}", "path": f"P{HOSTILE}", "command": f"M{HOSTILE}"},
        data={"name": f"D{HOSTILE}", "checksum": f"S{HOSTILE}"},
        extractor={"name": f"E{HOSTILE}", "sha256": f"H{HOSTILE}", "caveat": f"C{HOSTILE}"},
        alarms=(f"A{HOSTILE}",),
        notices=(f"N{HOSTILE}",),
    )
    names = dataclasses.replace(real.training, class_names=(f"K{HOSTILE}", "bee", "cat"))
    environment = judged_run.environment()
    environment["versions"]["jax"] = f"V{HOSTILE}"
    environment |= {"command": [f"T{HOSTILE}"], "platform": f"F{HOSTILE}", "xla_flags": f"X{HOSTILE}"}
    environment["device"]["kind"], environment["data"]["source"] = f"B{HOSTILE}", f"O{HOSTILE}"
    recipe = judged_run.recipe().to_json() | {"name": f"G{HOSTILE}", "source": f"I{HOSTILE}"}
    own = {"run": judged_run.id}
    for copy in ("", ".copy"):
        atomic.write_json(judged_run.path / f"environment{copy}.json", environment | own)
        atomic.write_json(judged_run.path / f"recipe{copy}.json", recipe | own)
    judged_run.add_event("alarm", 30, kind="flat", text=f"L{HOSTILE}")
    root = read(page(hostile, samples, dataclasses.replace(real, training=names), judged_run))
    assert not list(root.all("script"))
    assert not any(name.startswith("on") for element in root.all() for name in element.attributes)
    shown = root.text()
    for initial in "RPMDSEHCANKVTFXBOGIL":
        assert initial + " ".join(HOSTILE.split()) in shown.replace("'\"'\"'", "'"), initial


def test_samples_made_elsewhere(verdict: Verdict, samples: Images, real: RealImages) -> None:
    elsewhere = changed(verdict, seed=None, discriminator=None, asked=None)
    subject = {"kind": "samples", "path": "folder/mine.npz", "command": "sparring measure folder/mine.npz"}
    root = read(page(dataclasses.replace(elsewhere, subject=subject), samples, real, None))
    assert root.one("h1").text() == "samples of mine.npz"
    facts = root.one("header").one("dl").text()
    assert "120, made elsewhere" in facts and "folder/mine.npz" in facts and "Checkpoint" not in facts
    assert titles(root) == [
        "Measures",
        "Real images and samples",
        "Classes",
        "Spectrum",
        "Closest training images",
        "How to repeat this",
    ]
    repeat = section(root, "How to repeat this")
    assert [code.text() for code in repeat.all("code")] == ["sparring measure folder/mine.npz"]
    assert not list(repeat.all("dl", "settings")) and "Device" not in repeat.text()


@pytest.mark.parametrize("variable", sorted(set(re.findall(r"var\((--[a-z-]+)\)", STYLE + charts.STYLE))))
def test_every_colour_is_there_in_light_and_in_dark(variable: str) -> None:
    light, dark = STYLE.split("@media (prefers-color-scheme: dark) {")
    dark = dark[: dark.index("\n}")]
    ours, theirs = (re.findall(rf"{variable}: (#[0-9a-f]+)", part) for part in (light, dark))
    assert len(ours) == len(theirs) == 1 and ours != theirs


@pytest.mark.parametrize("dark", [False, True])
def test_everything_can_be_read_in_light_and_in_dark(dark: bool) -> None:
    part = STYLE.split("@media (prefers-color-scheme: dark) {")[dark]
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]+)", part))
    for text in ("ink", "soft", "calm", "alarm", "one", "two", "three"):
        for ground in ("paper", "card"):
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    assert contrast(colours["alarm"], colours["alarm-card"]) >= 4.5
    assert contrast(colours["ink"], colours["alarm-card"]) >= 4.5


def contrast(first: str, second: str) -> float:
    """The ratio of WCAG 2.2: 4.5 is enough for text."""
    low, high = sorted(luminance(colour) for colour in (first, second))
    return (high + 0.05) / (low + 0.05)


def luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_the_page_asks_for_both_schemes_and_any_width() -> None:
    assert '<meta name="color-scheme" content="light dark">' in PAGE
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in PAGE
    assert ":root { color-scheme: light dark;" in STYLE


def test_one_file_is_written_and_nothing_else(
    verdict: Verdict, samples: Images, real: RealImages, judged_run: Run, tmp_path: Path
) -> None:
    before = {path: path.stat().st_mtime_ns for path in judged_run.path.rglob("*")}
    folder = tmp_path / "out"
    folder.mkdir()
    write_report(folder / "report.html", verdict, samples, real, judged_run)
    assert [path.name for path in folder.iterdir()] == ["report.html"]
    assert {path: path.stat().st_mtime_ns for path in judged_run.path.rglob("*")} == before
    content = (folder / "report.html").read_bytes()
    assert content.decode().startswith(page(verdict, samples, real, judged_run))
    assert len(content) < 300_000


def test_the_page_of_a_large_run_stays_small(verdict: Verdict, real: RealImages, new_run: Run) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (2000, 28, 28, 1), np.uint8)
    for step in range(0, 100_000, 1000):
        new_run.add_event("log", step, **dict.fromkeys(("d_loss", "g_loss", "accuracy_real", "d_real"), step / 1e5))
        new_run.add_event("judged", step, score=float(step), **JUDGEMENT)
        save_picture(new_run.grid(step), noise[:36].reshape(6 * 28, 6 * 28, 1))
    noisy = dataclasses.replace(real, unseen=dataclasses.replace(real.unseen, images=noise))
    assert len(page(verdict, noise, noisy, new_run)) < 2_000_000


def test_a_path_that_is_no_text_is_written(verdict: Verdict, samples: Images, real: RealImages, tmp_path: Path) -> None:
    odd = changed(verdict, subject={"path": "runs/\udcff"})
    write_report(tmp_path / "report.html", odd, samples, real, None)
    assert "runs/\\udcff" in read((tmp_path / "report.html").read_text("utf-8")).text()


# ------------------------------------------------------------------------------------------------ the numbers


def test_the_headline(rendered: Render) -> None:
    root = rendered()
    assert root.one("p", "headline").text() == (
        "42.1 ± 1.8 times the distance of training images from unseen real images; 1 would be perfect"
    )
    facts = root.one("header").one("dl").text()
    for words in (
        "120, generated with seed 7",
        "90 test images of digits",
        "the judge",
        "the last checkpoint, after 35 s",
    ):
        assert words in facts


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"subject": {"best": True}}, "the best checkpoint of the training, after 35 s of training"),
        ({"subject": {"seconds": None}}, "Checkpoint the last checkpoint Path"),
        ({"data": {"split": "validation"}}, "90 validation images of digits"),
    ],
)
def test_what_was_judged(fields: dict[str, Any], words: str, rendered: Render) -> None:
    facts = rendered(**fields).one("header").one("dl")
    shown = " ".join(part.text() for row in facts.all("div") for part in row.all())
    assert words in shown


def test_every_measure_that_was_taken_is_there_with_its_floor(
    verdict: Verdict, samples: Images, real: RealImages, rendered: Render
) -> None:
    found = rows(section(rendered(), "Measures").one("table"))
    assert list(FIGURES) == list(MEASURES)
    assert len(found) == len(MEASURES)
    for row, (name, about) in zip(found, MEASURES.items(), strict=True):
        better = {"lower": "↓ lower", "higher": "↑ higher", "": "like real"}[about.better]
        _, value, floor = FIGURES[name]
        assert row == [about.title, value, floor, better, about.meaning]
    taken = {name: measure for name, measure in verdict.measures.items() if name != "variation"}
    fewer = rows(section(read(page(dataclasses.replace(verdict, measures=taken), samples, real, None)), "Measures"))
    assert fewer == [row for row in found if row[0] != MEASURES["variation"].title]


def test_the_spectrum_by_radius_and_by_grid(rendered: Render) -> None:
    part = section(rendered(), "Spectrum")
    found = rows(part.one("table"))
    assert [(row[0], row[-1]) for row in found] == [
        ("0.00 to 0.35", "1.02"),
        ("0.35 to 0.71", "0.50"),
        ("grid of 2 pixels", "1.10"),
        ("grid of 3 pixels", "3.20"),
    ]
    assert "A grid of 3 pixels stands out most, but this is no alarm" in part.text()
    alarmed = section(rendered(spectrum={"alarm": True}), "Spectrum").text()
    assert "A grid of 3 pixels stands out: this is an alarm" in alarmed
    assert "Spectrum" not in titles(rendered(spectrum=None))


@pytest.mark.parametrize(
    ("value", "error", "share", "expected"),
    [
        (1234.5, 100.0, False, "1,234 ± 196"),
        (0.00123456, 0.00001, False, "0.001235 ± 0.000020"),
        (0.9917, 0.0022, True, "99.2% ± 0.4"),
        (0.0005, None, True, "0.0500%"),
        (-0.00001, 0.01, False, "0.000 ± 0.020"),
        (3.14159, None, False, "3.14"),
        (0.0, None, False, "0.0"),
    ],
)
def test_digits_are_those_that_the_doubt_leaves(value: float, error: float | None, share: bool, expected: str) -> None:
    number, doubt, _ = report._figures(Measure(value, error, None), MetricInfo("", "", "", share))
    assert number + doubt == expected


def test_alarms_are_in_a_box_and_without_them_the_page_says_so(rendered: Render) -> None:
    alarms = ("collapse: all are bees", "memorisation: all are copies")
    header = rendered(alarms=alarms, notices=("few samples",)).one("header")
    box = header.one("section", "alarms")
    assert box.one("h2").text() == "▲ 2 alarms"
    assert [item.text() for item in box.all("li")] == [*alarms]
    assert not list(header.all("p", "calm"))
    assert header.one("p", "notice").text() == "Note: few samples."
    header = rendered().one("header")
    assert header.one("p", "calm").text() == "✓ No alarm in these measures."
    assert not list(header.all("section")) and not list(header.all("p", "notice"))


# ------------------------------------------------------------------------------------------------ the images


def test_real_images_stand_beside_samples(samples: Images, real: RealImages, rendered: Render) -> None:
    part = section(rendered(), "Real images and samples")
    sheets = [np.asarray(picture_of(image)) for image in part.all("img")]
    assert [caption.text() for caption in part.all("figcaption")] == [
        "real images, unseen in training",
        "samples of the generator",
    ]
    side = 2 * (SHEET_SIDE * 29 + 1)
    for shown, images in zip(sheets, (real.unseen.images, samples), strict=True):
        assert shown.shape == (side, side)
        places = some_places(len(images), SHEET_SIDE**2)
        np.testing.assert_array_equal(shown[2:58:2, 2:58:2], images[places[0], :, :, 0])
        np.testing.assert_array_equal(shown[-58:-2:2, -58:-2:2], images[places[-1], :, :, 0])
    part = section(rendered(samples=70), "Real images and samples")  # only these are judged
    shown = np.asarray(picture_of(list(part.all("img"))[1]))
    np.testing.assert_array_equal(shown[-58:-2:2, -58:-2:2], samples[69, :, :, 0])


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB"), (4, "RGB")])
@pytest.mark.parametrize("size", [(8, 8), (30, 20), (100, 120)])
def test_images_of_any_kind(
    channels: int, mode: str, size: tuple[int, int], verdict: Verdict, real: RealImages
) -> None:
    plain = np.random.default_rng(0).integers(0, 256, (120, 1, 1, channels), np.uint8)
    made = plain.repeat(size[0], axis=1).repeat(size[1], axis=2)
    other = dataclasses.replace(
        real,
        training=dataclasses.replace(real.training, images=made[:100]),
        unseen=dataclasses.replace(real.unseen, images=made[:40]),
    )
    images = [picture_of(image) for image in read(page(verdict, made, other, None)).all("img")]
    assert {image.mode for image in images} == {mode}
    assert all(max(image.size) <= 640 for image in images)
    assert images[0].size == images[1].size, "40 unseen images make as small a sheet of samples"


def test_closest_pairs(verdict: Verdict, samples: Images, real: RealImages, rendered: Render) -> None:
    part = section(rendered(), "Closest training images")
    assert [caption.text() for caption in part.all("figcaption")] == ["12.3 apart, suspiciously close", "45.6 apart"]
    first, second = part.all("img")
    assert first.attributes["alt"] == "sample 5 beside training image 17"
    shown = np.asarray(picture_of(second))
    np.testing.assert_array_equal(shown[2:58:2, 2:58:2], samples[60, :, :, 0])
    np.testing.assert_array_equal(shown[2:58:2, 60:116:2], real.training.images[2, :, :, 0])
    words = next(part.all("p")).text()
    for words_of_it in (
        "within 52.8 gray levels",
        "real images within 39.2",
        "3.1% of the samples",
        "1.1% of the unseen",
    ):
        assert words_of_it in words
    assert words.endswith("This is no alarm.")
    assert "1 of them is suspiciously close" in part.text()
    harmless = tuple(dataclasses.replace(pair, suspicious=False) for pair in verdict.memorisation.closest)
    root = rendered(memorisation={"closest": harmless})
    words = section(root, "Closest training images").text()
    assert words.count("suspicious") == 1 and "None is suspiciously close" in words
    root = rendered(memorisation={"alarm": True})
    assert section(root, "Closest training images").one("strong").text() == "This is an alarm"


# ------------------------------------------------------------------------------------------------ the classes


def test_bars_are_as_long_as_the_numbers(rendered: Render) -> None:
    part = section(rendered(), "Classes")
    assert rows(part.one("table")) == [
        ["ant", "", "60.0% (72)", "34.0%", "▲ too many"],
        ["bee", "", "10.0% (12)", "33.0%", "▼ too few"],
        ["cat", "", "30.0% (36)", "33.0%", ""],
    ]
    widths = [float(rect.attributes["width"]) for rect in part.all("rect", "share")]
    assert widths == pytest.approx([100 * count / 72 for count in (72, 12, 36)], abs=0.01), "the longest fills it"
    ends = [float(path.attributes["d"][1:].split()[0]) for path in part.all("path", "due")]
    assert ends == pytest.approx([100 * due / 0.6 for due in (0.34, 0.33, 0.33)], abs=0.01)
    starts = [float(rect.attributes["x"]) for rect in part.all("rect", "due-band")]
    assert starts == pytest.approx([100 * low / 0.6 for low in (0.26, 0.25, 0.25)], abs=0.01)


def test_balance_in_words(verdict: Verdict, samples: Images, real: RealImages, rendered: Render) -> None:
    for variation, words in ((0.26, "is more than chance"), (0.05, "is within chance")):
        said = next(section(rendered(balance={"variation": variation}), "Classes").all("p")).text()
        assert f"{variation:.1%} of the samples" in said and "120 samples of a perfectly" in said and "8.0%" in said
        assert said.endswith(f"so this {words}.")
    unlabelled, without = dataclasses.replace(real, training=real.unseen), dataclasses.replace(verdict, balance=None)
    assert "Classes" not in titles(read(page(without, samples, unlabelled, None)))


# ------------------------------------------------------------------------------------------------ the modes


def test_modes_in_words_and_as_squares(verdict: Verdict, samples: Images, real: RealImages, rendered: Render) -> None:
    counts = np.zeros(1000, int)
    counts[500:] = 10
    counts[[600, 999]] = 1000, 1
    modes = Modes(tuple(counts.tolist()), captured=500, divergence=1.0, error=0.1)
    names = tuple(f"{i:03d}" for i in range(1000))
    training = dataclasses.replace(real.training, class_names=names)
    counted = dataclasses.replace(verdict, modes=modes, balance=None)
    part = section(read(page(counted, samples, dataclasses.replace(real, training=training), None)), "Modes")
    said = part.text()
    assert "500 of 1,000 modes are captured. Missing: 000, 001, 002," in said and "018, 019 and 480 more." in said
    assert "The most frequent is 600: 16.7% of the samples, where an even share is 0.1%." in said
    assert "It knows nothing of cats." in said  # the judge of itself
    assert "5,981 samples, classified one by one" in said and "KL(samples || uniform)" in said
    squares = np.asarray(picture_of(part.one("img")))
    assert squares.shape[1] > 2 * squares.shape[0]
    red, white, gray = (200, 40, 40), (255, 255, 255), (213, 213, 213)  # 213: 10 of 12, twice an even share
    colours, many = np.unique(squares.reshape(-1, 3), axis=0, return_counts=True)
    areas = dict(zip(map(tuple, colours.tolist()), many.tolist(), strict=True))
    assert areas[red] == 500 * areas[white]
    assert areas[gray] == 498 * areas[white]
    assert "Modes" not in titles(rendered())


# ------------------------------------------------------------------------------------------------ the training


def test_judgements_of_modes(new_run: Run, rendered: Render) -> None:
    known = {name: value for name, value in JUDGEMENT.items() if name not in ("variation", "variation_band")}
    new_run.add_event("judged", 10, score=2.0, modes=99, modes_real=632, **known)
    part = section(rendered(new_run), "Training")
    assert legend(part, "Modes") == ["samples 99", "real images 632"]
    assert legend(part, "Classes") == ["clear pictures 60%"]


def chart_titled(root: Element, title: str) -> Element:
    (found,) = [card for card in root.all("figure", "card") if next(card.all("b")).text() == title]
    return found


def legend(root: Element, title: str) -> list[str]:
    return [item.text() for item in chart_titled(root, title).one("ul").all("li")]


def test_curves_of_a_run(tiny_run: Run, rendered: Render) -> None:
    part = section(rendered(tiny_run), "Training")
    assert [next(card.all("b")).text() for card in part.all("figure", "card")] == [
        "Losses",
        "Accuracy of the discriminator",
        "Output of the discriminator",
    ]
    last = [event for event in tiny_run.events() if event["event"] == "log"][-1]
    assert legend(part, "Losses") == [f"discriminator {last['d_loss']:.3g}", f"generator {last['g_loss']:.3g}"]
    assert "judge" not in part.text()


def test_what_the_judge_saw(judged_run: Run, rendered: Render) -> None:
    part = section(rendered(judged_run), "Training")
    distance = chart_titled(part, "Distance (Frechet)")
    assert legend(part, "Distance (Frechet)") == ["samples 60", "real images 1.25", "best, at step 20", "alarm"]
    drawing = distance.one("svg", "chart")
    dots = list(drawing.all("path", "dot"))
    assert [dot.text() for dot in dots] == ["step 10, samples: 90", "step 20, samples: 40", "step 30, samples: 60"]
    at = [re.match(r"M[\d.]+ [\d.]+", dot.attributes["d"]) for dot in (dots[1], drawing.one("path", "best"))]
    assert at[0] and at[1] and at[0][0] == at[1][0], "the lowest score is the best"
    assert "step 20: collapse: all are bees" in drawing.text()
    assert part.one("ul", "raised").text() == "step 20: collapse: all are bees"
    assert legend(part, "Classes") == ["clear pictures 60%", "class variation 30%", "chance (95%) 5%"]
    assert legend(part, "Diversity") == ["samples 40%", "real images 100%"]
    assert legend(part, "Copies") == ["samples 1%", "alarm 3%"]
    assert legend(part, "Overfitting of the discriminator") == ["training image above 50%", "chance 50%"]
    assert legend(part, "Accuracy of the discriminator on unseen images") == [
        "validation images 80%",
        "samples 90%",
        "guessing 50%",
    ]


def test_judgements_without_classes(new_run: Run, rendered: Render) -> None:
    known = {
        name: value for name, value in JUDGEMENT.items() if name not in ("variation", "variation_band", "confident")
    }
    new_run.add_event("judged", 10, score=-0.001, **(known | {"measure": "kernel"}))
    part = section(rendered(new_run), "Training")
    assert [next(card.all("b")).text() for card in part.all("figure", "card")] == [
        "Distance (kernel)",
        "Diversity",
        "Copies",
        "Overfitting of the discriminator",
        "Accuracy of the discriminator on unseen images",
    ]


def test_numbers_that_are_none_are_left_out(new_run: Run, rendered: Render) -> None:
    for step, loss in ((1, 0.5), (2, float("nan")), (3, None), (4, 0.25)):
        new_run.add_event("log", step, d_loss=loss)
    new_run.add_event("judged", 4, score=float("nan"))
    part = section(rendered(new_run), "Training")
    dots = [dot.text() for dot in part.one("svg", "chart").all("path", "dot")]
    assert dots == ["step 1, discriminator: 0.5", "step 4, discriminator: 0.25"]


@pytest.mark.parametrize(
    ("last", "shown"),
    [(0, [0]), (40, [0, 10, 20, 30, 40]), (350, [0, 50, 100, 150, 200, 250, 300, 350])],
)
def test_grids_of_the_same_noise(last: int, shown: list[int], new_run: Run, rendered: Render) -> None:
    for step in range(0, last + 20, 10):  # one more is from before a resume
        save_picture(new_run.grid(step), np.full((30, 40, 1), step % 256, np.uint8))
    new_run.add_event("grid", last)
    part = section(rendered(new_run), "Training")
    assert [caption.text() for caption in part.all("figcaption")] == [f"step {step}" for step in shown]
    for step, image in zip(shown, part.all("img"), strict=True):
        assert base64.b64decode(image.attributes["src"].partition(",")[2]) == new_run.grid(step).read_bytes()
    assert len(shown) <= MAX_GRIDS


def test_a_run_of_which_nothing_was_kept(tmp_path: Path, rendered: Render) -> None:
    root = rendered(Run(tmp_path / "nothing"))
    assert "Training" not in titles(root)
    repeat = section(root, "How to repeat this")
    assert [heading.text() for heading in repeat.all("h3")] == ["Repeat the measurement", "Environment"]


def test_the_discriminator(rendered: Render) -> None:
    part = section(rendered(), "The discriminator")
    assert rows(part.one("table")) == [
        ["training images", "61.0%", "–"],
        ["unseen real images", "58.0%", "86.0% judged real"],
        ["samples", "12.0%", "88.0% judged fake"],
    ]
    words = next(part.all("p")).text()
    assert "51.4% ± 2.0 of the cases" in words and words.endswith("This is no alarm.")
    alarmed = rendered(discriminator={"alarm": True})
    assert section(alarmed, "The discriminator").one("strong").text() == "This is an alarm"


# ------------------------------------------------------------------------------------------------ the way back


def test_what_it_was_made_with(tiny_run: Run, rendered: Render) -> None:
    part = section(rendered(tiny_run), "How to repeat this")
    environment = tiny_run.environment()
    facts = {row.one("dt").text(): row.one("dd").text() for row in part.one("dl", "made-with").all("div")}
    assert facts["Measured by"] == "the judge"
    assert facts["its SHA-256"] == "e" * 64
    assert facts["its limits"] == "It knows nothing of cats."
    assert facts["Judged against"] == "digits, 100 training and 90 unseen images"
    assert facts["their checksum"] == "d" * 64
    assert facts["its checksum"] == environment["data"]["checksum"]
    assert f"jax {environment['versions']['jax']}" in facts["Versions"]
    assert facts["Device"].endswith(f"{environment['threads']} threads")
    settings = {row.one("dt").text(): row.one("dd").text() for row in part.one("dl", "settings").all("div")}
    assert set(settings) == set(settings_of(tiny_run.recipe()))
    assert settings["generator.hidden"] == "8" and settings["grid_columns"] == "3"


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        (["/usr/bin/sparring", "train", "mlp-128"], "sparring train mlp-128"),
        (["/site-packages/sparring/cli/main.py", "train", "--out", "my runs"], "sparring train --out 'my runs'"),
        (["study.py"], "study.py"),
    ],
)
def test_commands(command: list[str], shown: str, copied_run: Run, rendered: Render) -> None:
    own = {"run": copied_run.id}
    atomic.write_json(copied_run.environment_file, copied_run.environment() | {"command": command} | own)
    part = section(rendered(copied_run), "How to repeat this")
    assert [code.text() for code in part.all("code")] == ["sparring measure runs/first --count 120", shown]


@pytest.mark.parametrize("content", [None, "{", json.dumps({"versions": {}})])
def test_a_run_without_its_environment(content: str | None, copied_run: Run, rendered: Render) -> None:
    for path in (copied_run.environment_file, copied_run.environment_file.with_suffix(".copy.json")):
        path.unlink()
    if content is not None:
        copied_run.environment_file.write_text(content)
    part = section(rendered(copied_run), "How to repeat this")
    assert len(list(part.all("code"))) == 1 and "Device" not in part.text()
    assert part.one("dl", "settings").text(), "the recipe is still there"


def test_a_run_whose_recipe_is_of_another_version(copied_run: Run, rendered: Render) -> None:
    recipe = copied_run.recipe().to_json() | {"new": 1}
    for path in (copied_run.recipe_file, copied_run.recipe_file.with_suffix(".copy.json")):
        atomic.write_json(path, recipe)
    part = section(rendered(copied_run), "How to repeat this")
    assert not list(part.all("dl", "settings")) and "Device" in part.text()


# ------------------------------------------------------------------------------------------------ what was asked for


def test_each_class_that_was_asked_for_has_its_numbers(rendered: Render) -> None:
    part = section(rendered(), "Recognised classes")
    assert "assigns 98.1% of the samples" in part.text() and "99.9% of real training images" in part.text()
    assert rows(part.one("table")) == [["ant", "87.5%", "3.21", "0.50", "6.42"], ["cat", "100.0%", "", "", ""]]
    assert "Recognised classes" not in titles(rendered(asked=None))


def test_of_many_classes_the_worst_are_shown(rendered: Render) -> None:
    count = 30
    shares = tuple(1 - i / 100 for i in range(count))
    many = {"names": tuple(f"c{i}" for i in range(count)), "shares": shares}
    none = {"distances": (None,) * count, "floors": (None,) * count}
    part = section(rendered(asked=many | none), "Recognised classes")
    assert "These 10 of 30 classes are recognised least." in part.text()
    assert {row[0] for row in rows(part.one("table"))} == {f"c{i}" for i in range(20, 30)}


def test_a_narrow_terminal_shows_each_class_whole(verdict: Verdict) -> None:
    printed = io.StringIO()
    print_verdict(verdict, Console(file=printed, width=30))
    (line,) = (line for line in printed.getvalue().splitlines() if line.startswith(" ant "))
    assert line.split() == ["ant", "87.5%", "3.21", "0.50", "6.42"]

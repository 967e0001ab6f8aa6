"""THE REPORT: what was measured of a run, or of samples made elsewhere, as one page of HTML that needs nothing else.

From top to bottom: the one number, all numbers, the images, the classes, the closest training images, the training, the
discriminator, and how to repeat it. Every text is escaped, for names of classes, paths and recipes are anybody's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparring.data.selection import ManyImages
from sparring.errors import SparringError
from sparring.evaluation.comparison import class_words, shown_classes
from sparring.evaluation.features import Z_95
from sparring.evaluation.metrics.asked import Asked
from sparring.evaluation.metrics.balance import Balance
from sparring.evaluation.metrics.discriminator import Discrimination
from sparring.evaluation.metrics.memorisation import Memorisation
from sparring.evaluation.metrics.modes import protocol_words
from sparring.evaluation.protocol import RealImages
from sparring.evaluation.verdict import MEASURES, Measure, MetricInfo, Verdict
from sparring.files import atomic, marks
from sparring.files.atomic import MayReplace
from sparring.images import Images, some_places
from sparring.recipes.recipe import settings_of
from sparring.reports.charts import bar
from sparring.reports.history import history
from sparring.reports.html import facts, figure, sheet, table, whole
from sparring.runs.run import Run
from sparring.terminal.output import html_escaped as escape
from sparring.terminal.output import shell_joined

SHEET_SIDE = 8
"""Rows and columns of the two sheets of images."""
LARGEST_PAIR = 256
"""Pixels of a sample and a training image side by side."""
MISSING = 20
"""Modes without samples that are named."""
SQUARE = 6
"""Pixels of a mode's side."""


def write_report(
    path: Path,
    verdict: Verdict,
    samples: Images,
    real: RealImages,
    run: Run | None,
    may_replace: MayReplace | None = None,
) -> None:
    """Write the page. `samples` are those that the verdict is about; `run` is None where they were made elsewhere."""
    content = page(verdict, samples, real, run).encode(errors="replace")
    atomic.write_bytes(path, marks.signed(content), may_replace)


def page(verdict: Verdict, samples: Images, real: RealImages, run: Run | None) -> str:
    """The page as text. What is not known of a run is left out."""
    sections = [
        _head(verdict),
        _measures(verdict),
        _side_by_side(verdict, samples, real),
        _classes(verdict, real.training.class_names),
        _asked(verdict.asked),
        _modes(verdict, real.training.class_names),
        _closest(verdict.memorisation, samples, real.shown.training.images),
        history(run) if run is not None else "",
        _discriminator(verdict.discriminator),
        _provenance(verdict, run),
    ]
    return whole(_title(verdict), sections)


# ------------------------------------------------------------------------------------------------ what comes first


def _title(verdict: Verdict) -> str:
    subject = verdict.subject
    if subject["kind"] == "samples":
        return f"samples of {Path(subject['path']).name or subject['path']}"
    return f"{subject['recipe']}, step {subject['step']:,}, seed {subject['seed']}"


def _head(verdict: Verdict) -> str:
    ratio = verdict.measures["frechet_ratio"]
    value, doubt, _ = _figures(ratio, MEASURES["frechet_ratio"])
    alarms = "".join(f"<li>{escape(alarm)}</li>" for alarm in verdict.alarms)
    alarmed = (
        f'<section class="alarms"><h2><span aria-hidden="true">▲</span> {_count(len(verdict.alarms), "alarm")}</h2>'
        f"<ul>{alarms}</ul></section>"
        if alarms
        else '<p class="calm"><span aria-hidden="true">✓</span> No alarm in these measures.</p>'
    )
    notices = "".join(f'<p class="notice">Please note: {escape(notice)}.</p>' for notice in verdict.notices)
    return (
        f"<header><h1>{escape(_title(verdict))}</h1>"
        f'<p class="headline"><strong>{value}</strong><span class="doubt">{doubt}</span> <span>times as far from '
        "unseen real images as real ones are; 1 would be perfect</span></p>"
        f"{facts(_about(verdict), 'about')}{alarmed}{notices}</header>"
    )


def _about(verdict: Verdict) -> list[tuple[str, str]]:
    """What was measured, against what."""
    subject, data = verdict.subject, verdict.data
    unseen = "test images" if data["split"] == "test" else "held-out training images"
    origin = "made elsewhere" if verdict.seed is None else f"drawn with seed {verdict.seed}"
    found = [
        ("Judged", f"{verdict.samples:,} samples, {origin}"),
        ("Against", f"{data['unseen']:,} {unseen} of {data['name']}"),
        ("By", verdict.extractor["name"]),
    ]
    if subject["kind"] == "run":
        which = "the state that was judged best while it trained" if subject["best"] else "the last state"
        seconds = "" if subject["seconds"] is None else f", after {subject['seconds']:,.0f} s of training"
        found.append(("State", f"{which}{seconds}"))
    return [*found, ("Where", str(subject["path"]))]


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


# ------------------------------------------------------------------------------------------------ the numbers


def _measures(verdict: Verdict) -> str:
    rows = "".join(_measure(MEASURES[name], verdict.measures[name]) for name in MEASURES if name in verdict.measures)
    return (
        "<section><h2>The measures</h2>"
        "<p>Beside each number stands what as many real training images get: the mark of a perfect generator. What "
        "follows ± is chance in drawing the samples, at 95%; another training with another seed may differ by more.</p>"
        f"{table(('Measure', 'Samples', 'Real images', 'Better', 'What it tells'), rows, 'measures')}</section>"
    )


def _measure(about: MetricInfo, measure: Measure) -> str:
    value, doubt, floor = _figures(measure, about)
    better = {"lower": "↓ lower", "higher": "↑ higher"}.get(about.better, "like real")
    return (
        f'<tr><th scope="row">{escape(about.title)}</th><td class="number"><b>{value}</b>'
        f'<span class="doubt">{doubt}</span></td><td class="number">{floor}</td>'
        f"<td>{better}</td><td>{escape(about.meaning)}</td></tr>"
    )


def _figures(measure: Measure, about: MetricInfo) -> tuple[str, str, str]:
    """The value, " ± " and the doubt if that is known, and the floor, all to the digits that the doubt leaves."""
    scale, unit = (100.0, "%") if about.share else (1.0, "")
    doubt = Z_95 * scale * (measure.error or 0.0)
    known = math.isfinite(doubt) and doubt > 0
    if known:
        places = _places(doubt, 2 if f"{doubt:e}"[0] in "12" else 1)
    else:
        places = 0 if about.count else _places(measure.value * scale, 3)
    floor = "–" if measure.real is None else f"{measure.real * scale:z,.{places}f}{unit}"
    return f"{measure.value * scale:z,.{places}f}{unit}", f" ± {doubt:,.{places}f}" if known else "", floor


def _places(value: float, digits: int) -> int:
    """Decimals that show so many digits of a value; at most six."""
    if not math.isfinite(value) or value == 0:
        return 1
    return min(6, max(0, digits - 1 - math.floor(math.log10(abs(value)))))


# ------------------------------------------------------------------------------------------------ the images


def _side_by_side(verdict: Verdict, samples: Images, real: RealImages) -> str:
    unseen, made = real.unseen.images, samples[: verdict.samples]
    side = min(SHEET_SIDE, math.isqrt(min(len(unseen), len(made))))
    sheets = [
        figure(sheet(images[some_places(len(images), side * side)], side), f"{side} by {side} {what}", f"<b>{what}</b>")
        for images, what in ((unseen, "real images, unseen in training"), (made, "samples of the generator"))
    ]
    return (
        "<section><h2>Real images and samples</h2><p>Chosen by chance, so nobody has picked the good ones.</p>"
        f'<div class="pair">{"".join(sheets)}</div></section>'
    )


# ------------------------------------------------------------------------------------------------ the classes


def _classes(verdict: Verdict, names: Sequence[str]) -> str:
    balance = verdict.balance
    if balance is None:
        return ""
    by_chance = "might be chance" if balance.variation <= balance.variation_band else "is more than chance"
    return (
        "<section><h2>Classes</h2>"
        f"<p>What the judge takes the samples for. For the balance of the data, {balance.variation:.1%} of them would "
        f"have to be of another class. Drawing {sum(balance.histogram):,} from a perfect balance leaves up to "
        f"{balance.variation_band:.1%} (in 95% of cases), so this {by_chance}.</p>"
        '<p class="key">The bar is the share of the samples, the upright line that of the data; the shaded stretch is '
        "where samples in perfect balance end in 95% of cases.</p>"
        f"{table(('Class', 'Share', 'Samples', 'Data', 'Beyond chance'), _class_rows(balance, names), 'classes')}"
        "</section>"
    )


def _class_rows(balance: Balance, names: Sequence[str]) -> str:
    total = sum(balance.histogram)
    shares = [count / total for count in balance.histogram]
    most = max(*shares, *(high for _, high in balance.class_bands))
    rows = zip(names, balance.histogram, shares, balance.frequencies, balance.class_bands, strict=True)
    return "".join(
        f'<tr><th scope="row">{escape(name)}</th><td class="long">{bar(share, most, due, band)}</td>'
        f'<td class="number"><b>{share:.1%}</b> <small>({count:,})</small></td><td class="number">{due:.1%}</td>'
        f"<td>{_against(share, band)}</td></tr>"
        for name, count, share, due, band in rows
    )


def _against(share: float, band: tuple[float, float]) -> str:
    if share < band[0]:
        return "▼ too few"
    return "▲ too many" if share > band[1] else ""


def _asked(asked: Asked | None) -> str:
    if asked is None:
        return ""
    places, notice = shown_classes(asked)
    rows = "".join(
        f'<tr><th scope="row">{escape(asked.names[i])}</th>'
        + "".join(f'<td class="number">{words}</td>' for words in class_words(asked, i))
        + "</tr>"
        for i in places
    )
    return (
        "<section><h2>What was asked for</h2>"
        f"<p>The judge takes {asked.recognised:.1%} of the samples for the class that was asked for; of real training "
        f"images it takes {asked.recognised_real:.1%} for what their label says. Each class's distance is from the "
        f"unseen images of that class, its floor that of as many training images. {notice}</p>"
        f"{table(('Class', 'Recognised', 'Distance', 'Floor', 'Distance / floor'), rows, 'classes')}"
        "</section>"
    )


# ------------------------------------------------------------------------------------------------ the modes


def _modes(verdict: Verdict, names: Sequence[str]) -> str:
    counted = verdict.modes
    if counted is None:
        return ""
    histogram = np.array(counted.histogram)
    drawn, top = int(histogram.sum()), int(histogram.argmax())
    absent = [escape(names[i]) for i in np.flatnonzero(histogram == 0).tolist()]
    more = f" and {len(absent) - MISSING:,} more" if len(absent) > MISSING else ""
    missing = f"Missing: {', '.join(absent[:MISSING])}{more}." if absent else "None is missing."
    squares = figure(
        sheet(_squares(histogram), 5),
        f"{len(histogram):,} small squares, one a mode",
        "<b>How many samples each mode has</b>: black few, white twice an even share or more, red none. A field for "
        "each first digit; in it a row for each second one, a column for each third.",
    )
    return (
        "<section><h2>Modes</h2>"
        f"<p>{counted.captured:,} of {len(histogram):,} modes are captured. {missing} The most frequent is "
        f"{escape(names[top])}: {histogram[top] / drawn:.1%} of the samples, where an even share is "
        f"{1 / len(histogram):.1%}.</p><p>Counted: {escape(protocol_words(counted))}. "
        f"{escape(verdict.extractor['caveat'])}</p>"
        f'<div class="pair">{squares}</div></section>'
    )


def _squares(histogram: NDArray[np.integer[Any]]) -> Images:
    """Counts of the 1,000 triples of digits as ten pictures (10, 10 S, 10 S, 3), each mode a square of side S."""
    even = histogram.sum() / len(histogram)
    light = np.clip(histogram / (2 * even), 0, 1)[:, np.newaxis] * [255, 255, 255]
    colours = np.where(histogram[:, np.newaxis] > 0, light, [200, 40, 40]).astype(np.uint8)
    return colours.reshape(10, 10, 10, 3).repeat(SQUARE, axis=1).repeat(SQUARE, axis=2)


# ------------------------------------------------------------------------------------------------ copies


def _closest(copied: Memorisation, samples: Images, training: ManyImages) -> str:
    figures = "".join(
        figure(
            sheet(np.stack([samples[pair.sample], training[pair.training]]), 2, LARGEST_PAIR),
            f"sample {pair.sample} beside training image {pair.training}",
            f"<b>{pair.distance:.1f}</b> apart{', suspiciously close' if pair.suspicious else ''}",
        )
        for pair in copied.closest
    )
    alarm = "<strong>This is an alarm</strong>" if copied.alarm else "This is no alarm"
    suspicious = sum(pair.suspicious for pair in copied.closest)
    return (
        "<section><h2>Closest training images</h2>"
        f"<p>Half of the samples are within {copied.distance:.1f} gray levels (of 255) of a training image; half of "
        f"the unseen real images are within {copied.distance_unseen:.1f}. {copied.copies:.1%} of the samples are much "
        f"closer to one training image than to any other; of the unseen real images {copied.copies_unseen:.1%} are. "
        f"{alarm}.</p>"
        "<p>The closest pairs: each sample on the left, its nearest training image on the right, and their distance in "
        f"gray levels. {_closest_words(suspicious)}</p>"
        f'<div class="pairs">{figures}</div></section>'
    )


def _closest_words(suspicious: int) -> str:
    """How many of the closest pairs are suspicious, in words."""
    if not suspicious:
        return "None is suspiciously close: unseen real images come as close."
    are = "is" if suspicious == 1 else "are"
    return f"{suspicious} of them {are} suspiciously close: hardly any unseen real image comes as close."


# ------------------------------------------------------------------------------------------------ the discriminator


def _discriminator(told: Discrimination | None) -> str:
    if told is None:
        return ""
    rows = "".join(
        f'<tr><th scope="row">{what}</th><td class="number">{mean:.1%}</td><td>{right}</td></tr>'
        for what, mean, right in (
            ("training images", told.d_training, "–"),
            ("unseen real images", told.d_unseen, f"{told.right_unseen:.1%} taken for real"),
            ("samples", told.d_fake, f"{told.right_fake:.1%} taken for fakes"),
        )
    )
    alarm = "<strong>This is an alarm</strong>" if told.alarm else "This is no alarm"
    return (
        "<section><h2>The discriminator</h2>"
        f"<p>Of a training image and an unseen one it finds the training image more real in {told.memorising:.1%} ± "
        f"{100 * Z_95 * told.error:.1f} of the cases; 50% is chance, 100% would be knowing them by heart. {alarm}.</p>"
        f"{table(('Shown to it', 'How real it finds them', 'Right'), rows, 'discriminator')}</section>"
    )


# ------------------------------------------------------------------------------------------------ the way back here


def _provenance(verdict: Verdict, run: Run | None) -> str:
    environment, settings = _environment(run), _settings(run)
    commands = [("Measure the same again", str(verdict.subject["command"]))]
    if trained := environment.get("command"):
        commands.append(("It was trained with", _trained_with(trained)))
    blocks = "".join(
        f'<h3>{title}</h3><pre tabindex="0"><code>{escape(command)}</code></pre>' for title, command in commands
    )
    recipe = f"<h3>The recipe</h3>{facts(settings, 'settings')}" if settings else ""
    return (
        f"<section><h2>How to repeat this</h2>{blocks}<h3>What it was made with</h3>"
        f"{facts([*_instrument(verdict), *_machine(environment)], 'made-with')}{recipe}</section>"
    )


def _instrument(verdict: Verdict) -> list[tuple[str, str]]:
    extractor, data = verdict.extractor, verdict.data
    return [
        ("Measured by", extractor["name"]),
        ("its SHA-256", extractor["sha256"]),
        ("about it", extractor["caveat"]),
        ("Judged against", f"{data['name']}, {data['training']:,} training and {data['unseen']:,} unseen images"),
        ("their checksum", data["checksum"]),
    ]


def _machine(environment: dict[str, Any]) -> list[tuple[str, str]]:
    """What the run was trained with and on."""
    if not environment:
        return []
    versions, device, data = environment["versions"], environment["device"], environment["data"]
    found = [
        ("Trained on", f"{data.get('name')}, from {data.get('source')}"),
        ("its checksum", str(data.get("checksum"))),
        ("Versions", ", ".join(f"{name} {version}" for name, version in versions.items())),
        ("Device", f"{device.get('count')} x {device.get('kind')}, {environment['threads']} threads"),
    ]
    flags = [("XLA flags", str(environment["xla_flags"]))] if environment["xla_flags"] else []
    return [*found, ("Platform", str(environment.get("platform"))), *flags]


def _environment(run: Run | None) -> dict[str, Any]:
    try:
        return {} if run is None else run.environment()
    except SparringError:
        return {}


def _settings(run: Run | None) -> list[tuple[str, str]]:
    try:
        return [] if run is None else [(name, _value(value)) for name, value in settings_of(run.recipe()).items()]
    except SparringError:
        return []


def _value(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _trained_with(command: Sequence[str]) -> str:
    """The words of a command as they are typed."""
    program = Path(command[0])
    ours = program.stem == "sparring" or program.parts[-2:] == ("sparring", "cli.py")
    return shell_joined(["sparring" if ours else command[0], *command[1:]])

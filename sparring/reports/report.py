"""The report: the measures of a run, or of samples made elsewhere, as one self-contained HTML page.

From top to bottom: the headline, all measures, images, classes, the spectrum, the closest training images, the
training, the discriminator, and how to repeat it. All text is escaped: names of classes, paths and recipes are
untrusted.
"""

from __future__ import annotations

import math
from pathlib import Path

from sparring.evaluation.features import Z_95
from sparring.evaluation.protocol import RealImages
from sparring.evaluation.verdict import MEASURES, Measure, MetricInfo, Verdict
from sparring.files import atomic, marks
from sparring.files.atomic import MayReplace
from sparring.images import Images, some_places
from sparring.reports.classes import classes, modes, recognised
from sparring.reports.history import history
from sparring.reports.html import facts, figure, sheet, table, whole
from sparring.reports.overfitting import closest, discriminator
from sparring.reports.provenance import provenance
from sparring.reports.spectrum import spectrum
from sparring.runs.run import Run
from sparring.terminal.output import html_escaped as escape

SHEET_SIDE = 8
"""Rows and columns of the two sheets of images."""


def write_report(
    path: Path,
    verdict: Verdict,
    samples: Images,
    real: RealImages,
    run: Run | None,
    may_replace: MayReplace | None = None,
) -> None:
    """Write the report. `samples` are those of the verdict. `run` is None for samples made elsewhere."""
    content = page(verdict, samples, real, run).encode(errors="replace")
    atomic.write_bytes(path, marks.signed(content), may_replace)


def page(verdict: Verdict, samples: Images, real: RealImages, run: Run | None) -> str:
    """Return the report as HTML. Missing parts of a run are left out."""
    sections = [
        _header(verdict),
        _measures(verdict),
        _images(verdict, samples, real),
        classes(verdict, real.training.class_names),
        recognised(verdict.asked),
        spectrum(verdict.spectrum),
        modes(verdict, real.training.class_names),
        closest(verdict.memorisation, samples, real.trained_on.training.images),
        history(run) if run is not None else "",
        discriminator(verdict.discriminator),
        provenance(verdict, run),
    ]
    return whole(_title(verdict), sections)


def _title(verdict: Verdict) -> str:
    subject = verdict.subject
    if subject["kind"] == "samples":
        return f"samples of {Path(subject['path']).name or subject['path']}"
    return f"{subject['recipe']}, step {subject['step']:,}, seed {subject['seed']}"


def _header(verdict: Verdict) -> str:
    ratio = verdict.measures["frechet_ratio"]
    value, error, _ = _figures(ratio, MEASURES["frechet_ratio"])
    alarms = "".join(f"<li>{escape(alarm)}</li>" for alarm in verdict.alarms)
    alarmed = (
        f'<section class="alarms"><h2><span aria-hidden="true">▲</span> {_count(len(verdict.alarms), "alarm")}</h2>'
        f"<ul>{alarms}</ul></section>"
        if alarms
        else '<p class="calm"><span aria-hidden="true">✓</span> No alarm in these measures.</p>'
    )
    notices = "".join(f'<p class="notice">Note: {escape(notice)}.</p>' for notice in verdict.notices)
    return (
        f"<header><h1>{escape(_title(verdict))}</h1>"
        f'<p class="headline"><strong>{value}</strong><span class="error">{error}</span> <span>times the distance '
        "of training images from unseen real images; 1 would be perfect</span></p>"
        f"{facts(_about(verdict), 'about')}{alarmed}{notices}</header>"
    )


def _about(verdict: Verdict) -> list[tuple[str, str]]:
    """Return what was measured and against what."""
    subject, data = verdict.subject, verdict.data
    unseen = "test images" if data["split"] == "test" else "validation images"
    origin = "made elsewhere" if verdict.seed is None else f"generated with seed {verdict.seed}"
    found = [
        ("Samples", f"{verdict.samples:,}, {origin}"),
        ("Against", f"{data['unseen']:,} {unseen} of {data['name']}"),
        ("Classifier", verdict.extractor["name"]),
    ]
    if subject["kind"] == "run":
        which = "the best checkpoint of the training" if subject["best"] else "the last checkpoint"
        seconds = "" if subject["seconds"] is None else f", after {subject['seconds']:,.0f} s of training"
        found.append(("Checkpoint", f"{which}{seconds}"))
    return [*found, ("Path", str(subject["path"]))]


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _measures(verdict: Verdict) -> str:
    rows = "".join(_measure(MEASURES[name], verdict.measures[name]) for name in MEASURES if name in verdict.measures)
    return (
        "<section><h2>Measures</h2>"
        "<p>The column of real images shows the value of as many real training images, which a perfect generator would "
        "reach. ± is the 95% interval of the sampling error. A training with another seed may differ by more.</p>"
        f"{table(('Measure', 'Samples', 'Real images', 'Better', 'Meaning'), rows, 'measures')}</section>"
    )


def _measure(about: MetricInfo, measure: Measure) -> str:
    value, error, floor = _figures(measure, about)
    better = {"lower": "↓ lower", "higher": "↑ higher"}.get(about.better, "like real")
    return (
        f'<tr><th scope="row">{escape(about.title)}</th><td class="number"><b>{value}</b>'
        f'<span class="error">{error}</span></td><td class="number">{floor}</td>'
        f"<td>{better}</td><td>{escape(about.meaning)}</td></tr>"
    )


def _figures(measure: Measure, about: MetricInfo) -> tuple[str, str, str]:
    """Return the value, " ± " with the error if it is known, and the floor, all rounded to the error's digits."""
    scale, unit = (100.0, "%") if about.share else (1.0, "")
    error = Z_95 * scale * (measure.error or 0.0)
    known = math.isfinite(error) and error > 0
    if known:
        places = _places(error, 2 if f"{error:e}"[0] in "12" else 1)
    else:
        places = 0 if about.count else _places(measure.value * scale, 3)
    floor = "–" if measure.real is None else f"{measure.real * scale:z,.{places}f}{unit}"
    return f"{measure.value * scale:z,.{places}f}{unit}", f" ± {error:,.{places}f}" if known else "", floor


def _places(value: float, digits: int) -> int:
    """Return how many decimals show `digits` significant digits of a value; at most six."""
    if not math.isfinite(value) or value == 0:
        return 1
    return min(6, max(0, digits - 1 - math.floor(math.log10(abs(value)))))


def _images(verdict: Verdict, samples: Images, real: RealImages) -> str:
    unseen, made = real.unseen.images, samples[: verdict.samples]
    side = min(SHEET_SIDE, math.isqrt(min(len(unseen), len(made))))
    sheets = [
        figure(sheet(images[some_places(len(images), side * side)], side), f"{side} by {side} {what}", f"<b>{what}</b>")
        for images, what in ((unseen, "real images, unseen in training"), (made, "samples of the generator"))
    ]
    return (
        "<section><h2>Real images and samples</h2><p>Chosen at random.</p>"
        f'<div class="pair">{"".join(sheets)}</div></section>'
    )

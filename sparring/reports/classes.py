"""The sections of a report on classes: the balance, the match with the labels, and the modes of stacked MNIST."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparring.evaluation.comparison import class_words, shown_classes
from sparring.evaluation.metrics.asked import Asked
from sparring.evaluation.metrics.balance import Balance
from sparring.evaluation.metrics.modes import protocol_words
from sparring.evaluation.verdict import Verdict
from sparring.images import Images
from sparring.reports.charts import bar
from sparring.reports.html import figure, sheet, table
from sparring.terminal.output import html_escaped as escape

MAX_NAMED = 20
"""Missing modes that are named."""
SQUARE_SIDE = 6
"""Pixels on a side of a mode's square."""


def classes(verdict: Verdict, names: Sequence[str]) -> str:
    """Return the section on the class balance, or "" without classes."""
    balance = verdict.balance
    if balance is None:
        return ""
    chance = "is within chance" if balance.variation <= balance.variation_band else "is more than chance"
    return (
        "<section><h2>Classes</h2>"
        f"<p>The classes that the classifier assigns to the samples. {balance.variation:.1%} of the samples would have "
        f"to be of another class to match the balance of the data. {sum(balance.histogram):,} samples of a perfectly "
        f"balanced generator reach up to {balance.variation_band:.1%} (in 95% of cases), so this {chance}.</p>"
        '<p class="key">The bar is the share of the samples, and the vertical line that of the data. The shaded band '
        "covers 95% of perfectly balanced generators.</p>"
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
        f"<td>{_beyond_chance(share, band)}</td></tr>"
        for name, count, share, due, band in rows
    )


def _beyond_chance(share: float, band: tuple[float, float]) -> str:
    if share < band[0]:
        return "▼ too few"
    return "▲ too many" if share > band[1] else ""


def recognised(asked: Asked | None) -> str:
    """Return the section on how well samples match their labels, or "" for an unconditional generator."""
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
        "<section><h2>Recognised classes</h2>"
        f"<p>The classifier assigns {asked.recognised:.1%} of the samples to the class of their label, and "
        f"{asked.recognised_real:.1%} of real training images. The distance of a class is to the unseen images of that "
        f"class. Its floor is the distance of as many training images. {notice}</p>"
        f"{table(('Class', 'Recognised', 'Distance', 'Floor', 'Distance / floor'), rows, 'classes')}"
        "</section>"
    )


def modes(verdict: Verdict, names: Sequence[str]) -> str:
    """Return the section on the modes, or "" if they were not counted."""
    counted = verdict.modes
    if counted is None:
        return ""
    histogram = np.array(counted.histogram)
    total, top = int(histogram.sum()), int(histogram.argmax())
    absent = [escape(names[i]) for i in np.flatnonzero(histogram == 0).tolist()]
    more = f" and {len(absent) - MAX_NAMED:,} more" if len(absent) > MAX_NAMED else ""
    missing = f"Missing: {', '.join(absent[:MAX_NAMED])}{more}." if absent else "None is missing."
    squares = figure(
        sheet(_squares(histogram), 5),
        f"{len(histogram):,} small squares, one for each mode",
        "<b>Samples of each mode</b>: black few, white at least twice an even share, red none. Each block is a first "
        "digit, each row in it a second one, each column a third one.",
    )
    return (
        "<section><h2>Modes</h2>"
        f"<p>{counted.captured:,} of {len(histogram):,} modes are captured. {missing} The most frequent is "
        f"{escape(names[top])}: {histogram[top] / total:.1%} of the samples, where an even share is "
        f"{1 / len(histogram):.1%}.</p><p>Counted: {escape(protocol_words(counted))}. "
        f"{escape(verdict.extractor['caveat'])}</p>"
        f'<div class="pair">{squares}</div></section>'
    )


def _squares(histogram: NDArray[np.integer[Any]]) -> Images:
    """Draw the counts of 1,000 triples of digits as images (10, 10 S, 10 S, 3): a square of side S for each mode."""
    even = histogram.sum() / len(histogram)
    light = np.clip(histogram / (2 * even), 0, 1)[:, np.newaxis] * [255, 255, 255]
    colours = np.where(histogram[:, np.newaxis] > 0, light, [200, 40, 40]).astype(np.uint8)
    return colours.reshape(10, 10, 10, 3).repeat(SQUARE_SIDE, axis=1).repeat(SQUARE_SIDE, axis=2)

"""The sections of a report on overfitting: samples close to training images, and the discriminator."""

from __future__ import annotations

import numpy as np

from sparring.data.selection import ManyImages
from sparring.evaluation.features import Z_95
from sparring.evaluation.metrics.discriminator import Discrimination
from sparring.evaluation.metrics.memorisation import Memorisation
from sparring.images import Images
from sparring.reports.html import figure, sheet, table

MAX_PAIR_SIDE = 256
"""Pixels on the longer side of a sample and a training image side by side."""


def closest(found: Memorisation, samples: Images, training: ManyImages) -> str:
    """Return the section on the training images that are closest to samples."""
    pairs = "".join(
        figure(
            sheet(np.stack([samples[pair.sample], training[pair.training]]), 2, MAX_PAIR_SIDE),
            f"sample {pair.sample} beside training image {pair.training}",
            f"<b>{pair.distance:.1f}</b> apart{', suspiciously close' if pair.suspicious else ''}",
        )
        for pair in found.closest
    )
    alarm = "<strong>This is an alarm</strong>" if found.alarm else "This is no alarm"
    suspicious = sum(pair.suspicious for pair in found.closest)
    return (
        "<section><h2>Closest training images</h2>"
        f"<p>Half of the samples are within {found.distance:.1f} gray levels (of 255) of a training image, and half of "
        f"the unseen real images within {found.distance_unseen:.1f}. {found.copies:.1%} of the samples are much "
        f"closer to one training image than to any other, and {found.copies_unseen:.1%} of the unseen real images. "
        f"{alarm}.</p>"
        "<p>The closest pairs: a sample on the left, its nearest training image on the right, and their distance in "
        f"gray levels. {_closest_words(suspicious)}</p>"
        f'<div class="pairs">{pairs}</div></section>'
    )


def _closest_words(suspicious: int) -> str:
    """Describe how many of the closest pairs are suspicious."""
    if not suspicious:
        return "None is suspiciously close: unseen real images are as close."
    are = "is" if suspicious == 1 else "are"
    return f"{suspicious} of them {are} suspiciously close: almost no unseen real image is as close."


def discriminator(found: Discrimination | None) -> str:
    """Return the section on the discriminator, or "" if it was not evaluated."""
    if found is None:
        return ""
    rows = "".join(
        f'<tr><th scope="row">{what}</th><td class="number">{mean:.1%}</td><td>{right}</td></tr>'
        for what, mean, right in (
            ("training images", found.d_training, "–"),
            ("unseen real images", found.d_unseen, f"{found.right_unseen:.1%} judged real"),
            ("samples", found.d_fake, f"{found.right_fake:.1%} judged fake"),
        )
    )
    alarm = "<strong>This is an alarm</strong>" if found.alarm else "This is no alarm"
    return (
        "<section><h2>The discriminator</h2>"
        f"<p>It rates a training image above an unseen one in {found.memorising:.1%} ± "
        f"{100 * Z_95 * found.error:.1f} of the cases. 50% is chance; 100% would be complete overfitting. {alarm}.</p>"
        f"{table(('Input', 'Mean output', 'Correct'), rows, 'discriminator')}</section>"
    )

"""The section of a report on the spectrum: the power of the samples relative to that of real images."""

from itertools import pairwise

from sparring.evaluation.metrics.spectrum import CORNER, Spectrum
from sparring.reports.charts import bar
from sparring.reports.html import table

LONGEST = 2.0
"""The bars end at this ratio."""


def spectrum(found: Spectrum | None) -> str:
    """Return the section, or "" for a verdict without a spectrum."""
    if found is None:
        return ""
    edges = [CORNER * i / len(found.radial) for i in range(len(found.radial) + 1)]
    radial = [(f"{a:.2f} to {b:.2f}", ratio) for (a, b), ratio in zip(pairwise(edges), found.radial, strict=True)]
    grids = [(f"grid of {pixels} pixels", ratio) for pixels, ratio in found.grids.items()]
    alarm = (
        f"A grid of {found.period} pixels stands out: <strong>this is an alarm</strong>"
        if found.alarm
        else (f"A grid of {found.period} pixels stands out most, but this is no alarm")
    )
    return (
        "<section><h2>Spectrum</h2>"
        "<p>The power of the samples at each frequency, in cycles per pixel, divided by that of real images. Less than "
        "1 at high frequencies is blur, more is noise. A network that draws in patches or enlarges images can leave a "
        f"pattern that repeats every few pixels; it has its power at the frequencies of that grid. {alarm}.</p>"
        f"{table(('Frequency', 'Samples', 'Times real'), _rows([*radial, *grids]), 'classes')}</section>"
    )


def _rows(ratios: list[tuple[str, float]]) -> str:
    return "".join(
        f'<tr><th scope="row">{name}</th><td class="long">{bar(min(ratio, LONGEST), LONGEST, 1.0, (1.0, 1.0))}</td>'
        f'<td class="number"><b>{ratio:.2f}</b></td></tr>'
        for name, ratio in ratios
    )

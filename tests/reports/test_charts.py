"""Charts: lines and bars are drawn at the right places, and all text is escaped."""

import itertools
import re
from collections.abc import Sequence
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparring.reports import charts
from sparring.reports.charts import (
    BAR_LENGTH,
    BOTTOM,
    HEIGHT,
    LEFT,
    MAX_POINTS,
    RIGHT,
    TOP,
    WIDTH,
    Chart,
    Line,
    Point,
    bar,
    line_chart,
)

LOWEST, HIGHEST = HEIGHT - BOTTOM, TOP
"""Where the first and the last tick of the y axis are."""


def parsed(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(f"<div>{svg}</div>")


def of_class(root: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    return [element for element in root.iter() if name in element.get("class", "").split()]


def places(path: ElementTree.Element) -> list[Point]:
    """The vertices of a path of straight lines."""
    return [(float(x), float(y)) for x, y in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", path.get("d", ""))]


def chart_of(lines: Sequence[Line], end: float, **options: object) -> str:
    """A chart of these lines, with its legend."""
    return line_chart(Chart("a chart", tuple(lines), **options), end)  # type: ignore[arg-type]


def drawing(lines: Sequence[Line], end: float, **options: object) -> ElementTree.Element:
    """The same without the legend."""
    found = parsed(chart_of(lines, end, **options)).find("svg")
    assert found is not None
    return found


def drawn(lines: Sequence[Line], end: float, **options: object) -> list[list[Point]]:
    """The vertices of each line of the chart."""
    return [places(path) for path in of_class(drawing(lines, end, **options), "line")]


def y_ticks(svg: str) -> list[str]:
    return [text.text or "" for text in parsed(svg).iter("text") if text.get("text-anchor") == "end"][:-1]


# ------------------------------------------------------------------------------------------------ lines


def test_a_line_is_drawn_at_its_values() -> None:
    (line,) = drawn([Line("loss", [(0, 0), (50, 1), (100, 2)])], 100)
    middle_x, middle_y = (LEFT + WIDTH - RIGHT) / 2, (LOWEST + HIGHEST) / 2
    assert line == [(LEFT, LOWEST), (middle_x, middle_y), (WIDTH - RIGHT, HIGHEST)]


def test_the_axis_ends_at_the_end_of_the_training() -> None:
    (line,) = drawn([Line("loss", [(0, 1), (50, 1)])], 100)
    assert line[-1][0] == (LEFT + WIDTH - RIGHT) / 2


@settings(deadline=None)
@given(
    values=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=300),
    level=st.floats(-1e6, 1e6),
    high=st.floats(0, 10),
)
def test_every_point_lies_between_the_axes(values: list[float], level: float, high: float) -> None:
    best = min(enumerate(values), key=lambda point: point[1])
    lines, marks = [Line("a", list(enumerate(values)))], {"level": ("floor", level), "best": best, "at_least": high}
    chart = drawing(lines, len(values), **marks)
    for name in ("line", "spread", "dot", "level", "best"):
        for path in of_class(chart, name):
            for x, y in places(path):
                assert LEFT <= x <= WIDTH - RIGHT and HIGHEST <= y <= LOWEST, name


@settings(deadline=None)
@given(values=st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=30))
def test_heights_are_proportional_to_the_values(values: list[float]) -> None:
    (line,) = drawn([Line("a", list(enumerate(values)))], len(values))
    ys = [y for _, y in line]
    spread, height = max(values) - min(values), max(ys) - min(ys)
    for (a, ya), (b, yb) in itertools.pairwise(zip(values, ys, strict=True)):
        assert (ya - yb) * spread == pytest.approx((b - a) * height, abs=0.4 * spread), "a tenth of a pixel each"


@settings(deadline=None)
@given(low=st.floats(-1e6, 0), high=st.floats(0, 1e6), about=st.integers(2, 8))
def test_ticks_are_round_and_enclose_all_values(low: float, high: float, about: int) -> None:
    ticks = charts._ticks(low, high, about)
    little = 1e-6 * (high - low) + 1e-12
    assert ticks[0] <= low + little and ticks[-1] >= high - little
    assert 2 <= len(ticks) <= about + 3
    widths = {float(f"{b - a:.6g}") for a, b in itertools.pairwise(ticks)}
    assert len(widths) == 1 and f"{widths.pop():e}"[0] in "125"


@pytest.mark.parametrize(
    ("values", "options", "expected"),
    [
        ([86.1, 50.7], {}, ["0", "50", "100"]),
        ([0.2, 0.9], {"percent": True, "at_least": 1.0}, ["0%", "50%", "100%"]),
        ([0.0, 0.0], {"percent": True, "at_least": 0.05}, ["0%", "2%", "4%", "6%"]),
        ([0.0, 0.0], {}, ["0", "0.5", "1"]),
        ([-1.0, 3.0], {}, ["-1", "0", "1", "2", "3"]),
        ([4000.0, 1.0], {}, ["0", "1,000", "2,000", "3,000", "4,000"]),
        ([1.0, 2.0], {"level": ("floor", 7.0)}, ["0", "2", "4", "6", "8"]),
    ],
)
def test_the_y_axis(values: list[float], options: dict[str, object], expected: list[str]) -> None:
    chart = chart_of([Line("a", list(enumerate(values)))], 1, **options)
    assert y_ticks(chart) == expected


@pytest.mark.parametrize(("end", "expected"), [(900, ["0", "200", "400", "600", "800"]), (200_000, ["0", "50k"])])
def test_the_x_axis(end: int, expected: list[str]) -> None:
    chart = parsed(chart_of([Line("a", [(0, 1), (end, 1)])], end))
    found = [text.text for text in chart.iter("text") if text.get("text-anchor") == "middle"]
    assert found[: len(expected)] == expected


def test_few_points_have_dots_with_their_numbers() -> None:
    chart = drawing([Line("share", [(10, 0.25)])], 20, percent=True, at_least=1.0)
    (dot,) = of_class(chart, "dot")
    assert places(dot) == [((LEFT + WIDTH - RIGHT) / 2, LOWEST - (LOWEST - HIGHEST) / 4)]
    assert dot.findtext("title") == "step 10, share: 25%"


def test_many_points_are_drawn_as_means_with_their_spread() -> None:
    count = 10 * MAX_POINTS
    points = [(float(i), float(i % 2)) for i in range(count)]
    chart = drawing([Line("noise", points)], count, at_least=1.0)
    (line,), (spread,) = of_class(chart, "line"), of_class(chart, "spread")
    assert len(places(line)) == MAX_POINTS
    assert {y for _, y in places(line)} == {(LOWEST + HIGHEST) / 2}, "the mean of 0 and 1"
    assert {y for _, y in places(spread)} == {LOWEST, HIGHEST}
    assert of_class(chart, "dot") == []


def test_the_y_axis_covers_the_means_and_the_spread_is_clipped() -> None:
    points = [(float(i), 50.0 if i == 7 else 1.0) for i in range(10 * MAX_POINTS)]
    chart = chart_of([Line("loss", points)], len(points))
    assert y_ticks(chart)[-1] == "6", "the highest mean of ten is 5.9"
    assert min(y for path in of_class(parsed(chart), "spread") for _, y in places(path)) == HIGHEST


def test_the_y_axis_covers_the_best_point_of_a_long_line() -> None:
    points = [(float(i), -50.0 if i == 7 else 1.0) for i in range(10 * MAX_POINTS)]
    (best,) = of_class(drawing([Line("loss", points)], len(points), best=(7.0, -50.0)), "best")
    assert HIGHEST <= places(best)[0][1] <= LOWEST


def test_a_smooth_line_has_no_spread() -> None:
    chart = drawing([Line("a", [(i, 0.5) for i in range(100)])], 100)
    assert of_class(chart, "spread") == []


def test_lines_differ_in_more_than_colour() -> None:
    chart = parsed(chart_of([Line(name, [(0, i), (1, i)]) for i, name in enumerate("abc")], 1))
    shapes = {re.sub(r"^M[\d. ]+", "", dot.get("d", "")) for dot in of_class(chart, "dot")}
    assert len(shapes) == 3
    dashes = re.findall(r"\.line\.c\d \{[^}]*\}", charts.STYLE)
    assert len(dashes) == 3 and sum("stroke-dasharray" in rule for rule in dashes) == 2


def test_best_alarms_and_level_are_marked_and_named() -> None:
    svg = chart_of(
        [Line("samples", [(0, 8.0), (50, 4.0), (100, 6.0)])],
        100,
        level=("real images", 2.0),
        best=(50, 4.0),
        alarms=((100, "collapse: <all> alike"),),
    )
    chart = parsed(svg).find("svg")
    assert chart is not None
    (best,), (level,), (alarm,) = (of_class(chart, name) for name in ("best", "level", "alarm-line"))
    assert places(best) == [((LEFT + WIDTH - RIGHT) / 2, (LOWEST + HIGHEST) / 2)]
    assert places(level) == [(LEFT, LOWEST - (LOWEST - HIGHEST) / 4)]
    assert places(alarm)[0][0] == WIDTH - RIGHT
    assert "step 100: collapse: <all> alike" in [title.text for title in chart.iter("title")]
    legend = ["".join(item.itertext()) for item in parsed(svg).iter("li")]
    assert legend == ["samples 6", "real images 2", "best, at step 50", "alarm "]


def test_without_marks_there_are_none() -> None:
    chart = drawing([Line("a", [(0, 1), (1, 1)])], 1)
    assert not any(of_class(chart, name) for name in ("best", "level", "alarm-sign"))


def test_the_chart_has_a_text_alternative() -> None:
    described = Chart('"losses" & <more>', (Line("of <D>", [(0, 0.6931), (9, 0.5)]),))
    chart = parsed(line_chart(described, 9)).find("svg")
    assert chart is not None
    assert chart.get("role") == "img"
    assert chart.get("aria-label") == '"losses" & <more> by training step: of <D> from 0.693 to 0.5'


# ------------------------------------------------------------------------------------------------ bars


def test_a_bar_is_as_long_as_its_number() -> None:
    drawn_bar = parsed(bar(0.3, 0.6, due=0.1, band=(0.06, 0.15)))
    (share,), (band,), (due,) = (of_class(drawn_bar, name) for name in ("share", "due-band", "due"))
    assert float(share.get("width", "")) == BAR_LENGTH / 2
    assert float(due.get("d", "")[1:].split()[0]) == pytest.approx(BAR_LENGTH / 6, abs=0.01)
    assert float(band.get("x", "")) == BAR_LENGTH / 10
    assert float(band.get("width", "")) == pytest.approx(0.15 * BAR_LENGTH)


def test_the_longest_bar_fills_the_width() -> None:
    (share,) = of_class(parsed(bar(0.6, 0.6, due=0.1, band=(0.06, 0.15))), "share")
    assert float(share.get("width", "")) == BAR_LENGTH

"""Points on a plane, with the front that no other point passes: for what is to be weighed up."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from bench.report.charts_theme import (
    INK,
    MUTED,
    SERIES,
    Axis,
    axis,
    colours,
    finished,
    legend,
    shapes,
    words_legend,
)

HEIGHT, LEGEND_ROW = 280, 20  # pixels
AREAS, AREA = (40, 400), 80  # square pixels
MOST_NUMBERED = 10  # points of a front
ROOM = 1.4  # beside the outermost points, as a factor


@dataclass(frozen=True)
class Point:
    """`series` is its colour, `word` its shape, `area` its size.

    `words` are the whole point in a sentence, `source` the record it is of. `counts`: sure enough
    to be part of the front. `label` stands beside it.
    """

    x: float
    y: float
    series: str
    word: str
    words: str
    source: str
    area: float | None = None
    counts: bool = True
    label: str = ""


def front(points: Iterable[Point], *, most: bool) -> list[Point]:
    """Return the points that count and that no other passes: none has less of x, and of y at least
    as much (`most`) or as little. In the order of x.
    """
    sign = -1 if most else 1
    found: list[Point] = []
    for point in sorted((p for p in points if p.counts), key=lambda p: (p.x, sign * p.y)):
        if not found or sign * point.y < sign * found[-1].y:
            found.append(point)
    return found


def scatter(
    points: Sequence[Point],
    x: Axis,
    y: Axis,
    every: Sequence[str],
    best: Sequence[Point] = (),
    *,
    joined: bool = False,
) -> alt.LayerChart:
    """Return the chart.

    Args:
        points: what is drawn.
        x: the axis of what less of is better.
        y: the other.
        every: all series of a report, so that each has its colour in all charts.
        best: the front, drawn as steps.
        joined: a line goes through the points of each series, as they follow each other.
    """
    present = {point.series for point in points}
    series = [name for name in every if name in present]
    words = {point.word for point in points}
    sides = (
        alt.X("x:Q", **axis(x, [p.x for p in points], ROOM)),
        alt.Y("y:Q", **axis(y, [p.y for p in points], 1.3)),
    )
    smallest_last = sorted(points, key=lambda point: -(point.area or 0.0))
    dots = _chart(smallest_last).mark_point(
        filled=True, opacity=0.8, stroke=INK[0], strokeWidth=0.6
    )
    layers = [
        *_steps(best, sides),
        *(_joined(points, every, series, sides) if joined else ()),
        dots.encode(
            *sides,
            _colour(every, series),
            alt.Shape("word:N", scale=shapes(words), legend=words_legend()),
            _area(points),
            description="words:N",
        ),
        *_numbers(best, sides),
        *_labels(points, sides),
    ]
    rows = 1 if is_crowded(points) else len(series) + 1
    return finished(layers, HEIGHT + LEGEND_ROW * rows)


def is_crowded(points: Iterable[Point]) -> bool:
    """Tell whether there are more series than colours to tell them apart."""
    return len({point.series for point in points}) > len(SERIES)


def _colour(every: Sequence[str], series: Sequence[str]) -> alt.Color | alt.ColorValue:
    if len(series) > len(SERIES):
        return alt.ColorValue(SERIES[0][0])
    names = every if len(every) <= len(SERIES) else series
    return alt.Color("series:N", scale=colours(names), legend=legend(series))


def _area(points: Sequence[Point]) -> alt.Size | alt.SizeValue:
    known = [point.area for point in points if point.area is not None]
    if not known:
        return alt.SizeValue(AREA)
    scale = alt.Scale(domain=[0, max(known)], range=list(AREAS))
    return alt.Size("area:Q", scale=scale, legend=None)


def _steps(best: Sequence[Point], sides: tuple[alt.X, alt.Y]) -> list[alt.Chart]:
    if len(best) < 2:
        return []
    line = _chart(best).mark_line(
        interpolate="step-after", color=MUTED[0], strokeDash=[4, 3], strokeWidth=1.2
    )
    return [line.encode(*sides)]


def _joined(
    points: Sequence[Point],
    every: Sequence[str],
    series: Sequence[str],
    sides: tuple[alt.X, alt.Y],
) -> list[alt.Chart]:
    data = [{**vars(point), "place": place} for place, point in enumerate(points)]
    line = alt.Chart(alt.InlineData(data)).mark_line(strokeWidth=1.4)
    return [line.encode(*sides, _colour(every, series), alt.Order("place:Q"), detail="series:N")]


def _labels(points: Sequence[Point], sides: tuple[alt.X, alt.Y]) -> list[alt.Chart]:
    named = [point for point in points if point.label]
    text = _chart(named).mark_text(align="left", baseline="top", dx=6, dy=4, color=INK[0])
    return [text.encode(*sides, text="label:N")] if named else []


def _numbers(best: Sequence[Point], sides: tuple[alt.X, alt.Y]) -> list[alt.Chart]:
    """Number the front: above and left of it no point is in the way."""
    data = [
        {**vars(point), "number": str(number)}
        for number, point in enumerate(best[:MOST_NUMBERED], 1)
    ]
    text = alt.Chart(alt.InlineData(data)).mark_text(
        align="right", baseline="bottom", dx=-5, dy=-6, fontWeight="bold", color=INK[0]
    )
    return [text.encode(*sides, text="number:N")] if data else []


def _chart(points: Iterable[Point]) -> alt.Chart:
    data: list[dict[str, Any]] = [vars(point) for point in points]
    return alt.Chart(alt.InlineData(data))

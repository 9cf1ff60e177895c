"""Dots of many artifacts, a line for each network: a row for each would be too long to read."""

from collections.abc import Iterable, Sequence
from typing import Any

import altair as alt

from bench.report.charts_strip import Row
from bench.report.charts_theme import (
    GRID,
    INK,
    MUTED,
    SERIES,
    WIDTH,
    Axis,
    axis,
    finished,
    shapes,
    words_legend,
)

# Pixels: what a network takes, where its name and its dots lie in that, and what is below all.
ROW, TITLE, LINE, BELOW = 36, 10, 24, 66
LEFT, RIGHT = 6, WIDTH - 8
NAME = 0.52 * WIDTH  # what a name takes, left of the least figure
# From more rows than that on, a picture is drawn so.
CROWDED = 24

Point = dict[str, Any]


def is_crowd(rows: Sequence[Row]) -> bool:
    """Tell whether rows are too many, and several of a network."""
    return len(rows) > CROWDED and len({row.heading for row in rows}) < len(rows)


def crowd(rows: Sequence[Row], side: Axis, reach: Iterable[float]) -> alt.LayerChart:
    """Return the chart: under a network's name a dot for each of its rows, and in words the first.

    Args:
        rows: those of a network one after another, the least figure first; one at least has one.
        side: the axis.
        reach: values that it has to show.
    """
    places = {name: ROW * number for number, name in enumerate(dict.fromkeys(map(_name, rows)))}
    placed = [_placed(row, places[row.heading]) for row in rows]
    firsts = [next(p for p in placed if p["heading"] == name) for name in places]
    dots = [point for point in placed if point["value"] is not None]
    height = ROW * len(places)
    scale = alt.Scale(domain=[0, height], reverse=True, nice=False)
    title, line = (alt.Y(f"{at}:Q", axis=None, scale=scale) for at in ("title", "line"))
    encoding = axis(side, reach, labels=5)
    encoding["scale"].range = [LEFT, RIGHT]
    marks = _chart(dots).mark_point(filled=True, size=60, opacity=0.75, color=SERIES[0][0])
    words = {point["word"] for point in dots}
    layers = [
        _text(firsts, "heading", 0, NAME, align="left").encode(title),
        _text(firsts, "first", WIDTH - 6, 0.38 * WIDTH, align="right", color=MUTED[0]).encode(
            title
        ),
        _chart(firsts)
        .mark_rule(color=GRID[0])
        .encode(line, x=alt.value(LEFT), x2=alt.value(RIGHT)),
        marks.encode(
            alt.X("value:Q", **encoding),
            line,
            shape=alt.Shape("word:N", scale=shapes(words), legend=words_legend()),
            description="words:N",
        ),
    ]
    return finished(layers, height + BELOW)


def _name(row: Row) -> str:
    return row.heading


def _placed(row: Row, top: int) -> Point:
    known = (row.shown, row.label, row.doubt) if row.value is not None else (row.shown,)
    first = " ".join(known).rstrip()
    return {**vars(row), "title": top + TITLE, "line": top + LINE, "first": first}


def _chart(points: Sequence[Point]) -> alt.Chart:
    return alt.Chart(alt.InlineData(list(points)))


def _text(points: Sequence[Point], field: str, x: float, limit: float, **style: Any) -> alt.Chart:
    text = _chart(points).mark_text(
        **{"baseline": "middle", "color": INK[0], "limit": limit, **style}
    )
    made: alt.Chart = text.encode(x=alt.value(x), text=f"{field}:N")
    return made

"""Dots in rows below headings, with the figure beside each: for sizes, times and memory."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from bench.report.charts_theme import GRID, INK, SERIES, WIDTH, Axis, axis, finished, shapes

# Pixels: where labels begin and figures end, how wide a character is and a column at most, a gap.
LABELS, RIGHT = 10, WIDTH - 6
CHARACTER, WIDEST, GAP = 6.2, 124, 10
HEADING = 0.85 * WIDTH  # some readers' letters are wider than ours
ROW, AXIS = 19, 40
# More rows than that nobody reads in a picture.
MOST_ROWS = 48

Point = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """One dot. `value` None: there is none, and `word` says why.

    `label` stands to the left below its `heading`, `shown` to the right, followed by the `doubt`;
    `words` are the whole row in a sentence, `source` the record or artifact it is of; `low` and
    `high` an interval's ends.
    """

    heading: str
    label: str
    value: float | None
    shown: str
    word: str
    words: str
    source: str
    low: float | None = None
    high: float | None = None
    doubt: str = ""


def strip(rows: Sequence[Row], side: Axis, reach: Iterable[float]) -> alt.LayerChart:
    """Return the chart of at most `MOST_ROWS` rows, those with one heading next to each other.

    Args:
        rows: one at least has a value.
        side: the axis.
        reach: values that it has to show, the same in charts that are to be read side by side.
    """
    placed, headings, height = _placed(rows[:MOST_ROWS])
    dots = [point for point in placed if point["value"] is not None]
    y = alt.Y("y:Q", axis=None, scale=alt.Scale(domain=[0, height], reverse=True, nice=False))
    encoding = axis(side, reach, labels=3)
    left = LABELS + _width(placed, "text")
    right = RIGHT - _width(placed, "shown")
    encoding["scale"].range = [left, right]
    x = alt.X("value:Q", **encoding)
    layers = [
        _text(headings, 0, HEADING, fontWeight="bold").encode(y=y),
        _text(placed, LABELS, left - LABELS - GAP).encode(y=y),
        _text(placed, RIGHT, RIGHT - right - GAP, field="shown", align="right").encode(y=y),
        _chart(dots).mark_rule(color=GRID[0]).encode(x=alt.value(left), x2=alt.value(right), y=y),
        *_intervals(dots, x, y),
        _chart(dots)
        .mark_point(filled=True, size=64, opacity=1, color=SERIES[0][0])
        .encode(x, y, _shape(dots), description="words:N"),
    ]
    return finished(layers, height + AXIS)


def _placed(rows: Sequence[Row]) -> tuple[list[Point], list[Point], int]:
    """Return the rows and their headings with their places in pixels, and the height of all."""
    placed: list[Point] = []
    headings: list[Point] = []
    y = -ROW / 2
    for number, row in enumerate(rows):
        if not number or row.heading != rows[number - 1].heading:
            y += ROW * (1.25 if number else 1)
            headings.append({"text": row.heading, "y": y})
        y += ROW
        shown = f"{row.shown} {row.doubt}".rstrip()
        placed.append({**vars(row), "shown": shown, "text": row.label, "y": y})
    return placed, headings, round(y + ROW / 2)


def _width(points: Iterable[Point], field: str) -> float:
    """Return what a column of texts takes: as much as its longest, within limits."""
    longest = max(len(point[field]) for point in points)
    return min(WIDEST, CHARACTER * longest) + GAP


def _intervals(dots: Sequence[Point], x: alt.X, y: alt.Y) -> list[alt.Chart]:
    known = [{**dot, "value": dot["low"]} for dot in dots if dot["low"] is not None]
    bars = _chart(known).mark_rule(color=SERIES[0][0], strokeWidth=5, opacity=0.4)
    return [bars.encode(x, y, x2="high:Q")] if known else []


def _shape(dots: Sequence[Point]) -> alt.Shape:
    return alt.Shape("word:N", scale=shapes(dot["word"] for dot in dots), legend=None)


def _chart(points: Sequence[Point]) -> alt.Chart:
    return alt.Chart(alt.InlineData(list(points)))


def _text(
    points: Sequence[Point], x: float, limit: float, *, field: str = "text", **style: Any
) -> alt.Chart:
    how = {"align": "left", "baseline": "middle", "color": INK[0], "limit": limit, **style}
    text: alt.Chart = _chart(points).mark_text(**how)
    return text.encode(x=alt.value(x), text=f"{field}:N")

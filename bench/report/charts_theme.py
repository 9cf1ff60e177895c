"""What all charts have in common: colours for light and dark, type, shapes for words of doubt.

A chart is drawn once, in light colours; a page in the dark replaces each by its partner.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import floor, log10
from typing import Any, Literal

import altair as alt

WIDTH = 360  # pixels: a phone's; on a wide screen several charts stand side by side
LINE = 52  # characters beside a vertical axis
FONT = "system-ui, 'Segoe UI', Helvetica, Arial, sans-serif"
# Light and dark, each readable as text (WCAG AA) on its theme's surface.
SURFACE = ("#ffffff", "#171b21")
INK = ("#1d2530", "#e8ecf1")
MUTED = ("#56616e", "#a7b2bf")
GRID = ("#dde2e8", "#343c47")
SERIES = (
    ("#1b62a8", "#7db4f0"),
    ("#b3500c", "#f5a366"),
    ("#0b7261", "#52cdb4"),
    ("#9a3480", "#e894d4"),
    ("#75600a", "#dcc257"),
    ("#5a4fb0", "#b1a6f7"),
    ("#a32f3d", "#f7949f"),
    ("#3c6b1e", "#97cf72"),
)
DARK = dict((SURFACE, INK, MUTED, GRID, *SERIES))
# By Vega's names. What is not here is a cross: nothing to rely on.
SHAPES = {
    "valid": "circle",
    "proved": "circle",
    "noisy": "square",
    "drifting": "triangle-up",
    "contended": "triangle-down",
    "throttled": "diamond",
    "verified (emulated)": "square",
    "unproved": "triangle-right",
    "emulated": "triangle-left",
}
OTHER_SHAPE = "cross"
# From this ratio of largest to smallest on, an axis is logarithmic.
DECADES = 20.0

Kind = Literal[
    "time",
    "bytes",
    "count",
    "share",
    "ratio",
    "seconds",
    "time per MAC",
    "plain",
    "rate",
    "energy",
    "link",
    "round trip",
]
# Labels as Vega writes them, from values in seconds, bytes and so on.
LABELS: dict[Kind, str] = {
    "time": "replace(format(datum.value, '~s'), 'µ', 'u') + 's'",
    "bytes": "format(datum.value, '~s') + 'B'",
    "count": "format(datum.value, '~s')",
    "share": "format(datum.value, '.0%')",
    "ratio": "format(datum.value, '~g') + 'x'",
    "seconds": "format(datum.value, '~g') + ' s'",
    "time per MAC": "format(datum.value, '~s') + 's'",
    "plain": "format(datum.value, '~g')",
    "rate": "format(datum.value, '~s') + '/s'",
    "link": "format(datum.value * 1e6, '~s') + 'bit/s'",
    "round trip": "format(datum.value, '~g') + ' ms'",
    "energy": "replace(format(datum.value, '~s'), 'µ', 'u') + 'J'",
}


@dataclass(frozen=True)
class Axis:
    """What stands along a side. Times are in seconds; `zero` begins there if it is linear.

    `linear` None: it is logarithmic where the values reach over more than `DECADES`.
    """

    title: str
    kind: Kind
    zero: bool = True
    linear: bool | None = None


def axis(of: Axis, values: Iterable[float], room: float = 1.15, labels: int = 6) -> dict[str, Any]:
    """Return title, scale and axis of an encoding that shows all `values`, and a little more."""
    positive = [value for value in values if value > 0] or [1.0]
    low, high = min(positive), max(positive)
    linear = high / low < DECADES if of.linear is None else of.linear
    if linear:
        pad = (high - low) * (room - 1) or high * 0.05
        start = 0.0 if of.zero else low - pad
        scale = alt.Scale(domain=[start, high + pad], nice=False, zero=False)
        ticks = alt.Axis(labelExpr=LABELS[of.kind], tickCount=min(4, labels))
        return {"title": of.title, "scale": scale, "axis": ticks}
    ends = low / room, high * room
    scale = alt.Scale(type="log", domain=list(ends), nice=False)
    ticks = alt.Axis(labelExpr=LABELS[of.kind], values=_decades(*ends, labels))
    return {"title": f"{of.title} (logarithmic)", "scale": scale, "axis": ticks}


def _decades(low: float, high: float, most: int) -> list[float]:
    """Return at most so many round values on a logarithmic axis."""
    powers = range(floor(log10(low)), floor(log10(high)) + 1)
    steps = (1, 3) if 2 * len(powers) <= most else (1,)
    found = [step * 10.0**power for power in powers for step in steps]
    inside = [value for value in found if low <= value <= high]
    return inside[:: -(-len(inside) // most)]


def colours(names: Sequence[str]) -> alt.Scale:
    """Return a colour for each name; they come again after the eighth."""
    return alt.Scale(
        domain=list(names), range=[SERIES[n % len(SERIES)][0] for n in range(len(names))]
    )


def shapes(words: Iterable[str]) -> alt.Scale:
    """Return a shape for each word, so that no doubt is told by colour alone."""
    known = sorted(set(words), key=lambda word: (SHAPES.get(word) != "circle", word))
    return alt.Scale(domain=known, range=[SHAPES.get(word, OTHER_SHAPE) for word in known])


def legend(names: Sequence[str]) -> alt.Legend:
    """Return the legend of colours, above the chart."""
    longest = max(map(len, names), default=0)
    columns = max(1, min(3, LINE // (longest + 5)))
    return alt.Legend(
        title=None,
        orient="top",
        columns=columns,
        columnPadding=18,  # some readers' letters are wider than ours
        labelLimit=WIDTH - 105,
        values=list(names),
    )


def words_legend() -> alt.Legend:
    """Return the legend of shapes, below the chart."""
    return alt.Legend(
        title=None, orient="bottom", direction="horizontal", columns=4, symbolFillColor=MUTED[0]
    )


def slug(text: str) -> str:
    """Return what a file's name and an anchor can hold of a text."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def finished(layers: Sequence[alt.Chart], height: int) -> alt.LayerChart:
    """Return the layers as a chart at its size, in our type and colours."""
    ink, muted, grid = INK[0], MUTED[0], GRID[0]
    sized: alt.LayerChart = (
        alt.LayerChart(layer=list(layers)).properties(
            width=WIDTH,
            height=height,
            background="transparent",
            padding={"left": 2, "right": 12, "top": 4, "bottom": 2},
            autosize=alt.AutoSizeParams(type="fit", contains="padding"),
        )
        .configure(font=FONT)
        .configure_view(stroke=None)
        .configure_axis(
            gridColor=grid, domainColor=grid, tickColor=grid, labelColor=muted, titleColor=muted,
            labelFontSize=11, titleFontSize=11, titleFontWeight="normal", titlePadding=6,
        )
        .configure_legend(
            labelColor=ink, labelFontSize=11, symbolStrokeColor=ink, rowPadding=2, offset=6,
            symbolSize=60,
        )
        .configure_title(
            color=ink, fontSize=14, anchor="start", subtitleColor=muted, subtitleFontSize=11,
            subtitleLineHeight=14, offset=10,
        )
        .configure_text(color=ink, fontSize=11)
    )  # fmt: skip
    return sized

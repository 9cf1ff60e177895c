"""Curves over time: what running without rest does to the latency."""

from collections.abc import Sequence
from dataclasses import dataclass

import altair as alt

from bench.report.charts_theme import MUTED, Axis, axis, colours, finished, legend

HEIGHT, LEGEND_ROW = 220, 20  # pixels
POINTS = 120


@dataclass(frozen=True)
class Curve:
    """Times as multiples of the burst's, at `seconds`; `steady` is that of the end, and
    `throttled_s` from when on it stays slower.
    """

    name: str
    words: str
    seconds: tuple[float, ...]
    ratios: tuple[float, ...]
    steady: float
    throttled_s: float | None


def lines(curves: Sequence[Curve]) -> alt.LayerChart:
    """Return a chart with a line for each curve; the word stands where throttling began."""
    data = [point for curve in curves for point in _points(curve)]
    xs, ys = ([float(point[side]) for point in data] for side in "xy")
    names = [curve.name for curve in curves]
    seconds = Axis("seconds without rest", "seconds", linear=True)
    times = Axis("time per inference, burst = 1", "ratio", zero=False, linear=True)
    x = alt.X("x:Q", **axis(seconds, xs, 1.02))
    y = alt.Y("y:Q", **axis(times, ys))
    colour = alt.Color("name:N", scale=colours(names), legend=legend(names))
    drawn = alt.Chart(alt.InlineData(data)).mark_line(strokeWidth=1.6)
    layers = [drawn.encode(x, y, colour, description="words:N"), *_throttling(curves, x)]
    return finished(layers, HEIGHT + LEGEND_ROW * len(names))


def _points(curve: Curve) -> list[dict[str, float | str]]:
    step = -(-len(curve.ratios) // POINTS)
    pairs = list(zip(curve.seconds, curve.ratios, strict=True))[::step]
    return [{"x": x, "y": y, "name": curve.name, "words": curve.words} for x, y in pairs]


def _throttling(curves: Sequence[Curve], x: alt.X) -> list[alt.Chart]:
    data = [{"x": curve.throttled_s, "text": "throttled"} for curve in curves if curve.throttled_s]
    if not data:
        return []
    base = alt.Chart(alt.InlineData(data))
    text = base.mark_text(align="left", baseline="top", dx=4, color=MUTED[0])
    return [
        base.mark_rule(color=MUTED[0], strokeDash=[2, 3]).encode(x),
        text.encode(x, y=alt.value(2), text="text:N"),
    ]

"""A diagnosis as a picture: each layer's signal-to-noise, its own and so far, in program order."""

from collections.abc import Sequence
from typing import Any

import altair as alt
import vl_convert

from export.diagnose import Diagnosis

STEP, HEIGHT = 16, 260  # pixels: between layers, and of the panel
LEAST_WIDTH = 320
COLOURS = {"own": "#0072b2", "so far": "#d55e00"}
EXACT_FROM = 120.0  # dB: beyond what float32 can show, and left out

Point = dict[str, Any]


def draw(diagnosis: Diagnosis, title: str, subtitle: str) -> alt.LayerChart:
    """Return the chart; layers that are exact, or could not be aligned, leave a gap."""
    points = _points(diagnosis)
    order = [found.pair.layer.name for found in diagnosis.layers]
    x = alt.X("layer:N", sort=order, title=None, axis=alt.Axis(labelAngle=-60, grid=False))
    y = alt.Y("db:Q", title="signal-to-noise ratio (dB)", scale=alt.Scale(zero=False))
    palette = alt.Scale(domain=list(COLOURS), range=list(COLOURS.values()))
    colour = alt.Color("figure:N", scale=palette, legend=None)
    lines = alt.Chart(alt.InlineData(points)).mark_line(point=alt.OverlayMarkDef(size=24))
    names = alt.Chart(alt.InlineData(_ends(points))).mark_text(align="left", dx=8, fontSize=12)
    chart: alt.LayerChart = lines.encode(x, y, colour) + names.encode(x, y, colour, text="figure:N")
    return chart.properties(
        width=max(LEAST_WIDTH, STEP * len(order)),
        height=HEIGHT,
        title=alt.TitleParams(title, anchor="start", subtitle=subtitle, subtitleColor="#555555"),
        background="white",
        padding=16,
    )


def encode(chart: alt.LayerChart, suffix: str) -> bytes:
    """Return the picture as a file of this ending: ``.svg`` or ``.png``."""
    if suffix == ".png":
        return bytes(vl_convert.vegalite_to_png(chart.to_dict(), scale=2))
    return str(vl_convert.vegalite_to_svg(chart.to_dict())).encode()


def _points(diagnosis: Diagnosis) -> list[Point]:
    figures = [
        {"layer": f.pair.layer.name, "figure": figure, "db": db}
        for f in diagnosis.layers
        if f.tally
        for figure, db in (("own", f.tally.own_db), ("so far", f.tally.so_far_db))
    ]
    return [p for p in figures if p["db"] is not None and abs(p["db"]) < EXACT_FROM]


def _ends(points: Sequence[Point]) -> list[Point]:
    """Return the last point of each line."""
    return list({point["figure"]: point for point in points}.values())

"""A diagnosis as a picture: each layer's signal-to-noise in program order."""

from typing import Any

import altair as alt
import vl_convert

from export.diagnose import Diagnosis

STEP, HEIGHT = 16, 260  # pixels: between layers, and of the panel
LEAST_WIDTH = 320
COLOURS = {"own": "#0072b2", "at output": "#009e73", "so far": "#d55e00"}
EXACT_FROM = 120.0  # dB: beyond what float32 can show, and left out

Point = dict[str, Any]


def draw(diagnosis: Diagnosis, title: str, subtitle: str) -> alt.Chart:
    """Return the chart; layers that are exact, or could not be aligned, are left out."""
    order = [found.pair.layer.name for found in diagnosis.layers]
    x = alt.X("layer:N", sort=order, title=None, axis=alt.Axis(labelAngle=-60, grid=False))
    y = alt.Y("db:Q", title="signal-to-noise ratio (dB)", scale=alt.Scale(zero=False))
    palette = alt.Scale(domain=list(COLOURS), range=list(COLOURS.values()))
    legend = alt.Legend(title=None, orient="top", symbolType="stroke")
    colour = alt.Color("figure:N", scale=palette, legend=legend)
    chart = alt.Chart(alt.InlineData(_points(diagnosis)))
    lines = chart.mark_line(point=alt.OverlayMarkDef(size=24))
    drawn: alt.Chart = lines.encode(x, y, colour).properties(
        width=max(LEAST_WIDTH, STEP * len(order)),
        height=HEIGHT,
        title=alt.TitleParams(title, anchor="start", subtitle=subtitle, subtitleColor="#555555"),
        background="white",
        padding=16,
    )
    return drawn


def encode(chart: alt.TopLevelMixin, suffix: str) -> bytes:
    """Return the picture as a file of this ending: ``.svg`` or ``.png``."""
    if suffix == ".png":
        return bytes(vl_convert.vegalite_to_png(chart.to_dict(), scale=2))
    return str(vl_convert.vegalite_to_svg(chart.to_dict())).encode()


def _points(diagnosis: Diagnosis) -> list[Point]:
    figures = [
        (found.pair.layer.name, figure, db)
        for found in diagnosis.layers
        if found.tally
        for figure, db in zip(
            COLOURS, (found.tally.own_db, found.output_db, found.tally.so_far_db), strict=True
        )
    ]
    return [
        {"layer": layer, "figure": figure, "db": db}
        for layer, figure, db in figures
        if db is not None and abs(db) < EXACT_FROM
    ]

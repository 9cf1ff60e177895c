"""The learning curve: loss and accuracy by epoch, as an SVG picture with its labels at the lines.

Colours are two of Okabe and Ito's, which colour-blind readers tell apart.
"""

from typing import Any

import altair as alt
import vl_convert

from models.training_log import Epoch, best_epoch

WIDTH, HEIGHT = 300, 220  # pixels, of each panel
TICKS = 10
COLOURS = {"training": "#0072b2", "held out": "#d55e00"}
GREY = "#555555"
LINE_HEIGHT = 16 / HEIGHT  # of a label, as a share of the panel

Lines = dict[str, list[float]]


def draw(log: list[Epoch], title: str) -> str:
    """Return SVG text: the loss on the left, top-1 in per cent on the right."""
    top1 = {"training": [100 * row.train_top1 for row in log]}
    if held := [100 * row.val_top1 for row in log if row.val_top1 is not None]:
        top1["held out"] = held
    panels = alt.hconcat(
        _panel({"training": [row.loss for row in log]}, "loss (cross-entropy, nats)"),
        _panel(top1, "top-1 accuracy (%)"),
    )
    chart = panels.properties(title=_title(log, title), background="white", padding=16)
    svg: str = vl_convert.vegalite_to_svg(chart.to_dict())
    return svg


def _title(log: list[Epoch], title: str) -> alt.TitleParams:
    held = log[best_epoch(log) - 1].val_top1
    if held is None:
        return alt.TitleParams(title, anchor="start")
    kept = f"kept: epoch {best_epoch(log)}, {100 * held:.2f} % of the held-out images"
    return alt.TitleParams(title, anchor="start", subtitle=kept, subtitleColor=GREY)


def _panel(lines: Lines, label: str) -> alt.LayerChart:
    last = len(next(iter(lines.values())))
    step = -(-last // TICKS)
    axis = alt.Axis(values=list(range(step, last + 1, step)), format="d", grid=False)
    x = alt.X("epoch:Q", title="epoch", axis=axis, scale=alt.Scale(domain=[1, max(2, last)]))
    y = alt.Y("value:Q", title=label, scale=alt.Scale(zero=False))
    palette = alt.Scale(domain=list(COLOURS), range=list(COLOURS.values()))
    colour = alt.Color("images:N", scale=palette, legend=None)
    curves = alt.Chart(alt.InlineData(_points(lines))).mark_line(point=alt.OverlayMarkDef(size=24))
    names = alt.Chart(alt.InlineData(_labels(lines))).mark_text(align="left", dx=7, fontSize=12)
    panel: alt.LayerChart = curves.encode(x, y, colour) + names.encode(
        x, y, colour, text="images:N"
    )
    return panel.properties(width=WIDTH, height=HEIGHT)


def _points(lines: Lines) -> list[dict[str, Any]]:
    return [
        {"epoch": epoch, "images": images, "value": value}
        for images, values in lines.items()
        for epoch, value in enumerate(values, 1)
    ]


def _labels(lines: Lines) -> list[dict[str, Any]]:
    """Put each name at its line's end; where two ends are close, far enough apart to be read."""
    every = [value for values in lines.values() for value in values]
    room = LINE_HEIGHT * (max(every) - min(every))
    ends = sorted((values[-1], images) for images, values in lines.items())
    gap = ends[-1][0] - ends[0][0]
    apart = max(0.0, room - gap) / 2 if len(ends) > 1 else 0.0
    places = [value + sign * apart for (value, _), sign in zip(ends, (-1, 1), strict=False)]
    last = len(next(iter(lines.values())))
    return [
        {"epoch": last, "images": images, "value": place}
        for place, (_, images) in zip(places, ends, strict=True)
    ]

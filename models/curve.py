"""The learning curve: loss and accuracy by epoch, as an SVG picture with its labels at the lines.

Colours are two of Okabe and Ito's, which colour-blind readers tell apart.
"""

from typing import Any

import altair as alt
import vl_convert

from models.training_log import Epoch, best_epoch

WIDTH, HEIGHT = 300, 220  # pixels, of each panel
COLOURS = {"training": "#0072b2", "held out": "#d55e00"}
GREY = "#555555"


def draw(log: list[Epoch], title: str) -> str:
    """Return SVG text: the loss on the left, top-1 in per cent on the right."""
    loss = [_point(row, "training", row.loss) for row in log]
    top1 = [_point(row, "training", 100 * row.train_top1) for row in log]
    top1 += [_point(row, "held out", 100 * row.val_top1) for row in log if row.val_top1 is not None]
    panels = alt.hconcat(
        _panel(loss, "loss (cross-entropy, nats)"), _panel(top1, "top-1 accuracy (%)")
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


def _point(row: Epoch, images: str, value: float) -> dict[str, Any]:
    return {"epoch": row.epoch, "images": images, "value": value}


def _panel(points: list[dict[str, Any]], label: str) -> alt.LayerChart:
    epochs = [point["epoch"] for point in points]
    ticks = alt.Axis(tickMinStep=1, format="d", grid=False)
    x = alt.X("epoch:Q", title="epoch", axis=ticks, scale=alt.Scale(domain=[1, max(epochs)]))
    y = alt.Y("value:Q", title=label, scale=alt.Scale(zero=False))
    scale = alt.Scale(domain=list(COLOURS), range=list(COLOURS.values()))
    base = alt.Chart(alt.InlineData(points)).encode(
        x=x, y=y, color=alt.Color("images:N", scale=scale, legend=None)
    )
    ends = alt.datum.epoch == max(epochs)
    names = base.transform_filter(ends).mark_text(align="left", dx=7, fontSize=12)
    lines = base.mark_line(point=alt.OverlayMarkDef(size=24))
    panel: alt.LayerChart = lines + names.encode(text="images:N")
    return panel.properties(width=WIDTH, height=HEIGHT)

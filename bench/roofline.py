"""The roofline as a picture: what each operator achieved, below what the device can do."""

from collections.abc import Sequence
from typing import Any

import altair as alt

from bench.profile import KINDS, Operation, Profile, ridge

WIDTH, HEIGHT = 560, 340  # pixels
COLOURS = ("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#777777")
MARGIN, ROOM = 2.0, 1.2  # the roof, and then the axes, go on by these factors

Point = dict[str, Any]


def draw(profile: Profile) -> alt.TopLevelMixin:
    """Return the chart; operators without MACs, or whose bytes are not known, are left out."""
    points = [_point(profile, o) for o in profile.operations if o.effort.gflops and o.effort.bytes]
    roofs = _roofs(profile, points)
    title, every = "arithmetic intensity (MACs per byte)", [*points, *roofs]
    x = alt.X("intensity:Q", title=title, scale=_scale("intensity", roofs))
    y = alt.Y("gflops:Q", title="GFLOP/s", scale=_scale("gflops", every))
    lines = alt.Chart(alt.InlineData(roofs)).mark_line(color="#333333").encode(x=x, y=y)
    palette = alt.Scale(domain=list(KINDS[:4]), range=list(COLOURS[:4]))
    dots = alt.Chart(alt.InlineData(points)).mark_circle(opacity=0.75).encode(
        x=x,
        y=y,
        color=alt.Color("kind:N", scale=palette, legend=alt.Legend(title=None, orient="top")),
        size=alt.Size("share:Q", title="share of time", legend=alt.Legend(format=".0%")),
        tooltip=["layer:N", "operator:N", "share:Q"],
    )  # fmt: skip
    return alt.layer(lines, dots).properties(
        width=WIDTH,
        height=HEIGHT,
        title=alt.TitleParams(
            profile.artifact, anchor="start", subtitle=_subtitle(profile), subtitleColor="#555555"
        ),
        background="white",
        padding=16,
    )


def _scale(figure: str, points: Sequence[Point]) -> alt.Scale:
    values = [point[figure] for point in points]
    return alt.Scale(type="log", nice=False, domain=[min(values) / ROOM, max(values) * ROOM])


def _subtitle(profile: Profile) -> str:
    peak = profile.peak
    rates = f"{peak.flops / 1e9:.3g} GFLOP/s, {peak.bytes / 1e9:.3g} GB/s"
    return f"{profile.setting}; measured peak ({peak.method}): {rates}"


def _point(profile: Profile, operation: Operation) -> Point:
    effort = operation.effort
    return {
        "layer": operation.layer,
        "operator": operation.times.kind,
        "kind": operation.kind,
        "share": profile.share(effort),
        "gflops": effort.gflops,
        "intensity": effort.intensity,
    }


def _roofs(profile: Profile, points: list[Point]) -> list[Point]:
    """Return the roof's corners, from left of the points to right of them and of the ridge."""
    peak, corner = profile.peak, ridge(profile.peak)
    found = [point["intensity"] for point in points] + [corner]
    left, right = min(found) / MARGIN, max(found) * MARGIN
    slope = 2 * peak.bytes / 1e9
    corners = ((left, slope * left), (corner, slope * corner), (right, slope * corner))
    return [{"intensity": x, "gflops": y} for x, y in corners]

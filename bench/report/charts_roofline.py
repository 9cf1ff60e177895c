"""What each operator achieved, below what the device can do: the roofline (see `bench.profile`)."""

from collections.abc import Iterable, Iterator, Sequence
from math import sqrt
from typing import Any

import altair as alt

from bench import units
from bench.profile import KINDS, Operation, Profile, ridge
from bench.report.charts_document import Chart, Mark
from bench.report.charts_theme import INK, MUTED, Axis, axis, colours, finished, legend
from bench.report.profile import number, peaks
from bench.stored_profile import StoredProfile

HEIGHT, LEGEND_ROW = 280, 20  # pixels
AREAS = (30, 500)  # square pixels
# The roof goes on by this factor beyond the outermost points.
MARGIN = 1.6
HEADROOM = 1.8
MOST_DRAWN = 60
COMPUTING = KINDS[:-1]
FORMS = ("circle", "square", "triangle-up", "diamond")
INTENSITY = Axis("MACs per byte", "plain", linear=False)
RATE = Axis("GFLOP/s", "plain", linear=False)

Point = dict[str, Any]


def roofline(kept: StoredProfile) -> Chart:
    """Return the chart of a profile; operators without MACs, or whose bytes are not known, are left
    out.
    """
    profile = kept.profile
    known = [o for o in profile.operations if o.effort.gflops and o.effort.bytes]
    drawn = sorted(known, key=lambda o: -o.effort.ns)[:MOST_DRAWN]
    points = [_point(profile, operation) for operation in drawn]
    left = f" Drawn are the {len(drawn)} longest of {len(known)}." if known[MOST_DRAWN:] else ""
    doubt = "" if kept.proof.verified else " Unproved."
    source = " ".join(kept.key)
    return Chart(
        name=f"roofline-{kept.manifest.network.name}",
        title=f"Roofline of {profile.artifact} on {profile.device}",
        summary=(
            f"{_told(profile)} {_sentence(peaks(profile))}{doubt} A larger dot took longer.{left}"
        ),
        picture=_picture(profile, points),
        marks=tuple(Mark(point["words"], source) for point in points),
    )


def _sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}."


def _told(profile: Profile) -> str:
    """Say of each kind what it takes and achieves, the longest first."""
    found = profile.by_kind().items()
    kinds = [(name, effort) for name, (_, effort) in found if effort.macs and effort.ns]
    kinds.sort(key=lambda item: -item[1].ns)
    told = [
        f"{name} {profile.share(effort):.0%} of the time at {number(effort.gflops)} GFLOP/s"
        for name, effort in kinds
    ]
    setting = units.threads(profile.threads)
    return f"{profile.runtime}, {setting}: {', '.join(told) or 'no operator has MACs'}."


def _point(profile: Profile, operation: Operation) -> Point:
    effort, share = operation.effort, profile.share(operation.effort)
    name = operation.layer or operation.times.name
    return {
        "x": effort.intensity,
        "y": effort.gflops,
        "kind": operation.kind,
        "share": share,
        "words": (
            f"{name}, {operation.kind}: {units.duration(effort.ns)} ({share:.1%}), "
            f"{number(effort.gflops)} GFLOP/s at {number(effort.intensity)} MACs/B, bound by "
            f"{effort.bound(profile.peak)}"
        ),
    }


def _picture(profile: Profile, points: Sequence[Point]) -> alt.LayerChart:
    roof = _roof(profile, points)
    sides = (
        alt.X("x:Q", **axis(INTENSITY, [p["x"] for p in roof])),
        alt.Y("y:Q", **axis(RATE, [p["y"] for p in (*roof, *points)], HEADROOM)),
    )
    kinds = [kind for kind in COMPUTING if any(p["kind"] == kind for p in points)]
    line = alt.Chart(alt.InlineData(roof)).mark_line(color=MUTED[0], strokeWidth=1.6)
    layers = [line.encode(*sides), *_labels(profile, roof, sides), *_dots(points, kinds, sides)]
    return finished(layers, HEIGHT + LEGEND_ROW * -(-len(kinds) // 2))


def _dots(
    points: Sequence[Point], kinds: Sequence[str], sides: tuple[alt.X, alt.Y]
) -> Iterator[alt.Chart]:
    """Yield the dots, coloured and shaped by kind, the same in all charts."""
    if not points:
        return
    most = max(point["share"] for point in points)
    dots = alt.Chart(alt.InlineData(list(points))).mark_point(
        filled=True, opacity=0.75, stroke=INK[0], strokeWidth=0.6
    )
    yield dots.encode(
        *sides,
        alt.Color("kind:N", scale=colours(COMPUTING), legend=legend(kinds)),
        alt.Shape("kind:N", scale=_forms(COMPUTING), legend=legend(kinds)),
        alt.Size("share:Q", scale=alt.Scale(domain=[0, most], range=list(AREAS)), legend=None),
        description="words:N",
    )


def _forms(kinds: Iterable[str]) -> alt.Scale:
    return alt.Scale(domain=list(kinds), range=list(FORMS))


def _labels(
    profile: Profile, roof: Sequence[Point], sides: tuple[alt.X, alt.Y]
) -> Iterator[alt.Chart]:
    """Say on the roof what it is: the rate right of the ridge, the memory's left of it."""
    peak = profile.peak
    x, y = sides
    flat = {**roof[-1], "text": f"roof: {number(peak.flops / 1e9)} GFLOP/s"}
    middle = {side: sqrt(roof[0][side] * roof[1][side]) for side in "xy"}
    slope = {**middle, "text": f"{number(peak.bytes / 1e9)} GB/s"}
    # Points may lie above the flat roof, in integers or by a better kernel, and are not in the way.
    above, beside = (
        alt.Chart(alt.InlineData([point])).mark_text(align="right", color=MUTED[0], **style)
        for point, style in ((flat, {"baseline": "top"}), (slope, {"baseline": "bottom", "dx": -8}))
    )
    yield above.encode(x, y=alt.value(2), text="text:N")
    yield beside.encode(x, y, text="text:N")


def _roof(profile: Profile, points: Sequence[Point]) -> list[Point]:
    """Return the roof's corners, from left of the points to right of them and of the ridge."""
    peak, corner = profile.peak, ridge(profile.peak)
    found = [*(point["x"] for point in points), corner]
    left, right = min(found) / MARGIN, max(found) * MARGIN
    slope = 2 * peak.bytes / 1e9
    return [{"x": x, "y": slope * min(x, corner)} for x in (left, corner, right)]

"""Where the time goes: the share of each kind of operator, a bar for every profile."""

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

import altair as alt

from bench import units
from bench.profile import KINDS, Profile
from bench.report.charts_document import Absent, Chart, Mark
from bench.report.charts_roofline import roofline
from bench.report.charts_theme import (
    INK,
    MUTED,
    SERIES,
    SURFACE,
    WIDTH,
    Axis,
    axis,
    finished,
    legend,
)
from bench.report.material import Material
from bench.stored_profile import StoredProfile

TITLE = "Where the time goes, by kind of operator"
SHARE = Axis("share of the operators' time", "share", linear=True)
# Pixels: of a row with its label, of the label, of the axis and of the legend.
ROW, LABEL, AXIS, LEGEND = 40, 20, 40, 60
TOLD = 0.68 * WIDTH  # what a label takes, left of the kind that takes most
MOST_BARS, MOST_ROOFS = 12, 4
TABLE = "the table of the operators holds all"
# What computes in colours, as in the rooflines; the rest in grey.
COLOURS = (*(pair[0] for pair in SERIES[: len(KINDS) - 1]), MUTED[0])

Point = dict[str, Any]


def profiled(material: Material) -> Iterator[Chart | Absent]:
    """Yield the shares of all profiles in one chart, then the rooflines, one a network."""
    if not material.profiles:
        yield Absent(
            "Where the time goes, by layer, and the roofline",
            "nothing was profiled; type 'bench profile ARTIFACT'",
        )
        return
    yield _shares(material.profiles)
    chosen = _plainest(material.profiles)
    yield from map(roofline, chosen[:MOST_ROOFS])
    if further := chosen[MOST_ROOFS:]:
        yield Absent(f"The roofline of {len(further)} further networks", TABLE)


def _plainest(profiles: Sequence[StoredProfile]) -> list[StoredProfile]:
    """Return a profile for each network: in float32 and of one thread, if there is such a one."""
    plain = sorted(profiles, key=lambda p: (p.manifest.precision != "fp32", p.threads))
    found = {p.manifest.network.name: p for p in reversed(plain)}
    return [p for p in profiles if found[p.manifest.network.name] is p]


def _shares(profiles: Sequence[StoredProfile]) -> Chart:
    several = len({(p.device.fingerprint, p.threads) for p in profiles}) > 1
    drawn = profiles[:MOST_BARS]
    made = [_segments(kept, place, several=several) for place, kept in enumerate(drawn)]
    left = f" The first {len(drawn)} of {len(profiles)}: {TABLE}." if profiles[MOST_BARS:] else ""
    where = "" if several else f" Measured on {profiles[0].profile.setting}."
    return Chart(
        name="shares",
        title=TITLE,
        summary=f"{_told(profiles)}{where} Profiling slows: the sum is no latency.{left}",
        picture=_picture(made),
        marks=tuple(
            Mark(segment["words"], " ".join(kept.key))
            for kept, segments in zip(drawn, made, strict=True)
            for segment in segments
        ),
    )


def _told(profiles: Sequence[StoredProfile]) -> str:
    """Say where depthwise convolutions take most, against what they do of the MACs."""
    found = [(kept.manifest.key, *_of_depthwise(kept.profile)) for kept in profiles]
    if not any(share for _, share, _ in found):
        return "No network here has depthwise convolutions."
    name, share, work = max(found, key=lambda one: one[1])
    told = f"{share:.0%} of the time, {work:.0%} of the MACs"
    return f"Depthwise convolutions take most in {name}: {told}."


def _of_depthwise(profile: Profile) -> tuple[float, float]:
    kinds = profile.by_kind()
    if KINDS[0] not in kinds:
        return 0.0, 0.0
    _, effort = kinds[KINDS[0]]
    macs = sum(each.macs for _, each in kinds.values())
    return profile.share(effort), effort.macs / macs if macs else 0.0


def _segments(kept: StoredProfile, place: int, *, several: bool) -> list[Point]:
    """Return the parts of a bar from left to right, each with its words."""
    profile = kept.profile
    kinds = profile.by_kind()
    shares = [profile.share(effort) for _, effort in kinds.values()]
    ends = list(accumulate(shares))
    longest = max(zip(shares, kinds, strict=True))
    doubt = "" if kept.proof.verified else ", unproved"
    where = f", {profile.device}, {units.threads(profile.threads)}" if several else ""
    name = f"{profile.artifact}{where}{doubt}"
    top = place * ROW + LABEL
    return [
        {
            "name": name,
            "most": f"{longest[1]} {longest[0]:.0%}",
            "kind": kind,
            "start": end - share,
            "value": end,
            "y": top,
            "y2": top + ROW - LABEL,
            "words": f"{name}: {kind} ({count}) {share:.1%}, {units.duration(effort.ns)}",
        }
        for (kind, (count, effort)), share, end in zip(kinds.items(), shares, ends, strict=True)
    ]


def _picture(made: Sequence[Sequence[Point]]) -> alt.LayerChart:
    height = len(made) * ROW
    bars = [segment for segments in made for segment in segments]
    firsts = [segments[0] for segments in made]
    present = [kind for kind in KINDS if any(bar["kind"] == kind for bar in bars)]
    scale = alt.Scale(domain=[0, height], reverse=True, nice=False)
    y = alt.Y("y:Q", axis=None, scale=scale)
    x = {**axis(SHARE, [1.0], 1.0), "scale": alt.Scale(domain=[0, 1], nice=False)}
    layers = [
        alt.Chart(alt.InlineData(bars))
        .mark_rect(stroke=SURFACE[0], strokeWidth=1)
        .encode(
            alt.X("start:Q", **x),
            y,
            x2="value:Q",
            y2="y2:Q",
            color=alt.Color(
                "kind:N",
                scale=alt.Scale(domain=list(KINDS), range=list(COLOURS)),
                legend=legend(present),
            ),
            description="words:N",
        ),
        _label(firsts, "name", 0, TOLD, y, align="left", color=INK[0]),
        _label(firsts, "most", WIDTH, WIDTH - TOLD, y, align="right", color=MUTED[0]),
    ]
    return finished(layers, height + AXIS + LEGEND)


def _label(
    points: Sequence[Point], field: str, x: float, limit: float, y: alt.Y, **style: Any
) -> alt.Chart:
    text = alt.Chart(alt.InlineData(list(points))).mark_text(
        baseline="bottom", dy=-3, limit=limit, **style
    )
    made: alt.Chart = text.encode(y, x=alt.value(x), text=f"{field}:N")
    return made

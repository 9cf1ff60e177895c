"""Device or cloud by the link between them: who is faster at which rate and round trip, estimated.

A link whose rates differ stands at the rate, the same both ways, over which a request's bits take
as long, so that its place is on the right side of every border.
"""

from collections.abc import Iterator, Sequence
from math import inf
from typing import Literal

import altair as alt

from bench import units
from bench.candidate import Candidate
from bench.link_model import LinkModel
from bench.report.charts_areas import RATES, ROUND_TRIPS, Areas, Point, areas, places
from bench.report.charts_document import Absent, Chart, Mark
from bench.report.charts_theme import GRID, INK, MUTED, SERIES, SURFACE, Axis, axis, finished
from bench.report.material import Material
from bench.report.turns import fastest
from bench.tradeoff import Turn, Weighed, winner
from devices.network import PROFILES

TITLE = "Device or cloud, by the link"
RATE = Axis("rate, the same both ways", "link", linear=False)
ROUND_TRIP = Axis("round trip", "round trip", linear=False)
HEIGHT = 300  # pixels
# Of the areas' rows each third is a line of the hatching.
HATCH = 3
MOST_MAPS = 3
# A link with a longer name, as one of a sweep has, is named in words only.
LONGEST_NAME = 8
# On which link servers of one network are compared, to show the best: Mbit/s and milliseconds.
TYPICAL = (10.0, 10.0, 50.0)
COLOURS = {"edge": SERIES[0][0], "cloud": SERIES[1][0], "cannot tell": GRID[0]}
WORDS = {"edge": "device faster", "cloud": "cloud faster", "cannot tell": "cannot tell"}


def maps(material: Material) -> Iterator[Chart | Absent]:
    """Yield a map for the pairs of each task whose sides change places within it."""
    if material.tradeoff is None:
        yield Absent(TITLE, lacking(material))
        return
    for weighed in material.tradeoff.tasks:
        pairs = _pairs(weighed)
        turning = [turn for turn in pairs if len({point.winner for point in turn.points}) > 1]
        drawn = turning[:MOST_MAPS] or pairs[:1]
        yield from (_map(turn, weighed) for turn in drawn)
        if left := len(pairs) - len(drawn):
            yield Absent(
                f"{TITLE}: {left} further pairs for {weighed.task}",
                "the table of rates from which the cloud is faster holds all",
            )
        if not pairs:
            yield Absent(f"{TITLE} for {weighed.task}", _unlinked(weighed))


def lacking(material: Material) -> str:
    """Say why device and cloud are not weighed, and what to type."""
    if any(line.record.cloud for line in material.lines):
        return (
            "device and cloud were not both measured for one task; type 'bench run --data DIR' for "
            "the other side"
        )
    return "no server was measured; type 'bench run --device cloud:URL --network 4g'"


def _unlinked(weighed: Weighed) -> str:
    sides = {candidate.where for candidate in weighed.candidates}
    if len(sides) < 2:
        return f"only the {sides.pop()} was measured; type 'bench run' for the other side"
    return "no server was measured over a known link; type 'bench run --network 4g'"


def _pairs(weighed: Weighed) -> list[Turn]:
    """Return what is worth a map: the fastest network of the device against each in the cloud, and
    each network here against itself there.
    """
    turns = fastest(weighed.turns)
    servers = {turn.cloud.name: turn.cloud for turn in turns}.values()
    best: dict[str, LinkModel] = {}
    for server in sorted(servers, key=lambda model: -model.estimate(*TYPICAL)):
        best[server.model] = server
    known = [turn for turn in turns if turn.cloud is best[turn.cloud.model]]
    quickest = min((_p50(turn.edge) for turn in known), default=inf)
    return [
        turn for turn in known if turn.edge.model == turn.cloud.model or _p50(turn.edge) == quickest
    ]


def _p50(candidate: Candidate) -> float:
    return candidate.p50_ns or inf


def _map(turn: Turn, weighed: Weighed) -> Chart:
    edge, cloud, found = turn.edge, turn.cloud, areas(turn)
    links = [*_measured(turn), *_named(turn)]
    return Chart(
        name=f"map-{edge.model}-{cloud.model}",
        title=f"{edge.model} on {edge.device}, or {cloud.model} in the cloud?",
        summary=" ".join((_told(edge, cloud), _accuracies(turn, weighed), _legend(cloud, found))),
        picture=_picture(found, [link for link in links if _is_inside(link)]),
        marks=tuple(Mark(link["words"], link["source"]) for link in links),
    )


def _told(edge: Candidate, cloud: LinkModel) -> str:
    time = f"{units.duration(_p50(edge))} over any link (measured)"
    here = (
        f"Estimated. Device: {edge.variant} {edge.site}, {time}. Cloud: {cloud.variant} by "
        f"{cloud.device}, {cloud.payload}."
    )
    if not (longest := cloud.longest_round_trip(_p50(edge))):
        return f"{here} The cloud is slower over every link."
    return f"{here} The cloud is never faster at a round trip above {longest:.3g} ms."


def _accuracies(turn: Turn, weighed: Weighed) -> str:
    """Set both sides' accuracies beside each other, or say that one is not known."""
    there = [
        candidate
        for candidate in weighed.candidates
        if candidate.where == "cloud"
        and (candidate.model, candidate.variant) == (turn.cloud.model, turn.cloud.variant)
    ]
    edge, cloud = turn.edge, next((one for one in there if one.top1 is not None), None)
    sides = (("here", edge.top1), ("there", cloud.top1 if cloud else None))
    told = (f"{'unmeasured' if top1 is None else units.percent(top1)} {at}" for at, top1 in sides)
    return f"Top-1: {', '.join(told)}{_doubt(edge, cloud)}."


def _doubt(edge: Candidate, cloud: Candidate | None) -> str:
    if cloud is None or edge.top1 is None:
        return ""
    if edge.images != cloud.images:
        return ", of different images"
    if edge.is_more_accurate(cloud) or cloud.is_more_accurate(edge):
        return f" of {edge.images} images"
    return f", which {edge.images} images cannot tell apart"


def _legend(cloud: LinkModel, found: Areas) -> str:
    if cloud.error is None:
        doubt = "Only one link was measured, so nothing checks the estimate."
    else:
        doubt = (
            f"The estimate is off by {cloud.error:.0%} at most on {len(cloud.checks)} measured "
            "links."
        )
    hatched = " Hatched: cannot tell; left of it and above the device is faster."
    told = hatched if _wide(found["cannot tell"]) else ""
    return f"{doubt}{told} Dots: measured links; diamonds: others, estimated."


def _measured(turn: Turn) -> Iterator[Point]:
    """Yield the links over which the server was measured; this machine's own has no place."""
    here = units.duration(_p50(turn.edge))
    for check in turn.cloud.checks:
        times = (
            f"{units.duration(check.measured_ns)} (estimated {units.duration(check.estimated_ns)})"
        )
        yield {
            "x": turn.cloud.same_both_ways(check.up_mbit, check.down_mbit),
            "y": check.rtt_ms,
            "label": check.network,
            "how": "measured",
            "source": check.key,
            "words": f"{check.network}, measured: cloud {times}, device {here}",
        }


def _is_inside(link: Point) -> bool:
    rate, rtt = link["x"] or inf, link["y"]
    return RATES[0] <= rate <= RATES[1] and ROUND_TRIPS[0] <= rtt <= ROUND_TRIPS[1]


def _named(turn: Turn) -> Iterator[Point]:
    """Yield the other links that have a name."""
    measured = {check.network for check in turn.cloud.checks}
    for name, link in PROFILES.items():
        if name in measured:
            continue
        time = turn.cloud.estimate(link.up_mbit, link.down_mbit, link.rtt_ms)
        who = WORDS[winner(turn.edge, turn.cloud, time)]
        yield {
            "x": turn.cloud.same_both_ways(link.up_mbit, link.down_mbit),
            "y": link.rtt_ms,
            "label": name,
            "how": "estimated",
            "source": "",
            "words": (
                f"{name}, estimated: cloud {units.duration(time)}, device "
                f"{units.duration(_p50(turn.edge))}: {who}"
            ),
        }


def _picture(found: Areas, links: Sequence[Point]) -> alt.LayerChart:
    x = alt.X("low:Q", **axis(RATE, RATES, 1.0))
    y = alt.Y("y:Q", **axis(ROUND_TRIP, ROUND_TRIPS, 1.0))
    layers = [
        *(_area(name, rows, x, y) for name, rows in found.items()),
        *_hatched(found["cannot tell"], x, y),
        *_names(found, links, y),
        *_links(links, y),
    ]
    return finished(layers, HEIGHT)


def _rate() -> alt.X:
    return alt.X("x:Q", **axis(RATE, RATES, 1.0))


def _chart(points: Sequence[Point]) -> alt.Chart:
    return alt.Chart(alt.InlineData(list(points)))


def _area(name: str, rows: Sequence[Point], x: alt.X, y: alt.Y) -> alt.Chart:
    area = _chart(rows).mark_area(
        orient="horizontal", color=COLOURS[name], opacity=0.22, aria=False
    )
    made: alt.Chart = area.encode(x, y, x2="high:Q")
    return made


def _wide(rows: Sequence[Point]) -> list[Point]:
    """Return the rows that are lines of the hatching."""
    return [row for row in rows[::HATCH] if row["high"] > row["low"]]


def _hatched(rows: Sequence[Point], x: alt.X, y: alt.Y) -> list[alt.Chart]:
    wide = _wide(rows)
    lines = _chart(wide).mark_rule(color=MUTED[0], strokeWidth=0.8, aria=False)
    return [lines.encode(x, y, x2="high:Q")] if wide else []


def _names(found: Areas, links: Sequence[Point], y: alt.Y) -> list[alt.Chart]:
    """Write into each area with room for it what it means."""
    spots = places(found, links)
    data = [{"x": x, "y": y, "text": WORDS[name]} for name, (x, y) in spots.items()]
    text = _chart(data).mark_text(fontWeight="bold", color=INK[0])
    return [text.encode(_rate(), y, text="text:N")] if data else []


def _links(links: Sequence[Point], y: alt.Y) -> Iterator[alt.Chart]:
    if not links:
        return
    x = _rate()
    shapes = alt.Scale(domain=["measured", "estimated"], range=["circle", "diamond"])
    fills = alt.Scale(domain=["measured", "estimated"], range=[INK[0], SURFACE[0]])
    yield (
        _chart(links)
        .mark_point(filled=True, size=70, opacity=1, stroke=INK[0])
        .encode(
            x,
            y,
            shape=alt.Shape("how:N", scale=shapes, legend=None),
            fill=alt.Fill("how:N", scale=fills, legend=None),
            description="words:N",
        )
    )
    sides: tuple[tuple[Literal["left", "right"], int], ...] = (("left", 7), ("right", -7))
    for number, (align, dx) in enumerate(sides):
        some = [
            link
            for link in links
            if len(link["label"]) <= LONGEST_NAME and (link["x"] > RATES[1] / 4) == bool(number)
        ]
        if some:
            text = _chart(some).mark_text(align=align, dx=dx, color=INK[0])
            yield text.encode(x, y, text="label:N")

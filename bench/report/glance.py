"""What a report says first: what is smallest, fastest, most accurate, and recommended."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf

from bench import units
from bench.report.charts_figures import at_hand, proof_word
from bench.report.charts_map import lacking
from bench.report.decision import alike, links, why
from bench.report.material import Line, Material
from bench.tradeoff import Weighed
from bench.verdict import DOUBTFUL

TRUSTED = frozenset({"valid", *DOUBTFUL})
# Answers of an emulated device are right, whatever its times.
ANSWERED = frozenset({*TRUSTED, "too short", "emulated"})


@dataclass(frozen=True)
class Statement:
    """`head` says what it is of, `name` who, `figure` how much and what that is worth.

    `source` names the record or artifact, None where there is none.
    """

    head: str
    name: str
    figure: str
    source: str | None = None


def statements(material: Material) -> Iterator[Statement]:
    """Yield what must be read, if nothing else is."""
    yield _smallest(material)
    yield _fastest(material)
    yield from _accurate(material)
    yield from _recommended(material)


def _smallest(material: Material) -> Statement:
    head = "Smallest"
    proved = [m for m in material.manifests.values() if m.proof.verified]
    if not proved:
        return Statement(head, "unproved", "no artifact was proved; type 'edgeworthy export'")
    least = min(proved, key=lambda m: m.size_bytes)
    figure = f"{units.size(least.size_bytes)}, {proof_word(least.proof)}"
    return Statement(head, least.key, figure, least.key)


def _fastest(material: Material) -> Statement:
    head = "Fastest on a device"
    found = [
        (line, group)
        for group in at_hand(material)
        for line in group.lines
        if line.time and line.verdict in TRUSTED and line.row.batch == 1
    ]
    if not found:
        return Statement(head, "unmeasured", "no real device's time holds; type 'bench run'")
    line, group = min(found, key=lambda one: one[0].time or inf)
    time = units.duration(line.time or 0.0)
    return Statement(head, line.key, f"{time} on {group.label}, {line.verdict}", line.row.key)


def _accurate(material: Material) -> Iterator[Statement]:
    """Yield the most accurate on each data set, by the most images; of equals the fastest."""
    head = "Most accurate"
    known = [
        line
        for line in material.lines
        if line.row.top1 is not None and not line.outdated and line.verdict in ANSWERED
    ]
    if not known:
        yield Statement(head, "unmeasured", "no accuracy was measured; type 'bench run --data DIR'")
    most: dict[str, int] = {}
    for line in known:
        dataset = str(line.row.dataset)
        most[dataset] = max(most.get(dataset, 0), line.row.images or 0)
    for dataset, images in sorted(most.items()):
        some = [line for line in known if (line.row.dataset, line.row.images) == (dataset, images)]
        best = min(some, key=_rank)
        figure = f"top-1 {units.percent(best.row.top1 or 0.0)} of {images} images of {dataset}"
        yield Statement(head, best.key, figure, best.row.key)


def _rank(line: Line) -> tuple[float, bool, float]:
    return -(line.row.top1 or 0.0), line.record.device.emulated, line.time or inf


def _recommended(material: Material) -> Iterator[Statement]:
    head = "Device or cloud"
    if material.tradeoff is None:
        yield Statement(head, "cannot tell", lacking(material))
        return
    for weighed in material.tradeoff.tasks:
        if {candidate.where for candidate in weighed.candidates} == {"edge", "cloud"}:
            yield from _by_link(weighed)


def _by_link(weighed: Weighed) -> Iterator[Statement]:
    """Yield one statement for all links with the same recommendation."""
    for some in alike(weighed.situations):
        head = f"Device or cloud: {weighed.task}, over {links(weighed, some)}"
        best = some[0].best
        if best is None:
            yield Statement(head, "cannot tell", "; ".join(some[0].rejected[0].reasons))
            continue
        side = "the device" if best.where == "edge" else "the cloud"
        time = units.duration(best.p50_ns or 0.0)
        figure = f"{best.model}/{best.variant}, {time}: {why(some[0], best)} (no budget)"
        yield Statement(head, side, figure, best.key)

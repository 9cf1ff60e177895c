"""Device or cloud in one table: what is recommended over each link, with what speaks for it."""

from collections.abc import Iterable, Sequence

from bench import units
from bench.candidate import Candidate
from bench.report.document import EMPTY, UNMEASURED, Cell, Column, Table, figure, of, word
from bench.report.tradeoff import preferred
from bench.tradeoff import Situation, Tradeoff, Weighed

TITLES = ("p50", "top-1", "size on the device", "data an inference")


def recommended(found: Tradeoff) -> Table:
    """Return a row for each task and recommendation, with the links over which it is that."""
    return Table(
        title="Recommended by the link to the cloud",
        columns=(
            Column("task", right=False),
            Column("links", right=False),
            Column("recommended", right=False),
            *map(Column, TITLES),
            Column("why", right=False),
        ),
        rows=tuple(
            _row(weighed, some) for weighed in found.tasks for some in alike(weighed.situations)
        ),
        nested=True,
    )


def alike(situations: Iterable[Situation]) -> list[list[Situation]]:
    """Return together those in which the same is recommended."""
    found: dict[str, list[Situation]] = {}
    for one in situations:
        found.setdefault(one.best.name if one.best else "", []).append(one)
    return list(found.values())


def links(weighed: Weighed, some: Sequence[Situation]) -> str:
    """Name the networks of some of a task's situations."""
    if len(some) == len(weighed.situations) > 1:
        return f"every one of {len(some)} links"
    return ", ".join(one.network or "no server" for one in some)


def _row(weighed: Weighed, some: Sequence[Situation]) -> tuple[Cell, ...]:
    head = (word(weighed.task), word(links(weighed, some)))
    situation = some[0]
    best = situation.best
    if best is None:
        near = situation.rejected[0]
        fate = word("; ".join(near.reasons))
        return *head, word("cannot tell"), *[Cell(EMPTY)] * len(TITLES), fate
    return of(best.key, (*head, *_figures(best), word(why(situation, best))))


def _figures(best: Candidate) -> tuple[Cell, ...]:
    return (
        word(f"{best.where}: {best.name}"),
        figure(best.p50_ns, units.duration),
        figure(best.top1, units.percent, UNMEASURED),
        figure(best.size_bytes, units.size) if best.where == "edge" else Cell(EMPTY),
        figure(best.data_bytes, units.size) if best.where == "cloud" else Cell(EMPTY),
    )


def why(situation: Situation, best: Candidate) -> str:
    """Say in a few words why this one of those that can be used."""
    if tied := situation.tied:
        others = f"{len(tied)} other{'s' if len(tied) > 1 else ''}"
        return f"as fast as {others}, and {preferred(best, tied)}"
    if len(situation.ranked) == 1:
        return "no other can be used" if situation.rejected else "there is no other"
    return f"the fastest of {len(situation.ranked)}"

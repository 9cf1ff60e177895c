"""Where the cloud becomes faster than the edge, as a table and in sentences; all estimated."""

from collections.abc import Iterator, Sequence

from bench import units
from bench.link_model import ROUND_TRIPS
from bench.report.document import Cell, Column, Table, figure, word
from bench.tradeoff import Turn, Weighed

NEVER = "never"
# Sentences of pairs that turn; the table has all.
MOST_SAID = 6


def crossover(weighed: Weighed) -> Iterator[Table]:
    """Yield the table of least rates, where a server's latency can be estimated."""
    if not weighed.turns:
        return
    columns = (Column(f"{rtt:g} ms") for rtt in ROUND_TRIPS)
    yield Table(
        title=f"{weighed.task}: the cloud is faster from this rate up (bit/s, by round trip; "
        "estimated)",
        columns=(Column("server", right=False), Column("than", right=False), *columns),
        rows=tuple(
            (word(turn.cloud.name), word(turn.edge.name), *map(_rate, turn.least_mbit))
            for turn in fastest(weighed.turns)
        ),
        nested=True,
    )


def fastest(turns: Sequence[Turn]) -> list[Turn]:
    """Return, for each server, the fastest setting of each network on each device."""
    found: dict[tuple[str, ...], Turn] = {}
    for turn in turns:
        key = (turn.cloud.name, turn.edge.model, turn.edge.device)
        if key not in found or _p50(turn) < _p50(found[key]):
            found[key] = turn
    return list(found.values())


def _p50(turn: Turn) -> float:
    return turn.edge.p50_ns or float("inf")


def _rate(mbit: float | None) -> Cell:
    return figure(mbit, lambda value: units.count(value * 1e6), NEVER)


def sentences(weighed: Weighed) -> Iterator[str]:
    """Yield where a server beats a network on the device, and in one sentence where none ever does.

    The table of `crossover` has all pairs.
    """
    found = fastest(weighed.turns)
    turning = [turn for turn in found if turn.longest_ms]
    yield from map(_turning, turning[:MOST_SAID])
    if left := len(turning[MOST_SAID:]):
        yield f"{weighed.task}: {left} more such pairs are in the table (estimated)"
    if never := [turn for turn in found if not turn.longest_ms]:
        yield _never(never, len(found))


def _turning(turn: Turn) -> str:
    rates = zip(ROUND_TRIPS, turn.least_mbit, strict=True)
    told = next(((rtt, rate) for rtt, rate in rates if rate), None)
    start = f"from {_rate(told[1]).text}bit/s at {told[0]:g} ms, " if told else ""
    return (
        f"{turn.cloud.name} beats {_timed(turn)} {start}never at a round trip above "
        f"{turn.longest_ms:.3g} ms (estimated)"
    )


def _never(never: Sequence[Turn], pairs: int) -> str:
    """Say of pairs whose server is slower over every link which one comes closest."""
    closest = min(never, key=lambda turn: turn.cloud.fixed_ns(0.0) / _p50(turn))
    least = units.duration(closest.cloud.fixed_ns(0.0))
    takes = f"it takes {least} without a network (estimated)"
    if len(never) == 1:
        return f"{closest.cloud.name} beats {_timed(closest)} over no link: {takes}"
    some = f"all {pairs}" if len(never) == pairs else f"{len(never)} of {pairs}"
    return (
        f"in {some} pairs of a server and a network on the device the server is faster over no "
        f"link; the closest: {closest.cloud.name} and {_timed(closest)}, {takes}"
    )


def _timed(turn: Turn) -> str:
    return f"{turn.edge.name} ({units.duration(_p50(turn))})"

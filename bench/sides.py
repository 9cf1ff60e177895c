"""Whether there are figures of both sides, edge and cloud, to be weighed; and what to do if not."""

from collections.abc import Iterable, Sequence

from bench.candidate import Candidate, Where

NONE = {
    "edge": "nothing was measured on a device",
    "cloud": "no server was measured",
}
REMEDIES = {
    "edge": "type 'bench run', or 'bench run --device NAME' for one of 'edgeworthy devices list'",
    "cloud": "start one with 'edgeworthy devices serve ARTIFACT', then type 'bench run --device "
    "cloud:URL --network 4g'",
}


def is_usable(candidate: Candidate) -> bool:
    """Tell whether its latency may be used."""
    return not candidate.unusable and candidate.p50_ns is not None


def gap(tasks: Iterable[Sequence[Candidate]]) -> str | None:
    """Return in one line which side is missing, and what to type; None where one task has both.

    Args:
        tasks: the candidates of each task.
    """
    every = list(tasks)
    usable = [{c.where for c in some if is_usable(c)} for some in every]
    if any(len(sides) == 2 for sides in usable):
        return None
    there = set[Where]().union(*usable)
    sides: tuple[Where, ...] = ("edge", "cloud")
    missing = [side for side in sides if side not in there]
    if not missing:
        return "no task has figures of both edge and cloud that can be used"
    found = [c for some in every for c in some]
    return "; ".join(_told(side, [c for c in found if c.where == side]) for side in missing)


def _told(side: Where, some: Sequence[Candidate]) -> str:
    if not some:
        return f"{NONE[side]}: {REMEDIES[side]}"
    first = some[0]
    why = first.unusable or f"latency not measured: {first.evidence}"
    more = f" (and {len(some) - 1} more)" if len(some) > 1 else ""
    return f"no figure of the {side} can be used: {first.name}: {why}{more}: {REMEDIES[side]}"

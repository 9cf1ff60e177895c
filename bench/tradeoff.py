"""Edge or cloud, from records alone: who meets the budget, who is faster, and where that turns.

A network is not chosen: it is what users have. So every link over which a server was measured makes
a situation of its own, in which the cloud as reached over this link stands beside the edge. Pure.
"""

from collections.abc import Iterable, Sequence
from math import inf
from typing import Literal

import msgspec

from bench import link_model
from bench.budget import near_miss
from bench.candidate import Candidate, Terms, candidates, network_of
from bench.constraints import Constraint, Word
from bench.link_model import LinkModel
from bench.record import BenchError, Record
from bench.sides import gap, is_usable
from bench.task import Task, tasks

Winner = Literal["edge", "cloud", "cannot tell"]


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """A candidate held against the budget, with the reasons where it does not meet it."""

    candidate: Candidate
    word: Word
    reasons: tuple[str, ...] = ()


class Situation(msgspec.Struct, frozen=True, kw_only=True):
    """A task by one network (None: no server was measured).

    Attributes:
        ranked: those that meet the budget, the recommended one first, the others by latency.
        tied: those of them that latency cannot tell from the fastest.
        rejected: the others, those that may meet it first.
    """

    network: str | None
    ranked: tuple[Candidate, ...]
    tied: tuple[Candidate, ...]
    rejected: tuple[Judged, ...]

    @property
    def best(self) -> Candidate | None:
        """The recommended candidate, None where nothing surely meets the budget."""
        return self.ranked[0] if self.ranked else None

    @property
    def more_accurate(self) -> Candidate | None:
        """The fastest that meets the budget and is surely more accurate than the best."""
        best = self.best
        return next((c for c in self.ranked if best and c.is_more_accurate(best)), None)

    @property
    def as_accurate(self) -> Candidate | None:
        """The fastest that was right more often than the recommended one on as many images, where
        they are too few to tell that any is more accurate.
        """
        best = self.best
        if best is None or best.top1 is None or self.more_accurate:
            return None
        others = (c for c in self.ranked if c.top1 is not None and c.images == best.images)
        return next((c for c in others if (c.top1 or 0.0) > best.top1), None)

    @property
    def exit_code(self) -> int:
        """0 recommended, 3 something may meet the budget or nothing can be used, 1 nothing does."""
        if self.best:
            return 0
        unsure = any(judged.word == "cannot tell" for judged in self.rejected)
        return 3 if unsure or not any(is_usable(j.candidate) for j in self.rejected) else 1


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """A link of a map, the same rate both ways, with the server's estimated latency over it."""

    rate_mbit: float
    rtt_ms: float
    cloud_ns: float
    winner: Winner


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """Where a server becomes faster than a candidate on the device; all of it is estimated.

    `least_mbit` has an entry for each of `link_model.ROUND_TRIPS`, None where it never does;
    `longest_ms` is the round trip from which on it never does, at whatever rate.
    """

    edge: Candidate
    cloud: LinkModel
    least_mbit: tuple[float | None, ...]
    longest_ms: float
    points: tuple[Point, ...]


class Weighed(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of one task: who could do it, who is recommended, and where that turns."""

    task: str
    candidates: tuple[Candidate, ...]
    situations: tuple[Situation, ...]
    models: tuple[LinkModel, ...]
    turns: tuple[Turn, ...]


class Tradeoff(msgspec.Struct, frozen=True, kw_only=True):
    """All that the records say of edge and cloud, task by task.

    `left_out` names the tasks of which nothing was measured over the one `network` that was asked
    for.
    """

    terms: Terms
    budget: tuple[Constraint, ...]
    tasks: tuple[Weighed, ...]
    network: str | None = None
    left_out: tuple[str, ...] = ()

    @property
    def gap(self) -> str | None:
        """Which side cannot be weighed, and what to do; see `bench.sides`."""
        return gap(weighed.candidates for weighed in self.tasks)

    @property
    def exit_code(self) -> int:
        """1 if nothing meets the budget in one situation, else 3 if one cannot be told or a side
        is missing, else 0.
        """
        codes = {one.exit_code for weighed in self.tasks for one in weighed.situations}
        return next((code for code in (1, 3) if code in codes), 3 if self.gap else 0)


def tradeoff(
    records: Iterable[Record],
    budget: Sequence[Constraint] = (),
    terms: Terms | None = None,
    network: str | None = None,
) -> Tradeoff:
    """Weigh edge against cloud.

    Args:
        records: one a key.
        budget: what a candidate must keep.
        terms: how often it is used, and prices.
        network: the only one by which servers are to be reached, and only tasks measured over it
            are weighed; what is estimated of others still rests on all that were measured.

    Raises:
        BenchError: nothing was measured, or not over this network, or no task both on the device
            and in the cloud although there are records of either.
    """
    told, found = terms or Terms(), tasks(records)
    _check(found)
    if network is not None:
        _check_network(network, found)
    there = [task for task in found if network is None or network in _reached(task)]
    return Tradeoff(
        terms=told,
        budget=tuple(budget),
        tasks=tuple(_weigh(task, budget, told, network) for task in there),
        network=network,
        left_out=tuple(task.name for task in found if task not in there),
    )


def _weigh(task: Task, budget: Sequence[Constraint], terms: Terms, network: str | None) -> Weighed:
    every, models = candidates(task.records), tuple(link_model.models(task.records))
    some = tuple(c for c in every if network is None or c.network in (None, network))
    edges = [c for c in some if c.where == "edge" and is_usable(c)]
    return Weighed(
        task=task.name,
        candidates=some,
        situations=tuple(situation(name, some, budget, terms) for name in _networks(some)),
        models=models,
        turns=tuple(turn(edge, model) for model in models for edge in edges),
    )


def _check(found: Sequence[Task]) -> None:
    if not found:
        raise BenchError("there are no measurements to weigh; make some with 'bench run'")
    sides = [{record.cloud is not None for record in task.records} for task in found]
    if len(set[bool]().union(*sides)) > 1 and not any(len(both) > 1 for both in sides):
        edge, cloud = (
            ", ".join(task.name for task, side in zip(found, sides, strict=True) if which in side)
            for which in (False, True)
        )
        raise BenchError(
            f"edge and cloud have no task in common (edge: {edge}; cloud: {cloud}); "
            "measure both on the same images, with 'bench run --data DIR'"
        )


def _check_network(network: str, found: Iterable[Task]) -> None:
    known = sorted({name for task in found for name in _reached(task)})
    if network not in known:
        hint = near_miss(network, known) if known else "no server was measured"
        raise BenchError(f"no record was made over --network {network!r}; {hint}")


def _reached(task: Task) -> set[str]:
    """Return the networks over which a task's servers were reached."""
    return {name for record in task.records if (name := network_of(record.cloud))}


def _networks(some: Iterable[Candidate]) -> list[str | None]:
    return list(dict.fromkeys(c.network for c in some if c.network)) or [None]


def situation(
    network: str | None,
    every: Iterable[Candidate],
    budget: Sequence[Constraint],
    terms: Terms,
) -> Situation:
    """Rank the edge and what is reached over one network."""
    here = [c for c in every if c.network in (None, network)]
    judged = [judge(candidate, budget, terms) for candidate in here]
    good = sorted((j.candidate for j in judged if j.word == "meets"), key=_p50)
    tied = [c for c in good if _overlap(good[0], c)]
    first = sorted(tied, key=lambda c: _thrift(c, tied))[:1]
    rejected = sorted(
        (j for j in judged if j.word != "meets"),
        key=lambda j: (j.word == "misses", _p50(j.candidate)),
    )
    return Situation(
        network=network,
        ranked=(*first, *(c for c in good if c not in first)),
        tied=tuple(c for c in tied if c not in first),
        rejected=tuple(rejected),
    )


def judge(candidate: Candidate, budget: Sequence[Constraint], terms: Terms) -> Judged:
    """Hold a candidate against the whole budget; one that cannot be used misses any."""
    if not is_usable(candidate):
        reason = candidate.unusable or f"latency not measured: {candidate.evidence}"
        return Judged(candidate=candidate, word="misses", reasons=(reason,))
    found = [constraint.judge(candidate, terms) for constraint in budget]
    words = {one.word for one in found}
    word: Word = next((w for w in ("misses", "cannot tell") if w in words), "meets")
    reasons = tuple(one.reason for one in found if one.word == word and one.reason)
    return Judged(candidate=candidate, word=word, reasons=reasons)


def _p50(candidate: Candidate) -> float:
    return candidate.p50_ns or float("inf")


def _overlap(one: Candidate, other: Candidate) -> bool:
    return (one.low_ns or 0) <= (other.high_ns or 0) and (other.low_ns or 0) <= (one.high_ns or 0)


def _thrift(candidate: Candidate, tied: Sequence[Candidate]) -> tuple[float | bool, ...]:
    """Of those that latency cannot tell apart: the edge, then what none is surely more accurate
    than, then the smaller file.
    """
    behind = any(other.is_more_accurate(candidate) for other in tied)
    return not candidate.offline, behind, candidate.file_bytes, _p50(candidate)


def turn(edge: Candidate, model: LinkModel) -> Turn:
    """Find where a server becomes faster than the edge."""
    limit = _p50(edge)
    grid = [(rate, rtt) for rate in link_model.RATES for rtt in link_model.ROUND_TRIPS]
    return Turn(
        edge=edge,
        cloud=model,
        least_mbit=tuple(model.least_rate(limit, rtt) for rtt in link_model.ROUND_TRIPS),
        longest_ms=model.longest_round_trip(limit),
        points=tuple(_map_point(edge, model, *link) for link in grid),
    )


def _map_point(edge: Candidate, model: LinkModel, rate: float, rtt: float) -> Point:
    cloud = model.estimate(rate, rate, rtt)
    return Point(rate_mbit=rate, rtt_ms=rtt, cloud_ns=cloud, winner=winner(edge, model, cloud))


def winner(edge: Candidate, model: LinkModel, cloud_ns: float) -> Winner:
    """Tell who is faster where the server is estimated to take `cloud_ns`."""
    low, high = certain(edge, model)
    return "cloud" if cloud_ns < low else "edge" if cloud_ns > high else "cannot tell"


def certain(edge: Candidate, model: LinkModel) -> tuple[float, float]:
    """Return below which estimate the server is surely faster, and above which the edge is: its
    interval, widened by the estimate's largest error.
    """
    error = model.error or 0.0
    high = (edge.high_ns or 0.0) / (1 - error) if error < 1 else inf
    return (edge.low_ns or 0.0) / (1 + error), high

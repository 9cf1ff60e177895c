"""What ``bench tradeoff`` says: the recommendation, why, what each way costs, where that turns."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from bench import units
from bench.candidate import AS_IS, DAYS, Candidate, Terms
from bench.constraints import Constraint
from bench.link_model import ROUND_TRIPS, LinkModel
from bench.report.document import EMPTY, UNMEASURED, Cell, Column, Report, Table, figure, of, word
from bench.report.turns import crossover, sentences
from bench.sides import is_usable
from bench.stats import CONFIDENCE
from bench.tradeoff import Judged, Situation, Tradeoff, Weighed

TITLE = "Edge or cloud"
# Of those that latency cannot tell apart a sentence names so many; the ranking has all.
MOST_NAMED = 2
Field = tuple[str, Callable[[Candidate], Cell]]


def report(found: Tradeoff) -> Report:
    """Return the report: one sentence a situation first, then the tables of each task."""
    return Report(
        title=TITLE,
        readings=tuple(dict.fromkeys(r for task in found.tasks for r in _readings(task, found))),
        tables=tuple(table for task in found.tasks for table in _tables(task, found)),
        notes=tuple(_notes(found)),
    )


def as_data(found: Tradeoff) -> dict[str, Any]:
    """Return all of it as JSON can carry it; candidates are referred to by name."""
    return {
        "terms": msgspec.to_builtins(found.terms),
        "budget": [{"key": c.key, "limit": c.text} for c in found.budget],
        "exit_code": found.exit_code,
        "network": found.network,
        "left_out": list(found.left_out),
        "tasks": [_task(weighed, found.terms) for weighed in found.tasks],
    }


def _task(weighed: Weighed, terms: Terms) -> dict[str, Any]:
    return {
        "task": weighed.task,
        "candidates": [_candidate(candidate, terms) for candidate in weighed.candidates],
        "situations": [_situation(situation) for situation in weighed.situations],
        "models": [
            {"name": model.name, "error": model.error} | msgspec.to_builtins(model)
            for model in weighed.models
        ],
        "crossovers": [
            {
                "edge": turn.edge.name,
                "cloud": turn.cloud.name,
                "round_trips_ms": ROUND_TRIPS,
                "least_mbit": turn.least_mbit,
                "longest_ms": turn.longest_ms,
                "map": msgspec.to_builtins(turn.points),
            }
            for turn in weighed.turns
        ],
    }


def _candidate(candidate: Candidate, terms: Terms) -> dict[str, Any]:
    figures: dict[str, Any] = msgspec.to_builtins(candidate)
    return {
        "name": candidate.name,
        "offline": candidate.offline,
        "private": candidate.private,
        "top1_between": candidate.top1_between,
        "data_per_month": candidate.data_per_month(terms),
        "data_price": candidate.data_price(terms),
        "server_price_per_million": candidate.server_price_per_million(terms),
        **figures,
    }


def _situation(situation: Situation) -> dict[str, Any]:
    return {
        "network": situation.network,
        "exit_code": situation.exit_code,
        "recommended": situation.best.name if situation.best else None,
        "ranked": [candidate.name for candidate in situation.ranked],
        "tied": [candidate.name for candidate in situation.tied],
        "rejected": [
            {"name": judged.candidate.name, "word": judged.word, "reasons": judged.reasons}
            for judged in situation.rejected
        ],
    }


def nothing(found: Tradeoff) -> str:
    """Say in one line why there is no recommendation, and which candidate came first."""
    every = [s for weighed in found.tasks for s in weighed.situations if not s.best]
    open_ = [s for s in every if s.exit_code == found.exit_code]
    if found.gap and not any(is_usable(j.candidate) for s in open_ for j in s.rejected):
        return f"cannot tell edge from cloud: {found.gap}"
    first = open_[0]
    near = first.rejected[0]
    fate = "cannot tell" if first.exit_code == 3 else "nothing meets the budget"
    return f"{fate}{_by(first)}: {near.candidate.name}: {'; '.join(near.reasons)}"


def _readings(weighed: Weighed, found: Tradeoff) -> Iterator[str]:
    alike: dict[tuple[str, ...], list[Situation]] = {}
    for situation in weighed.situations:
        said = tuple(_recommendation(situation, found.budget))
        alike.setdefault(said, []).append(situation)
    for (first, *further), some in alike.items():
        everywhere = len(some) == len(weighed.situations) > 1
        way = f" over every one of {len(some)} links" if everywhere else _over(some)
        yield f"{weighed.task}{way}: {first}"
        yield from further
    yield from sentences(weighed)


def _over(some: Sequence[Situation]) -> str:
    names = [one.network for one in some if one.network not in (None, AS_IS)]
    others = [_by(one) for one in some if one.network in (None, AS_IS)]
    return f"{' over ' if names else ''}{'; '.join(map(str, names))}{'; '.join(others)}"


def _by(situation: Situation) -> str:
    if situation.network is None:
        return ""
    return (
        " by the network as it is" if situation.network == AS_IS else f" over {situation.network}"
    )


def _recommendation(situation: Situation, budget: Sequence[Constraint]) -> Iterator[str]:
    best, asked = situation.best, ", ".join(_said(constraint) for constraint in budget)
    if best is None:
        near = situation.rejected[0]
        unsure = situation.exit_code == 3
        fate = "cannot tell" if unsure else f"nothing meets {asked}" if asked else "no candidate"
        yield f"{fate}; {near.candidate.name}: {'; '.join(near.reasons)}"
        return
    kept = f"meets {asked}; " if asked else ""
    told = f"{_time(best)}{_top1(best)}"
    yield f"{best.where}: {best.name}, {told}: {kept}{_why(situation, best)}"
    if further := situation.more_accurate:
        yield _cost(situation, best, further)
    if alike := situation.as_accurate:
        yield (
            f"{best.images} images cannot tell the top-1 of {best.name} from that of {alike.name} "
            f"({units.percent(alike.top1 or 0.0)})"
        )


def _top1(candidate: Candidate) -> str:
    between = candidate.top1_between
    if candidate.top1 is None or between is None:
        return ""
    low, high = map(units.percent, between)
    return f", top-1 {units.percent(candidate.top1)} of {candidate.images} images ({low} to {high})"


def _cost(situation: Situation, best: Candidate, further: Candidate) -> str:
    """Say what a surely higher accuracy costs in latency."""
    gained = units.points((further.top1 or 0.0) - (best.top1 or 0.0))
    more = (further.p50_ns or 0.0) - (best.p50_ns or 0.0)
    cost = "no latency that can be told" if further in situation.tied else units.duration(more)
    return f"{gained} of top-1 cost {cost}: {further.name}, {_time(further)} for {_time(best)}"


def _said(constraint: Constraint) -> str:
    if constraint.text == constraint.key:
        return constraint.key
    return f"{constraint.key}={constraint.text}"


def _time(candidate: Candidate) -> str:
    assert candidate.p50_ns is not None
    return units.duration(candidate.p50_ns)


def _why(situation: Situation, best: Candidate) -> str:
    if situation.tied:
        names = [candidate.name for candidate in situation.tied]
        more = f" and {len(names) - MOST_NAMED} more" if names[MOST_NAMED:] else ""
        others = f"{', '.join(names[:MOST_NAMED])}{more}"
        return f"cannot be told by latency from {others}, and {preferred(best, situation.tied)}"
    if len(situation.ranked) == 1:
        return "no other does" if situation.rejected else "there is no other"
    second = situation.ranked[1]
    ratio = (second.p50_ns or 0.0) / (best.p50_ns or 1.0)
    return (
        f"the fastest of {len(situation.ranked)}; {second.name} takes {units.times(ratio)} as long"
    )


def preferred(best: Candidate, others: Sequence[Candidate]) -> str:
    """Say what speaks for one of those that latency cannot tell apart."""
    if best.offline and not all(other.offline for other in others):
        return "works offline"
    if any(best.is_more_accurate(other) for other in others):
        return "is more accurate"
    smallest = all(best.file_bytes <= other.file_bytes for other in others)
    return f"is no larger than any{'' if smallest else ' as accurate'}"


def _tables(weighed: Weighed, found: Tradeoff) -> Iterator[Table]:
    yield _latency(weighed)
    yield _device(weighed)
    if any(candidate.where == "cloud" for candidate in weighed.candidates):
        yield _costs(weighed, found.terms)
    if any(candidate.stages for candidate in weighed.candidates):
        yield _stages(weighed)
    for situation in weighed.situations:
        yield _ranking(weighed.task, situation)
    yield from crossover(weighed)
    if weighed.models:
        yield _checks(weighed)


def _table(title: str, some: Sequence[Candidate], fields: Sequence[Field]) -> Table:
    """Return a row for each candidate, without the columns in which there is nothing."""
    shown = [(name, [cell(candidate) for candidate in some]) for name, cell in fields]
    filled = [(name, cells) for name, cells in shown if any(c.text != EMPTY for c in cells)]
    rows = zip(*(cells for _, cells in filled), strict=True)
    return Table(
        title=title,
        columns=(
            Column("network", right=False),
            Column("where", right=False),
            *(Column(name) for name, _ in filled),
        ),
        rows=tuple(
            of(
                candidate.key,
                (word(candidate.model), word(f"{candidate.variant} {candidate.place}"), *cells),
            )
            for candidate, cells in zip(some, rows, strict=True)
        ),
        nested=True,
    )


def _sorted(some: Sequence[Candidate]) -> list[Candidate]:
    """Keep a network's rows together, the fastest network first."""
    ordered = sorted(some, key=lambda c: c.p50_ns or float("inf"))
    models = list(dict.fromkeys(candidate.model for candidate in ordered))
    return sorted(ordered, key=lambda c: models.index(c.model))


def _latency(weighed: Weighed) -> Table:
    fields: list[Field] = [
        ("p50", lambda c: figure(c.p50_ns, units.duration, UNMEASURED)),
        ("from", lambda c: figure(c.low_ns, units.duration)),
        ("to", lambda c: figure(c.high_ns, units.duration)),
        ("p90", lambda c: figure(c.p90_ns, units.duration)),
        ("top-1", lambda c: figure(c.top1, units.percent, UNMEASURED)),
        ("verdict", lambda c: word(c.verdict)),
    ]
    return _table(f"{weighed.task}: latency and accuracy", _sorted(weighed.candidates), fields)


def _device(weighed: Weighed) -> Table:
    fields: list[Field] = [
        ("size", lambda c: figure(c.size_bytes, units.size)),
        ("memory", lambda c: figure(c.memory_bytes, units.size, UNMEASURED)),
        ("energy", _energy),
        ("offline", lambda c: word("yes" if c.offline else "no")),
        ("private", lambda c: word("yes" if c.private else "no")),
    ]
    return _table(f"{weighed.task}: on the device", _sites(weighed), fields)


def _costs(weighed: Weighed, terms: Terms) -> Table:
    fields: list[Field] = [
        ("data a month", lambda c: figure(c.data_per_month(terms), units.size)),
        ("its price", lambda c: figure(c.data_price(terms), _money)),
        ("server, a million", lambda c: figure(c.server_price_per_million(terms), _money)),
    ]
    return _table(f"{weighed.task}: what goes on costing", _sites(weighed), fields)


def _sites(weighed: Weighed) -> list[Candidate]:
    """Return a candidate for each site, by whatever network it is reached."""
    everywhere = (msgspec.structs.replace(c, network=None) for c in _sorted(weighed.candidates))
    return list({candidate.name: candidate for candidate in everywhere}.values())


def _money(amount: float) -> str:
    return f"{amount:.2f}"


def _energy(candidate: Candidate) -> Cell:
    if candidate.energy_j is not None:
        return figure(candidate.energy_j, units.energy)
    if candidate.arithmetic_j is None:
        return Cell(UNMEASURED)
    return Cell(f"> {units.energy(candidate.arithmetic_j)} est.", candidate.arithmetic_j)


def _stages(weighed: Weighed) -> Table:
    some = [candidate for candidate in _sorted(weighed.candidates) if candidate.stages]
    names = ("encode", "upload_download", "queue", "compute")
    fields: list[Field] = [(name.replace("_", " + "), _stage(name)) for name in names]
    fields.append(("bytes", lambda c: figure(c.data_bytes, units.size)))
    return _table(f"{weighed.task}: where a request's time goes (medians)", some, fields)


def _stage(name: str) -> Callable[[Candidate], Cell]:
    return lambda c: figure(getattr(c.stages, f"{name}_ns"), units.duration, "not told")


def _ranking(task: str, situation: Situation) -> Table:
    rows = [
        *((str(n), c, "meets", _place(situation, c)) for n, c in enumerate(situation.ranked, 1)),
        *((EMPTY, j.candidate, j.word, _reasons(j)) for j in situation.rejected),
    ]
    return Table(
        title=f"{task}{_by(situation)}: ranking",
        columns=tuple(Column(title, right=False) for title in ("", "candidate", "budget", "why")),
        rows=tuple(
            of(c.key, (word(n), word(c.name), word(said), word(why))) for n, c, said, why in rows
        ),
    )


def _place(situation: Situation, candidate: Candidate) -> str:
    if candidate is situation.best:
        return f"recommended: {_time(candidate)}"
    tied = candidate in situation.tied
    return f"{_time(candidate)}{', cannot tell from the first' if tied else ''}"


def _reasons(judged: Judged) -> str:
    return "; ".join(judged.reasons)


def _checks(weighed: Weighed) -> Table:
    titles = ("round trip", "measured", "estimated", "error")
    return Table(
        title=f"{weighed.task}: the estimate against the links that were measured",
        columns=(Column("server", right=False), Column("link", right=False), *map(Column, titles)),
        rows=tuple(
            (
                word(model.name),
                *of(check.key, (word(check.network),)),
                figure(check.rtt_ms, lambda ms: f"{ms:g} ms"),
                *of(check.key, (figure(check.measured_ns, units.duration),)),
                figure(check.estimated_ns, units.duration),
                figure(check.error, units.change),
            )
            for model in weighed.models
            for check in model.checks
        ),
        nested=True,
    )


def _notes(found: Tradeoff) -> Iterator[str]:
    if found.left_out:
        yield f"left out, not measured over {found.network}: {'; '.join(found.left_out)}"
    every = [candidate for weighed in found.tasks for candidate in weighed.candidates]
    models = [model for weighed in found.tasks for model in weighed.models]
    timings = ", ".join(sorted({f"{c.where}: {c.timing}" for c in every}))
    yield f"p50 end to end ({timings}), from - to its {CONFIDENCE:.0%} interval"
    yield (
        f"data: both ways, headers included, at {found.terms.per_day} inferences a day for "
        f"{DAYS} days; size and memory: of the network on the device, none for a server's"
    )
    if numbers := sorted({c.images for c in every if c.images}):
        counts = " or ".join(map(str, numbers))
        unlike = "; between different images it tells nothing" if len(numbers) > 1 else ""
        yield (
            f"top-1: on {counts} images, as run where it says{unlike}; in brackets its "
            f"{CONFIDENCE:.0%} interval (Wilson's), as other such images could give it"
        )
    if any(c.arithmetic_j is not None and c.energy_j is None for c in every):
        yield (
            "energy, est.: multiplications and additions alone at 45 nm (Horowitz, ISSCC 2014), no "
            "memory, no radio; an estimate meets no budget, and the radio's was not measured"
        )
    yield from _server_notes(found, every)
    for model in models:
        yield _modelled(model)
    if found.gap:
        yield found.gap
    yield from _caution(every)


def _server_notes(found: Tradeoff, every: Sequence[Candidate]) -> Iterator[str]:
    clouds = [candidate for candidate in every if candidate.where == "cloud"]
    if not clouds:
        return
    if found.terms.server_price_per_hour is None:
        yield "a server's price is not known; give --server-price-per-hour"
    elif any(candidate.server_estimated for candidate in clouds):
        yield (
            "server: estimated from the time it computes, one request after another, on a server "
            "always at work; 'bench run --streams 1,4' measures its throughput"
        )
    if found.terms.price_per_gb is None:
        yield "the price of data is not known; give --price-per-gb"


def _modelled(model: LinkModel) -> str:
    trips = (
        f"{model.round_trips:.3g} x the round trip{'' if model.fitted else ' (taken, not fitted)'}"
    )
    told = (
        f"estimate of {model.name}: {units.duration(model.work_ns)} of work, "
        f"{units.duration(model.overhead_ns)} of overhead, {trips}, "
        f"{units.size(model.request_bytes)} up, {units.size(model.response_bytes)} down"
    )
    if model.error is None:
        return f"{told}; one link cannot check it: measure another with --network"
    return f"{told}; off by {model.error:.0%} at most on {len(model.checks)} measured links"


def _caution(every: Sequence[Candidate]) -> Iterator[str]:
    for candidate in every:
        if candidate.verdict != "valid":
            yield f"{candidate.name}: {candidate.verdict}: {candidate.evidence}"

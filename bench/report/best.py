"""What ``bench run --best`` says: the choice, what it won over the defaults, and what fell out."""

from collections.abc import Iterator
from typing import Any

import msgspec

from bench import units
from bench.matrix import Cell as Candidate
from bench.record import Record
from bench.report.clocks import timings
from bench.report.document import Cell, Column, Report, Table, figure, word
from bench.rows import Row, rows
from bench.search import FIRST_SHARE, Dropped, Outcome, Rival, said

DEFAULTS = (
    "the defaults: the fp32 file in the first of TFLite, ONNX and torch that is there, by the "
    "device's first runtime for it, with the fewest threads"
)
RUNGS = (
    "in each rung the faster half goes on with twice the time and processes; the first takes "
    f"1/{1 / FIRST_SHARE:.0f} of --max-seconds, in one process; the end is a measurement in full. "
    "Records of rungs are marked, and no other command takes them for measurements"
)


def best(outcome: Outcome) -> Report:
    """Return the report of a search."""
    network, device = _subject(outcome.default)
    tables = [_measured(outcome)] if outcome.records else []
    if outcome.dropped:
        tables.append(_dropped(outcome))
    return Report(
        title=f"{network} on {device}: {_choice(outcome)}",
        readings=tuple(_readings(outcome)),
        tables=tuple(tables),
        notes=(DEFAULTS, RUNGS, *_definitions(outcome)),
    )


def as_data(outcome: Outcome) -> dict[str, Any]:
    """Return a search as JSON can carry it: rows as of ``bench run --json``, and what fell out."""
    network, device = _subject(outcome.default)
    figures = {row.key: msgspec.to_builtins(row) for row in rows(outcome.records)}
    return {
        "network": network,
        "device": device,
        "best": figures[" ".join(outcome.best.key)] if outcome.best else None,
        "default": _name(outcome.default),
        "is_default": outcome.is_default,
        "defaults": _beside(outcome.defaults, figures),
        "tied": _beside(outcome.tied, figures),
        "nearest": _as_data(outcome.nearest) if outcome.nearest else None,
        "dropped": [_as_data(drop) for drop in outcome.dropped],
    }


def nothing(outcome: Outcome) -> str:
    """Say in one line why there is no choice, and which candidate came nearest."""
    if outcome.nearest is None:
        first = outcome.dropped[0]
        return f"nothing could be judged: {_name(first.cell)}: {first.reason}"
    near = outcome.nearest
    return f"nothing meets the demands; nearest is {_name(near.cell)}: {near.reason}"


def _choice(outcome: Outcome) -> str:
    return _called(outcome.best) if outcome.best else "no choice"


def _readings(outcome: Outcome) -> Iterator[str]:
    best = outcome.best
    if best is None:
        yield nothing(outcome)
        return
    yield from _won(outcome, best)
    if outcome.tied and outcome.tied.record.key != outcome.default.key:
        other = outcome.tied.record
        yield (
            f"cannot tell it from {_called(other)}, which takes {said(outcome.tied.against)}: "
            f"{_thrift(best, other)} was chosen"
        )


def _won(outcome: Outcome, best: Record) -> Iterator[str]:
    name = _name(outcome.default)
    if outcome.is_default:
        yield f"the defaults are the best: {name}"
    elif outcome.defaults is None:
        why = {d.cell.key: d.reason for d in outcome.dropped}.get(outcome.default.key, "failed")
        yield f"how much is won is not known, as the defaults ({name}) gave no figures: {why}"
    else:
        other = outcome.defaults.record
        tied = outcome.tied is not None and outcome.tied.record.key == other.key
        chosen = f"; {_thrift(best, other)} was chosen" if tied else ""
        yield f"{_verdict(outcome.defaults, name)}{chosen}"
        yield from _besides(best, other)


def _verdict(defaults: Rival, name: str) -> str:
    against = defaults.against
    times = f"{units.duration(against.a_ns)} instead of {units.duration(against.b_ns)}"
    takes = f"the defaults ({name}) take {said(against)}"
    if against.word == "slower" and against.time:
        return f"{against.time.value:.3g} times as fast, {times}: {takes}, at 99 %"
    words = {"same": "no faster", "faster": "slower"}
    said_of_it = words.get(str(against.word), "cannot tell if it is faster")
    return f"{said_of_it}, {times}: {takes}"


def _besides(best: Record, other: Record) -> Iterator[str]:
    """Say what else changes."""
    (one,), (two,) = rows([best]), rows([other])
    pairs = [
        ("file", one.size_bytes, two.size_bytes, units.size),
        ("memory", one.memory_after_run, two.memory_after_run, units.size),
        ("top-1", one.top1, two.top1, units.percent),
    ]
    told = [
        f"{name} {show(now)} instead of {show(before)}"
        for name, now, before, show in pairs
        if now is not None and before is not None
    ]
    yield "; ".join(told)


def _thrift(best: Record, other: Record) -> str:
    if best.manifest.size_bytes < other.manifest.size_bytes:
        sizes = (units.size(r.manifest.size_bytes) for r in (best, other))
        return "the smaller file ({} against {})".format(*sizes)
    fewer = (best.settings.threads or 0) < (other.settings.threads or 0)
    return "the one with fewer threads" if fewer else "the one with the lower median"


def _measured(outcome: Outcome) -> Table:
    titles = ("size", "p50", "±", "memory", "top-1")
    return Table(
        title="Measured in full, side by side",
        columns=(
            Column("candidate", right=False),
            *map(Column, titles),
            Column("verdict", right=False),
        ),
        rows=tuple(_figures(row) for row in sorted(rows(outcome.records), key=_speed)),
    )


def _speed(row: Row) -> float:
    return row.p50_ns or float("inf")


def _figures(row: Row) -> tuple[Cell, ...]:
    return (
        word(_named(row.variant, row.runtime, row.threads or 0)),
        figure(row.size_bytes, units.size),
        figure(row.p50_ns, units.duration),
        figure(row.uncertainty, units.percent),
        figure(row.memory_after_run, units.size),
        figure(row.top1, units.percent),
        word(row.verdict),
    )


def _dropped(outcome: Outcome) -> Table:
    return Table(
        title="Dropped",
        columns=tuple(Column(title, right=False) for title in ("candidate", "rung", "why")),
        rows=tuple(
            (word(_name(drop.cell)), word(_rung(drop)), word(drop.reason))
            for drop in outcome.dropped
        ),
    )


def _rung(drop: Dropped) -> str:
    return "the end" if drop.rung is None else str(drop.rung)


def _definitions(outcome: Outcome) -> Iterator[str]:
    found = rows(outcome.records)
    yield from timings(found)
    for definition in sorted({row.memory_definition for row in found if row.memory_definition}):
        yield f"memory: {definition}"
    for dataset, images in sorted({(row.dataset, row.images) for row in found if row.dataset}):
        yield f"top-1: on {images} test images of {dataset}, as run on the device"
    for row in found:
        if row.verdict != "valid":
            advice = f"; {row.advice}" if row.advice else ""
            name = _named(row.variant, row.runtime, row.threads or 0)
            yield f"{name}: {row.verdict}: {row.evidence}{advice}"


def _subject(cell: Candidate) -> tuple[str, str]:
    return cell.artifact.manifest.network.name, cell.target.info.name


def _beside(rival: Rival | None, figures: dict[str, dict[str, Any]]) -> dict[str, Any] | None:
    if rival is None:
        return None
    against = msgspec.to_builtins(rival.against)
    return {"figures": figures[" ".join(rival.record.key)], "against_best": against}


def _as_data(drop: Dropped) -> dict[str, Any]:
    manifest = drop.cell.artifact.manifest
    return {
        "variant": manifest.variant,
        "runtime": drop.cell.runtime,
        "threads": drop.cell.threads,
        "rung": drop.rung,
        "reason": drop.reason,
    }


def _name(cell: Candidate) -> str:
    return _named(cell.artifact.manifest.variant, cell.runtime or "", cell.threads)


def _called(record: Record) -> str:
    settings = record.settings
    return _named(record.manifest.variant, settings.runtime, settings.threads or 0)


def _named(variant: str, runtime: str, threads: int) -> str:
    return f"{variant}, {runtime}, {units.threads(threads)}"

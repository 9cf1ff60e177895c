"""Where the processor's time went while rounds were made, of many records at once. Pure."""

from collections.abc import Iterator, Sequence
from itertools import chain, islice, repeat
from math import nan

import msgspec
import numpy as np

from bench.record import Record
from bench.stacks import stacks
from bench.stats import Floats, known, median_of_known
from devices.device import Usage

# Hypervisors take a core for milliseconds.
SLICE_NS = 1e6


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """Where the processor's time went while the rounds were made; None where nothing tells.

    Attributes:
        lost: of a typical round, the share in which the worker was ready to run and had no core;
            not known of streams that are more than the cores, as they wait for each other.
        stolen: the share of the worker's time in which a hypervisor ran something else.
        others: the share of all cores that other programs used.
        disturbed: the share of invocations in which the worker lost its core, in a typical round,
            or a hypervisor took it (for `SLICE_NS` at least each time).
    """

    lost: float | None = None
    stolen: float | None = None
    others: float | None = None
    disturbed: float | None = None


def shares(records: Sequence[Record]) -> list[Share]:
    """Return the shares of each record; nothing is known of one without usage."""
    made = iter(_shares([record for record in records if record.usage]))
    return [next(made) if record.usage else Share() for record in records]


def lost_share(usage: Usage, threads: int) -> float | None:
    """Return the share of a round spent waiting for a core; of one thread that is always at work it
    is what is missing of its processor time.
    """
    row = np.array(msgspec.structs.astuple(usage), dtype=np.float64)
    return known(float(_lost(_by_field(row), np.array(threads, dtype=np.float64))))


def _shares(records: Sequence[Record]) -> Iterator[Share]:
    rows = [msgspec.structs.astuple(usage) for record in records for usage in record.usage]
    made = [_invocations(record) for record in records]
    runs = [
        run for record, each in zip(records, made, strict=True) for run in _fitted(each, record)
    ]
    usage = np.column_stack([np.array(rows, dtype=np.float64), runs])
    threads = np.array([_at_work(record) for record in records])
    totals = np.array([sum(each) for each in made])
    crowded = np.array([_is_crowded(record) for record in records])
    found = np.empty((4, len(records)))
    for numbers, parts in stacks(usage, [len(record.usage) for record in records]):
        found[:, numbers] = _of_alike(parts, threads[numbers], totals[numbers])
    found[0, crowded] = np.nan
    for each in found.T.tolist():
        lost, stolen, others, disturbed = map(known, each)
        yield Share(lost=lost, stolen=stolen, others=others, disturbed=disturbed)


def _of_alike(table: Floats, threads: Floats, totals: Floats) -> tuple[Floats, ...]:
    """Return the four shares of records of equally many rounds; NaN is unknown.

    Args:
        table: the fields of each round's `Usage` and its invocations, shape (records, rounds, 8).
        threads: how many compute, shape (records,).
        totals: all invocations of each record, shape (records,).
    """
    usage, runs = _by_field(table), table[..., -1]
    total = _by_field(np.where(np.isnan(table), 0.0, table).sum(axis=-2))
    busy_ns = np.where(total["busy_ns"] > 0, total["busy_ns"], np.nan)
    own = np.minimum(1.0, total["cpu_ns"] / busy_ns)
    taken = np.nan_to_num(own) * total["stolen_ns"] / SLICE_NS / totals
    cores_ns = busy_ns + total["idle_ns"] + total["stolen_ns"]
    return (
        median_of_known(_lost(usage, threads[:, None])),
        own * total["stolen_ns"] / (total["wall_ns"] * threads),
        np.maximum(0.0, busy_ns - total["cpu_ns"]) / cores_ns,
        np.minimum(1.0, median_of_known(usage["involuntary"] / runs) + taken),
    )


def _by_field(table: Floats) -> dict[str, Floats]:
    """Return what stands on the last axis by the name of the field of `Usage`."""
    return {name: table[..., index] for index, name in enumerate(Usage.__struct_fields__)}


def _lost(usage: dict[str, Floats], threads: Floats) -> Floats:
    """Return the share of each round that was lost: see `lost_share`."""
    idle = np.maximum(0.0, 1 - usage["cpu_ns"] / usage["wall_ns"])
    waited = usage["waited_ns"] / (usage["wall_ns"] * threads)
    return np.where(np.isnan(waited), np.where(threads == 1, idle, np.nan), waited)


def _at_work(record: Record) -> int:
    """Return how many threads there are that compute."""
    settings = record.settings
    return (settings.threads_found or settings.threads or 1) * (settings.streams or 1)


def _is_crowded(record: Record) -> bool:
    """Tell whether there are streams that wait for each other's cores."""
    threads = _at_work(record)
    crowded = threads > int(record.device.facts.get("logical_cores", threads))
    return crowded and (record.settings.streams or 1) > 1


def _invocations(record: Record) -> list[float]:
    """Return how many were made in each round; of a scenario's the record keeps but some."""
    if record.scenario is None or record.throughput is None:
        return [1 + len(samples) for samples in record.rounds]
    return [1 + served.invocations for served in record.throughput.rounds]


def _fitted(runs: Sequence[float], record: Record) -> Iterator[float]:
    """Yield the invocations of each round of which the usage is known, NaN if they are not."""
    return islice(chain(runs, repeat(nan)), len(record.usage))

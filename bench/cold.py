"""What a cold start takes: fresh processes summed up. Pure."""

from collections.abc import Iterator, Sequence
from math import isnan

import msgspec
import numpy as np

from bench.record import ColdStart
from bench.stacks import stacks
from bench.stats import median_of_known


class ColdFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Medians over fresh processes of each step and of the whole, which has its range, in ns.

    A step is None where the device cannot tell; see `bench.record.ColdStart`.
    """

    processes: int
    start_ns: float | None
    import_ns: float | None
    load_ns: float
    first_ns: float
    total_ns: float
    least_ns: int
    most_ns: int


def summed_up(starts: Sequence[ColdStart]) -> ColdFigures | None:
    """Return the figures of some cold starts, None of none."""
    return all_summed_up([starts])[0]


def all_summed_up(runs: Sequence[Sequence[ColdStart]]) -> list[ColdFigures | None]:
    """Return the figures of each run's cold starts, None of a run without: see `bench.stacks`."""
    made = _summed_up([starts for starts in runs if starts])
    return [next(made) if starts else None for starts in runs]


def _summed_up(runs: Sequence[Sequence[ColdStart]]) -> Iterator[ColdFigures]:
    rows = [msgspec.structs.astuple(start) for starts in runs for start in starts]
    steps = np.array(rows, dtype=np.float64)
    table = np.column_stack([steps, np.nansum(steps, axis=-1)])
    lengths = [len(starts) for starts in runs]
    found = np.empty((len(runs), table.shape[-1] + 2))
    for numbers, parts in stacks(table, lengths):
        totals = parts[..., -1]
        typical = median_of_known(np.moveaxis(parts, 1, -1))
        found[numbers] = np.column_stack([typical, totals.min(axis=-1), totals.max(axis=-1)])
    for count, (start, import_, load, first, total, least, most) in zip(
        lengths, found.tolist(), strict=True
    ):
        yield ColdFigures(
            processes=count,
            start_ns=None if isnan(start) else _plain(start),
            import_ns=None if isnan(import_) else _plain(import_),
            load_ns=_plain(load),
            first_ns=_plain(first),
            total_ns=_plain(total),
            least_ns=int(least),
            most_ns=int(most),
        )


def _plain(ns: float) -> float:
    """Return whole nanoseconds without decimals."""
    return int(ns) if ns.is_integer() else ns

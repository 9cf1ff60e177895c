"""Inferences per second, of one stream or several, by what they did in each round. Pure."""

import msgspec
import numpy as np

from bench import stats
from bench.record import Record, Throughput
from bench.stats import Floats


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """Inferences (samples) per second: the median over units of inference (see `bench.stats`), and
    its 95 % interval.
    """

    streams: int
    per_s: float
    low: float
    high: float


def throughput(record: Record) -> Rate | None:
    """Return the throughput of a record, None where it was not asked for."""
    counted = record.throughput
    if counted is None or not counted.rounds:
        return None
    each = stats.by_process(_rates(counted, record.settings.batch), record.processes)
    low, high = stats.median_interval(each)
    streams = record.settings.streams or 1
    return Rate(streams=streams, per_s=float(np.median(each)), low=low, high=high)


def _rates(counted: Throughput, batch: int) -> Floats:
    """Return samples per second of each round, shape (rounds,).

    Batch x completed invocations / time: of several streams the time that they were all at work, of
    one the sum of its invocations, so that nothing between two of them counts.
    """
    done = [(s.invocations, s.wall_ns) for s in counted.rounds]
    return np.array([1e9 * batch * number / max(1, ns) for number, ns in done], dtype=np.float64)

"""Inferences per second: of one stream from its latencies, of several from what they did. Pure."""

import msgspec
import numpy as np

from bench import stats
from bench.record import Record
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
    """Return the throughput of a record, None if it holds no samples."""
    if not record.rounds:
        return None
    each = stats.units(record.rounds, record.processes, lambda _: rates(record))
    low, high = stats.median_interval(each)
    streams = record.settings.streams or 1
    return Rate(streams=streams, per_s=float(np.median(each)), low=low, high=high)


def rates(record: Record) -> Floats:
    """Return samples per second of each round, shape (rounds,).

    Batch x completed invocations / time: of several streams the time that they were all at work, of
    one the sum of its invocations, so that nothing between two of them counts.
    """
    batch, counted = record.settings.batch, record.throughput
    if counted is not None:
        done = [(served.invocations, served.wall_ns) for served in counted.rounds]
    else:
        done = [(len(samples), sum(samples)) for samples in record.rounds]
    return np.array([1e9 * batch * number / max(1, ns) for number, ns in done], dtype=np.float64)

"""Running one artifact back to back for long, as an application under load does."""

import time
from collections.abc import Callable, Iterator, Sequence
from math import ceil
from statistics import median

from bench.pace import runs_for
from bench.record import Sustained
from bench.share import lost_share
from devices.device import Sensors, Session

# Long enough that what lies between two blocks is nothing beside them.
BLOCK_NS = 500e6
POINTS = 600


def sustain(
    session: Session, seconds: float, one_ns: float, threads: int, tell: Callable[[], None]
) -> Sustained:
    """Run an artifact without rest for `seconds`; return the curve of its times.

    Args:
        session: a worker, warmed up.
        seconds: how long; the last block begins before that.
        one_ns: what one invocation takes by now.
        threads: how many it runs on.
        tell: called between the blocks.

    Raises:
        WorkerError: the worker did not last.
    """
    begun = time.monotonic()
    times: list[float] = []
    medians: list[float] = []
    read: list[Sensors] = []
    lost: list[float | None] = []
    while not times or time.monotonic() - begun < seconds:
        tell()
        read.append(session.sensors())
        times.append(time.monotonic() - begun)
        medians.append(float(median(session.measure(runs_for(BLOCK_NS, one_ns)))))
        one_ns = medians[-1]
        lost.append(lost_share(session.usage, threads) if session.usage else None)
    step = ceil(len(times) / POINTS)
    return Sustained(
        seconds=time.monotonic() - begun,
        times_s=tuple(round(start, 3) for start in times[::step]),
        medians_ns=tuple(round(time) for time in _thinned(medians, step)),
        temperatures_c=tuple(_thinned([sensors.temperature_c for sensors in read], step)),
        lost=tuple(_thinned(lost, step)),
        frequencies_mhz=tuple(_thinned([sensors.frequency_mhz for sensors in read], step)),
    )


def _thinned(values: Sequence[float | None], step: int) -> Iterator[float]:
    """Yield the medians of `step` values each, of those that are known."""
    known = [value for value in values if value is not None]
    yield from (median(known[i : i + step]) for i in range(0, len(known), step))

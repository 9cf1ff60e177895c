"""A device under load for long: burst and steady figures apart, and where it throttled. Pure."""

from math import exp

import msgspec
import numpy as np

from bench.record import Sustained
from bench.stats import Floats

SIGNIFICANT = 0.01
# Both sides of a change have at least as many points.
LEAST = 5
# Slower by less is no throttling.
LASTING = 0.05
# What a device gives at first: as long as most answers to a person take.
BURST_S = 10.0


class Endurance(msgspec.Struct, frozen=True, kw_only=True):
    """What a sustained run shows. `throttled_s`: seconds from its beginning, None: not seen.

    `burst_ns` is the median of the first `BURST_S` seconds, or of the first fifth of a shorter run,
    `steady_ns` that of all that follows the throttle point, or of the later half without one;
    `contended` says that in this time the worker had no core for more than `LASTING` of it.
    `start_c` is the temperature at the beginning. `curve_ns` holds the medians of equal stretches.
    """

    seconds: float
    burst_ns: float
    steady_ns: float
    throttled_s: float | None
    contended: bool
    start_c: float | None
    curve_ns: tuple[int, ...]


def endurance(run: Sustained | None) -> Endurance | None:
    """Return what a sustained run shows, None of none."""
    if run is None or not run.medians_ns:
        return None
    values = np.array(run.medians_ns, dtype=np.float64)
    point = throttle_point(values)
    settled = len(values) // 2 if point is None else point
    early = min(BURST_S, run.seconds / 5)
    first = max(1, int(np.searchsorted(run.times_s, early)))
    return Endurance(
        seconds=run.seconds,
        burst_ns=float(np.median(values[:first])),
        steady_ns=float(np.median(values[settled:])),
        throttled_s=None if point is None else run.times_s[point],
        contended=bool(run.lost) and float(np.median(run.lost[settled:])) > LASTING,
        start_c=run.temperatures_c[0] if run.temperatures_c else None,
        curve_ns=run.medians_ns,
    )


def throttle_point(values: Floats) -> int | None:
    """Return the index at which a series becomes slower for good, None if it never does.

    The series is cut into stretches of one level (see `changes`); looked for is the first from
    which on every stretch is slower than the first one by more than `LASTING`.
    """
    borders = changes(values)
    levels = [float(np.median(part)) for part in np.split(values, borders)]
    slow = [level > levels[0] * (1 + LASTING) for level in levels]
    lasting = [k for k in range(1, len(levels)) if all(slow[k:])]
    return borders[lasting[0] - 1] if lasting else None


def changes(values: Floats) -> list[int]:
    """Return the indices at which a new level begins.

    The change point of Pettitt's test (Applied Statistics 28, 1979: ranks, so that far values do
    not matter; p = 2 exp(-6 K^2 / (n^3 + n^2)) < `SIGNIFICANT`), then those of both parts, and so
    on (binary segmentation).
    """
    number = len(values)
    if number < 2 * LEAST:
        return []
    order = np.arange(1, number)
    ranks = np.sign(values[:, None] - values[None, :]).sum(axis=1)
    scores = np.abs(np.cumsum(ranks)[:-1])
    inner = (order >= LEAST) & (order <= number - LEAST)
    at = int(order[inner][np.argmax(scores[inner])])
    if 2 * exp(-6 * float(scores[at - 1]) ** 2 / (number**3 + number**2)) >= SIGNIFICANT:
        return []
    return [*changes(values[:at]), at, *(at + border for border in changes(values[at:]))]

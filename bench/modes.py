"""Whether a series has more than one level: Hartigan's dip test. Pure."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from bench.stats import Floats

# The 99th percentile of the dip times sqrt(n) among uniform samples, the worst case of one mode, is
# 0.51 at 10 values, 0.57 at 50, 0.61 at 500 (Hartigan and Hartigan, table 1, computed anew).
SIGNIFICANT = 0.6
# Ties are told apart by this share of the range, as an atom is no mode of its own.
TIE = 1e-9


@dataclass(frozen=True)
class Levels:
    """Two levels of a series: the median of each, and the share of values at the higher one."""

    low: float
    high: float
    share_high: float


def levels(values: Floats) -> Levels | None:
    """Return the two levels of a series, or None if one mode explains it (dip test, 1 %).

    The border lies where the two parts' spread around their means is least (Otsu 1979).
    """
    if dip(values) * np.sqrt(len(values)) < SIGNIFICANT:
        return None
    ordered = np.sort(values)
    spreads = [_spread(ordered[:i]) + _spread(ordered[i:]) for i in range(1, len(ordered))]
    border = 1 + int(np.argmin(spreads))
    low, high = np.median(ordered[:border]), np.median(ordered[border:])
    return Levels(float(low), float(high), 1 - border / len(ordered))


def _spread(part: Floats) -> float:
    return len(part) * float(np.var(part))


def dip(values: Floats) -> float:
    """Return the distance from a sample to the nearest distribution with one mode.

    Hartigan and Hartigan, "The Dip Test of Unimodality", Annals of Statistics 13 (1985), section 3:
    the modal interval is narrowed until the greatest convex minorant of the distribution to the
    left of it and the least concave majorant to the right are as near as they can be.

    Args:
        values: any order, ties allowed, shape (n,).

    Returns:
        The dip, from 1 / (2 n) to 1 / 4.
    """
    number, reach = len(values), TIE * float(np.ptp(values))
    ordered: list[float] = np.sort(values - values.min()).tolist()
    points = [value + reach * rank for rank, value in enumerate(ordered)]
    below = [rank / number for rank in range(number)]
    above = [(rank + 1) / number for rank in range(number)]
    found, first, last = 1 / number, 0, number - 1
    if points[first] == points[last]:
        return found / 2
    while True:
        x, low, high = (series[first : last + 1] for series in (points, below, above))
        minorant, left = _hull(x, low)
        majorant, right = _hull(x, [-y for y in high])
        gaps = [-y - z for y, z in zip(majorant, minorant, strict=True)]
        if max(gaps[i] for i in (*left, *right)) <= found:
            return found / 2
        start, end = _modal_interval(gaps, left, right)
        found = max(
            found,
            *(y - z for y, z in zip(high[: start + 1], minorant, strict=False)),
            *(-y - z for y, z in zip(majorant[end:], low[end:], strict=True)),
        )
        if (start, end) == (0, last - first):
            return found / 2
        first, last = first + start, first + end


def _hull(x: list[float], y: list[float]) -> tuple[list[float], list[int]]:
    """Return the greatest convex minorant of points in order of x, and where it touches them.

    In plain floats: of the ten or so values of a record's processes, arrays take longer.
    """
    kept = [0]
    for i in range(1, len(x)):
        while len(kept) > 1 and _is_above(x, y, kept[-2], kept[-1], i):
            kept.pop()
        kept.append(i)
    found = y[:1]
    for a, b in pairwise(kept):
        slope = (y[b] - y[a]) / (x[b] - x[a])
        found += [y[a] + slope * (x[i] - x[a]) for i in range(a + 1, b)]
        found.append(y[b])
    return found, kept


def _is_above(x: list[float], y: list[float], a: int, b: int, c: int) -> bool:
    """Tell whether point b lies on the line from a to c, or above it."""
    return (y[b] - y[a]) * (x[c] - x[a]) >= (y[c] - y[a]) * (x[b] - x[a])


def _modal_interval(gaps: list[float], left: list[int], right: list[int]) -> tuple[int, int]:
    """Return where the minorant and the majorant are farthest apart, up to their next touch."""
    on_left, on_right = (max(gaps[i] for i in side) for side in (left, right))
    if on_right > on_left:
        end = max(i for i in right if gaps[i] == on_right)
        return max(i for i in left if i <= end), end
    start = min(i for i in left if gaps[i] == on_left)
    return start, min(i for i in right if i >= start)

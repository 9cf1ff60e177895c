"""Whether a series has more than one level: Hartigan's dip test. Pure."""

from dataclasses import dataclass

import numpy as np

from bench.stats import Floats

# The 99th percentile of the dip times sqrt(n) among uniform samples, the worst case of one mode, is
# 0.51 at 10 values, 0.57 at 50, 0.61 at 500 (Hartigan and Hartigan, table 1, computed anew).
SIGNIFICANT = 0.6
# Ties are told apart by this share of the range, as an atom is no mode of its own.
TIE = 1e-9

Point = tuple[float, float]


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
    number = len(values)
    ranks = np.arange(number)
    points = np.sort(values) + TIE * np.ptp(values) * ranks
    below, above = ranks / number, (ranks + 1) / number
    found, first, last = 1 / number, 0, number - 1
    if points[first] == points[last]:
        return found / 2
    while True:
        span = slice(first, last + 1)
        minorant, left = _hull(points[span], below[span])
        majorant, right = _hull(points[span], -above[span])
        gaps = -majorant - minorant
        distance = max(gaps[left].max(), gaps[right].max())
        if distance <= found:
            return float(found / 2)
        start, end = _modal_interval(gaps, left, right)
        found = max(
            found,
            (above[span] - minorant)[: start + 1].max(),
            (-majorant - below[span])[end:].max(),
        )
        if (start, end) == (0, last - first):
            return float(found / 2)
        first, last = first + start, first + end


def _hull(x: Floats, y: Floats) -> tuple[Floats, list[int]]:
    """Return the greatest convex minorant of points in order of x, and where it touches them."""
    kept = [0]
    points = list(zip(x.tolist(), y.tolist(), strict=True))
    for i in range(1, len(x)):
        while len(kept) > 1 and _is_above(points[kept[-2]], points[kept[-1]], points[i]):
            kept.pop()
        kept.append(i)
    return np.interp(x, x[kept], y[kept]), kept


def _is_above(a: Point, b: Point, c: Point) -> bool:
    """Tell whether point b lies on the line from a to c, or above it."""
    return (b[1] - a[1]) * (c[0] - a[0]) >= (c[1] - a[1]) * (b[0] - a[0])


def _modal_interval(gaps: Floats, left: list[int], right: list[int]) -> tuple[int, int]:
    """Return where the minorant and the majorant are farthest apart, up to their next touch."""
    if gaps[right].max() > gaps[left].max():
        end = max(i for i in right if gaps[i] == gaps[right].max())
        return max(i for i in left if i <= end), end
    start = min(i for i in left if gaps[i] == gaps[left].max())
    return start, min(i for i in right if i >= start)

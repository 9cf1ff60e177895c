"""The ratio of two measurements and its interval, from one figure a round. Pure."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from bench import sequential, series
from bench.sequential import LEAST_ROUNDS
from bench.series import Floats, Location

# The normal deviate of `sequential.ERROR` in both tails.
DEVIATE = 2.575829


class Ratio(msgspec.Struct, frozen=True, kw_only=True):
    """How many times as long B takes as A, and the 99 % interval of that."""

    value: float
    low: float
    high: float


class Sides(NamedTuple):
    """One figure a round of A and of B, in nanoseconds; `together`: from one interleaved run."""

    before: Floats
    now: Floats
    together: bool

    @property
    def blocks(self) -> int:
        """Return the number of rounds to be compared pairwise, 0 if that cannot be done.

        Round i of both was made next to each other; an artifact that was done sooner has fewer.
        """
        common = min(len(self.before), len(self.now))
        return common if self.together and common >= LEAST_ROUNDS else 0


class Estimates(NamedTuple):
    """Logarithms of ratios, their variances, and the ends of their intervals, shape (sides,)."""

    value: Floats
    variance: Floats
    low: Floats
    high: Floats


def ratio(before: Floats, now: Floats, *, together: bool = False) -> Ratio:
    """Return B/A of one figure a round, shape (rounds,) each: see `estimates`."""
    return ratios([Sides(before, now, together)])[0]


def ratios(sides: Sequence[Sides]) -> list[Ratio]:
    """Return the ratio of each two sides and its 99 % interval: see `estimates`."""
    found = estimates(sides)
    rows = np.exp([found.value, found.low, found.high]).T.tolist()
    return [Ratio(value=value, low=low, high=high) for value, low, high in rows]


def estimates(sides: Sequence[Sides]) -> Estimates:
    """Estimate log(B/A) of each two sides, with its 99 % interval.

    Pairwise where both are of one interleaved run: see `bench.sequential`, whose intervals hold
    whatever ended the run. Else the two locations' difference, with Welch's degrees of freedom;
    what differs between the two runs as a whole is then in the ratio, and in no interval.
    """
    shapes: dict[tuple[int, ...], list[int]] = {}
    for index, side in enumerate(sides):
        lengths = (len(side.before), len(side.now))
        shapes.setdefault((side.blocks, *(() if side.blocks else lengths)), []).append(index)
    found = np.empty((4, len(sides)))
    for (blocks, *_), indices in shapes.items():
        alike = [sides[index] for index in indices]
        location, ends = _pairwise(alike, blocks) if blocks else _apart(alike)
        found[:, indices] = location.value, location.variance, *ends
    return Estimates(*found)


def _pairwise(sides: Sequence[Sides], blocks: int) -> tuple[Location, tuple[Floats, Floats]]:
    before = np.log([side.before[:blocks] for side in sides])
    now = np.log([side.now[:blocks] for side in sides])
    found = series.location(now - before)
    return found, sequential.bounds(found, blocks)


def _apart(sides: Sequence[Sides]) -> tuple[Location, tuple[Floats, Floats]]:
    a = series.location(np.log([side.before for side in sides]))
    b = series.location(np.log([side.now for side in sides]))
    variance = a.variance + b.variance
    weights = a.variance**2 / a.freedom + b.variance**2 / b.freedom
    fewest = np.minimum(a.freedom, b.freedom)
    freedom = np.divide(variance**2, weights, out=fewest, where=(weights > 0) & (weights < np.inf))
    found = Location(b.value - a.value, variance, freedom)
    return found, series.around(found, DEVIATE)

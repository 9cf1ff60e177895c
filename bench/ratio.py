"""The ratio of two measurements and its interval, from one figure a round. Pure."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from bench import sequential, series
from bench.sequential import LEAST_ROUNDS
from bench.series import Floats

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


def ratio(before: Floats, now: Floats, *, together: bool = False) -> Ratio:
    """Return B/A of one figure a round, shape (rounds,) each: see `ratios`."""
    return ratios([Sides(before, now, together)])[0]


def ratios(sides: Sequence[Sides]) -> list[Ratio]:
    """Return the ratio of each two sides and its 99 % interval.

    Pairwise where both are of one interleaved run: see `bench.sequential`, whose intervals hold
    whatever ended the run. Else the two locations' difference, with Welch's degrees of freedom;
    what differs between the two runs as a whole is then in the ratio, and in no interval.
    """
    shapes: dict[tuple[int, ...], list[int]] = {}
    for index, side in enumerate(sides):
        lengths = (len(side.before), len(side.now))
        shapes.setdefault((side.blocks, *(() if side.blocks else lengths)), []).append(index)
    found: dict[int, Ratio] = {}
    for (blocks, *_), indices in shapes.items():
        alike = [sides[index] for index in indices]
        bounds = np.exp(_pairwise(alike, blocks) if blocks else _apart(alike))
        rows = zip(*bounds.tolist(), strict=True)
        for index, (value, low, high) in zip(indices, rows, strict=True):
            found[index] = Ratio(value=value, low=low, high=high)
    return [found[index] for index in range(len(sides))]


def _pairwise(sides: Sequence[Sides], blocks: int) -> Floats:
    before, now = (
        np.log([values[:blocks] for values in column])
        for column in zip(*((side.before, side.now) for side in sides), strict=True)
    )
    return np.array(sequential.sequence(now - before))


def _apart(sides: Sequence[Sides]) -> Floats:
    a = series.location(np.log([side.before for side in sides]))
    b = series.location(np.log([side.now for side in sides]))
    together = a.variance + b.variance
    weights = a.variance**2 / a.freedom + b.variance**2 / b.freedom
    freedom = np.divide(
        together**2, weights, out=np.minimum(a.freedom, b.freedom), where=weights > 0
    )
    return np.array(series.around(b.value - a.value, together, DEVIATE, freedom))

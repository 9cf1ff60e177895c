"""The ratio of two measurements and its interval, from one figure a process or round. Pure."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from bench import sequential, series
from bench.sequential import LEAST_ROUNDS
from bench.series import Floats, Location
from bench.stats import MIN_PROCESSES

# The normal deviate of `sequential.ERROR` in both tails.
DEVIATE = 2.575829


class Ratio(msgspec.Struct, frozen=True, kw_only=True):
    """How many times as long B takes as A, and the 99 % interval of that."""

    value: float
    low: float
    high: float


class Sides(NamedTuple):
    """One figure a process of A and of B, in nanoseconds, or one a round of the only one.

    `together`: from one interleaved run; `processes` says of each side whether its figures are of
    processes. See `bench.stats.units`.
    """

    before: Floats
    now: Floats
    together: bool
    processes: tuple[bool, bool] = (False, False)

    @property
    def blocks(self) -> int:
        """Return the number of rounds or processes to be compared pairwise, 0 if that cannot be.

        Number i of both were made next to each other; an artifact that was done sooner has fewer.
        """
        common = min(len(self.before), len(self.now))
        one, other = self.processes
        return common if self.together and one == other and common >= _least(one) else 0

    @property
    def enough(self) -> bool:
        """Tell whether there is enough of both for an interval to be believed."""
        both = zip((self.before, self.now), self.processes, strict=True)
        return all(len(values) >= _least(processes) for values, processes in both)


class Estimates(NamedTuple):
    """Logarithms of ratios, their variances, and the ends of their intervals, shape (sides,)."""

    value: Floats
    variance: Floats
    low: Floats
    high: Floats


def _least(processes: bool) -> int:
    return MIN_PROCESSES if processes else LEAST_ROUNDS


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
    whatever ended the run; of processes, of which there are few, it is Student's interval around
    a trimmed mean. Else
    the two locations' difference, with Welch's degrees of freedom; what differs between the two
    runs as a whole is then in the ratio, and in no interval.
    """
    shapes: dict[tuple[tuple[bool, bool], int, *tuple[int, ...]], list[int]] = {}
    for index, side in enumerate(sides):
        lengths = (len(side.before), len(side.now))
        shape = (side.processes, side.blocks, *(() if side.blocks else lengths))
        shapes.setdefault(shape, []).append(index)
    found = np.empty((4, len(sides)))
    for (processes, blocks, *_), indices in shapes.items():
        alike = [sides[index] for index in indices]
        pairwise = _by_process if processes[0] else _by_round
        location, ends = pairwise(alike, blocks) if blocks else _apart(alike, processes)
        found[:, indices] = location.value, location.variance, *ends
    return Estimates(*found)


def _by_round(sides: Sequence[Sides], blocks: int) -> tuple[Location, tuple[Floats, Floats]]:
    found = series.location(_differences(sides, blocks))
    return found, sequential.bounds(found, blocks)


def _by_process(sides: Sequence[Sides], blocks: int) -> tuple[Location, tuple[Floats, Floats]]:
    found = series.independent(_differences(sides, blocks))
    return found, series.around(found, DEVIATE)


def _differences(sides: Sequence[Sides], blocks: int) -> Floats:
    before = np.log([side.before[:blocks] for side in sides])
    return np.asarray(np.log([side.now[:blocks] for side in sides]) - before, dtype=np.float64)


def _apart(
    sides: Sequence[Sides], processes: tuple[bool, bool]
) -> tuple[Location, tuple[Floats, Floats]]:
    a, b = (
        (series.independent if each else series.location)(np.log(values))
        for each, values in zip(
            processes, ([s.before for s in sides], [s.now for s in sides]), strict=True
        )
    )
    variance = a.variance + b.variance
    weights = a.variance**2 / a.freedom + b.variance**2 / b.freedom
    fewest = np.minimum(a.freedom, b.freedom)
    freedom = np.divide(variance**2, weights, out=fewest, where=(weights > 0) & (weights < np.inf))
    found = Location(b.value - a.value, variance, freedom)
    return found, series.around(found, DEVIATE)

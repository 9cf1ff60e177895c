"""Deciding while measuring: is B slower than A, when rounds are still being added? Pure.

An interval that is looked at after every round, and believed once it is off 1, errs far more often
than its 1 %. A confidence sequence does not: with probability 99 % it holds the truth at every
number of rounds at once, so one may stop as soon as it decides, or whenever one likes.
"""

import math
from collections.abc import Sequence
from typing import Literal

import msgspec
import numpy as np

from bench import series
from bench.series import Floats, Location

ERROR = 0.01
MARGIN = 0.02
LEAST_ROUNDS = 10
# The number of rounds at which the sequence is narrowest, as seen from a fixed-length interval.
TIGHTEST = 30

Word = Literal["faster", "slower", "same", "undecided"]
Answer = Literal["slower", "within", "undecided"]


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What the rounds so far show of B against A: B/A, and where it lies with probability 99 %.

    ``slower``: by more than the limit; ``within`` it, though B may still be a little slower.
    """

    word: Answer
    ratio: float
    low: float
    high: float


def decide(
    before: Sequence[float] | Floats,
    now: Sequence[float] | Floats,
    limit: float,
    *,
    error: float = ERROR,
) -> Decision:
    """Say whether B is slower than A by more than a limit; may be asked after every round, and then
    believed.

    Round i of both must have been made next to each other, in random order: the blocks of one
    interleaved run. What drifts meets both alike, and the order's randomness makes the sign of each
    difference a fair coin if the two are equal, however correlated the noise is.

    Args:
        before: one figure a round of A, in nanoseconds (its median, or its p90), or one a process
            where there are at least `LEAST_ROUNDS` of them: see `bench.stats.units`.
        now: likewise of B; of unequal numbers of rounds the common first ones count.
        limit: how much slower B may be, as a fraction of A.
        error: the chance of ever being wrong, whichever of the two is said.

    Returns:
        ``undecided`` below `LEAST_ROUNDS` rounds, whatever they show.
    """
    rounds = min(len(before), len(now))
    if rounds < 1:
        return Decision(word="undecided", ratio=math.nan, low=0.0, high=math.inf)
    pairs = np.asarray([before[:rounds], now[:rounds]], dtype=np.float64)
    found = series.location(np.diff(np.log(pairs), axis=0)[0])
    low, high = (float(np.exp(end)) for end in bounds(found, rounds, error))
    word: Answer = "undecided"
    if rounds >= LEAST_ROUNDS and (high <= 1 + limit or low > 1 + limit):
        word = "within" if high <= 1 + limit else "slower"
    return Decision(word=word, ratio=float(np.exp(found.value)), low=low, high=high)


def place(low: float, high: float, margin: float, floor: float = 0.0) -> Word:
    """Say what an interval of B/A shows: the same only if it lies wholly within the margin."""
    close = max(margin, floor)
    if 1 - close <= low and high <= 1 + close:
        return "same"
    if high < 1 - floor:
        return "faster"
    return "slower" if low > 1 + floor else "undecided"


def bounds(found: Location, rounds: int, error: float = ERROR) -> tuple[Floats, Floats]:
    """Return the confidence sequence of log(B/A) after so many rounds.

    The asymptotic confidence sequence of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (2024,
    Annals of Statistics 52, theorem 2.2) around a robust location, its deviate widened to Student's
    t as the variance comes from the same few rounds.

    Args:
        found: the location of log(B) - log(A), one difference a block.
        rounds: the number of blocks.
        error: the chance that the truth is ever outside.
    """
    return series.around(found, _boundary(rounds, error))


def _boundary(rounds: int, error: float) -> float:
    """Return the deviate that a standard normal walk's mean never passes with 1 - `error`.

    The conjugate mixture of that theorem divided by the standard error, its parameter chosen to be
    tightest at `TIGHTEST` rounds.
    """
    tail = -2 * math.log(error)
    spent = rounds * (tail + math.log(tail) + 1) / TIGHTEST
    return math.sqrt((1 + 1 / spent) * (math.log(spent + 1) + tail))

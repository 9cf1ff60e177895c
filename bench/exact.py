"""Counts in place of times: what is the same in every run, and how little that takes. Pure.

A device that counts (`DeviceInfo.counts`) gives the same figures each time that the same is done in
the same order. Within a run they differ by what allocating memory takes: a few hundred instructions
of an invocation, by where free blocks happen to lie. With several threads they differ by chance.
"""

from collections.abc import Sequence
from typing import Any

ROUNDS = 3
# What differs by more differs by more than memory.
SPREAD = 1e-3


def is_exact(rounds: Sequence[float] | Any, threads: int | None) -> bool:
    """Tell whether counts, one figure a round, will be the same in the next run.

    Args:
        rounds: the median of each round.
        threads: that were asked for.
    """
    return threads == 1 and len(rounds) >= ROUNDS and max(rounds) <= (1 + SPREAD) * min(rounds)

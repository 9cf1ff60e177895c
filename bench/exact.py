"""Counts in place of times: what is the same in every run, and how little that takes. Pure.

A device that counts (`DeviceInfo.counts`) gives the same figures each time that the same is done in
the same order. Within a run they differ by what allocating memory takes: a few hundred instructions
of an invocation, by where free blocks happen to lie. With several threads they differ by chance.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from bench.record import BenchError
from devices.device import DeviceInfo

ROUNDS = 3
# What differs by more than either differs by more than memory.
SPREAD = 1e-3
MEMORY = 500


def is_exact(rounds: Sequence[float] | Any, threads: int | None) -> bool:
    """Tell whether counts, one figure a round, will be the same in the next run.

    Args:
        rounds: the median of each round.
        threads: that were asked for.
    """
    if threads != 1 or len(rounds) < ROUNDS:
        return False
    fewest = min(rounds)
    return bool(max(rounds) - fewest <= max(SPREAD * fewest, MEMORY))


class Described(Protocol):
    """A device that was asked what it is."""

    @property
    def info(self) -> DeviceInfo:
        """What it is."""


def refuse(targets: Iterable[Described], *asked: str) -> None:
    """Refuse what would take the figures of a device that counts for times.

    Args:
        targets: on which it would be measured.
        asked: what it would show, in words; nothing is refused without any.

    Raises:
        BenchError: one of the devices counts.
    """
    counting = [target.info for target in targets if target.info.counts]
    if counting and asked:
        raise BenchError(
            f"device '{counting[0].name}' counts {counting[0].counts}, which are no time: it "
            f"cannot show {asked[0]}; count each artifact by 'bench run', and see 'bench compare'"
        )

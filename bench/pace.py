"""How long to measure: how many runs make a round, and how many rounds a process; when warm-up is
over; when there is enough.
"""

from collections.abc import Sequence
from math import ceil, sqrt

import numpy as np

from bench import exact, stats
from bench.matrix import Effort
from bench.record import Stop, WarmUp
from bench.steady import WINDOW, is_steady
from bench.trend import independence
from devices.device import Session

ROUND_NS = 75e6
# A record of a very quick network stays of readable size.
MAX_RUNS = 500
WARM_UP_BLOCK_NS = 25e6
# A process that follows another finds the clock and the system's caches warm.
SHORT_WINDOW = 4
# In ten processes these find 3 % under white noise in more than 95 % of runs: see docs/trust.md.
# More would tell more of one process, and nothing of how far the next one differs.
PROCESS_ROUNDS = 5
# How much more there must be before the interval is looked at again: looking after every round
# would stop at the first lucky one.
GROWTH = 1.1


class Pace:
    """The pace of one measurement. `runs` is the number of samples of a round."""

    def __init__(self, effort: Effort) -> None:
        self._effort = effort
        self._look_at = stats.MIN_ROUNDS if effort.processes == 1 else effort.processes
        self._each = 1
        self.runs = 1

    def warm_up(self, session: Session, first_ns: int) -> WarmUp:
        """Run blocks of about `WARM_UP_BLOCK_NS` until steady, and choose the runs of a round."""
        warmed, typical = self._warm_up(session, first_ns, self._effort.max_seconds, WINDOW)
        self.runs = min(MAX_RUNS, runs_for(ROUND_NS, typical))
        self._each = self._rounds_each(max(self.runs * typical, 1.0))
        return warmed

    def _rounds_each(self, round_ns: float) -> int:
        share = 1e9 * self._effort.max_seconds / self._effort.processes
        within = min(round(PROCESS_ROUNDS * ROUND_NS / round_ns), int(share / round_ns))
        return min(PROCESS_ROUNDS, max(1, within))

    def warm_up_again(self, session: Session, first_ns: int) -> WarmUp:
        """Warm up a process after the first one; all of them together take no longer than it may.

        The runs of a round stay what they are.
        """
        share = self._effort.max_seconds / self._effort.processes
        return self._warm_up(session, first_ns, share, SHORT_WINDOW)[0]

    def _warm_up(
        self, session: Session, first_ns: int, seconds: float, window: int
    ) -> tuple[WarmUp, float]:
        """Return what it took, and what an invocation took in the end."""
        blocks: list[float] = []
        last, runs, spent = float(first_ns), 1, float(first_ns)
        while not is_steady(blocks, window) and spent < seconds * 1e9:
            samples = session.measure(min(MAX_RUNS, runs_for(WARM_UP_BLOCK_NS, last)))
            last = float(np.median(samples))
            blocks.append(last)
            runs += len(samples)
            spent += sum(samples)
        return WarmUp(runs=runs, seconds=spent / 1e9, steady=is_steady(blocks, window)), last

    def is_over(self, processes: Sequence[int]) -> bool:
        """Tell whether the last of `processes` (their numbers of rounds) made all that it should.

        Each makes `PROCESS_ROUNDS`, or as few as take that long, or its share of the time.
        """
        return self._effort.processes > 1 and processes[-1] >= self._each

    def is_whole(self, processes: Sequence[int]) -> bool:
        """Tell whether the rounds so far are those of whole processes, where there are several."""
        return self._effort.processes == 1 or self.is_over(processes)

    def stop(self, rounds: stats.Rounds, processes: Sequence[int]) -> Stop | None:
        """Tell whether there is enough: the interval is tight, or the time is spent.

        The interval is that over whole processes, if there are to be several.
        """
        if self.is_whole(processes) and self._is_precise(rounds, processes):
            return "precise"
        return "time" if self.is_time_up(rounds) else None

    def is_time_up(self, rounds: stats.Rounds) -> bool:
        """Tell whether the samples took as long as they may."""
        return sum(sum(samples) for samples in rounds) >= self._effort.max_seconds * 1e9

    def _is_precise(self, rounds: stats.Rounds, processes: Sequence[int]) -> bool:
        units = stats.units(rounds, processes)
        if len(units) < self._look_at or len(rounds) < stats.MIN_ROUNDS:
            return False
        self._look_at = ceil(len(units) * GROWTH)
        widened = sqrt(independence(units)) if self._effort.processes == 1 else 1.0
        precision = widened * stats.precision(rounds, processes)
        return precision <= self._effort.precision_target


class CountPace(Pace):
    """The pace where invocations are counted, not timed: always the same, as the counts are then.

    One invocation a round will do: it is the next one's, too.
    """

    def warm_up(self, session: Session, first_ns: int) -> WarmUp:
        """Run until so much was counted as others run until steady, at least twice."""
        runs = 1 + runs_for(WARM_UP_BLOCK_NS, first_ns)
        found = session.measure(min(MAX_RUNS, runs))
        return WarmUp(runs=1 + len(found), seconds=(first_ns + sum(found)) / 1e9, steady=True)

    def stop(self, rounds: stats.Rounds, processes: Sequence[int]) -> Stop | None:
        """Tell whether there is enough: a few rounds that count the same, or what others need."""
        if exact.is_exact(stats.medians(rounds), threads=1):
            return "precise"
        return super().stop(rounds, processes)


def runs_for(nanoseconds: float, one_ns: float) -> int:
    """Return how many invocations of `one_ns` fill a time, at least one."""
    return max(1, round(nanoseconds / max(one_ns, 1.0)))

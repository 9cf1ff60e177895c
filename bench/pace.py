"""How long to measure: how many runs make a round, and how many rounds a process; when warm-up is
over; when there is enough.
"""

from collections.abc import Sequence
from math import ceil, sqrt

import numpy as np

from bench import stats
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
# So many counts in a row that are the same will not change any more.
SAME = 3
# How much more there must be before the interval is looked at again: looking after every round
# would stop at the first lucky one.
GROWTH = 1.1


class Pace:
    """The pace of one measurement. `runs` is the number of samples of a round."""

    def __init__(self, effort: Effort) -> None:
        self._effort = effort
        self._limit_ns = effort.max_seconds * 1e9
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
        return sum(sum(samples) for samples in rounds) >= self._limit_ns

    def _is_precise(self, rounds: stats.Rounds, processes: Sequence[int]) -> bool:
        units = stats.units(rounds, processes)
        if len(units) < self._look_at or len(rounds) < stats.MIN_ROUNDS:
            return False
        self._look_at = ceil(len(units) * GROWTH)
        widened = sqrt(independence(units)) if self._effort.processes == 1 else 1.0
        precision = widened * stats.precision(rounds, processes)
        return precision <= self._effort.precision_target


class CountPace(Pace):
    """The pace where invocations are counted, not timed: until they count the same."""

    def warm_up(self, session: Session, first_ns: int) -> WarmUp:
        """Run until the last `SAME` invocations count the same, or the time is up."""
        self.runs = SAME - 1
        return self.warm_up_again(session, first_ns)

    def warm_up_again(self, session: Session, first_ns: int) -> WarmUp:
        """Do the same: a further process has everything to warm up."""
        found, spent = [first_ns], float(first_ns)
        while not (steady := stats.is_exact(found[-SAME:])) and spent < self._limit_ns:
            found += session.measure(SAME)
            spent += sum(found[-SAME:])
        return WarmUp(runs=len(found), seconds=spent / 1e9, steady=steady)

    def stop(self, rounds: stats.Rounds, processes: Sequence[int]) -> Stop | None:
        """Tell whether there is enough: rounds that count the same, or else what others need."""
        if stats.is_exact(stats.medians(rounds)):
            return "precise"
        return super().stop(rounds, processes)


def runs_for(nanoseconds: float, one_ns: float) -> int:
    """Return how many invocations of `one_ns` fill a time, at least one."""
    return max(1, round(nanoseconds / max(one_ns, 1.0)))

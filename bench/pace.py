"""How long to measure: how many runs make a round, when warm-up is over, when there is enough."""

from math import ceil

import numpy as np

from bench import stats
from bench.matrix import Effort
from bench.record import Stop, WarmUp
from bench.steady import is_steady
from bench.trend import independence
from devices.device import Session

ROUND_NS = 75e6
# A record of a very quick network stays of readable size.
MAX_RUNS = 500
WARM_UP_BLOCK_NS = 25e6
# How many more rounds there must be before the interval is looked at again: looking after every
# round would stop at the first lucky one.
GROWTH = 1.1


class Pace:
    """The pace of one measurement. `runs` is the number of samples of a round."""

    def __init__(self, effort: Effort) -> None:
        self._effort = effort
        self._look_at = stats.MIN_ROUNDS
        self.runs = 1

    def warm_up(self, session: Session, first_ns: int) -> WarmUp:
        """Run blocks of about `WARM_UP_BLOCK_NS` until steady, and choose the runs of a round."""
        limit = self._effort.max_seconds * 1e9
        blocks: list[float] = []
        last, runs, spent = float(first_ns), 1, float(first_ns)
        while not is_steady(blocks) and spent < limit:
            samples = session.measure(min(MAX_RUNS, runs_for(WARM_UP_BLOCK_NS, last)))
            last = float(np.median(samples))
            blocks.append(last)
            runs += len(samples)
            spent += sum(samples)
        self.runs = min(MAX_RUNS, runs_for(ROUND_NS, last))
        return WarmUp(runs=runs, seconds=spent / 1e9, steady=is_steady(blocks))

    def stop(self, rounds: stats.Rounds) -> Stop | None:
        """Tell whether there is enough: the interval is tight, or the time is spent."""
        if len(rounds) >= self._look_at:
            self._look_at = ceil(len(rounds) * GROWTH)
            widened = independence(stats.medians(rounds)) ** 0.5
            precision = widened * stats.precision(rounds)
            if precision <= self._effort.precision_target:
                return "precise"
        spent = sum(sum(samples) for samples in rounds)
        return "time" if spent >= self._effort.max_seconds * 1e9 else None


def runs_for(nanoseconds: float, one_ns: float) -> int:
    """Return how many invocations of `one_ns` fill a time, at least one."""
    return max(1, round(nanoseconds / max(one_ns, 1.0)))

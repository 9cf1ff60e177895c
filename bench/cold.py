"""What a cold start takes: fresh processes summed up. Pure."""

from collections.abc import Sequence
from statistics import median

import msgspec

from bench.record import ColdStart


class ColdFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Medians over fresh processes of each step and of the whole, which has its range, in ns.

    A step is None where the device cannot tell; see `bench.record.ColdStart`.
    """

    processes: int
    start_ns: float | None
    import_ns: float | None
    load_ns: float
    first_ns: float
    total_ns: float
    least_ns: int
    most_ns: int


def summed_up(starts: Sequence[ColdStart]) -> ColdFigures | None:
    """Return the figures of some cold starts, None of none."""
    if not starts:
        return None
    totals = [start.total_ns for start in starts]
    return ColdFigures(
        processes=len(starts),
        start_ns=_median([start.start_ns for start in starts]),
        import_ns=_median([start.import_ns for start in starts]),
        load_ns=median([start.load_ns for start in starts]),
        first_ns=median([start.first_ns for start in starts]),
        total_ns=median(totals),
        least_ns=min(totals),
        most_ns=max(totals),
    )


def _median(times: Sequence[int | None]) -> float | None:
    known = [time for time in times if time is not None]
    return median(known) if known else None

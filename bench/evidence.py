"""What speaks for and against a record's figures, computed from the record alone. Pure."""

from collections.abc import Sequence
from math import sqrt

import msgspec

from bench import stats, units
from bench.modes import Levels, levels
from bench.record import Record
from bench.share import Share, shares
from bench.stats import Figures
from bench.trend import Trend, autocorrelation, independences, trends
from devices.device import Sensors

UNDER_VOLTAGE = 0b0001
CAPPED = 0b1110
SINCE_START = 16
CLOCK_FALLS = 0.1
WEAK_SUPPLY = "the board's supply was too weak: its voltage fell, or its current was too high"


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """The series of the medians, the processor's time, and the sensors.

    The series is of processes, where there were several, else of rounds: see `bench.stats.units`.

    `half_width` is that of the median's interval as a fraction, enlarged by what rounds that
    resemble their neighbours are worth less; `autocorrelation` is None where they do not do so more
    than chance would have it. `throttling` says in words what lowered the clock. `trend` and
    `levels` are None where there are too few rounds to tell, and `levels` where all of them are
    within the precision asked for.
    """

    half_width: float
    autocorrelation: float | None
    trend: Trend | None
    levels: Levels | None
    share: Share
    throttling: str | None


def evidences(records: Sequence[Record], figures: Sequence[Figures]) -> list[Evidence]:
    """Return the evidence of records that hold samples; many at once cost less than one by one."""
    enough = [n for n, known in enumerate(figures) if len(known.medians) >= stats.MIN_ROUNDS]
    moving = dict(zip(enough, trends([figures[n].medians for n in enough]), strict=True))
    widths, around = uncertainties(records, figures), shares(records)
    return [
        _evidence(record, figures[n], widths[n], moving.get(n), around[n])
        for n, record in enumerate(records)
    ]


def _evidence(
    record: Record, figures: Figures, half_width: float, moving: Trend | None, share: Share
) -> Evidence:
    values, target = figures.medians, record.settings.precision_target
    resembling = half_width > figures.summary.half_width
    each = values.tolist()
    apart = moving is not None and max(each) > (1 + target) * min(each)
    return Evidence(
        half_width=half_width,
        autocorrelation=float(autocorrelation(values)) if resembling else None,
        trend=moving,
        levels=levels(values) if apart else None,
        share=share,
        throttling=_throttling(record, moving),
    )


def uncertainty(record: Record, figures: Figures) -> float:
    """Return half the width of the median's interval as a fraction: see `uncertainties`."""
    return uncertainties([record], [figures])[0]


def uncertainties(records: Sequence[Record], figures: Sequence[Figures]) -> list[float]:
    """Return half the width of each median's interval as a fraction: wider, where rounds resemble
    their neighbours, by what they are then worth less. Processes are independent of each other.
    """
    found = [known.summary.half_width for known in figures]
    alone = [
        n
        for n, (record, known) in enumerate(zip(records, figures, strict=True))
        if not record.several and known.summary.rounds >= stats.MIN_ROUNDS
    ]
    enlarged = independences([figures[n].rounds for n in alone])
    for n, factor in zip(alone, enlarged, strict=True):
        found[n] *= sqrt(factor)
    return found


def is_drifting(found: Trend | None, target: float) -> bool:
    """Tell whether a trend is real (p < 0.01) and leads farther than the precision asked for."""
    return found is not None and found.p < 0.01 and abs(found.change) > target


def _throttling(record: Record, moving: Trend | None) -> str | None:
    if record.surroundings is None or record.surroundings.after is None:
        return None
    before, after = record.surroundings.before, record.surroundings.after
    lowered = _supply(before, after) or _heat(before, after) or _gpu_lowered(record, before, after)
    slower = is_drifting(moving, record.settings.precision_target) and moving and moving.change > 0
    return lowered or (_slower_clock(before, after) if slower else None)


def _supply(before: Sensors, after: Sensors) -> str | None:
    """Say that a board's supply was too weak, where it tells."""
    events = (after.current_events or 0) - (before.current_events or 0)
    weak = _flags(before, after) & UNDER_VOLTAGE or (before.current_events is not None and events)
    return WEAK_SUPPLY if weak else None


def _heat(before: Sensors, after: Sensors) -> str | None:
    """Say what lowered the clock for heat, by the processor's, a board's or Linux's own word."""
    events = (after.throttle_events or 0) - (before.throttle_events or 0)
    if before.throttle_events is not None and events > 0:
        return f"heat lowered the clock {events} times{_warmth(before, after)}"
    if _flags(before, after) & CAPPED:
        return f"the board's firmware lowered the clock{_warmth(before, after)}"
    if after.cooling:
        return f"heat keeps the clock low (cooling state {after.cooling}){_warmth(before, after)}"
    return None


def _gpu_lowered(record: Record, before: Sensors, after: Sensors) -> str | None:
    """Say for how long a GPU's clock was lowered, if for longer than the precision asked for."""
    if before.throttled_us is None or after.throttled_us is None:
        return None
    lowered_us = after.throttled_us - before.throttled_us
    wall_us = sum(usage.wall_ns for usage in record.usage) / 1000
    if lowered_us <= record.settings.precision_target * wall_us:
        return None
    long = units.duration(1000 * lowered_us)
    return f"heat or power lowered the GPU's clock for {long}{_warmth(before, after)}"


def _flags(before: Sensors, after: Sensors) -> int:
    """Return what held at the end, or came about meanwhile."""
    now, then = after.throttle_flags or 0, before.throttle_flags or 0
    return now | ((now & ~then) >> SINCE_START)


def _slower_clock(before: Sensors, after: Sensors) -> str | None:
    old, new = before.frequency_mhz, after.frequency_mhz
    if old is None or new is None or new > old * (1 - CLOCK_FALLS):
        return None
    return f"the clock fell from {old:.0f} to {new:.0f} MHz{_warmth(before, after)}"


def _warmth(before: Sensors, after: Sensors) -> str:
    if before.temperature_c is None or after.temperature_c is None:
        return ""
    return f" ({before.temperature_c:.0f} °C before, {after.temperature_c:.0f} °C after)"

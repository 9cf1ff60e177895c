"""What speaks for and against a record's figures, computed from the record alone. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import median

from bench import stats, units
from bench.modes import Levels, levels
from bench.record import Record
from bench.stats import Figures
from bench.trend import Trend, autocorrelation, independence, trends
from devices.device import Sensors, Usage

UNDER_VOLTAGE = 0b0001
CAPPED = 0b1110
SINCE_START = 16
CLOCK_FALLS = 0.1
# Hypervisors take a core for milliseconds.
SLICE_NS = 1e6
WEAK_SUPPLY = "the board's supply was too weak: its voltage fell, or its current was too high"


@dataclass(frozen=True)
class Share:
    """Where the processor's time went while the rounds were made; None where nothing tells.

    Attributes:
        lost: of a typical round, the share in which the worker was ready to run and had no core;
            not known of streams that are more than the cores, as they wait for each other.
        stolen: the share of the worker's time in which a hypervisor ran something else.
        others: the share of all cores that other programs used.
        disturbed: the share of invocations in which the worker lost its core, in a typical round,
            or a hypervisor took it (for `SLICE_NS` at least each time).
    """

    lost: float | None = None
    stolen: float | None = None
    others: float | None = None
    disturbed: float | None = None


@dataclass(frozen=True)
class Evidence:
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
    pairs = enumerate(zip(records, figures, strict=True))
    return [_evidence(record, known, moving.get(n)) for n, (record, known) in pairs]


def _evidence(record: Record, figures: Figures, moving: Trend | None) -> Evidence:
    values, target = figures.medians, record.settings.precision_target
    half_width = uncertainty(record, figures)
    resembling = half_width > figures.summary.half_width
    apart = moving is not None and float(values.max()) > (1 + target) * float(values.min())
    return Evidence(
        half_width=half_width,
        autocorrelation=float(autocorrelation(values)) if resembling else None,
        trend=moving,
        levels=levels(values) if apart else None,
        share=_share(record),
        throttling=_throttling(record, moving),
    )


def uncertainty(record: Record, figures: Figures) -> float:
    """Return half the width of the median's interval as a fraction: wider, where rounds resemble
    their neighbours, by what they are then worth less. Processes are independent of each other.
    """
    known = figures.summary
    if record.several or known.rounds < stats.MIN_ROUNDS:
        return known.half_width
    return known.half_width * sqrt(independence(figures.rounds))


def is_drifting(found: Trend | None, target: float) -> bool:
    """Tell whether a trend is real (p < 0.01) and leads farther than the precision asked for."""
    return found is not None and found.p < 0.01 and abs(found.change) > target


def _share(record: Record) -> Share:
    usage, threads = record.usage, _at_work(record)
    if not usage:
        return Share()
    runs = _invocations(record)
    disturbed = [u.involuntary / number for u, number in zip(usage, runs, strict=False)]
    wall_ns = sum([u.wall_ns for u in usage])
    cpu_ns = sum([u.cpu_ns for u in usage])
    crowded = threads > int(record.device.facts.get("logical_cores", threads))
    each = [] if crowded and (record.settings.streams or 1) > 1 else usage
    lost = [share for u in each if (share := lost_share(u, threads)) is not None]
    busy_ns = sum([u.busy_ns or 0 for u in usage])
    idle_ns = sum([u.idle_ns or 0 for u in usage])
    stolen_ns = sum([u.stolen_ns or 0 for u in usage])
    known = busy_ns > 0
    own = min(1.0, cpu_ns / busy_ns) if known else 0.0
    return Share(
        lost=median(lost) if lost else None,
        stolen=own * stolen_ns / (wall_ns * threads) if known else None,
        others=max(0.0, busy_ns - cpu_ns) / (busy_ns + idle_ns + stolen_ns) if known else None,
        disturbed=min(1.0, median(disturbed) + own * stolen_ns / SLICE_NS / sum(runs)),
    )


def _at_work(record: Record) -> int:
    """Return how many threads there are that compute."""
    settings = record.settings
    return (settings.threads_found or settings.threads or 1) * (settings.streams or 1)


def _invocations(record: Record) -> list[float]:
    """Return how many were made in each round; of a scenario's the record keeps but some."""
    if record.scenario is None or record.throughput is None:
        return [1 + len(samples) for samples in record.rounds]
    return [1 + served.invocations for served in record.throughput.rounds]


def lost_share(usage: Usage, threads: int) -> float | None:
    """Return the share of a round spent waiting for a core; of one thread that is always at work it
    is what is missing of its processor time.
    """
    if usage.waited_ns is not None:
        return usage.waited_ns / (usage.wall_ns * threads)
    return max(0.0, 1 - usage.cpu_ns / usage.wall_ns) if threads == 1 else None


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

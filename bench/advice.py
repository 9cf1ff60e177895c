"""What would help a doubtful record: never what is set already, nor what is not the cause. Pure."""

from collections.abc import Iterator
from math import ceil

from bench.evidence import WEAK_SUPPLY, Evidence
from bench.record import Record

# More time than this many times the limit is no advice.
PATIENCE = 30
# Less than this share of the cores is the system's own housekeeping.
HOUSEKEEPING = 0.05


def more_time(record: Record, factor: float) -> str | None:
    """Name a limit that should do, as an interval narrows with the square root of the rounds."""
    wanted = ceil(1.2 * factor * record.settings.max_seconds)
    if factor > PATIENCE or wanted <= record.settings.max_seconds:
        return None
    return f"--max-seconds {wanted} should do"


def full_length(record: Record) -> str:
    """Say how to meet a scenario's rule."""
    return f"give --scenario {record.settings.scenario} alone, without another time or number"


def quieter(record: Record, found: Evidence) -> str:
    """Say what would make the machine quieter."""
    return ", or ".join(_quieter(record, found)) or "measure it again"


def _quieter(record: Record, found: Evidence) -> Iterator[str]:
    facts = record.device.facts
    share = found.share
    if share.others is None or share.others > HOUSEKEEPING:
        yield "stop other programs that use the processor"
    if facts.get("governor", "performance") != "performance":
        yield f"set the frequency governor to performance (it is {facts['governor']})"
    if facts.get("power") == "battery":
        yield "run it on mains power"
    if found.levels and facts.get("cpus") == "all":
        bind = "edgeworthy devices add NAME --kind local --cpus 0"
        yield f"bind the worker to cores of one kind: '{bind}'"


def noisy(record: Record, found: Evidence) -> str:
    """Advise on an interval that is too wide: more time if that can do, and more quiet."""
    target = record.settings.precision_target
    longer = None if found.levels else more_time(record, (found.half_width / target) ** 2)
    return ", or ".join(filter(None, (longer, quieter(record, found))))


def contended(record: Record, found: Evidence) -> str:
    """Advise by whose fault it is: other guests of the hypervisor, or programs on this machine."""
    if (found.share.stolen or 0) >= (found.share.lost or 0):
        return "other guests of its hypervisor took the time: measure on a machine of your own"
    cores = int(record.device.facts.get("logical_cores", "0"))
    threads = record.settings.threads_found or record.settings.threads or 1
    if cores and threads > cores:
        return f"use at most as many threads as it has cores: --threads {cores}"
    return "stop other programs that use the processor"


def drifting(record: Record, change: float) -> str:
    """Advise on a trend, slower (heat, a neighbour) or faster (it was not warm yet)."""
    if change < 0:
        return f"it was still getting faster: measure it again{_settles(record)}"
    if record.device.facts.get("power") == "battery":
        return f"run it on mains power{_settles(record)}"
    return f"let it cool down and measure it again{_settles(record)}"


def throttled(record: Record, found: Evidence) -> str:
    """Advise on a clock that was lowered: by heat, or by a supply that is too weak."""
    if found.throttling == WEAK_SUPPLY:
        return "use a stronger supply and measure it again"
    return f"cool it better and measure it again{_settles(record)}"


def _settles(record: Record) -> str:
    return "" if record.sustained else ", or --sustained 10m shows where it settles"

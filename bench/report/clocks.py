"""How a GPU was timed, and what its sensors said right before and right after its rounds."""

from collections.abc import Iterable, Iterator

from bench.conditions import name
from bench.record import Record
from bench.rows import Row
from devices.device import Sensors

# NVML's clocks event reasons (nvml.h); idle is none of them.
REASONS = {
    0x02: "application clocks set",
    0x04: "power cap",
    0x08: "hardware slowdown",
    0x10: "sync boost",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "power brake",
    0x100: "display clocks set",
}


def timings(rows: Iterable[Row]) -> Iterator[str]:
    """Yield which runtimes are timed by something else than the worker's clock."""
    for runtime, timing in sorted({(row.runtime, row.timing) for row in rows if row.timing}):
        yield f"{runtime} is timed by: {timing}"


def clocks(records: Iterable[Record]) -> Iterator[str]:
    """Yield a line for each record of which a GPU told: clock, temperature, power, and what
    lowered the clock.
    """
    for record in records:
        around = record.surroundings
        if around is None or around.after is None or around.after.power_w is None:
            continue
        figures = [
            _change(around.before, around.after, field, unit)
            for field, unit in (("frequency_mhz", "MHz"), ("temperature_c", "°C"), ("power_w", "W"))
        ]
        told = ", ".join([*filter(None, figures), _reasons(around.after)])
        yield f"{name(record)}: before and after the rounds {told} (read by NVML, not set)"


def _change(before: Sensors, after: Sensors, field: str, unit: str) -> str | None:
    old, new = getattr(before, field), getattr(after, field)
    return None if old is None or new is None else f"{old:.0f} and {new:.0f} {unit}"


def _reasons(after: Sensors) -> str:
    bits = after.throttle_reasons
    if bits is None:
        return "what lowers the clock is not told"
    found = [word for bit, word in REASONS.items() if bits & bit]
    return f"clock lowered by: {', '.join(found) or 'nothing'}"

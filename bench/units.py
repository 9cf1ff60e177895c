"""Figures for people: three significant digits and a unit; bytes are decimal (1 MB = 10^6 B)."""

from bisect import bisect_right
from collections.abc import Callable

_TIME = ((" s", 1e9), (" ms", 1e6), (" us", 1e3), (" ns", 1.0))
_BYTES = ((" GB", 1e9), (" MB", 1e6), (" kB", 1e3), (" B", 1.0))
_ENERGY = ((" J", 1.0), (" mJ", 1e-3), (" uJ", 1e-6))
_COUNT = ((" G", 1e9), (" M", 1e6), (" k", 1e3), ("", 1.0))
# Where a figure rounded to three digits has one decimal less.
_FEWER = (0.9995, 9.995, 99.95)
_DECIMALS = ("{:.3f}".format, "{:.2f}".format, "{:.1f}".format, "{:.0f}".format)


def duration(ns: float) -> str:
    """Return nanoseconds as ``4.10 ms``."""
    return _scaled(ns, _TIME)


def size(count: float) -> str:
    """Return bytes as ``1.24 MB``."""
    return _scaled(count, _BYTES)


def count(number: float) -> str:
    """Return a number of parameters or MACs as ``3.50 M``."""
    return _scaled(number, _COUNT)


def whole(number: float) -> str:
    """Return a count to the last one, as ``113,712,345``."""
    return f"{number:,.0f}"


def measured(counts: str | None) -> Callable[[float], str]:
    """Return how a figure in nanoseconds is written: one that counts something as that count."""
    return whole if counts else duration


def rounded(counts: str | None) -> Callable[[float], str]:
    """Return how a figure in nanoseconds is shown in short: a count as ``49.4 M instructions``."""
    return (lambda number: f"{count(number)} {counts}") if counts else duration


def energy(joules: float) -> str:
    """Return joules as ``4.10 mJ``."""
    return _scaled(joules, _ENERGY)


def power(watts: float) -> str:
    """Return watts as ``12.3 W``."""
    return f"{_digits(watts)} W"


def times(ratio: float) -> str:
    """Return a ratio as ``2.05x``."""
    return f"{_digits(ratio)}x"


def percent(fraction: float) -> str:
    """Return a fraction as ``90.25 %``."""
    return f"{100 * fraction:.2f} %"


def change(fraction: float) -> str:
    """Return a relative change with its sign, as ``+2.5 %``."""
    return f"{100 * fraction:+.1f} %"


def points(difference: float) -> str:
    """Return a difference of two fractions in percentage points, as ``-0.40 points``."""
    return f"{100 * difference:+.2f} points"


def threads(number: int | None) -> str:
    """Return how many threads were asked for, in words; None: the runtime's own choice."""
    return "default threads" if number is None else f"{number} thread{'' if number == 1 else 's'}"


def against(show: Callable[[float], str], now: float, before: float) -> str:
    """Return a figure beside its baseline, as ``4.20 ms against 4.00 ms (+5.0 %)``."""
    relative = f" ({change(now / before - 1)})" if before else ""
    return f"{show(now)} against {show(before)}{relative}"


def _scaled(value: float, steps: tuple[tuple[str, float], ...]) -> str:
    """Take the largest unit in which the rounded figure is at least 1."""
    magnitude = abs(value)
    for unit, factor in steps:
        if magnitude / factor >= 0.9995:
            return _digits(value / factor, factor) + unit
    unit, factor = steps[-1]
    return _digits(value / factor, factor) + unit


def _digits(value: float, factor: float = 0.0) -> str:
    """Three significant digits; whole numbers of a base unit keep no decimals."""
    if factor == 1.0 and float(value).is_integer():
        return f"{value:.0f}"
    return _DECIMALS[bisect_right(_FEWER, abs(value))](value)

"""What a candidate must keep to be recommended: ``latency=50ms,size=5MB,accuracy=90%``. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from bench import units
from bench.budget import near_miss, quantity
from bench.candidate import Candidate, Terms
from bench.record import BenchError

# What a budget's word may demand beside figures.
FLAGS = ("offline", "private")
FLAG_MISSES = {"offline": "needs a network", "private": "pixels leave the device"}

Word = Literal["meets", "misses", "cannot tell"]


class Judgement(NamedTuple):
    """What a candidate makes of one constraint, and the reason where it does not meet it."""

    word: Word
    reason: str = ""


@dataclass(frozen=True)
class Quantity:
    """A figure that can be limited: how its limit is written, what it is, how it is shown."""

    unit: str
    example: str
    of: Callable[[Candidate, Terms], float | None]
    show: Callable[[float], str]
    least: bool = False


QUANTITIES = {
    "latency": Quantity("time", "50ms", lambda c, _: c.p50_ns, units.duration),
    "p90": Quantity("time", "80ms", lambda c, _: c.p90_ns, units.duration),
    "size": Quantity("bytes", "5MB", lambda c, _: c.size_bytes, units.size),
    "memory": Quantity("bytes", "50MB", lambda c, _: c.memory_bytes, units.size),
    "accuracy": Quantity("share", "90%", lambda c, _: c.top1, units.percent, least=True),
    "data": Quantity("bytes", "1GB", lambda c, t: c.data_per_month(t), units.size),
    "energy": Quantity("energy", "10mJ", lambda c, _: c.energy_j, units.energy),
}
KEYS = (*QUANTITIES, *FLAGS)


@dataclass(frozen=True)
class Constraint:
    """One limit, or one of `FLAGS` (`value` 0); `text` is what was written."""

    key: str
    value: float
    text: str

    def judge(self, candidate: Candidate, terms: Terms) -> Judgement:
        """Hold a candidate against it; what was not measured, or is an estimate, never meets it."""
        if self.key in FLAGS:
            met = getattr(candidate, self.key)
            return Judgement("meets") if met else Judgement("misses", FLAG_MISSES[self.key])
        limited = QUANTITIES[self.key]
        found = limited.of(candidate, terms)
        if found is None:
            return Judgement("misses", f"{self.key} not measured")
        low, high = _between(self.key, candidate) or (found, found)
        ends = (self._keeps(low), self._keeps(high))
        if all(ends):
            return Judgement("meets")
        side = "below" if limited.least else "above"
        of = f" of {candidate.images} images" if self.key == "accuracy" else ""
        if any(ends):
            between = f"{limited.show(low)} to {limited.show(high)}"
            return Judgement("cannot tell", f"{self.key} {between}{of}, around {self.text}")
        return Judgement("misses", f"{self.key} {limited.show(found)}{of}, {side} {self.text}")

    def _keeps(self, value: float) -> bool:
        return value >= self.value if QUANTITIES[self.key].least else value <= self.value


def _between(key: str, candidate: Candidate) -> tuple[float, float] | None:
    """Return the interval of a figure, None of one that has none."""
    if key == "accuracy":
        return candidate.top1_between
    if key == "latency" and candidate.low_ns is not None and candidate.high_ns is not None:
        return candidate.low_ns, candidate.high_ns
    return None


def parse(text: str) -> tuple[Constraint, ...]:
    """Read ``latency=50ms,size=5MB,offline``.

    Raises:
        BenchError: an unknown key (with a near miss), one that comes twice, or a value that is no
            quantity of its kind.
    """
    found = [_constraint(part.strip()) for part in text.split(",")]
    keys = [one.key for one in found]
    if twice := next((key for key in keys if keys.count(key) > 1), None):
        raise BenchError(f"--budget gives {twice} twice; give it once")
    return tuple(found)


def _constraint(part: str) -> Constraint:
    key, equals, value = (piece.strip() for piece in part.partition("="))
    if key not in KEYS:
        raise BenchError(f"--budget: unknown key {key!r}; {near_miss(key, KEYS)}")
    if key in FLAGS:
        if equals:
            raise BenchError(f"--budget: {key} takes no value; write it alone, as in '{key}'")
        return Constraint(key, 0.0, key)
    limited = QUANTITIES[key]
    try:
        amount = quantity(value, limited.unit, limited.example)
    except ValueError as error:
        raise BenchError(f"--budget {key}: {error}") from None
    if limited.unit == "share" and amount > 1:
        raise BenchError(
            f"--budget {key}: nothing can reach {value}; write a share up to 100%, such as "
            f"{limited.example}"
        )
    return Constraint(key, amount, value)

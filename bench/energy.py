"""Joules per inference, from what a device's energy sensors counted in the rounds. Pure."""

from collections.abc import Iterator, Sequence

import msgspec

from bench.record import Energy, Record
from devices.device import Spent

IDLE_S = 1.0


class Joules(msgspec.Struct, frozen=True, kw_only=True):
    """What one energy sensor says of an inference, by whatever ran meanwhile too.

    `watts` is the mean power over the rounds, `idle_watts` that of the idle time before them, which
    is in `per_inference` too; `above_idle` leaves it out. None: the idle power is not known.
    """

    name: str
    covers: str
    definition: str
    per_inference: float
    watts: float
    idle_watts: float | None
    above_idle: float | None


def energy(record: Record) -> tuple[Joules, ...]:
    """Return a figure for each energy sensor that told something in a round."""
    found = record.energy
    if found is None or len(record.usage) != len(found.rounds):
        return ()
    times = [usage.wall_ns for usage in record.usage]
    return tuple(_figures(found, times, record.settings.batch))


def _figures(found: Energy, times: Sequence[int], batch: int) -> Iterator[Joules]:
    for index, meter in enumerate(found.sensors.meters):
        told = [(s, joules, ns) for s, joules, ns in _told(found.rounds, index, times)]
        inferences = batch * sum(spent.invocations for spent, _, _ in told)
        seconds = sum(ns for _, _, ns in told) / 1e9
        if not inferences or not seconds:
            continue
        total = sum(joules for _, joules, _ in told)
        idle = _idle_watts(found, index)
        yield Joules(
            name=meter.name,
            covers=meter.covers,
            definition=meter.definition,
            per_inference=total / inferences,
            watts=total / seconds,
            idle_watts=idle,
            above_idle=None if idle is None else (total - idle * seconds) / inferences,
        )


def _told(
    rounds: Sequence[Spent], index: int, times: Sequence[int]
) -> Iterator[tuple[Spent, float, int]]:
    for spent, ns in zip(rounds, times, strict=True):
        joules = spent.joules[index]
        if joules is not None:
            yield spent, joules, ns


def _idle_watts(found: Energy, index: int) -> float | None:
    joules = found.idle.joules[index] if found.idle else None
    return None if joules is None or found.idle is None else joules * 1e9 / found.idle.wall_ns

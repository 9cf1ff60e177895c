"""Simulated machines whose truth is known: what the statistics are held against.

Time is cut into slots of about 75 ms, in each of which one artifact makes one round of invocations.
A machine's noise is a logarithm: its level moves from slot to slot for whoever runs then, an
artifact's own state adds to it, and every invocation scatters around both.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bench.series import Floats

Random = np.random.Generator
# Given a generator, the number of series and of slots, the level in each slot.
Level = Callable[[Random, int, int], Floats]

SAMPLES = 15
# Each round begins with one invocation that is not kept: see `bench.record.Record`.
INVOCATIONS = SAMPLES + 1
SCATTER = 0.02


@dataclass(frozen=True)
class Noise:
    """A machine: `level` is shared by all that run on it, `own` is each artifact's own.

    `tail` is the degrees of freedom of a single invocation's scatter (None: normal).
    """

    level: Level
    own: Level | None = None
    tail: float | None = None


def _white(random: Random, series: int, slots: int) -> Floats:
    return 0.02 * random.standard_normal((series, slots))


def _calm(random: Random, series: int, slots: int) -> Floats:
    return _white(random, series, slots) / 2


def _autoregressive(share: float, deviation: float) -> Level:
    """Return a level of which each slot keeps `share`."""

    def level(random: Random, series: int, slots: int) -> Floats:
        steps = deviation * random.standard_normal((slots, series))
        steps[1:] *= np.sqrt(1 - share**2)
        for slot in range(1, slots):
            steps[slot] += share * steps[slot - 1]
        return steps.T

    return level


def _linear(random: Random, series: int, slots: int) -> Floats:
    """Up or down by 1 % in 1.5 seconds, as a processor that leaves its turbo clock."""
    direction = random.choice((-1.0, 1.0), (series, 1))
    return _calm(random, series, slots) + direction * 5e-4 * np.arange(slots)


def _sine(random: Random, series: int, slots: int) -> Floats:
    """4 % up and down in nine seconds, as a fan or a governor does."""
    turns = np.arange(slots) / 120 + random.random((series, 1))
    return _calm(random, series, slots) + 0.04 * np.sin(2 * np.pi * turns)


def _clock_states(random: Random, series: int, slots: int) -> Floats:
    """Two clocks 15 % apart; a Markov chain that changes in one slot of fifty."""
    changes = np.cumsum(random.random((series, slots)) < 0.02, axis=1)
    return _calm(random, series, slots) + 0.15 * (
        (random.integers(0, 2, (series, 1)) + changes) % 2
    )


def _spikes(random: Random, series: int, slots: int) -> Floats:
    return 0.015 * np.abs(random.standard_t(2, (series, slots)))


def _bursts(random: Random, series: int, slots: int) -> Floats:
    """A neighbour comes in one slot of fifty, stays for ten, and costs 30 % (both on average)."""
    level = np.zeros((series, slots))
    left, cost = np.zeros(series), np.zeros(series)
    for slot in range(slots):
        comes = (left <= 0) & (random.random(series) < 0.02)
        left = np.where(comes, random.geometric(0.1, series), left - 1)
        cost = np.where(comes, random.exponential(0.3, series), cost)
        level[:, slot] = np.where(left > 0, cost, 0.0)
    return level + _calm(random, series, slots)


def _mixture(random: Random, series: int, slots: int) -> Floats:
    parts: tuple[Level, ...] = (
        _autoregressive(0.9, 0.015),
        _linear,
        _sine,
        _clock_states,
        _spikes,
        _bursts,
    )
    return np.asarray(np.sum([part(random, series, slots) for part in parts], axis=0))


def _layout(deviation: float) -> Level:
    """Return a level that a process has for as long as it lives."""

    def level(random: Random, series: int, slots: int) -> Floats:
        return np.repeat(deviation * random.standard_normal((series, 1)), slots, axis=1)

    return level


NOISES = {
    "white": Noise(_white),
    "autoregressive": Noise(_autoregressive(0.9, 0.03)),
    "linear drift": Noise(_linear),
    "sinusoidal drift": Noise(_sine),
    "two clock states": Noise(_clock_states),
    "heavy tails": Noise(_spikes, tail=2.5),
    "contention bursts": Noise(_bursts),
    "all of these": Noise(_mixture, tail=2.5),
    "own memory": Noise(_calm, own=_autoregressive(0.9, 0.005)),
    "own layout": Noise(_calm, own=_layout(0.003)),
    "process effects": Noise(_calm, own=_layout(0.03)),
}


@dataclass(frozen=True)
class Machines:
    """Levels of A and B in every slot of many machines, each of shape (series, slots)."""

    a: Floats
    b: Floats
    tail: float | None


def machines(
    noise: Noise, random: Random, series: int, slots: int, *, life: int | None = None
) -> Machines:
    """Draw machines on which A and B are equally quick, but for their own state.

    `life` is how many slots a process lives, a divisor of `slots` (None: all of them).
    """
    shared = noise.level(random, series, slots)
    if noise.own is None:
        return Machines(shared, shared, noise.tail)
    life = life or slots
    lives = series * (slots // life)
    own = [noise.own(random, lives, life).reshape(series, slots) for _ in range(2)]
    return Machines(shared + own[0], shared + own[1], noise.tail)


def scatter(drawn: Machines, random: Random) -> Floats:
    """Return how single invocations differ from their slot's level, (series, slots, SAMPLES)."""
    shape = (*drawn.a.shape, SAMPLES)
    if drawn.tail is None:
        return SCATTER * random.standard_normal(shape)
    return SCATTER * random.standard_t(drawn.tail, shape)


def interleaved(
    noise: Noise, random: Random, series: int, rounds: int, *, each: int | None = None
) -> tuple[Floats, Floats]:
    """Return the logarithms of the round medians of A and B, each (series, rounds).

    Slots go in pairs, a round of each artifact in random order, as `bench.run` measures; every
    `each` rounds (None: never) both go on in fresh processes.
    """
    drawn = machines(noise, random, series, 2 * rounds, life=2 * each if each else None)
    middle = np.median(scatter(drawn, random), axis=-1)
    pairs = [(x + middle).reshape(series, rounds, 2) for x in (drawn.a, drawn.b)]
    first = random.integers(0, 2, (series, rounds, 1))
    a, b = (
        np.take_along_axis(p, f, axis=2)[..., 0]
        for p, f in zip(pairs, (first, 1 - first), strict=True)
    )
    return a, b


def processes(
    noise: Noise, random: Random, series: int, count: int, each: int
) -> tuple[Floats, Floats]:
    """Return the logarithms of the medians of A's and B's processes, each (series, count).

    Every process makes `each` rounds, beside one of the other artifact.
    """
    a, b = (
        np.median(rounds.reshape(series, count, each), axis=-1)
        for rounds in interleaved(noise, random, series, count * each, each=each)
    )
    return a, b


def spaced(rounds: int, least: int, growth: float = 1.05) -> list[int]:
    """Return numbers of rounds from `least` up to `rounds`, each `growth` times the last."""
    found = [least]
    while found[-1] < rounds:
        found.append(min(rounds, max(found[-1] + 1, round(found[-1] * growth))))
    return found

"""How often four ways of comparing two artifacts are right, on simulated machines of known truth.

    python docs/trust_study.py [--series 1000] [--seed 0]

Prints the tables of docs/trust.md. On each machine of `bench.simulate` B is as quick as A, or 3 %
slower. Ours: interleaved rounds in random order, asked as they grow, until decided (or 300 rounds);
or those of fresh processes, as `bench run` makes them. The others measure all of
A, then all of B, on the same machine:

- Welch's t-test at 1 % on all samples; on one mean a round; and on all samples with the threshold
  that gives 1 % of false alarms on just this machine, which nobody knows outside a simulation.
- pyperf 2: 20 processes of 3 values and a warm-up, Student's t-test at 5 % (`is_significant`), and
  its warnings (`pyperf check`: deviation from 10 %, extremes from 50 % of the mean).
- hyperfine 1: 3 s of runs, mean and deviation; a ratio is read as a difference where 1 is farther
  away than the deviation it prints; it warns of outliers (10 deviations by the median's).
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench import noise, sequential, series, stats
from bench.compare import word
from bench.matrix import Effort
from bench.pace import GROWTH, PROCESS_ROUNDS
from bench.ratio import Sides, ratios
from bench.sequential import LEAST_ROUNDS
from bench.series import Floats
from bench.simulate import (
    INVOCATIONS,
    NOISES,
    Noise,
    interleaved,
    machines,
    processes,
    scatter,
    spaced,
)

Truths = npt.NDArray[np.bool_]
# (differs, B slower), warned
Judged = tuple[tuple[Truths, Truths], Truths]
Rule = Callable[[Floats, Floats], Judged]

SLOWER = 1.03
# What 'bench run' does unless told otherwise.
PROCESSES = 10
ROUNDS = 300
ALARMS, FOUND = 0.01, 0.95
# Sequential runs are tried up to this many rounds of each artifact: 28,800 inferences a side.
CAP = 1800
CHUNK = 50
PYPERF = (20, 3)
HYPERFINE = 40


@dataclass
class Rates:
    """Shares of false alarms and of slowdowns found, and inferences of both sides together."""

    alarms: float
    found: float
    inferences: float


def ours(name: str, rng: np.random.Generator, count: int, floor: float = 0.0) -> Rates:
    """Interleave, ask as rounds grow, stop when decided."""
    a, b = interleaved(NOISES[name], rng, count, ROUNDS)
    equal, _ = decided(b - a, floor)
    found, rounds = decided(b - a + np.log(SLOWER), floor)
    alarms = np.isin(equal, ["faster", "slower"]).mean()
    return Rates(alarms, (found == "slower").mean(), 2 * INVOCATIONS * rounds.mean())


def several(name: str, rng: np.random.Generator, count: int) -> Rates:
    """Interleave in fresh processes, stop as `bench run` does, and compare process by process."""
    a, b = processes(NOISES[name], rng, count, 3 * PROCESSES, PROCESS_ROUNDS)
    lasted = [min(sure(x), sure(y)) for x, y in zip(a, b, strict=True)]
    said = {
        effect: np.array([
            word(found)
            for found in ratios([
                Sides(np.exp(x[:n]), effect * np.exp(y[:n]), True, (True, True))
                for x, y, n in zip(a, b, lasted, strict=True)
            ])
        ])
        for effect in (1.0, SLOWER)
    }  # fmt: skip
    return Rates(
        np.isin(said[1.0], ["faster", "slower"]).mean(),
        (said[SLOWER] == "slower").mean(),
        2 * INVOCATIONS * PROCESS_ROUNDS * np.mean(lasted),
    )


def sure(levels: Floats) -> int:
    """Return after how many processes the interval of their median is tight enough, or all."""
    for count in spaced(len(levels), PROCESSES, GROWTH):
        values = np.exp(levels[:count])
        if stats.relative_half_width(*ends(values)) <= Effort().precision_target:
            return count
    return len(levels)


def ends(values: Floats) -> tuple[float, float, float]:
    """Return the median's interval with the median in its middle."""
    low, high = stats.median_interval(values)
    return low, float(np.median(values)), high


def decided(
    differences: Floats, floor: float = 0.0
) -> tuple[npt.NDArray[np.str_], npt.NDArray[np.int_]]:
    """Return the first word on each series other than undecided, and after how many rounds."""
    said = np.full(len(differences), "undecided")
    after = np.full(len(differences), differences.shape[1])
    for rounds in spaced(differences.shape[1], LEAST_ROUNDS):
        waiting = np.flatnonzero(said == "undecided")
        if not len(waiting):
            break
        found = series.location(differences[waiting, :rounds])
        low, high = np.exp(sequential.bounds(found, rounds))
        for index, *ends in zip(waiting, low, high, strict=True):
            said[index] = sequential.place(*ends, sequential.MARGIN, floor)
            after[index] = rounds
    return said, after


@dataclass
class Slots:
    """Sums over the samples of each slot, shape (series, slots), for A's level and for B's."""

    a: Floats
    b: Floats
    a2: Floats
    b2: Floats


def slots(
    machine: Noise, rng: np.random.Generator, count: int, length: int, life: int | None = None
) -> Iterator[Slots]:
    """Draw machines a few at a time: all samples of a long run would not fit in memory."""
    for start in range(0, count, CHUNK):
        drawn = machines(machine, rng, min(CHUNK, count - start), length, life=life)
        times = np.exp(scatter(drawn, rng))
        one, two = times.sum(axis=2), (times**2).sum(axis=2)
        a, b = np.exp(drawn.a), np.exp(drawn.b)
        yield Slots(a * one, b * one, a * a * two, b * b * two)


def welch(mean: Floats, square: Floats, count: int, effect: float) -> tuple[Floats, Floats]:
    """Return Welch's t and its degrees of freedom; `mean` and `square` are those of A and of B."""
    scaled = mean * np.array([1, effect])
    variance = (square - mean**2) * np.array([1, effect**2]) * count / (count - 1) / count
    together = variance.sum(axis=-1)
    freedom = together**2 / (variance**2 / (count - 1)).sum(axis=-1)
    return (scaled[..., 1] - scaled[..., 0]) / np.sqrt(together), freedom


def rivals(name: str, rng: np.random.Generator, count: int) -> dict[str, Rates | None]:
    """Return what each sequential design needs for the same rates; None: never, up to `CAP`."""
    lengths = spaced(CAP, LEAST_ROUNDS, 1.25)
    found: dict[tuple[str, int], list[tuple[Floats, ...]]] = {}
    for drawn in slots(NOISES[name], rng, count, 2 * CAP):
        for length in lengths:
            for way, values in ways(drawn, length):
                found.setdefault((way, length), []).append(values)
    best: dict[str, Rates | None] = {"samples": None, "rounds": None, "fitted": None}
    for (way, length), parts in found.items():
        equal, slower, freedom = (np.concatenate(part) for part in zip(*parts, strict=True))
        limits = {way: series.student(2.576, freedom)}
        if way == "samples":
            limits["fitted"] = np.quantile(np.abs(equal), 1 - ALARMS)
        for label, limit in limits.items():
            rates = Rates(
                (np.abs(equal) > limit).mean(), (slower > limit).mean(), 2 * length * INVOCATIONS
            )
            # What is within two standard errors of 1 % counts as 1 %: to their advantage.
            allowed = ALARMS + 2 * np.sqrt(ALARMS / count)
            if best[label] is None and rates.alarms <= allowed and rates.found >= FOUND:
                best[label] = rates
    return best


def ways(drawn: Slots, length: int) -> Iterator[tuple[str, tuple[Floats, ...]]]:
    """Yield t under equality, t under the slowdown, and degrees of freedom, of both of Welch's."""
    samples = INVOCATIONS - 1
    a, b = drawn.a[:, :length], drawn.b[:, length : 2 * length]
    a2, b2 = drawn.a2[:, :length], drawn.b2[:, length : 2 * length]
    mean = np.stack([a.mean(axis=1), b.mean(axis=1)], axis=-1) / samples
    square = np.stack([a2.mean(axis=1), b2.mean(axis=1)], axis=-1) / samples
    of_rounds = np.stack([(a**2).mean(axis=1), (b**2).mean(axis=1)], axis=-1) / samples**2
    for way, squares, count in (
        ("samples", square, length * samples),
        ("rounds", of_rounds, length),
    ):
        equal, _ = welch(mean, squares, count, 1.0)
        slower, freedom = welch(mean, squares, count, SLOWER)
        yield way, (equal, slower, freedom)


def tools(name: str, rng: np.random.Generator, count: int) -> Iterator[tuple[Truths, ...]]:
    """Yield of pyperf and of hyperfine: false alarm, found, warned; one truth value a series."""
    lives, values = PYPERF
    a, b = run_tool(name, rng, count, lives * (values + 1), values + 1)
    kept = np.arange(a.shape[1]) % (values + 1) > 0  # each process warms up with one value
    yield judged(pyperf, a[:, kept], b[:, kept])
    yield judged(hyperfine, *run_tool(name, rng, count, HYPERFINE, 1))


def run_tool(
    name: str, rng: np.random.Generator, count: int, length: int, life: int
) -> tuple[Floats, Floats]:
    """Return `length` values of A and then of B, in processes that live for `life` of them."""
    parts = list(slots(NOISES[name], rng, count, 2 * length, life))
    a, b = (np.concatenate([getattr(part, side) for part in parts]) for side in "ab")
    return a[:, :length], b[:, length:]


def judged(rule: Rule, a: Floats, b: Floats) -> tuple[Truths, ...]:
    """Apply a rule to equals and to a slowdown."""
    (equal, _), warned = rule(a, b)
    (different, slower), _ = rule(a, SLOWER * b)
    return equal, different & slower, warned


def pyperf(a: Floats, b: Floats) -> Judged:
    """Return whether the difference is significant and B slower, and whether it warns."""
    pooled = (a.var(axis=1, ddof=1) + b.var(axis=1, ddof=1)) / 2
    t = (b.mean(axis=1) - a.mean(axis=1)) / np.sqrt(2 * pooled / a.shape[1])
    return (np.abs(t) >= series.student(1.96, 2 * a.shape[1] - 2), t > 0), unstable(a) | unstable(b)


def unstable(x: Floats) -> Truths:
    """Apply pyperf's warnings on one series of values."""
    mean = x.mean(axis=1)
    extreme = (x.max(axis=1) >= 1.5 * mean) | (x.min(axis=1) <= 0.5 * mean)
    return extreme | (x.std(axis=1, ddof=1) >= 0.1 * mean)


def hyperfine(a: Floats, b: Floats) -> Judged:
    """Return whether 1 is outside ratio and deviation and B slower, and whether it warns."""
    ratio = b.mean(axis=1) / a.mean(axis=1)
    relative = [x.std(axis=1, ddof=1) / x.mean(axis=1) for x in (a, b)]
    deviation = ratio * np.hypot(*relative)
    return (np.abs(ratio - 1) > deviation, ratio > 1), outliers(a) | outliers(b)


def outliers(x: Floats) -> Truths:
    """Apply hyperfine's warning: a run 14.826 median absolute deviations from the median."""
    off = np.abs(x - np.median(x, axis=1, keepdims=True))
    return (off > 14.826 * np.median(off, axis=1, keepdims=True)).any(axis=1)


def floor(name: str, rng: np.random.Generator) -> float:
    """Return the noise floor that 60 comparisons of an artifact with itself give."""
    a, b = interleaved(NOISES[name], rng, 60, ROUNDS)
    rows = zip(np.exp(a), np.exp(b), decided(b - a)[1], strict=True)
    return noise.spread([Sides(x[:n], y[:n], together=True) for x, y, n in rows]).floor


def apart(name: str, rng: np.random.Generator, count: int) -> dict[str, float]:
    """Return the false alarms at 1 % of two runs of 30 rounds, each on a machine of its own."""
    a, b = (interleaved(NOISES[name], rng, count, 30)[0] for _ in range(2))
    found = ratios([Sides(np.exp(x), np.exp(y), together=False) for x, y in zip(a, b, strict=True)])
    alarms = {"ours": float(np.mean([r.low > 1 or r.high < 1 for r in found]))}
    for way, length in (("rounds", independent), ("blocks", blocks)):
        ends = [np.quantile(resampled(y, rng, length) - resampled(x, rng, length), (0.005, 0.995))
                for x, y in zip(a, b, strict=True)]  # fmt: skip
        alarms[way] = float(np.mean([low > 0 or high < 0 for low, high in ends]))
    return alarms


def resampled(values: Floats, rng: np.random.Generator, length: Callable[[Floats], int]) -> Floats:
    """Return medians of 500 circular block resamples of a series."""
    block = length(values)
    starts = rng.integers(len(values), size=(500, -(-len(values) // block), 1))
    drawn = (starts + np.arange(block)).reshape(500, -1)[:, : len(values)] % len(values)
    return np.median(values[drawn], axis=1)


def independent(_: Floats) -> int:
    """Return the block length of the ordinary bootstrap."""
    return 1


def blocks(values: Floats) -> int:
    """Return the block length that suits a first-order autoregression (Carlstein 1986)."""
    centred = values - np.median(values)
    share = (centred[1:] @ centred[:-1]) / (centred @ centred) + 1 / len(values)
    share = min(max(share, 0.0), 0.95)
    best = (2 * share / (1 - share**2)) ** (2 / 3) * len(values) ** (1 / 3)
    return int(np.clip(np.ceil(best), 1, len(values) // 2))


def needed(rates: Rates | None, own: Rates) -> str:
    """Return inferences and how many times ours."""
    if rates is None:
        return "never"
    return f"{rates.inferences:,.0f} ({rates.inferences / own.inferences:.1f}x)"


def percent(share: float) -> str:
    """Return a share as ``0.4 %``."""
    return f"{100 * share:.1f} %"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--series", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    efforts(given.series, given.seed)
    print()
    usual(given.series, given.seed)
    print()
    fresh(given.series, given.seed)
    print()
    floors(given.series, given.seed)
    print()
    across(given.series // 4, given.seed)


def across(count: int, seed: int) -> None:
    """Print why two runs are compared as they are, and what that cannot know."""
    print("| noise | ours | bootstrap of rounds | of blocks |")
    print("| --- | --: | --: | --: |")
    for name in NOISES:
        shares = apart(name, np.random.default_rng(seed + 3), count)
        print(f"| {name} | {' | '.join(map(percent, shares.values()))} |", flush=True)


def efforts(count: int, seed: int) -> None:
    """Print what is needed for the same rates."""
    print("| noise | ours: false alarms | 3 % found | inferences | Welch, samples | Welch, rounds "
          "| Welch, fitted |")  # fmt: skip
    print("| --- | --: | --: | --: | --: | --: | --: |")
    for name in NOISES:
        own = ours(name, np.random.default_rng(seed), count)
        other = rivals(name, np.random.default_rng(seed + 1), max(CHUNK, count // 4))
        cells = [percent(own.alarms), percent(own.found), f"{own.inferences:,.0f}"]
        cells += [needed(rates, own) for rates in other.values()]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def fresh(count: int, seed: int) -> None:
    """Print what rounds of one process show, and rounds of several."""
    print("| noise | one process: false alarms | several: false alarms | 3 % found | inferences |")
    print("| --- | --: | --: | --: | --: |")
    for name in NOISES:
        one, more = (way(name, np.random.default_rng(seed + 4), count) for way in (ours, several))
        cells = [percent(x) for x in (one.alarms, more.alarms, more.found)]
        print(f"| {name} | {' | '.join(cells)} | {more.inferences:,.0f} |", flush=True)


def usual(count: int, seed: int) -> None:
    """Print what the tools say by default."""
    whats = ("false alarms", "3 % found", "warned")
    titles = [f"{tool}: {what}" for tool in ("pyperf", "hyperfine") for what in whats]
    print(f"| noise | {' | '.join(titles)} |")
    print(f"| --- |{' --: |' * len(titles)}")
    for name in NOISES:
        shares = [
            x.mean() for tool in tools(name, np.random.default_rng(seed), count) for x in tool
        ]
        print(f"| {name} | {' | '.join(map(percent, shares))} |", flush=True)


def floors(count: int, seed: int) -> None:
    """Print what the noise profile mends."""
    print("| noise | floor | false alarms without | with | 3 % found with |")
    print("| --- | --: | --: | --: | --: |")
    for name in ("own memory", "own layout"):
        level = floor(name, np.random.default_rng(seed + 2))
        without = ours(name, np.random.default_rng(seed), count)
        below = ours(name, np.random.default_rng(seed), count, level)
        cells = [percent(x) for x in (level, without.alarms, below.alarms, below.found)]
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()

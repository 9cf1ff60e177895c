"""Where a series of rounds lies, and how sure that is when rounds resemble their neighbours. Pure.

Everything works on the last axis, so that a hundred thousand records cost one call and not as many.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

# Huber's k: 95 % as efficient as the mean on normal noise (Huber 1981, section 4.4).
HUBER = 1.5
# The median absolute deviation, and the mean one, of a normal distribution, as factors to its
# standard deviation.
MAD = 1.4826
MEAN_DEVIATION = 1.2533
# Where the first is less than this share of the second, most rounds are equal: a coarse clock.
COARSE = 1e-6
MOST = 0.95
# No series is taken for fewer independent rounds: how strongly it is correlated is not known well
# enough to say so.
FEWEST = 3.0
STEPS = 2
# The share of processes left out at each end.
TRIMMED = 0.1
# A factor of 10^21, in logarithms: such an interval says nothing, but can be printed.
FARTHEST = 50.0


class Location(NamedTuple):
    """A robust location of each series, the variance of that figure, and its degrees of freedom.

    Each of shape (...), for series of shape (..., rounds).
    """

    value: Floats
    variance: Floats
    freedom: Floats


def location(values: npt.ArrayLike) -> Location:
    """Return Huber's location with a variance that allows for correlation between rounds.

    The median and the median absolute deviation start it, so that neither spikes nor bursts move
    it; two steps of Newton's method then take what the other rounds say (Huber 1981, section 6.7).
    The variance is that of the influence of each round times (1 + r) / (1 - r), what a
    first-order autoregression makes of the variance of a mean, r being the lag-1 correlation, freed
    of its bias, and never below 0; the degrees of freedom shrink by as much. Beside resampling
    blocks it errs less on short correlated series, and costs a hundredth: see docs/trust.md.

    Args:
        values: one figure a round, shape (..., rounds); logarithms for a ratio.
    """
    series = np.asarray(values, dtype=np.float64)
    rounds = series.shape[-1]
    centre = np.median(series, axis=-1, keepdims=True)
    scale = _scale(series - centre)
    for _ in range(STEPS):
        influence = _influence(series - centre, scale)
        centre = centre + influence.mean(axis=-1, keepdims=True)
    influence = _influence(series - centre, scale)
    influence -= influence.mean(axis=-1, keepdims=True)
    squares = (influence**2).sum(axis=-1)
    correlation = np.clip(_debiased(_lag_one(influence, squares), rounds), 0.0, MOST)
    most = max(rounds / FEWEST, 1.0)
    inflation = np.minimum((1 + correlation) / (1 - correlation), most)
    spread = squares / (rounds - 1) if rounds > 1 else np.full_like(squares, np.inf)
    return Location(
        value=centre[..., 0],
        variance=spread / rounds * inflation,
        freedom=np.maximum(rounds / inflation, FEWEST) - 1,
    )


def independent(values: npt.ArrayLike) -> Location:
    """Return the trimmed mean of independent values, such as those of fresh processes.

    Ten values do not tell how they resemble their neighbours, and as those of fresh processes they
    need not. The tenth at each end is left out, so that a disturbed process does not decide the
    interval; its variance is that of Yuen (1974, Biometrika 61), from the values drawn in to the
    outermost that are kept, and the degrees of freedom are those of what is kept.

    Args:
        values: one figure a process, shape (..., processes); logarithms for a ratio.
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64), axis=-1)
    count = ordered.shape[-1]
    cut = int(TRIMMED * count)
    kept = ordered[..., cut : count - cut]
    left = count - 2 * cut
    drawn_in = np.clip(ordered, kept[..., :1], kept[..., -1:])
    value = kept.mean(axis=-1)
    if left < 2:
        return Location(value, np.full_like(value, np.inf), np.full_like(value, 1.0))
    squares = drawn_in.var(axis=-1) * count
    return Location(value, squares / (left * (left - 1)), np.full_like(value, left - 1.0))


def student(normal: npt.ArrayLike, freedom: npt.ArrayLike) -> Floats:
    """Return Student's t whose tail is that of a normal deviate (Wallace 1959, inverted).

    Args:
        normal: the normal deviate, such as 2.576 for 1 % in both tails.
        freedom: degrees of freedom, from 1 up.
    """
    nu = np.asarray(freedom, dtype=np.float64)
    deviate = np.asarray(normal) * (8 * nu + 3) / (8 * nu + 1)
    return np.asarray(np.sqrt(nu * np.expm1(deviate**2 / nu)), dtype=np.float64)


def around(found: Location, normal: float) -> tuple[Floats, Floats]:
    """Return the ends of a location's interval, `normal` deviates of few rounds to each side."""
    reach = np.minimum(student(normal, found.freedom) * np.sqrt(found.variance), FARTHEST)
    return found.value - reach, found.value + reach


def _scale(residuals: Floats) -> Floats:
    """Return the spread; where a coarse clock makes most residuals 0, that of their mean."""
    size = np.abs(residuals)
    median = MAD * np.median(size, axis=-1, keepdims=True)
    mean = MEAN_DEVIATION * size.mean(axis=-1, keepdims=True)
    found = np.where(median > COARSE * mean, median, mean)
    return np.where(found > 0, found, 1.0)


def _influence(residuals: Floats, scale: Floats) -> Floats:
    """Return how far each round moves the location, times the number of rounds."""
    clipped = np.clip(residuals, -HUBER * scale, HUBER * scale)
    inside = (np.abs(residuals) < HUBER * scale).mean(axis=-1, keepdims=True)
    return np.asarray(clipped / inside, dtype=np.float64)


def _lag_one(centred: Floats, squares: Floats) -> Floats:
    products = (centred[..., 1:] * centred[..., :-1]).sum(axis=-1)
    return np.asarray(products / np.where(squares > 0, squares, 1.0), dtype=np.float64)


def _debiased(correlation: Floats, rounds: int) -> Floats:
    """Add what estimating the mean takes from a correlation (Marriott and Pope 1954)."""
    return correlation + (1 + 3 * correlation) / rounds

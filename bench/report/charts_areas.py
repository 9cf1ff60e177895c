"""The areas of a map of links: who is faster where, and where there is room for a word."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.link_model import LinkModel
from bench.stats import Floats
from bench.tradeoff import Turn, certain

# Mbit/s and milliseconds: from a bad 3G link to a cable.
RATES, ROUND_TRIPS = (0.3, 1500.0), (0.7, 500.0)
ROWS = 121
# In the order in which the rate passes through them.
NAMES = ("edge", "cannot tell", "cloud")
# Pixels of the map, and of half a word's box with some air; where a link's label lies beside it.
WIDTH, HEIGHT = 290.0, 250.0
WORD = (52.0, 11.0)
LABEL = 26.0
# Places for words are sought on a grid: so many columns, and each such row of the areas.
COLUMNS, STEP = 48, 3

Point = dict[str, Any]
Areas = dict[str, list[Point]]


def areas(turn: Turn) -> Areas:
    """Return the areas of a map: who is faster, from which rate in Mbit/s (`low`) to which one
    (`high`), at each round trip (`y`) in milliseconds.
    """
    found: Areas = {name: [] for name in NAMES}
    low, high = certain(turn.edge, turn.cloud)
    for rtt in np.geomspace(*ROUND_TRIPS, ROWS).tolist():
        borders = [_border(turn.cloud, limit, rtt) for limit in (high, low)]
        ends = (RATES[0], *borders, RATES[1])
        for number, name in enumerate(NAMES):
            found[name].append({"y": rtt, "low": ends[number], "high": ends[number + 1]})
    return found


def _border(cloud: LinkModel, limit_ns: float, rtt: float) -> float:
    """Return from which rate on a request takes less than `limit_ns`, within the map."""
    rate = cloud.least_rate(limit_ns, rtt)
    return RATES[1] if rate is None else min(max(rate, RATES[0]), RATES[1])


def places(found: Areas, links: Iterable[Point]) -> dict[str, tuple[float, float]]:
    """Return for each area with room for a word where that is: rate and round trip.

    It is farthest, in sizes of a word's box, from borders, from links (their `x` and `y`) and from
    words that have a place.
    """
    taken = [spot for link in links for spot in _spots(link)]
    chosen: dict[str, tuple[float, float]] = {}
    grid = _grid()
    areas = _classes(found)
    for number, name in enumerate(NAMES):
        inside = grid[areas == number]
        others = np.vstack([grid[areas != number], np.array(taken).reshape(-1, 2)])
        if not len(inside):
            continue
        room = np.minimum(_least(inside, others), _to_the_edge(inside))
        best = inside[int(room.argmax())]
        if room.max() >= 1:
            chosen[name] = _unscaled(best)
            taken.append((float(best[0]), float(best[1])))
    return chosen


def _spots(link: Point) -> list[tuple[float, float]]:
    """Return where a link's dot and its label lie, in boxes."""
    u, v = (
        _scaled(link["x"], RATES, WIDTH, WORD[0]),
        _scaled(link["y"], ROUND_TRIPS, HEIGHT, WORD[1]),
    )
    return [(u, v), (u + LABEL / WORD[0], v)]


def _scaled(value: float, ends: tuple[float, float], pixels: float, box: float) -> float:
    return float(np.log(value / ends[0]) / np.log(ends[1] / ends[0]) * pixels / box)


def _unscaled(spot: Floats) -> tuple[float, float]:
    sides = zip(spot, (RATES, ROUND_TRIPS), (WIDTH, HEIGHT), WORD, strict=True)
    rate, rtt = (ends[0] * (ends[1] / ends[0]) ** (at * box / px) for at, ends, px, box in sides)
    return float(rate), float(rtt)


def _grid() -> Floats:
    """Return places all over the map in boxes, shape (places, 2)."""
    u, v = np.meshgrid(
        np.linspace(0, WIDTH / WORD[0], COLUMNS), np.linspace(0, HEIGHT / WORD[1], ROWS)[::STEP]
    )
    return np.column_stack([u.ravel(), v.ravel()])


def _classes(found: Areas) -> npt.NDArray[np.int64]:
    """Return for each place of the grid the number of its area, shape (places,)."""
    rates = np.geomspace(*RATES, COLUMNS)
    borders = np.array([[row["high"] for row in found[name][::STEP]] for name in NAMES[:2]])
    number: npt.NDArray[np.int64] = np.sum(rates >= borders[:, :, None], axis=0)
    return number.ravel()


def _least(inside: Floats, others: Floats) -> Floats:
    """Return each place's distance to the nearest of the others, the farther side counting."""
    found = np.full(len(inside), np.inf)
    for part in np.array_split(others, max(1, len(others) // 500)):
        apart = np.abs(inside[:, None, :] - part[None, :, :]).max(axis=2)
        found = np.minimum(found, apart.min(axis=1, initial=np.inf))
    return found


def _to_the_edge(inside: Floats) -> Floats:
    ends = np.array([WIDTH / WORD[0], HEIGHT / WORD[1]])
    sides: Floats = np.minimum(inside, ends - inside)
    return np.asarray(sides.min(axis=1, initial=np.inf), dtype=np.float64)

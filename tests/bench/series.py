"""Seeded series of known truth: rounds, and what the worker and the machine did meanwhile."""

import numpy as np

from devices.device import Usage


def rounds(count, runs=15, level=1e6, drift=0.01, noise=0.01, seed=0):
    """Log-normal samples with a level of its own for each round."""
    random = np.random.default_rng(seed)
    levels = level * np.exp(random.normal(0, drift, (count, 1)))
    return (levels * np.exp(random.normal(0, noise, (count, runs)))).astype(int).tolist()


def around(levels, runs=15, noise=0.002, seed=0):
    """Rounds whose medians are about `levels`, each off by a normal share of `noise`."""
    random = np.random.default_rng(seed)
    level = np.asarray(levels) * (1 + noise * random.standard_normal(len(levels)))
    return (level[:, None] * np.ones(runs)).astype(int).tolist()


def autoregressive(count, r, spread=0.01, level=1e6, seed=0):
    """Values each of which takes over a share `r` of the last one's deviation."""
    random = np.random.default_rng(seed)
    deviation = [0.0]
    for step in random.standard_normal(count + 50):
        deviation.append(r * deviation[-1] + step)
    return level * (1 + spread * np.array(deviation[-count:]))


def usage(count=12, *, wall=75e6, lost=0.0, stolen=0.0, others=0.0, cores=2, told=True):
    """What `count` rounds of one thread took on `cores` cores; shares are of a round's time."""
    own = wall * (1 - lost)
    busy = own + others * wall
    one = Usage(
        wall_ns=int(wall),
        cpu_ns=int(own),
        waited_ns=int(lost * wall) if told else None,
        involuntary=int(lost * wall / 4e6),
        busy_ns=int(busy) if told else None,
        idle_ns=int(max(0.0, cores * wall - busy - stolen * wall)) if told else None,
        stolen_ns=int(stolen * wall) if told else None,
    )
    return (one,) * count

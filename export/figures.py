"""What is counted of one layer over all inputs: energies of signal and noise, ranges by channel."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from export.trace import Grid
from export.verify import EXACT_DB

Array = npt.NDArray[Any]


def snr_db(signal: float, noise: float) -> float | None:
    """Return 10 log10 of signal over noise energy, within 300 dB either way; None: no signal."""
    if not np.isfinite(noise):
        return -EXACT_DB
    if noise == 0:
        return EXACT_DB
    if signal == 0:
        return None
    return float(np.clip(10 * np.log10(signal / noise), -EXACT_DB, EXACT_DB))


def energy(array: Array) -> float:
    """Return the sum of an array's squares."""
    wide = array.astype(np.float64)
    return float(np.sum(wide * wide))


@dataclass
class Tally:
    """One layer, over the inputs added so far. Energies are sums of squares.

    `expected` is what the float layer gives for the file's own values of its operands; `noise` is
    the file's difference from that, by channel. The weights' part is what the float layer differs
    by when it has the file's weights; the clipped part what it loses at the ends of the grid.
    """

    grid: Grid | None = None
    true_energy: float = 0.0
    so_far_noise: float = 0.0
    energy: float = 0.0
    weight_noise: float = 0.0
    clipped_noise: float = 0.0
    clipped: int = 0
    values: int = 0
    not_finite: int = 0
    flushed: int = 0
    noise: Array = field(default_factory=lambda: np.zeros(1))
    low: Array = field(default_factory=lambda: np.full(1, np.inf))
    high: Array = field(default_factory=lambda: np.full(1, -np.inf))
    got_low: Array = field(default_factory=lambda: np.full(1, np.inf))
    got_high: Array = field(default_factory=lambda: np.full(1, -np.inf))

    def add(self, true: Array, expected: Array, got: Array, with_weights: Array | None) -> None:
        """Add one input's values: the float network's, the float layer's, and the file's.

        Where the layer inherits what is not finite, nothing can be told of its own.
        """
        self.true_energy += energy(true)
        with np.errstate(invalid="ignore", over="ignore"):  # of what overflowed
            self.so_far_noise += energy(true - got)
            if not np.isfinite(expected).all():
                return
            self.not_finite += int((~np.isfinite(got)).sum())
            self.values += got.size
            self.energy += energy(expected)
            if with_weights is not None:
                self.weight_noise += energy(with_weights - expected)
            self._add_channels(expected, got)
        self._add_limits(expected, got)

    def _add_channels(self, expected: Array, got: Array) -> None:
        axes = tuple(i for i in range(expected.ndim) if i != 1)
        error = (expected.astype(np.float64) - got) ** 2
        self.noise = self.noise + (error.sum(axes) if expected.ndim > 1 else error.sum())
        self.low = np.minimum(self.low, expected.min(axes))
        self.high = np.maximum(self.high, expected.max(axes))
        self.got_low = np.minimum(self.got_low, got.min(axes))
        self.got_high = np.maximum(self.got_high, got.max(axes))

    def _add_limits(self, expected: Array, got: Array) -> None:
        if self.grid is None:
            return
        slack = self.grid.step / 2
        outside = (expected < self.grid.low - slack) | (expected > self.grid.high + slack)
        self.clipped += int(outside.sum())
        self.clipped_noise += energy(expected - np.clip(expected, self.grid.low, self.grid.high))
        if not self.grid.step:
            self.flushed += int(((got == 0) & (expected != 0)).sum())

    @property
    def own_db(self) -> float | None:
        """The layer's own signal-to-noise ratio; None: nothing could be told, or no signal."""
        if not self.values:
            return None
        return snr_db(self.energy, float(self.noise.sum()))

    @property
    def so_far_db(self) -> float | None:
        """The signal-to-noise ratio at the layer's end, with all that it inherits."""
        return snr_db(self.true_energy, self.so_far_noise)

    @property
    def clipped_share(self) -> float:
        """The share of values beyond the grid."""
        return self.clipped / self.values if self.values else 0.0

    def share(self, part: float) -> float:
        """Return a part of the noise as a share of it, at most 1."""
        whole = float(self.noise.sum())
        return min(1.0, part / whole) if whole else 0.0

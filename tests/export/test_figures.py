"""The figures of one layer."""

import numpy as np
import pytest

from export.figures import Tally, snr_db
from export.trace import Grid
from export.verify import EXACT_DB


@pytest.mark.parametrize(
    ("signal", "noise", "decibels"),
    [(100.0, 1.0, 20.0), (1.0, 4.0, -6.0206), (1.0, 0.0, EXACT_DB), (1.0, np.inf, -EXACT_DB),
     (0.0, 1.0, None)],
    ids=["20 dB", "a bit", "exact", "not finite", "no signal"],
)  # fmt: skip
def test_the_ratio_is_of_energies(signal: float, noise: float, decibels: float | None) -> None:
    assert snr_db(signal, noise) == (None if decibels is None else pytest.approx(decibels))


def test_own_noise_is_told_from_what_is_inherited() -> None:
    tally = Tally()
    true = np.full((1, 2, 4), 10.0)
    tally.add(true, expected=true + 1, got=true + 1.1, with_weights=None)
    assert tally.own_db == pytest.approx(20 * np.log10(11 / 0.1))
    assert tally.so_far_db == pytest.approx(20 * np.log10(10 / 1.1))


def test_inputs_add_up_to_what_they_are_together() -> None:
    rng = np.random.default_rng(0)
    true, got = rng.normal(size=(2, 6, 3, 5)), rng.normal(size=(2, 6, 3, 5))
    whole, parts = Tally(), Tally()
    whole.add(true, true, got, got)
    for row in range(2):
        part = slice(row, row + 1)
        parts.add(true[part], true[part], got[part], got[part])
    assert parts.own_db == pytest.approx(whole.own_db)
    assert np.allclose(parts.noise, whole.noise)
    assert np.array_equal(parts.low, whole.low)
    assert np.array_equal(parts.high, whole.high)
    assert parts.share(parts.weight_noise) == 1.0


def test_what_is_clipped_is_counted_with_its_part_of_the_noise() -> None:
    tally = Tally(Grid(-1.0, 1.0, 2 / 255))
    expected = np.array([[0.5, 3.0, -2.0, 1.001]])
    tally.add(expected, expected, np.clip(expected, -1, 1), None)
    assert tally.clipped == 2
    assert tally.clipped_share == 0.5
    assert tally.share(tally.clipped_noise) == pytest.approx(1.0)


def test_a_layer_that_inherits_what_is_not_finite_is_not_blamed() -> None:
    tally = Tally()
    values = np.ones((1, 3))
    tally.add(values, values * np.nan, values * np.nan, None)
    assert tally.own_db is None
    assert tally.not_finite == 0
    assert tally.so_far_db == -EXACT_DB

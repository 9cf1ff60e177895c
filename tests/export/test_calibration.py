"""Golden inputs: what a file is tried on."""

import pytest

from export import calibration, verify
from export.artifact import Calibration


@pytest.mark.parametrize("side", [16, 224])
def test_noise_is_mostly_like_the_noise_that_sets_ranges(side: int) -> None:
    arrays, rows = calibration.golden(None, None, [(1, 3, side, side)], seed=0)
    assert len(arrays[0]) == len(rows)
    assert {row.amplitude for row in rows if row.kind == "noise"} == {0.1, 0.25, 0.5, 1.0, 2.0}
    random = Calibration(source="random", images=1, fingerprint="", method="min-max")
    compared = verify.calibrated_rows(rows, random)
    assert arrays[0][compared].std() == pytest.approx(1, rel=0.1)
    assert len(compared) >= len(rows) - 6 >= 2

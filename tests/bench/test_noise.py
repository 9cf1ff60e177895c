import numpy as np
import pytest
from msgspec.structs import replace

from bench import noise
from bench.noise import Spread, spread
from bench.ratio import Sides
from bench.record import BenchError
from tests.bench.factory import record

SOUND = Spread(
    comparisons=40, alarms=0, alarms_low=0.0, alarms_high=0.09, floor=0.01, detectable=0.03
)
PROFILE = noise.NoiseProfile(
    schema=noise.SCHEMA,
    fingerprint="1234",
    device="cpu",
    created="2026-01-01T00:00:00+00:00",
    tool_version="0",
    artifact="net/onnx-fp32",
    runtime="onnxruntime",
    threads=1,
    within=SOUND,
    between=replace(SOUND, floor=0.02),
)


@pytest.fixture(autouse=True)
def _state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))


def comparisons(count, *, own=0.0, rounds=20, scatter=0.01, seed=0):
    """Return A/A comparisons: rounds scatter, and each process has a level of its own."""
    random = np.random.default_rng(seed)
    levels = own * random.standard_normal((count, 2, 1))
    series = np.exp(levels + scatter * random.standard_normal((count, 2, rounds)))
    return [Sides(1e6 * a, 1e6 * b, together=True) for a, b in series]


class TestSpread:
    def test_rounds_alone_give_a_floor_well_below_what_a_run_can_detect(self):
        found = spread(comparisons(60))
        assert found.floor < 0.005
        assert 5 * found.floor < found.detectable < 0.05

    def test_what_differs_from_process_to_process_is_the_floor(self):
        """Two processes differ by sqrt(2) times 1 %: in 99 % of cases by less than 3.6 %."""
        found = spread(comparisons(200, own=0.01))
        assert found.floor == pytest.approx(2.576 * np.sqrt(2) * 0.01, rel=0.25)
        assert found.alarms > 10

    def test_more_rounds_lessen_what_is_detectable_but_not_the_floor(self):
        short, long = (spread(comparisons(200, own=0.01, rounds=r)) for r in (12, 200))
        assert long.detectable < short.detectable
        assert long.floor == pytest.approx(short.floor, rel=0.3)

    def test_no_comparison_lay_beyond_the_floor(self):
        found = spread(comparisons(30, own=0.02, seed=3))
        for sides in comparisons(30, own=0.02, seed=3):
            level = np.log(sides.now / sides.before)
            far = abs(level.mean()) - 5 * level.std() / np.sqrt(len(level))
            assert far <= np.log1p(found.floor)

    def test_a_change_of_the_detectable_size_is_found(self):
        found = spread(comparisons(100, own=0.003))
        slower = [
            Sides(s.before, s.now * (1 + found.detectable), together=True)
            for s in comparisons(300, own=0.003, seed=9)
        ]
        ends = np.exp(noise.estimates(slower).low)
        assert np.mean(ends > 1 + found.floor) >= 0.93


class TestWhatItIsFor:
    """Of a record of several processes, what they differ by is in the interval already."""

    def test_a_profile_of_one_process_is_for_records_of_one(self):
        of_one = record()
        of_six = replace(of_one, processes=(4, 4, 4, 4, 2, 2))
        known = {"1234": PROFILE}
        assert noise.of(of_one, known) == PROFILE
        assert noise.of(of_six, known) is None

    def test_a_profile_of_several_is_for_records_of_several(self):
        of_one = record()
        of_six = replace(of_one, processes=(4, 4, 4, 4, 2, 2))
        known = {"1234": replace(PROFILE, processes=10)}
        assert noise.of(of_one, known) is None
        assert noise.of(of_six, known) == known["1234"]

    def test_a_device_that_was_never_calibrated_has_none(self):
        assert noise.of(record(fingerprint="5678"), {"1234": PROFILE}) is None


class TestKeeping:
    def test_a_profile_is_found_again_by_the_fingerprint(self):
        place = noise.write(PROFILE)
        assert place == noise.path("1234")
        assert noise.read("1234") == PROFILE

    def test_a_device_that_was_never_calibrated_has_none(self):
        assert noise.read("5678") is None

    def test_the_latest_profile_counts(self):
        noise.write(PROFILE)
        noise.write(replace(PROFILE, threads=2))
        assert noise.read("1234").threads == 2

    @pytest.mark.parametrize("text", ["", "{}", "[1", '{"schema": 1, "unknown": 2}'])
    def test_anything_else_in_its_place_is_refused_with_the_remedy(self, text):
        noise.write(PROFILE).write_text(text)
        with pytest.raises(BenchError, match="bench calibrate"):
            noise.read("1234")

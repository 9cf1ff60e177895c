import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import stats
from bench.stats import Summary, summary, verdict
from tests.bench.records import make_record

TIMES = st.lists(st.lists(st.integers(1, 10**12), min_size=1, max_size=20), min_size=1, max_size=40)


def rounds(count, runs=15, level=1e6, drift=0.01, noise=0.01, seed=0):
    """Seeded log-normal samples with a level of its own for each round."""
    random = np.random.default_rng(seed)
    levels = level * np.exp(random.normal(0, drift, (count, 1)))
    return (levels * np.exp(random.normal(0, noise, (count, runs)))).astype(int).tolist()


def test_a_quantile_is_a_sample_seen():
    samples = [10, 20, 30, 40, 50, 60, 70, 80, 90, 100]
    assert stats.quantile(samples, 0.9) == 90
    assert stats.quantile(samples, 0.91) == 100
    assert stats.quantile(samples, 0.99) == 100
    assert stats.quantile([7], 0.5) == 7


def test_the_p50_is_the_median_of_the_rounds_medians():
    record = make_record(rounds=[[1, 2, 300], [4, 4, 4], [9, 10, 11]])
    assert summary(record).p50_ns == 4


def test_rounds_are_resampled_not_samples():
    """Two thousand samples of two rounds are no more sure than the two rounds are."""
    two = [[100] * 1000, [200] * 1000]
    assert stats.precision(two) == pytest.approx(1 / 3)


@pytest.mark.parametrize("count", [10, 20, 35])
def test_the_interval_covers_the_true_median_about_as_often_as_it_says(count):
    random = np.random.default_rng(count)
    series = np.exp(random.normal(0, 0.05, (4000, count)))
    bounds = [stats.median_interval(values) for values in series]
    covered = np.mean([low <= 1 <= high for low, high in bounds])
    assert covered == pytest.approx(0.95, abs=0.012)


def test_fewer_than_six_rounds_give_all_that_was_seen():
    assert stats.median_interval(np.array([3.0, 1.0, 2.0])) == (1.0, 3.0)


def test_the_p90_of_a_round_is_a_sample_seen():
    assert stats.p90s([[10, 20, 30, 40, 50, 60, 70, 80, 90, 100], [7]]).tolist() == [90, 7]


def test_more_rounds_make_the_interval_tighter():
    few, many = (stats.precision(rounds(n, drift=0.05)) for n in (10, 160))
    assert many < few / 2


@given(TIMES)
@settings(max_examples=50, deadline=None)
def test_figures_are_ordered_and_within_what_was_seen(samples):
    figures = summary(make_record(rounds=samples))
    every = [time for one in samples for time in one]
    assert min(every) <= figures.low_ns <= figures.p50_ns <= figures.high_ns <= max(every)
    assert figures.p90_ns <= figures.p99_ns
    assert {figures.p90_ns, figures.p99_ns} <= set(every)
    assert (figures.samples, figures.rounds) == (len(every), len(samples))


@given(TIMES, st.integers(2, 1000))
@settings(max_examples=25, deadline=None)
def test_precision_does_not_depend_on_the_unit(samples, factor):
    scaled = [[time * factor for time in one] for one in samples]
    assert stats.precision(scaled) == pytest.approx(stats.precision(samples))


class TestSteady:
    def test_a_flat_line_is_steady_once_the_window_is_full(self):
        assert not stats.is_steady([5.0] * (stats.WINDOW - 1))
        assert stats.is_steady([5.0] * stats.WINDOW)

    def test_a_falling_line_is_not(self):
        assert not stats.is_steady([20, 18, 16, 14, 12, 10])

    def test_what_was_before_the_window_does_not_count(self):
        assert stats.is_steady([100, 50, *[10.0] * stats.WINDOW])

    def test_single_outliers_do_not_count(self):
        assert stats.is_steady([10, 90, 10, 10, 10, 90])

    def test_a_step_inside_the_window_is_not_steady(self):
        assert not stats.is_steady([20, 20, 20, 10, 10, 10])


class TestVerdict:
    def test_tight_is_valid_and_gives_the_width(self):
        judged = verdict(make_record(rounds=rounds(12)))
        assert judged.word == "valid"
        assert "over 12 rounds, 180 samples" in judged.evidence
        assert judged.advice is None

    def test_wide_is_noisy_and_advises_more_time_than_there_was(self):
        judged = verdict(make_record(rounds=rounds(12, drift=0.1), max_seconds=10.0))
        assert judged.word == "noisy"
        assert "the target is 2%" in judged.evidence
        advised = int(judged.advice.split()[1])
        assert judged.advice.startswith("--max-seconds ")
        assert advised > 10

    def test_hopelessly_wide_advises_quiet_not_hours(self):
        judged = verdict(make_record(rounds=rounds(12, drift=1.0)))
        assert judged.word == "noisy"
        assert "--max-seconds" not in judged.advice

    def test_few_rounds_are_too_short_however_tight(self):
        judged = verdict(make_record(rounds=rounds(stats.MIN_ROUNDS - 1, drift=0.0)))
        assert judged.word == "too short"
        assert "9 rounds" in judged.evidence

    def test_unsteady_warm_up_is_part_of_the_evidence(self):
        record = make_record(rounds=rounds(12))
        warm_up = msgspec.structs.replace(record.warm_up, steady=False, seconds=2.0)
        judged = verdict(msgspec.structs.replace(record, warm_up=warm_up))
        assert "not steady after 2.00 s of warm-up" in judged.evidence

    def test_a_wrong_answer_comes_before_everything(self):
        record = make_record(rounds=(), verified=False, emulated=True, failure="verify")
        assert verdict(record).word == "wrong"

    def test_a_failure_names_stage_and_cause(self):
        judged = verdict(make_record(rounds=(), verified=None, failure="load"))
        assert judged.word == "failed"
        assert judged.evidence.startswith("load: died: ")

    def test_an_emulated_device_is_never_valid(self):
        assert verdict(make_record(rounds=rounds(12), emulated=True)).word == "emulated"

    def test_what_was_not_proved_is_unproved_however_tight(self):
        assert verdict(make_record(rounds=rounds(12), verified=None)).word == "unproved"

    def test_no_samples_is_never_valid(self):
        record = make_record(rounds=())
        assert summary(record) is None
        assert verdict(record).word == "failed"

    def test_given_figures_are_used(self):
        record = make_record(rounds=rounds(12))
        figures = Summary(None, None, 100.0, 50.0, 150.0, 1, 1, 180, 12)
        assert verdict(record, figures).word == "noisy"

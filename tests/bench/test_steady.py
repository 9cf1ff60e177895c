import numpy as np

from bench.steady import WINDOW, is_steady


def test_a_flat_line_is_steady_once_the_window_is_full():
    assert not is_steady([5.0] * (WINDOW - 1))
    assert is_steady([5.0] * WINDOW)


def test_a_falling_line_is_not():
    assert not is_steady([24, 22, 20, 18, 16, 14, 12, 10])


def test_what_was_before_the_window_does_not_count():
    assert is_steady([100, 50, *[10.0] * WINDOW])


def test_single_outliers_do_not_count():
    assert is_steady([10, 90, 10, 10, 10, 10, 90, 10])


def test_a_step_inside_the_window_is_not_steady():
    assert not is_steady([20, 20, 20, 20, 10, 10, 10, 10])


def test_a_slow_drift_that_halves_would_not_show_is_not_steady():
    """Three parts in a hundred over the window: a clock that is still rising."""
    assert not is_steady(np.linspace(103, 100, WINDOW).tolist())


def warm_up(series):
    """Return after how many blocks of a series it counts as steady, None if never."""
    numbers = range(1, len(series) + 1)
    return next((n for n in numbers if is_steady(series[:n])), None)


def test_warm_up_outlasts_an_exponential_settling_to_within_two_percent():
    """A clock that settles with a time constant of 20 blocks, with half a percent of noise."""
    late = []
    for seed in range(100):
        noise = 1 + 0.005 * np.random.default_rng(seed).standard_normal(400)
        series = (100 * (1 + 0.3 * np.exp(-np.arange(400) / 20)) * noise).tolist()
        late.append(0.3 * np.exp(-warm_up(series) / 20))
    assert np.median(late) <= 0.02
    assert max(late) <= 0.05


def test_independent_noise_is_soon_steady():
    lengths = [
        warm_up((100 * (1 + 0.02 * np.random.default_rng(s).standard_normal(200))).tolist())
        for s in range(100)
    ]
    assert np.quantile(lengths, 0.9) <= 2 * WINDOW

"""Alarms about half precision, by their definition."""

import pytest
import torch

from devices.mil.numerics import SMALLEST_NORMAL, Alarm, alarm, halved

# Below the smallest normal float16, and no multiple of its smallest step.
TINY = SMALLEST_NORMAL / 3


def of(values: list[float]) -> Alarm | None:
    exact = torch.tensor(values)
    return alarm("y", exact, halved(exact))


@pytest.mark.parametrize("wrong", [1e6, -1e6, float("nan")])
def test_a_single_value_that_half_precision_cannot_hold_is_an_overflow(wrong: float) -> None:
    assert of([1.0, wrong, 2.0, 3.0]) == Alarm("overflow", "y", 0.25)


def test_what_was_infinite_before_rounding_is_not_blamed_on_it() -> None:
    assert of([1.0, float("inf")]) is None


def test_most_values_that_are_not_zero_losing_digits_is_an_underflow() -> None:
    assert of([0.0, 0.0, 0.0, 0.0, 1.0, TINY, TINY, TINY]) == Alarm("underflow", "y", 0.75)


def test_half_of_them_is_not_yet_most() -> None:
    assert of([0.0, 0.0, 1.0, TINY]) is None


def test_small_values_that_half_precision_holds_exactly_lose_nothing() -> None:
    assert of([SMALLEST_NORMAL / 2, -SMALLEST_NORMAL / 4]) is None


def test_an_empty_or_all_zero_result_raises_nothing() -> None:
    assert of([]) is None
    assert of([0.0, 0.0]) is None

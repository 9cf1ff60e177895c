from math import inf

import pytest
from msgspec.structs import replace

from bench.demands import Demands
from devices.device import Memory
from tests.bench import factory


def measured(top1=None, memory=None):
    found = Memory(definition="peak", before_load=1, after_load=2, after_run=memory)
    return replace(factory.record(top1=top1), memory=found)


def test_without_demands_everything_meets_them():
    assert Demands().breaches(measured(), None) == ()
    assert not Demands().accuracy


@pytest.mark.parametrize(("top1", "met"), [(0.92, True), (0.95, True), (0.9199, False)])
def test_the_least_accuracy_is_itself_enough(top1, met):
    assert (Demands(min_accuracy=0.92).breaches(measured(top1), 0.99) == ()) is met


def test_a_drop_counts_from_the_defaults_and_both_limits_hold():
    demands = Demands(max_drop=0.005)
    assert demands.breaches(measured(0.896), 0.9) == ()
    (breach,) = demands.breaches(measured(0.89), 0.9)
    assert breach.text == "top-1 89.00 %, below 89.50 %"
    both = Demands(min_accuracy=0.9, max_drop=0.5)
    assert both.breaches(measured(0.89), 0.9)


def test_the_excess_tells_how_far_off_it_is():
    (near,) = Demands(max_memory=100).breaches(measured(memory=110), None)
    (far,) = Demands(max_memory=100).breaches(measured(memory=200), None)
    assert (near.excess, far.excess) == (pytest.approx(0.1), pytest.approx(1.0))
    assert near.text == "memory 110 B, above 100 B"


@pytest.mark.parametrize(
    ("demands", "full", "text"),
    [
        (Demands(max_memory=100), 0.9, "memory not measured"),
        (Demands(min_accuracy=0.9), 0.9, "accuracy not measured"),
        (Demands(max_drop=0.1), None, "accuracy not measured"),
    ],
)
def test_what_was_not_measured_meets_no_demand(demands, full, text):
    top1 = 0.9 if full is None else None
    assert demands.breaches(measured(top1), full) == ((text, inf),)


def test_an_accuracy_judged_before_is_not_asked_for_again():
    assert Demands(min_accuracy=0.9).breaches(measured(), None, accuracy_known=True) == ()

"""An int8 file that is not faster on the device measured is said to be so, with the interval."""

import re

import pytest
from msgspec.structs import replace

from bench.quantized import not_faster
from export.computation import Computation
from tests.bench.factory import manifest, record

WHOLE = manifest()
INT8 = manifest(precision="int8", size=300_000, sha256="1" * 64)


def pair(ms):
    return [record(WHOLE), record(INT8, ms, seed=1)]


def test_a_faster_one_is_not_mentioned():
    assert list(not_faster(pair(2.0))) == []


@pytest.mark.parametrize("ms", [4.0, 4.5, 9.0])
def test_one_that_is_not_faster_is_named_with_its_interval(ms):
    (line,) = not_faster(pair(ms))
    assert line.startswith("net/tflite-int8: int8 is not faster here: ")
    value, low, high = map(float, re.search(r"(\S+)x \((\S+) to (\S+)\)", line).groups())
    assert low <= value <= high
    assert value == pytest.approx(ms / 4.0, rel=0.02)
    assert "the time of tflite-fp32 on " in line


def test_the_cause_is_added_where_it_is_known():
    counted = Computation(operators={}, linear={"float32": 3}, weight_bytes={"int8": 9})
    slow = record(replace(INT8, computation=counted), 5.0)
    (line,) = not_faster([record(WHOLE), slow])
    assert line.endswith("none of its 3 convolutions and matrix products computes in integers")


def test_another_network_format_or_number_of_threads_is_no_counterpart():
    slow = record(INT8, 9.0)
    others = [record(manifest("other")), record(manifest(format="onnx")), record(threads=4)]
    others.append(record(manifest(macs=1 + WHOLE.network.macs)))
    assert list(not_faster([slow, *others])) == []


def test_emulated_times_say_nothing():
    assert list(not_faster([record(WHOLE, emulated=True), record(INT8, 9.0, emulated=True)])) == []

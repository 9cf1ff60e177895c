"""What is said of files that do not pay as their precision promises."""

import pytest
from msgspec.structs import replace

from export.computation import Computation, doubts
from tests.bench.records import make_manifest


def counted(linear, in_float=()):
    return Computation(operators=linear, linear=linear, weight_bytes={"int8": 9}, in_float=in_float)


def test_int8_throughout_is_not_doubted():
    assert counted({"int8": 12}).doubt("int8") is None


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_float_is_not_doubted(precision):
    assert counted({"float32": 12}).doubt(precision) is None


def test_int8_that_did_not_happen():
    words = counted({"float32": 12}, ("a (Conv)",)).doubt("int8")
    assert words.startswith("int8 did not happen: none of its 12 convolutions")


def test_int8_in_part_names_what_is_left():
    words = counted({"int8": 10, "float32": 2}, ("a (Conv)", "b (Gemm)")).doubt("int8")
    assert "2 of its 12 convolutions and matrix products (a (Conv), b (Gemm))" in words
    many = counted({"int8": 1, "float32": 9}, ("a", "b", "c")).doubt("int8")
    assert many.endswith("(a, b, c and more)")


def test_weight_only_int8_is_float_by_design():
    for precision in ("int8-weights", "int4-weights"):
        assert "by design" in counted({"float32": 12}).doubt(precision)


def test_a_file_that_grew_is_named_with_both_sizes():
    whole = make_manifest(size_bytes=1000)
    small = replace(whole, precision="int8", size_bytes=1001, computation=counted({"int8": 1}))
    assert doubts([whole, small]) == ["net/onnx-int8: grew: 1,001 bytes, 1,000 in fp32"]
    assert doubts([whole, replace(small, size_bytes=999)]) == []


def test_only_the_same_format_is_compared():
    whole = make_manifest(size_bytes=1000)
    other = replace(whole, format="tflite", precision="fp16", size_bytes=2000)
    assert doubts([whole, other]) == []


def test_networks_of_one_name_that_compute_otherwise_are_not_compared():
    whole = make_manifest(size_bytes=1000)
    network = replace(whole.network, macs=whole.network.macs + 1)
    other = replace(whole, network=network, precision="fp16", size_bytes=2000)
    assert doubts([whole, other]) == []


def test_equal_doubts_share_a_line():
    weights = replace(
        make_manifest(), precision="int8-weights", computation=counted({"float32": 3})
    )
    other = replace(weights, format="tflite")
    (line,) = doubts([weights, other])
    assert line.startswith("net/onnx-int8-weights, net/tflite-int8-weights: int8-weights: only")

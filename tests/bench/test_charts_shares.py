"""What was profiled, in pictures and a table: shares by kind of operator, and the roofline."""

import pytest
from msgspec.structs import replace

from bench.report.charts_document import Absent
from bench.report.charts_roofline import MOST_DRAWN, roofline
from bench.report.charts_shares import MOST_BARS, MOST_ROOFS, profiled
from bench.report.material import gather
from bench.report.profiled import definitions, profiles
from export.artifact import Proof
from tests.bench.factory import manifest
from tests.bench.profiles import operation, stored

NETS = [manifest(f"net{n}", parameters=1000 + n, format="onnx") for n in range(14)]


def drawn(*kept, manifests=()):
    return list(profiled(gather(manifests, [], profiles=kept)))


def points(chart):
    """Return all that the picture is drawn from."""
    return [point for data in chart.picture.to_dict()["datasets"].values() for point in data]


class TestShares:
    def test_the_segments_of_a_bar_are_the_kinds_shares(self):
        shares, _ = drawn(stored())
        assert [mark.label for mark in shares.marks] == [
            "net/onnx-fp32: depthwise (1) 30.0%, 30.0 us",
            "net/onnx-fp32: pointwise (1) 20.0%, 20.0 us",
            "net/onnx-fp32: full convolution (1) 40.0%, 40.0 us",
            "net/onnx-fp32: other (1) 10.0%, 10.0 us",
        ]
        segments = [p for p in points(shares) if "words" in p][:4]
        assert [s["start"] for s in segments] == pytest.approx([0, 0.3, 0.5, 0.9])
        assert segments[-1]["value"] == pytest.approx(1.0)

    def test_depthwise_time_is_set_against_depthwise_work(self):
        shares, _ = drawn(stored())
        # 100 k of 1.9 M MACs
        assert "most in net/onnx-fp32: 30% of the time, 5% of the MACs." in shares.summary

    def test_a_network_without_any_says_so(self):
        plain = operation("stem", "full convolution", 40, 1_000_000, 100_000)
        shares, _ = drawn(stored(operations=[plain]))
        assert shares.summary.startswith("No network here has depthwise convolutions.")

    def test_places_are_named_where_there_are_several(self):
        shares, _ = drawn(stored(), stored(threads=2))
        assert {label.partition(":")[0] for label in (m.label for m in shares.marks)} == {
            "net/onnx-fp32, cpu, 1 thread",
            "net/onnx-fp32, cpu, 2 threads",
        }

    def test_what_is_unproved_says_so(self):
        kept = stored(proof=Proof(verified=None, reason="no golden inputs"))
        shares, roof = drawn(kept)
        assert "net/onnx-fp32, unproved: depthwise" in shares.marks[0].label
        assert "Unproved." in roof.summary
        assert any("no golden inputs" in n for n in definitions(gather([], [], profiles=[kept])))

    def test_more_than_anyone_reads_are_cut_and_said(self):
        found = drawn(*map(stored, NETS))
        assert f"The first {MOST_BARS} of {len(NETS)}" in found[0].summary
        assert len(found) == 1 + MOST_ROOFS + 1
        assert isinstance(found[-1], Absent)
        assert "10 further networks" in found[-1].title

    def test_of_another_file_than_the_artifact_there_now_nothing_is_drawn(self):
        (absent,) = drawn(stored(), manifests=[manifest("net", format="onnx", sha256="1" * 64)])
        assert isinstance(absent, Absent)


class TestRoofline:
    def test_every_layer_with_macs_has_a_point_below_the_roof(self):
        chart = roofline(stored())
        dots = [p for p in points(chart) if "words" in p]
        assert [d["kind"] for d in dots] == ["full convolution", "depthwise", "pointwise"]
        for dot in dots:
            assert dot["y"] <= min(100.0, 2 * 10 * dot["x"])
        corners = [p for p in points(chart) if p.keys() == {"x", "y"}]
        assert (corners[1]["x"], corners[1]["y"]) == (5.0, 100.0)
        assert corners[0]["y"] < corners[1]["y"] == corners[2]["y"]

    def test_a_mark_says_all_of_its_operator_and_leads_to_the_profile(self):
        mark = roofline(stored()).marks[1]
        assert mark.label == (
            "block.0, depthwise: 30.0 us (30.0%), 6.67 GFLOP/s at 0.500 MACs/B, bound by memory"
        )
        assert mark.source == " ".join(stored().key)

    def test_the_measured_peaks_are_told(self):
        summary = roofline(stored()).summary
        assert "Measured peak (numpy matmul / copy)" in summary
        assert "100 GFLOP/s in float32, 10.0 GB/s; memory bounds below 5.00 MACs/B." in summary

    def test_both_sides_are_logarithmic_however_near_the_points(self):
        layers = roofline(stored()).picture.to_dict()["layer"]
        for side in "xy":
            scales = [layer["encoding"][side].get("scale") for layer in layers]
            assert {scale["type"] for scale in scales if scale} == {"log"}

    def test_without_any_bytes_the_roof_stands_alone(self):
        chart = roofline(stored(operations=[operation("a", "linear", 4, 10, None)]))
        assert chart.marks == ()
        assert len(points(chart)) == 5

    def test_the_longest_of_many_are_drawn_and_that_is_said(self):
        many = [operation(f"l{n}", "linear", 10 + n, 10, 10) for n in range(MOST_DRAWN + 3)]
        chart = roofline(stored(operations=many))
        assert len(chart.marks) == MOST_DRAWN
        assert f"Drawn are the {MOST_DRAWN} longest of {MOST_DRAWN + 3}." in chart.summary
        assert not any(mark.label.startswith("l0,") for mark in chart.marks)

    def test_a_network_has_one_of_its_plainest_form(self):
        int8 = stored(manifest("net", format="onnx", precision="int8"))
        found = [c.title for c in drawn(int8, stored(threads=2), stored())[1:]]
        assert found == ["Roofline of net/onnx-fp32 on cpu"]


class TestTable:
    def test_each_kind_has_a_row_that_leads_to_the_profile(self):
        (table,) = profiles(gather([], [], profiles=[stored()]))
        texts = [[cell.text for cell in row] for row in table.rows]
        assert texts[0] == [
            "net/onnx-fp32, onnxruntime 9.9, cpu, 1 thread", "depthwise", "1", "100 k", "30.0 us",
            "30.0%", "6.67", "0.500", "memory",
        ]  # fmt: skip
        assert texts[3][3] == texts[3][6] == "-"
        assert {cell.source for cell in table.rows[0]} == {" ".join(stored().key)}

    def test_without_profiles_there_is_none(self):
        assert list(profiles(gather([], []))) == []

    def test_profiles_stand_in_the_order_of_the_networks_sizes(self):
        small, large = replace(stored(NETS[0]), threads=2), stored(NETS[1])
        assert gather([], [], profiles=[large, small]).profiles == (small, large)

"""The arithmetic of a profile, its tables, its trace and its picture."""

import json
from dataclasses import replace

import pytest
from msgspec.structs import replace as replaced

from bench.profile import Effort, as_data, ridge, rows, together, trace, typical
from bench.report.profile import SHOWN, text
from devices.device import Peak
from tests.bench.profiles import PEAK, operation, profile


def test_two_operations_a_mac_and_bytes_per_nanosecond_are_the_rates():
    effort = Effort(ns=1000.0, macs=25_000, bytes=5_000)
    assert effort.gflops == 50.0
    assert effort.gigabytes == 5.0
    assert effort.intensity == 5.0


def test_the_ridge_is_where_both_roofs_meet():
    assert ridge(PEAK) == 5.0
    assert 2 * ridge(PEAK) * PEAK.bytes == PEAK.flops


@pytest.mark.parametrize(("macs", "bound"), [(49, "memory"), (50, "compute"), (0, "memory")])
def test_left_of_the_ridge_memory_bounds(macs, bound):
    assert Effort(ns=1.0, macs=macs, bytes=10).bound(PEAK) == bound


@pytest.mark.parametrize("moved", [None, 0])
def test_what_moves_nothing_that_is_known_has_no_bound(moved):
    assert Effort(ns=1.0, macs=5, bytes=moved).bound(PEAK) is None


def test_a_depthwise_layer_is_bound_by_memory_where_a_pointwise_one_is_not():
    # 3x3 depthwise and 1x1 on 32x32x64 floats: 9 MACs a value against 64, Howard et al. 2017.
    values, peak = 32 * 32 * 64, Peak(flops=40e9, bytes=10e9, method="")
    depthwise = Effort(1.0, macs=9 * values, bytes=4 * (2 * values + 9 * 64))
    pointwise = Effort(1.0, macs=64 * values, bytes=4 * (2 * values + 64 * 64))
    assert (depthwise.bound(peak), pointwise.bound(peak)) == ("memory", "compute")


def test_a_typical_time_is_the_mean_of_the_middle_half():
    assert typical([1, 5, 6, 900]) == 5.5
    assert typical([7]) == 7.0


def test_an_unknown_number_of_bytes_leaves_the_sum_unknown():
    known, unknown = Effort(1.0, 2, 3), Effort(4.0, 5, None)
    assert together([known, known]) == Effort(2.0, 4, 6)
    assert together([known, unknown]) == Effort(5.0, 7, None)


def test_the_operators_are_summed_by_kind():
    kinds = profile().by_kind()
    assert list(kinds) == ["depthwise", "pointwise", "full convolution", "other"]
    assert kinds["depthwise"] == (1, Effort(30_000.0, 100_000, 200_000))
    assert sum(count for count, _ in kinds.values()) == 4


def test_the_overhead_is_against_a_run_without_the_profiler():
    assert profile().profiled_ns == profile().total_ns == 100_000.0
    assert profile().overhead == pytest.approx(0.25)


def test_whole_runs_are_compared_with_whole_runs():
    # Each run is interrupted once, each operator seldom: what is typical of it is undisturbed.
    disturbed = [(900, 10, 10, 10), (10, 900, 10, 10), (10, 10, 900, 10), (10, 10, 10, 900)]
    plain = operation("layer", "other", 10, 0, 1)
    made = [replace(plain, times=replaced(plain.times, ns=ns)) for ns in disturbed]
    assert [typical(o.times.ns) for o in made] == [10.0] * 4
    assert profile(made).profiled_ns == 930.0


def test_a_row_has_every_figure_in_base_units():
    assert rows(profile())[1] == {
        "layer": "block.0",
        "kind": "depthwise",
        "operator": "Conv",
        "name": "block.0_op",
        "ns": 30_000.0,
        "macs": 100_000,
        "bytes": 200_000,
        "share": pytest.approx(0.3),
        "gflops": pytest.approx(2 * 100 / 30),
        "gbytes_per_s": pytest.approx(200 / 30),
        "macs_per_byte": 0.5,
        "bound": "memory",
    }


def test_json_has_the_peaks_the_kinds_and_the_operators():
    data = json.loads(json.dumps(as_data(profile())))
    assert data["peak"]["ridge_macs_per_byte"] == 5.0
    assert [kind["operators"] for kind in data["kinds"]] == [1, 1, 1, 1]
    assert len(data["operators"]) == 4
    assert sum(row["share"] for row in data["operators"]) == pytest.approx(1.0)


def test_a_trace_has_all_runs_in_time_and_in_microseconds():
    events = trace(profile())["traceEvents"]
    named, *spans = events
    assert named["ph"] == "M"
    assert len(spans) == 4 * 4
    assert [span["ts"] for span in spans] == sorted(span["ts"] for span in spans)
    assert spans[1] == {
        "name": "block.0",
        "cat": "depthwise",
        "ph": "X",
        "pid": 1,
        "tid": 1,
        "ts": 40.0,
        "dur": 30.0,
        "args": {"operator": "Conv", "run": 0, "macs": 100_000, "bytes": 200_000},
    }
    assert spans[3]["name"] == "_op"  # what the runtime added goes by its own name


def table_lines(shown):
    """The lines of both tables: the notes below them may be longer."""
    return shown.split("\n\n")[0].splitlines() + shown.split("\n\n")[1].splitlines()


def test_the_table_shows_layers_figures_and_kinds():
    shown = text(profile(), 80, every=False)
    assert "block.0  Conv           30.0 us  30.0%     6.67  6.67   0.500   memory\n" in shown
    assert "-        ReorderOutput  10.0 us  10.0%        -  5.00       -   memory\n" in shown
    assert "depthwise (1)          100 k  30.0 us  30.0%     6.67  6.67   0.500   memory\n" in shown
    assert "measured peak (numpy matmul / copy), as many threads: 100 GFLOP/s in float32" in shown
    assert "10.0 GB/s; memory bounds below 5.00 MACs/B" in shown
    assert "no latency" in shown
    assert "overhead +25.0 %" in shown


@pytest.mark.parametrize("width", [80, 100])
def test_no_table_is_wider_than_the_terminal(width):
    long = "features.10.conv.1.0.with.a.path.that.goes.on"
    made = profile(
        [operation(long, "depthwise", 12_345, 10**8, 654_321, operator="QLinearGlobalAveragePool")]
    )
    lines = table_lines(text(made, width, every=True))
    assert max(map(len, lines)) <= width
    assert any("that.goes.on" in line for line in lines)


def test_the_longest_are_shown_and_the_rest_is_summed():
    many = [operation(f"layer.{n:02}", "linear", 10 + n, 100, 100) for n in range(SHOWN + 2)]
    shown = text(profile(many), 80, every=False)
    assert shown.index(f"layer.{SHOWN + 1}") < shown.index(f"layer.{SHOWN:02}")
    assert "layer.00" not in shown
    assert "2 more took 21.0 us" in shown
    everything = text(profile(many), 80, every=True)
    assert everything.index("layer.00") < everything.index("layer.01")
    assert "more took" not in everything


def test_what_is_above_a_peak_is_explained():
    quick = profile([operation("a", "linear", 1, 10**6, 10**6)])
    assert "GB/s above the peak" in text(quick, 80, every=False)
    assert "GFLOP/s above the peak" in text(quick, 80, every=False)
    assert "above the peak" not in text(profile(), 80, every=False)


@pytest.mark.parametrize(("ns", "coarse"), [(3000, True), (3001, False), (30_000, False)])
def test_a_coarse_clock_is_told_of_where_it_matters(ns, coarse):
    plain = operation("a", "linear", 3, 10, 10)
    made = replace(plain, times=replaced(plain.times, ns=(ns,) * 4))
    assert ("whole microseconds" in text(profile([made]), 80, every=False)) is coarse

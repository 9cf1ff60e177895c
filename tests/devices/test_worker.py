"""The worker's own rules, without a process around it."""

import ast
import io
import json
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from devices import worker

SOURCE = Path(worker.__file__).read_text(encoding="utf-8")
INT8 = {"dtype": "int8", "scale": 0.5, "zero_point": -1}


def serve(*requests):
    answers = io.StringIO()
    lines = [r if isinstance(r, str) else json.dumps(r) for r in requests]
    worker.serve(iter(lines), answers)
    return [json.loads(line) for line in answers.getvalue().splitlines()]


def test_source_is_python_3_9():
    ast.parse(SOURCE, feature_version=(3, 9))


def test_needs_nothing_but_the_standard_library_and_numpy():
    names = {
        alias.name if isinstance(node, ast.Import) else node.module
        for node in ast.walk(ast.parse(SOURCE))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert {name.split(".")[0] for name in names} - sys.stdlib_module_names == {"numpy"}


def test_quantizing_rounds_half_to_even_and_clips():
    rows = np.array([0.25, 0.75, 1.25, 1000, -1000], dtype=np.float32)
    np.testing.assert_array_equal(worker.encode(rows, INT8), [-1, 1, 1, 127, -128])
    assert worker.encode(rows, INT8).dtype == np.int8


def test_dequantizing_inverts_quantizing_on_the_grid():
    grid = np.arange(-60, 60, 0.5, dtype=np.float32)
    back = worker.decode(worker.encode(grid, INT8), INT8)
    np.testing.assert_array_equal(back, grid)
    assert back.dtype == np.float32


def test_float16_and_plain_integers_are_cast():
    assert worker.encode(np.float32([0.1]), {"dtype": "float16"}).dtype == np.float16
    assert worker.encode(np.float32([7]), {"dtype": "int64"}).tolist() == [7]
    assert worker.decode(np.int64([7]), {"dtype": "int64"}).dtype == np.float32


def test_names_with_numbers_are_ordered_as_numbers():
    details = {f"args_{number}": number for number in (10, 2, 0, 1, 3, 4, 5, 6, 7, 8, 9)}
    tensors = [{"name": f"input{number}"} for number in range(11)]
    assert worker.in_order(details, tensors) == list(range(11))


def test_equal_names_win_over_positions():
    tensors = [{"name": "right"}, {"name": "left"}]
    assert worker.in_order({"left": "L", "right": "R"}, tensors) == ["R", "L"]


def test_another_count_of_tensors_is_refused():
    with pytest.raises(worker.JobError, match="1 tensors, its manifest 2"):
        worker.in_order({"a": 1}, [{"name": "a"}, {"name": "b"}])


def test_the_worst_answer_of_a_golden_input_is_kept():
    expected, kept = np.zeros((2, 1)), {}
    for output in ([[0.0], [1.0]], [[3.0], [2.0]], [[1.0], [0.0]]):
        worker.keep_worst(np.array(output), kept, expected, 0)
    assert [kept[0].item(), kept[1].item()] == [3.0, 2.0]


def test_nan_is_worse_than_any_number():
    kept = {}
    for value in (1.0, np.nan, 1e30):
        worker.keep_worst(np.array([[value]]), kept, np.zeros((1, 1)), 0)
    assert np.isnan(kept[0])


@pytest.mark.parametrize("line", ["not json", "[1, 2]", '"text"', ""])
def test_a_line_that_is_no_request_is_answered(line):
    event = serve(line)[0]
    assert (event["event"], event["cause"]) == ("error", "unsupported")


def test_an_unknown_op_says_which_there_are():
    event = serve({"op": "fly"})[0]
    assert event["stage"] == "fly"
    assert "no op 'fly'; there is start, probe, load, verify" in event["detail"]


@pytest.mark.parametrize("op", ["verify", "measure", "predict", "memory", "profile"])
def test_nothing_runs_before_load(op):
    assert serve({"op": op})[0]["detail"] == "nothing is loaded; send op 'load' first"


def test_an_argument_too_many_is_an_error():
    assert "speed" in serve({"op": "probe", "runtime": "onnxruntime", "speed": 9})[0]["detail"]


def test_an_unknown_runtime_says_which_there_are():
    event = serve({"op": "probe", "runtime": "tvm"})[0]
    assert event["detail"].startswith("no runtime 'tvm' here; there is litert, litert-builtin, ")


def test_close_ends_the_worker():
    assert serve({"op": "close"}, {"op": "fly"}) == [{"event": "closed"}]


def test_a_missing_runtime_names_the_extra(monkeypatch):
    for name in ("ai_edge_litert", "tflite_runtime", "tensorflow"):
        monkeypatch.setitem(sys.modules, name, None)
        monkeypatch.delitem(sys.modules, f"{name}.interpreter", raising=False)
    event = serve({"op": "probe", "runtime": "litert"})[0]
    assert event["cause"] == "missing-runtime"
    assert "pip install 'edgeworthy[bench]'" in event["detail"]


def test_memory_is_the_high_water_mark():
    block = np.ones(50_000_000, dtype=np.uint8)
    size = block.nbytes
    del block
    assert worker.peak_memory() > size


SENSORS = {
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "2400000\n",
    "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count": "7\n",
    "sys/devices/system/cpu/cpu1/thermal_throttle/core_throttle_count": "5\n",
    "sys/class/thermal/thermal_zone0/temp": "41000\n",
    "sys/class/hwmon/hwmon0/temp1_input": "56500\n",
    "sys/class/hwmon/hwmon0/temp2_input": "broken\n",
    "sys/devices/platform/soc/soc:firmware/get_throttled": "50005\n",
    "sys/class/thermal/cooling_device0/type": "pwm-fan\n",
    "sys/class/thermal/cooling_device0/cur_state": "4\n",
    "sys/class/thermal/cooling_device1/type": "cpufreq-cpu0\n",
    "sys/class/thermal/cooling_device1/cur_state": "2\n",
    "sys/class/thermal/cooling_device2/type": "thermal-cpufreq-1\n",
    "sys/class/thermal/cooling_device2/cur_state": "0\n",
    "sys/class/hwmon/hwmon3/oc1_event_cnt": "1\n",
    "sys/class/hwmon/hwmon3/oc3_event_cnt": "37\n",
}


def test_sensors_are_read_where_they_are(tmp_path):
    for name, text in SENSORS.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    found = worker.sensors(str(tmp_path))
    load = found.pop("load")
    assert load >= 0
    assert found == {
        "frequency_mhz": 2400.0,
        "temperature_c": 56.5,
        "throttle_events": 12,
        "throttle_flags": 0x50005,
        "cooling": 2,
        "current_events": 38,
    }


def test_a_raspberry_pi_5_has_its_flags_elsewhere(tmp_path):
    path = tmp_path / "sys/devices/platform/soc@107c000000/soc@107c000000:firmware/get_throttled"
    path.parent.mkdir(parents=True)
    path.write_text("8\n")
    assert worker.sensors(str(tmp_path))["throttle_flags"] == 8


def test_what_has_no_sensor_is_none(tmp_path):
    found = worker.sensors(str(tmp_path))
    assert {value for name, value in found.items() if name != "load"} == {None}


def test_usage_counts_the_work_of_this_process():
    before = worker.usage()
    while worker.usage()["cpu_ns"] - before["cpu_ns"] < 50_000_000:
        sum(range(10_000))
    after = worker.usage()
    assert after["wall_ns"] > before["wall_ns"]
    if sys.platform == "linux":
        assert after["busy_ns"] - before["busy_ns"] >= 40_000_000
        assert after["waited_ns"] >= before["waited_ns"]


def kernel(name, start_us, us, kind="Conv"):
    told = {"op_name": kind, "activation_size": "300", "output_size": "100"}
    event = {"cat": "Node", "name": f"{name}_kernel_time", "ts": start_us, "dur": us}
    return {**event, "args": told}


def traced_runs(count):
    """Runs a millisecond apart: one operator of 7 us, one of a loop that runs it twice."""
    yield {"cat": "Session", "name": "session_initialization", "ts": 1, "dur": 90, "args": {}}
    for run in range(count):
        begin = 1000 * run
        yield kernel("first", begin, 7)
        yield kernel("again", begin + 10, 2, "Add")
        yield kernel("again", begin + 20, 3, "Add")
        yield {"cat": "Session", "name": "model_run", "ts": begin, "dur": 40, "args": {}}


def test_a_trace_is_told_apart_into_runs_the_first_of_which_are_left_out():
    first, again = worker.onnx_operators(list(traced_runs(worker.UNTIMED_RUNS + 2)))
    assert first == {
        "name": "first",
        "kind": "Conv",
        "activation_bytes": 400,
        "starts_ns": [0, 1_000_000],
        "ns": [7000, 7000],
    }
    assert again["ns"] == [5000, 5000]
    assert again["starts_ns"] == [10_000, 1_010_000]


def test_an_operator_that_some_runs_leave_out_has_no_time_to_tell():
    events = list(traced_runs(worker.UNTIMED_RUNS + 2))
    found = worker.onnx_operators([*events[:-2], events[-1]])
    assert [operator["ns"] for operator in found] == [[7000, 7000], [5000, 2000]]
    found = worker.onnx_operators([*events[:-3], events[-1]])
    assert [operator["name"] for operator in found] == ["first"]


def test_of_works_that_take_turns_each_keeps_its_best():
    calls = []
    quick, slow = worker.best_seconds(
        lambda: calls.append("quick"), lambda: (calls.append("slow"), time.sleep(0.005))
    )
    assert calls[:4] == ["quick", "slow", "quick", "slow"]
    assert len(calls) >= 10
    assert quick < 0.005 <= slow

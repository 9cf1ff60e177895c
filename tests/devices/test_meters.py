"""Energy sensors: a tree of files like Linux's, whose counters a real inference moves on."""

import sys
from types import SimpleNamespace

import pytest

from devices import worker

RAPL = "sys/class/powercap/intel-rapl:0"


def put(root, **files):
    """Write files below a directory of the tree; two underscores stand for a slash."""
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n", encoding="ascii")


def rapl(root, zone, name, microjoules, wraps=262_143_328_850):
    place = root / f"sys/class/powercap/intel-rapl:{zone}"
    put(place, name=name, energy_uj=microjoules, max_energy_range_uj=wraps)
    return place / "energy_uj"


def loaded(root, artifact):
    """Return a worker that has asked for its meters."""
    made = worker.Worker(str(root))
    answer = made.answer({"op": "load", "artifact": str(artifact), "runtime": "onnxruntime"})
    assert answer["event"] == "ready"
    return made, made.answer({"op": "meters"})


def using(made, path, microjoules, wraps=None):
    """Have every invocation of a worker add to a counter."""
    invoke = made.runtime.invoke

    def invoked():
        invoke()
        count = int(path.read_text()) + microjoules
        path.write_text(str(count % wraps if wraps else count))

    made.runtime.invoke = invoked


def test_rapl_counts_what_inferences_take_of_the_package(tmp_path, onnx):
    counter = rapl(tmp_path, "0", "package-0", 5_000_000)
    rapl(tmp_path, "0:0", "core", 1)
    rapl(tmp_path, "0:1", "dram", 1)
    made, told = loaded(tmp_path, onnx)
    assert [(m["name"], m["covers"]) for m in told["meters"]] == [
        ("RAPL package-0", "the processor's package"),
        ("RAPL dram", "its memory"),
    ]
    assert told["unreadable"] == []
    using(made, counter, 20_000)
    spent = made.answer({"op": "measure", "runs": 50})["spent"]
    assert spent == {"joules": [pytest.approx(1.0), 0.0], "invocations": 50}


def test_a_counter_that_starts_again_loses_nothing(tmp_path, onnx):
    counter = rapl(tmp_path, "0", "package-0", 90_000_000, wraps=100_000_000)
    made, _ = loaded(tmp_path, onnx)
    using(made, counter, 2_000_000, wraps=100_000_000)
    spent = made.answer({"op": "measure", "runs": 10})["spent"]
    assert int(counter.read_text()) < 90_000_000
    assert spent["joules"] == [pytest.approx(20.0)]


def test_idling_is_measured_as_work_is(tmp_path, onnx):
    rapl(tmp_path, "0", "package-0", 5_000_000)
    made, _ = loaded(tmp_path, onnx)
    idle = made.answer({"op": "idle", "seconds": 0.01})
    assert idle["joules"] == [0.0]
    assert idle["wall_ns"] >= 10_000_000


def test_a_counter_that_cannot_be_read_is_named(tmp_path, onnx):
    counter = rapl(tmp_path, "0", "package-0", 0)
    counter.unlink()
    counter.mkdir()
    made, told = loaded(tmp_path, onnx)
    assert told["meters"] == []
    assert told["unreadable"] == ["RAPL package-0"]
    assert made.answer({"op": "measure", "runs": 2})["spent"] is None


def test_a_counter_that_goes_away_leaves_the_round_without_a_figure(tmp_path, onnx):
    counter = rapl(tmp_path, "0", "package-0", 0)
    made, _ = loaded(tmp_path, onnx)
    counter.unlink()
    assert made.answer({"op": "measure", "runs": 2})["spent"]["joules"] == [None]


def test_a_jetsons_rails_are_power_times_time(tmp_path):
    monitor = tmp_path / "sys/class/hwmon/hwmon3"
    put(monitor, name="ina3221", in1_label="VDD_IN", in1_input=5000, curr1_input=1200)
    put(tmp_path / "sys/class/hwmon/hwmon4", name="other", in1_label="x", in1_input=1)
    (rail,), _ = worker.meters(str(tmp_path))
    assert (rail.name, rail.covers) == ("INA3221 VDD_IN", "rail VDD_IN")
    assert rail.read() == pytest.approx(6.0)
    assert "rough" in rail.how
    put(monitor, curr1_input=2000)
    assert rail.joules(6.0, 500_000_000) == pytest.approx((6 + 10) / 2 * 0.5)


def test_an_older_jetsons_monitor_gives_milliwatts(tmp_path):
    place = tmp_path / "sys/bus/i2c/drivers/ina3221x/1-0040/iio:device0"
    put(place, rail_name_0="POM_5V_IN", in_power0_input=2500)
    (rail,), _ = worker.meters(str(tmp_path))
    assert (rail.name, rail.read()) == ("INA3221 POM_5V_IN", pytest.approx(2.5))


@pytest.mark.parametrize(
    "files",
    [
        {"current_now": -1_500_000, "voltage_now": 4_000_000},
        {"power_now": 6_000_000},
    ],
)
def test_a_battery_tells_of_the_whole_device(tmp_path, files):
    put(tmp_path / "sys/class/power_supply/BAT0", type="Battery", status="Discharging", **files)
    (battery,), _ = worker.meters(str(tmp_path))
    assert (battery.name, battery.covers) == ("battery BAT0", "the whole device")
    assert battery.read() == pytest.approx(6.0)


def test_a_battery_that_is_charged_tells_nothing_of_the_device(tmp_path):
    put(tmp_path / "sys/class/power_supply/BAT0", type="Battery", status="Charging", power_now=1)
    put(tmp_path / "sys/class/power_supply/AC", type="Mains", online=1)
    assert worker.meters(str(tmp_path)) == ([], [])


def test_nvml_counts_the_millijoules_of_a_gpu(tmp_path, monkeypatch):
    class Refused(Exception):
        pass

    counted = iter([1_000_000.0, 1_004_000.0])
    library = SimpleNamespace(
        NVMLError=Refused,
        nvmlInit=lambda: None,
        nvmlDeviceGetCount=lambda: 1,
        nvmlDeviceGetHandleByIndex=lambda number: number,
        nvmlDeviceGetName=lambda handle: "scripted",
        nvmlDeviceGetTotalEnergyConsumption=lambda handle: next(counted),
    )
    monkeypatch.setitem(sys.modules, "pynvml", library)
    (gpu,), _ = worker.meters(str(tmp_path))
    assert (gpu.name, gpu.covers) == ("NVML GPU 0", "the board of GPU 0 (scripted)")
    assert gpu.joules(1000.0, 1) == pytest.approx(4.0)


def test_without_a_sensor_nothing_is_read(tmp_path, onnx):
    made, told = loaded(tmp_path, onnx)
    assert (told["meters"], told["unreadable"]) == ([], [])
    assert made.answer({"op": "measure", "runs": 2})["spent"] is None

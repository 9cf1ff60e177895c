import pytest

from bench.limits import check_charge, cool
from bench.matrix import describe
from devices.device import DeviceError, DeviceInfo, Limits, Sensors, WorkerError
from tests.bench.fake_device import FakeDevice, Script
from tests.bench.running import measure


class Cooling:
    """A worker on a device that cools: it tells one temperature after the other."""

    def __init__(self, *temperatures):
        self.left = list(temperatures)

    def sensors(self):
        return Sensors(temperature_c=self.left.pop(0))


AT_MOST_40 = Limits(max_temperature_c=40.0)


def test_a_cool_device_is_timed_at_once():
    session = Cooling(39.5, 50.0)
    cool(session, AT_MOST_40, pytest.fail)
    assert session.left == [50.0]


def test_a_warm_one_is_waited_for_and_told_of():
    session, told = Cooling(45.0, 41.0, 40.0), []
    cool(session, AT_MOST_40, lambda: told.append(True), look_s=0.0)
    assert session.left == []
    assert len(told) == 2


def test_one_that_stays_warm_is_given_up():
    with pytest.raises(WorkerError) as caught:
        cool(Cooling(45.0, 44.0, 43.5), AT_MOST_40, list, look_s=0.0, looks=3)
    assert (caught.value.stage, caught.value.cause) == ("start", "too-hot")
    assert "still 43.5 °C" in caught.value.detail
    assert "allow 40 °C" in caught.value.detail


def test_a_limit_that_nothing_can_be_held_against_is_refused():
    with pytest.raises(WorkerError, match="take max_temperature_c out of its limits"):
        cool(Cooling(None), AT_MOST_40, pytest.fail)


def test_without_a_limit_nothing_is_asked():
    cool(Cooling(), Limits(), pytest.fail)


def test_each_process_of_a_run_is_held_to_it(root):
    """The scripted sensor rises by a degree a reading, from 41 on."""
    device = FakeDevice({"a": Script(ns=1e6)})
    device.limits = Limits(max_temperature_c=41.0)
    record = measure(root, device, patterns=["a"])["a"]
    assert record.failure is None
    assert len(device.requests("sensors")) == 2 + len(device.requests("load"))


def info(**facts):
    return DeviceInfo(name="phone", kind="x", fingerprint="", emulated=False, facts=facts)


def test_a_charged_device_will_do():
    check_charge(Limits(min_battery_percent=30.0), info(battery="30 %"))
    check_charge(Limits(), info(battery="1 %"))
    check_charge(Limits(), info())


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"battery": "29 %"}, "has a charge of 29 %, its limits ask for 30 %; charge it"),
        ({}, "does not tell of a battery; take min_battery_percent out"),
    ],
)
def test_one_that_is_not_is_refused(facts, message):
    with pytest.raises(DeviceError, match=message):
        check_charge(Limits(min_battery_percent=30.0), info(**facts))


def test_a_run_begins_with_the_charge():
    device = FakeDevice()
    device.limits = Limits(min_battery_percent=30.0)
    with pytest.raises(DeviceError, match="does not tell of a battery"):
        describe([device])

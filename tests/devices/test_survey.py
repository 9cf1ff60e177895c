import threading

import pytest

from devices import lock, quarantine, survey
from devices.device import DeviceError, TransportError, UnauthorisedError
from devices.discovery import Found
from devices.local import LocalDevice
from devices.registry import Entry, Kind


@pytest.fixture(autouse=True)
def _own_state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


class Phone(LocalDevice):
    """This machine under the address of another, that may answer with an error, or never."""

    def __init__(self, name="phone", *, machine="android 0A1B", error=None, until=None):
        super().__init__(name)
        self.kind, self.machine = "android", machine
        self._error, self._until = error, until

    def info(self):
        if self._until is not None:
            self._until.wait()
        if self._error is not None:
            raise self._error
        return super().info()


def found(device, name="0A1B", labels=("Pixel_8", "0A1B")):
    return Found(name, "android", "ready", "", labels, device)


def finder(*devices):
    return {"android": Kind(None, None, discover=lambda: devices)}


def test_what_is_ready_tells_what_it_is():
    (seen,) = survey.look({"here": Entry(LocalDevice("here"), ("mine",))}, {})
    assert (seen.name, seen.kind, seen.state, seen.reason) == ("here", "local", "ready", "")
    assert seen.labels == ("mine",)
    assert seen.info.facts["architecture"]
    assert "onnxruntime" in seen.runtimes


class Server(LocalDevice):
    """This machine as if it ran files of every format by one runtime, as a server does."""

    def runtimes(self, format):
        return ["open-inference"]


def test_a_runtime_of_several_formats_is_told_once():
    (seen,) = survey.look({"here": Entry(Server("here"), ())}, {})
    assert seen.runtimes == ("open-inference",)


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (DeviceError("core 9 is not there"), "unavailable"),
        (TransportError("it does not answer"), "offline"),
        (UnauthorisedError("accept the key on its screen"), "unauthorised"),
    ],
)
def test_what_is_not_ready_says_why(error, state):
    (seen,) = survey.look({"phone": Entry(Phone(error=error), ())}, {})
    assert (seen.state, seen.reason) == (state, str(error))
    assert seen.info is None
    assert seen.runtimes == ()


def test_what_has_a_job_is_left_alone():
    device = Phone(error=AssertionError("it was asked"))
    with lock.held(device, 0.0, print):
        (seen,) = survey.look({"phone": Entry(device, ())}, {})
    assert seen.state == "busy"
    assert "has it" in seen.reason


def test_what_is_not_on_this_machine_is_not_called_busy_while_another_job_has_it():
    absent = Phone(machine=LocalDevice.machine, error=DeviceError("there is no GPU"))
    with lock.held(LocalDevice(), 0.0, print):
        one, other = survey.look({"a": Entry(absent, ()), "b": Entry(LocalDevice("b"), ())}, {})
    assert (one.state, other.state) == ("unavailable", "busy")


def test_what_is_set_aside_says_since_when():
    quarantine.put(Phone(), "the link broke 3 times in a row")
    (seen,) = survey.look({"phone": Entry(Phone(), ())}, {})
    assert seen.state == "quarantined"
    assert "since 20" in seen.reason
    assert "the link broke 3 times in a row" in seen.reason


def test_a_dead_device_holds_up_nobody():
    never = threading.Event()
    dead, here = Entry(Phone(until=never), ()), Entry(LocalDevice("here"), ())
    seen = survey.look({"dead": dead, "here": here}, {}, seconds=2.0)
    assert [(s.name, s.state) for s in seen] == [("dead", "offline"), ("here", "ready")]
    assert "no answer within" in seen[0].reason
    never.set()


def test_a_search_that_never_ends_is_told():
    never = threading.Event()
    kinds = {"android": Kind(None, None, discover=lambda: never.wait() and ())}
    (seen,) = survey.look({}, kinds, seconds=0.2)
    assert (seen.kind, seen.state) == ("android", "unavailable")
    never.set()


def test_one_that_was_found_and_hangs_does_not_hide_the_others():
    never = threading.Event()
    both = found(Phone(until=never), "dead"), found(Phone(machine="android 2"), "well")
    seen = survey.look({}, finder(*both), seconds=2.0)
    assert [(s.name, s.state) for s in seen] == [("dead", "offline"), ("well", "ready")]
    never.set()


def test_a_found_device_that_is_not_ready_keeps_its_reason():
    locked = Found("0A1B", "android", "unauthorised", "accept the key", ("0A1B",), None)
    (seen,) = survey.look({}, finder(locked))
    assert (seen.name, seen.state, seen.reason) == ("0A1B", "unauthorised", "accept the key")


def test_a_found_device_that_has_an_entry_shows_once_and_lends_it_its_labels():
    entry = Entry(Phone("mine"), ("lab",))
    (seen,) = survey.look({"mine": entry}, finder(found(Phone())))
    assert seen.name == "mine"
    assert seen.labels == ("lab", "Pixel_8", "0A1B")


def test_a_kind_that_cannot_search_says_why():
    def discover():
        raise TransportError("adb is not to be reached")

    (seen,) = survey.look({}, {"android": Kind(None, None, discover=discover)})
    assert (seen.state, seen.reason) == ("offline", "adb is not to be reached")

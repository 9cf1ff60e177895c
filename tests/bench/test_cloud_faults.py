"""Servers that fail in the middle of a run: what is measured again, what is kept, what goes on."""

from contextlib import ExitStack

import pytest

from bench.run import exit_code
from devices import quarantine
from devices.cloud import CloudDevice, Settings
from tests.bench.fake_device import FakeDevice
from tests.bench.running import NAMES
from tests.bench.test_lanes import measure, outcomes
from tests.devices.servers import odd

pytest.importorskip("tritonclient.http", reason="the extra 'cloud' is not installed")

EVERY = dict.fromkeys(NAMES)


@pytest.fixture(autouse=True)
def _own_state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def server():
    with odd() as found:
        found.names = NAMES
        yield found


def at(number, do):
    """Do something once, at an inference."""
    return lambda server: do(server) if server.inferences == number else None


def run(root, server, patterns=()):
    """Measure on the server, and on another device beside it."""
    cloud = CloudDevice("cloud", Settings(url=server.url))
    follower, _ = measure(root, cloud, FakeDevice(name="other"), patterns=patterns)
    assert outcomes(follower, "other") == dict.fromkeys(patterns or NAMES)
    return follower, cloud


def test_a_server_that_vanishes_is_set_aside_and_the_others_go_on(root, server):
    server.at = at(20, lambda it: it.vanish())
    follower, cloud = run(root, server)
    assert outcomes(follower, "cloud") == dict.fromkeys(NAMES, "transport")
    *tries, last = follower.notes
    assert len(tries) == 2
    assert all("trying again" in note for note in tries)
    assert "cannot be reached" in last
    assert quarantine.find(cloud) is not None
    assert exit_code(follower.all) == 3


def test_a_server_that_starts_anew_is_measured_again(root, server):
    with ExitStack() as later:

        def anew(it):
            it.vanish()
            later.enter_context(odd(it.server_address[1])).names = NAMES

        server.at = at(20, anew)
        follower, cloud = run(root, server)
    assert outcomes(follower, "cloud") == EVERY
    assert len(follower.notes) == 1
    assert quarantine.find(cloud) is None


def test_a_server_that_is_busy_for_a_while_is_waited_for(root, server):
    server.at = at(20, lambda it: it.statuses.extend([503, 429]))
    follower, _ = run(root, server)
    assert outcomes(follower, "cloud") == EVERY
    assert follower.notes == []


def test_a_server_that_is_busy_for_long_costs_one_measurement(root, server):
    server.retry_after = "3600"
    server.at = at(20, lambda it: it.statuses.append(503))
    follower, _ = run(root, server)
    causes = outcomes(follower, "cloud")
    assert sorted(causes.values(), key=str) == [None, None, "busy"]
    (failed,) = (r for r in follower.all if r.failure)
    assert "go on later with --resume" in failed.failure.detail
    assert exit_code(follower.all) == 3


def test_wrong_numbers_after_a_good_proof_void_what_was_timed(root, server):
    server.at = at(40, lambda it: setattr(it, "factor", -1.0))
    follower, _ = run(root, server, ["a"])
    (found,) = (r for r in follower.all if r.device.name == "cloud")
    assert found.failure.cause == "wrong-answer"
    assert "right at first, and wrong once it was timed" in found.failure.detail
    assert found.proof.verified is False
    assert found.rounds == found.cloud.stages == ()
    assert exit_code(follower.all) == 1


def test_another_shape_after_a_good_proof_ends_the_measurement(root, server):
    server.at = at(40, lambda it: setattr(it, "shape", (10, 1)))
    follower, _ = run(root, server)
    assert outcomes(follower, "cloud") == dict.fromkeys(NAMES, "error")
    assert exit_code(follower.all) == 3

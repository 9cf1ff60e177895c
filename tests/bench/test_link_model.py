"""The latency over a link that nobody measured, from requests whose parts are known."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.link_model import ROUND_TRIPS, models
from export.artifact import Proof
from tests.bench.clouds import clouded, link
from tests.bench.factory import MS

FOUR_G, WIFI, LAN = link("4g"), link("wifi", 50.0, 50.0, 5.0), link("lan", None, None, 1.0)
rates = st.floats(0.1, 10_000)
trips = st.floats(0.01, 1000)


def model(*links, **parts):
    (found,) = models([clouded(None, one, spread=0.0, **parts) for one in links])
    return found


def test_work_and_round_trips_are_found_from_links_that_differ():
    found = model(FOUR_G, WIFI, LAN, trips=2.0)
    assert found.fitted
    assert found.work_ns == pytest.approx(5.5 * MS)
    assert found.round_trips == pytest.approx(2.0, rel=0.01)
    assert found.overhead_ns == pytest.approx(2 * MS, rel=0.1)


def test_a_link_that_was_not_measured_is_foretold():
    found = model(FOUR_G, WIFI)
    # 5.5 ms of work, 2 ms of overhead, 808 kbit at 8 Mbit/s, one round trip of 20 ms.
    assert found.estimate(8.0, 8.0, 20.0) == pytest.approx(128.5 * MS, rel=0.01)


def test_the_error_is_the_largest_over_the_links_measured():
    found = model(FOUR_G, WIFI, LAN)
    assert [check.network for check in found.checks] == ["4g", "wifi", "lan"]
    assert found.error == max(abs(check.error) for check in found.checks)
    assert found.error < 0.01


def test_a_slow_link_s_milliseconds_are_not_put_upon_a_quick_one():
    # Three round trips over 4G, as by TCP's slow start, and one over the others.
    ways = {LAN: 1.0, link("fast", None, None, 30.0): 1.0, FOUR_G: 3.0, link("3g", rtt=300.0): 1.0}
    (found,) = models([clouded(None, one, spread=0.0, trips=n) for one, n in ways.items()])
    (lan,) = [check for check in found.checks if check.network == "lan"]
    assert abs(lan.error) < 1


def test_one_link_can_check_nothing_and_one_round_trip_is_taken():
    found = model(FOUR_G, trips=3.0)
    assert (found.fitted, found.round_trips, found.error) == (False, 1.0, None)


def test_this_machine_s_own_network_is_a_link_of_no_round_trip():
    found = model(None, FOUR_G, trips=2.0)
    assert found.fitted
    assert found.checks[0].rtt_ms == 0.0


def test_a_network_as_it_is_between_two_machines_tells_nothing_of_others():
    assert models([clouded(None, None, url="https://example.org:8000")]) == []


def test_a_server_that_does_not_tell_its_stages_has_them_in_its_overhead():
    found = model(FOUR_G, WIFI, told=False)
    assert found.work_ns == pytest.approx(1 * MS)
    assert found.overhead_ns == pytest.approx(6.5 * MS, rel=0.05)


def test_a_wrong_answer_is_no_measurement_of_a_link():
    wrong = Proof(verified=False, reason="PSNR 3 dB")
    assert models([clouded(None, FOUR_G, proof=wrong)]) == []


def test_payloads_are_apart():
    both = [clouded(None, FOUR_G), clouded(None, FOUR_G, payload="tensor")]
    assert [found.payload for found in models(both)] == ["jpeg", "tensor"]


FOUND = model(FOUR_G, WIFI)


@given(slow=rates, faster=rates, rtt=trips)
def test_more_rate_never_makes_the_cloud_slower(slow, faster, rtt):
    low, high = sorted((slow, faster))
    assert FOUND.estimate(high, high, rtt) <= FOUND.estimate(low, low, rtt)


@given(rate=rates, near=trips, far=trips)
def test_a_longer_round_trip_never_makes_it_faster(rate, near, far):
    low, high = sorted((near, far))
    assert FOUND.estimate(rate, rate, low) <= FOUND.estimate(rate, rate, high)


@given(limit=st.floats(1, 1000), rtt=trips)
def test_at_the_least_rate_the_estimate_is_the_limit(limit, rtt):
    rate = FOUND.least_rate(limit * MS, rtt)
    if rate is None:
        assert FOUND.fixed_ns(rtt) >= limit * MS
        assert rtt >= FOUND.longest_round_trip(limit * MS) * (1 - 1e-9)
    else:
        assert FOUND.estimate(rate, rate, rtt) == pytest.approx(limit * MS)


def test_the_longer_the_round_trip_the_more_rate_it_takes():
    needed = [FOUND.least_rate(40 * MS, rtt) for rtt in ROUND_TRIPS]
    told = [rate for rate in needed if rate]
    assert told == sorted(told)
    assert needed[-1] is None

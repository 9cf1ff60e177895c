import msgspec
import numpy as np
import pytest
from msgspec.structs import replace

from bench.stats import MIN_ROUNDS, figures, summary
from bench.verdict import verdict, verdicts
from devices.device import Sensors
from tests.bench.records import make_record
from tests.bench.series import around, autoregressive, rounds, usage

FACTS = {"cpus": "all", "logical_cores": "2"}


def judged(samples=None, facts=None, stop="precise", sensors=None, **changes):
    """Return the verdict on a record of some rounds, with what is known beside them."""
    settings = {k: changes.pop(k) for k in ("max_seconds", "threads") if k in changes}
    record = make_record(rounds=samples or rounds(12), **settings)
    device = msgspec.structs.replace(record.device, facts={**FACTS, **(facts or {})})
    if sensors:
        changes["surroundings"] = surroundings(*sensors)
    return verdict(msgspec.structs.replace(record, device=device, stop=stop, **changes))


def surroundings(before, after):
    from bench.record import Surroundings

    return Surroundings(before=Sensors(**before), after=Sensors(**after))


def test_tight_is_valid_and_gives_the_width_and_the_end():
    found = judged()
    assert found.word == "valid"
    assert "over 12 rounds, 180 samples, tight enough" in found.evidence
    assert found.advice is None


def test_wide_is_noisy_and_advises_more_time_than_there_was():
    found = judged(rounds(12, drift=0.1), stop="time", max_seconds=10.0)
    assert found.word == "noisy"
    assert "the time was up" in found.evidence
    assert "the target is 2%" in found.evidence
    advised = int(found.advice.split()[1])
    assert found.advice.startswith("--max-seconds ")
    assert advised > 10


def test_hopelessly_wide_advises_quiet_not_hours():
    found = judged(rounds(12, drift=1.0))
    assert found.word == "noisy"
    assert "--max-seconds" not in found.advice
    assert "stop other programs" in found.advice


def test_a_decided_question_makes_a_wide_interval_valid():
    found = judged(rounds(12, drift=0.1), stop="decided")
    assert found.word == "valid"
    assert "the question was decided" in found.evidence


def test_few_rounds_are_too_short_however_tight():
    found = judged(rounds(MIN_ROUNDS - 1, drift=0.0))
    assert found.word == "too short"
    assert "9 rounds" in found.evidence


def test_unsteady_warm_up_is_part_of_the_evidence():
    record = make_record(rounds=rounds(12))
    warm_up = msgspec.structs.replace(record.warm_up, steady=False, seconds=2.0)
    found = verdict(msgspec.structs.replace(record, warm_up=warm_up))
    assert "not steady after 2.00 s of warm-up" in found.evidence


class TestDrift:
    def test_a_rise_beyond_the_target_is_drifting_however_tight(self):
        found = judged(around(np.linspace(1e6, 1.06e6, 60)))
        assert found.word == "drifting"
        assert "+5.9 % from first to last (p = " in found.evidence
        assert "let it cool down" in found.advice

    def test_a_fall_was_not_warm_yet(self):
        found = judged(around(np.linspace(1.06e6, 1e6, 60)))
        assert found.word == "drifting"
        assert "still getting faster" in found.advice

    def test_a_rise_within_the_target_is_no_matter(self):
        assert judged(around(np.linspace(1e6, 1.01e6, 60))).word == "valid"

    def test_on_battery_the_advice_is_mains(self):
        found = judged(around(np.linspace(1e6, 1.1e6, 60)), facts={"power": "battery"})
        assert found.advice.startswith("run it on mains power")

    def test_independent_rounds_rarely_drift(self):
        words = [judged(rounds(20, drift=0.02, seed=s)).word for s in range(200)]
        assert words.count("drifting") <= 2


class TestResemblance:
    def test_rounds_that_resemble_their_neighbours_make_the_interval_wider(self):
        level = autoregressive(60, 0.8, spread=0.02, seed=5)
        alone = judged(around(np.random.default_rng(0).permutation(level)))
        found = judged(around(level))
        assert alone.word == "valid"
        assert found.word != "valid"
        assert "rounds resemble their neighbours (autocorrelation 0." in found.evidence
        assert "resemble" not in alone.evidence


class TestLevels:
    def two(self, **given):
        high = np.random.default_rng(1).random(60) < 0.3
        return judged(around(np.where(high, 1.2e6, 1e6)), **given)

    def test_two_levels_are_noisy_however_tight_and_are_named(self):
        found = self.two()
        assert found.word == "noisy"
        assert "two levels, 1.00 ms and 1.20 ms (" in found.evidence
        assert "bind the worker to cores of one kind" in found.advice
        assert "--max-seconds" not in found.advice

    def test_a_bound_worker_is_not_told_to_bind_it(self):
        assert "bind" not in self.two(facts={"cpus": "0"}).advice


class TestContention:
    def test_waiting_for_a_core_is_contended_though_the_median_is_tight(self):
        found = judged(usage=usage(lost=0.3, others=1.2))
        assert found.word == "contended"
        assert "waiting for a core 30% of the time, in 31.2% of the runs" in found.evidence
        assert "other programs on 60% of the cores" in found.evidence
        assert found.advice == "stop other programs that use the processor"

    def test_a_hypervisor_that_takes_the_time_is_told_from_programs(self):
        found = judged(usage=usage(stolen=0.1))
        assert found.word == "contended"
        assert "10% of the time stolen by the hypervisor" in found.evidence
        assert "programs" not in found.advice
        assert "a machine of your own" in found.advice

    def test_more_threads_than_cores_is_the_askers_doing(self):
        found = judged(usage=usage(lost=1.2, others=0.0), threads=4)
        assert found.word == "contended"
        assert found.advice == "use at most as many threads as it has cores: --threads 2"

    def test_without_the_schedulers_word_missing_processor_time_tells(self):
        assert judged(usage=usage(lost=0.3, told=False)).word == "contended"
        assert judged(usage=usage(lost=0.3, told=False), threads=2).word == "valid"

    def test_a_busy_machine_with_a_core_to_spare_is_told_and_valid(self):
        found = judged(usage=usage(others=0.8))
        assert found.word == "valid"
        assert "other programs on 40% of the cores" in found.evidence

    def test_waits_too_rare_for_the_p90_are_told_and_valid(self):
        quick = [[26_000] * 500] * 12
        found = judged(quick, usage=usage(lost=0.7, others=1.2))
        assert found.word == "valid"
        assert "waiting for a core 70% of the time, in 2.6% of the runs" in found.evidence
        assert judged(quick, usage=usage(stolen=0.05)).word == "valid"

    def test_one_disturbed_round_of_many_is_no_contention(self):
        few = (*usage(11), *usage(1, lost=0.9))
        assert judged(usage=few).word == "valid"

    def test_a_quiet_machine_is_not_told_to_stop_programs(self):
        found = judged(rounds(12, drift=1.0), usage=usage(), facts={"governor": "powersave"})
        assert found.word == "noisy"
        assert found.advice == "set the frequency governor to performance (it is powersave)"

    def test_a_governor_that_is_set_is_not_advised(self):
        found = judged(rounds(12, drift=1.0), usage=usage(), facts={"governor": "performance"})
        assert found.advice == "measure it again"


class TestThrottling:
    RISE = around(np.linspace(1e6, 1.2e6, 40))

    def test_a_counter_that_rose_is_throttled_with_the_temperatures(self):
        sensors = ({"throttle_events": 3, "temperature_c": 70.0}, {"throttle_events": 15,
                   "temperature_c": 97.0})  # fmt: skip
        found = judged(sensors=sensors)
        assert found.word == "throttled"
        assert "lowered the clock 12 times (70 °C before, 97 °C after)" in found.evidence
        assert "cool it better" in found.advice

    def test_a_counter_of_before_is_no_matter(self):
        assert judged(sensors=({"throttle_events": 3}, {"throttle_events": 3})).word == "valid"

    def test_a_raspberry_pis_flags_count_now_or_since_the_beginning(self):
        for before, after in ((0x0, 0x4), (0x0, 0x40000), (0x0, 0x8)):
            flags = ({"throttle_flags": before}, {"throttle_flags": after})
            assert judged(sensors=flags).word == "throttled"
        old = ({"throttle_flags": 0x40000}, {"throttle_flags": 0x40000})
        assert judged(sensors=old).word == "valid"

    def test_a_weak_supply_is_named(self):
        found = judged(sensors=({"throttle_flags": 0}, {"throttle_flags": 0x10000}))
        assert found.word == "throttled"
        assert "supply" in found.evidence
        assert "supply" in found.advice

    def test_a_jetsons_current_events_count_if_they_rose(self):
        found = judged(sensors=({"current_events": 3}, {"current_events": 4}))
        assert found.word == "throttled"
        assert "supply was too weak" in found.evidence
        assert judged(sensors=({"current_events": 3}, {"current_events": 3})).word == "valid"

    def test_a_boards_cooling_that_lowers_the_clock_at_the_end_counts(self):
        found = judged(sensors=({"cooling": 0}, {"cooling": 2, "temperature_c": 85.0}))
        assert found.word == "throttled"
        assert "heat keeps the clock low (cooling state 2)" in found.evidence
        assert judged(sensors=({"cooling": 2}, {"cooling": 0})).word == "valid"

    def test_a_clock_that_fell_while_it_got_slower_is_throttled_and_alone_is_not(self):
        clocks = ({"frequency_mhz": 2400.0}, {"frequency_mhz": 1800.0})
        found = judged(self.RISE, sensors=clocks)
        assert found.word == "throttled"
        assert "from 2400 to 1800 MHz" in found.evidence
        assert judged(sensors=clocks).word == "valid"
        assert judged(self.RISE, sensors=(clocks[0], clocks[0])).word == "drifting"


class TestOrder:
    def test_a_wrong_answer_comes_before_everything(self):
        record = make_record(rounds=(), verified=False, emulated=True, failure="verify")
        assert verdict(record).word == "wrong"

    def test_a_failure_names_stage_and_cause(self):
        found = verdict(make_record(rounds=(), verified=None, failure="load"))
        assert found.word == "failed"
        assert found.evidence.startswith("load: died: ")

    def test_an_emulated_device_is_never_valid(self):
        assert verdict(make_record(rounds=rounds(12), emulated=True)).word == "emulated"

    def test_what_was_not_proved_is_unproved_however_tight(self):
        assert verdict(make_record(rounds=rounds(12), verified=None)).word == "unproved"

    def test_no_samples_is_never_valid(self):
        record = make_record(rounds=())
        assert summary(record) is None
        assert verdict(record).word == "failed"

    def test_the_cause_comes_before_what_it_leads_to(self):
        worse = around(np.linspace(1e6, 1.5e6, 12), noise=0.1)
        hot = ({"throttle_events": 0}, {"throttle_events": 1})
        busy = usage(lost=0.5, others=1.0)
        assert judged(worse, usage=busy, sensors=hot).word == "throttled"
        assert judged(worse, usage=busy).word == "contended"
        assert judged(worse).word in {"drifting", "noisy"}

    def test_given_figures_are_used(self):
        record = make_record(rounds=rounds(12))
        known = figures(record)
        wide = replace(known.summary, low_ns=50.0, p50_ns=100.0, high_ns=150.0)
        given = replace(known, summary=wide)
        assert verdicts([record], [given])[0].word == "noisy"


@pytest.mark.parametrize("target", [0.02, 0.5])
def test_the_precision_asked_for_is_the_measure_of_every_doubt(target):
    record = make_record(rounds=around(np.linspace(1e6, 1.06e6, 40)))
    settings = msgspec.structs.replace(record.settings, precision_target=target)
    found = verdict(msgspec.structs.replace(record, settings=settings, usage=usage(40, lost=0.2)))
    assert found.word == ("contended" if target < 0.2 else "valid")

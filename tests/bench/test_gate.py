import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bench.baseline import build
from bench.budget import LIMITS, Rule, quantity
from bench.finding import exit_code
from bench.gate import judge
from models.preprocess import Preprocessing
from tests.bench.factory import manifest, proved, record, rounds, unproved

NET = manifest()
KEY = "net/tflite-fp32"
MEASURED = [name for name, limit in LIMITS.items() if limit.measured]
GENEROUS = {name: f"900{limit.example.lstrip('0.123456789')}" for name, limit in LIMITS.items()}
GENEROUS |= {"min-accuracy": "1%", "contract": "unchanged"}


def rule(name, text, artifact="*", device="*"):
    limit = LIMITS[name]
    value = 0.0 if limit.unit == "word" else quantity(text, limit.unit, "")
    return Rule(name, artifact, device, value, text)


def one(name, text, *, artifacts=(NET,), records=(), baseline=None, **patterns):
    (found,) = judge([rule(name, text, **patterns)], artifacts, records, baseline)
    return found


def grown(name, text, now, before):
    """Judge the record `now` against a baseline of `before`."""
    return one(name, text, records=[now], baseline=build([NET], [before]))


class TestNothingToCompare:
    def test_no_rules_fail(self):
        (found,) = judge([], [NET], [], None)
        assert found.verdict == "fail"
        assert "[[tool.edgeworthy.budget]]" in found.reason

    def test_a_rule_that_fits_nothing_fails_and_names_what_there_is(self):
        found = one("max-size", "1 MB", artifact="vgg*")
        assert (found.verdict, found.subject) == ("fail", "vgg*")
        assert found.reason == f"nothing to compare: no artifact fits; there are {KEY}"

    def test_an_artifact_that_is_gone_fails_every_rule_that_fits_it(self):
        known = build([NET], [record(NET)])
        for name in LIMITS:
            found = one(name, GENEROUS[name], artifacts=[], baseline=known)
            assert (found.verdict, found.subject) == ("fail", KEY)
            assert "was in the baseline, is gone" in found.reason

    @pytest.mark.parametrize("name", [name for name, limit in LIMITS.items() if limit.growth])
    def test_growth_without_a_baseline_fails(self, name):
        found = one(name, GENEROUS[name], records=[record(NET, top1=0.9)])
        assert (found.verdict, "bench baseline" in found.reason) == ("fail", True)

    @pytest.mark.parametrize("name", [name for name, limit in LIMITS.items() if limit.growth])
    def test_growth_of_what_the_baseline_lacks_fails(self, name):
        found = one(name, GENEROUS[name], records=[record(NET)], baseline=build([], []))
        assert (found.verdict, f"--update {KEY}" in found.reason) == ("fail", True)

    @pytest.mark.parametrize("name", MEASURED)
    def test_a_measured_rule_without_a_record_is_unmeasured(self, name):
        found = one(name, GENEROUS[name], baseline=build([NET], []))
        assert (found.verdict, f"bench run --artifact {KEY}" in found.reason) == (
            "unmeasured",
            True,
        )

    def test_a_rule_for_a_device_that_measured_nothing_is_unmeasured(self):
        found = one("max-latency", "5 ms", records=[record(NET)], device="pixel*")
        assert (found.verdict, "named pixel*" in found.reason) == ("unmeasured", True)


class TestSize:
    @pytest.mark.parametrize(
        ("size", "verdict"), [(999_999, "pass"), (1_000_000, "pass"), (1_000_001, "fail")]
    )
    def test_the_limit_itself_is_within(self, size, verdict):
        found = one("max-size", "1 MB", artifacts=[manifest(size=size)])
        assert (found.verdict, found.measured, found.unit) == (verdict, size, "B")

    @pytest.mark.parametrize(("size", "verdict"), [(1_009_000, "pass"), (1_011_000, "fail")])
    def test_growth_is_against_the_baseline(self, size, verdict):
        found = one(
            "max-size-growth", "1%", artifacts=[manifest(size=size)], baseline=build([NET], [])
        )
        assert (found.verdict, found.baseline) == (verdict, 1_000_000)
        assert "against 1.00 MB" in found.reason

    def test_a_failed_proof_fails_even_a_size(self):
        wrong = manifest(proof=replace(unproved(), verified=False, reason="PSNR 3 dB"))
        found = one("max-size", "5 MB", artifacts=[wrong])
        assert (found.verdict, "PSNR 3 dB" in found.reason) == ("fail", True)

    def test_an_unproved_artifact_still_has_a_size(self):
        assert one("max-size", "5 MB", artifacts=[manifest(proof=unproved())]).verdict == "pass"

    @given(
        st.integers(1, 10**9),
        st.integers(0, 10**9),
        st.sampled_from(["max-size", "max-size-growth"]),
    )
    def test_growing_never_turns_fail_into_pass(self, size, more, name):
        known = build([manifest(size=5_000_000)], [])
        smaller, larger = (
            one(name, GENEROUS[name], artifacts=[manifest(size=s)], baseline=known).verdict
            for s in (size, size + more)
        )
        assert (smaller, larger) != ("fail", "pass")


class TestContract:
    def test_the_same_contract_passes(self):
        assert one("contract", "unchanged", baseline=build([NET], [])).verdict == "pass"

    def test_a_change_fails_and_is_named(self):
        image = replace(NET.contract.inputs[0], dtype="int8", scale=0.5, zero_point=3)
        changed = manifest(contract=replace(NET.contract, inputs=(image,)))
        found = one("contract", "unchanged", artifacts=[changed], baseline=build([NET], []))
        assert found.verdict == "fail"
        assert "input image: float32 1x224x224x3 NHWC became int8 1x224x224x3" in found.reason
        assert "batch" not in found.reason


class TestLatency:
    @pytest.mark.parametrize(("ms", "verdict"), [(4.0, "pass"), (6.0, "fail"), (5.0, "unmeasured")])
    def test_the_whole_interval_must_lie_on_one_side_of_the_limit(self, ms, verdict):
        found = one("max-latency", "5 ms", records=[record(NET, ms)])
        assert found.verdict == verdict
        assert found.low < found.measured < found.high

    @pytest.mark.parametrize(
        ("ms", "verdict"), [(4.2, "pass"), (5.0, "fail"), (4.4, "unmeasured"), (1.0, "pass")]
    )
    def test_growth_is_decided_by_the_interval_of_the_ratio(self, ms, verdict):
        now, before = record(NET, ms, seed=1), record(NET, 4.0, seed=2)
        found = grown("max-latency-growth", "10%", now, before)
        assert found.verdict == verdict
        assert found.low < ms / 4.0 < found.high

    def test_what_cannot_be_told_says_what_would_help(self):
        found = one("max-latency", "5 ms", records=[record(NET, 5.0, stop="time")])
        assert found.reason.startswith("cannot tell: p50 ")
        assert "--max-seconds above 10" in found.reason
        found = one("max-latency", "5 ms", records=[record(NET, 5.0, stop="precise")])
        assert "--precision-target below 2.0%" in found.reason

    def test_too_few_rounds_decide_nothing(self):
        found = one("max-latency", "5 ms", records=[record(NET, 1.0, count=3)])
        assert (found.verdict, "needs 10 rounds" in found.reason) == ("unmeasured", True)
        for counts in ((3, 20), (20, 3)):
            now, before = (record(NET, 1.0, count=count) for count in counts)
            found = grown("max-latency-growth", "10%", now, before)
            assert (found.verdict, "too short: 3 rounds" in found.reason) == ("unmeasured", True)

    @pytest.mark.parametrize(
        ("field", "value", "named"),
        [
            ("fingerprint", "5678", "fingerprint: 5678 and 1234"),
            ("runtime", "tflite_runtime", "runtime: tflite_runtime and onnxruntime"),
            ("runtime_version", "0.9", "runtime version: 0.9 and 1.0"),
            ("provider", None, "provider: unknown and CPU"),
            ("threads", 4, "threads: 4 and 1"),
            ("threads_found", 2, "threads found: 2 and 1"),
            ("batch", 8, "batch: 8 and 1"),
        ],
    )
    @pytest.mark.parametrize("name", ["max-latency-growth", "max-memory-growth"])
    def test_other_conditions_are_incomparable_and_named(self, name, field, value, named):
        before = record(NET, **{field: value})
        found = judge([rule(name, "900%")], [NET], [record(NET)], build([NET], [before]))
        assert found[0].verdict == "unmeasured"
        assert f"not comparable: {named}" in found[0].reason

    def test_a_measurement_of_the_baseline_that_was_not_made_again_is_unmeasured(self):
        known = build([NET], [record(NET), record(NET, threads=4)])
        found = judge([rule("max-latency-growth", "10%")], [NET], [record(NET)], known)
        assert [f.verdict for f in found] == ["pass", "unmeasured"]
        assert "threads=4" in found[1].subject

    def test_every_device_and_setting_is_judged(self):
        records = [record(NET, 1.0), record(NET, 9.0, threads=2), record(NET, 1.0, device="pi")]
        found = judge([rule("max-latency", "5 ms")], [NET], records, None)
        assert [f.verdict for f in found] == ["pass", "fail", "pass"]
        found = judge([rule("max-latency", "5 ms", device="pi")], [NET], records, None)
        assert [f.verdict for f in found] == ["pass"]


class TestMemory:
    def test_the_peak_after_the_runs_counts(self):
        found = one("max-memory", "50 MB", records=[record(NET)])
        assert (found.verdict, found.measured) == ("pass", 50_000_000)
        assert one("max-memory", "49 MB", records=[record(NET)]).verdict == "fail"

    def test_growth_is_against_the_baseline(self):
        now = record(NET)
        lean = replace(now, memory=replace(now.memory, after_run=40_000_000))
        assert grown("max-memory-growth", "20%", now, lean).verdict == "fail"
        assert grown("max-memory-growth", "30%", now, lean).verdict == "pass"

    def test_another_definition_is_incomparable(self):
        now = record(NET)
        other = replace(now, memory=replace(now.memory, definition="PSS"))
        found = grown("max-memory-growth", "900%", now, other)
        assert (found.verdict, "PSS and peak" in found.reason) == ("unmeasured", True)

    @pytest.mark.parametrize("name", ["max-memory", "max-memory-growth"])
    def test_a_record_without_memory_is_unmeasured(self, name):
        found = grown(name, GENEROUS[name], replace(record(NET), memory=None), record(NET))
        assert (found.verdict, found.measured) == ("unmeasured", None)


class TestAccuracy:
    @pytest.mark.parametrize(("top1", "verdict"), [(0.9, "pass"), (0.899, "fail")])
    def test_the_least_accuracy_is_within(self, top1, verdict):
        assert one("min-accuracy", "90%", records=[record(NET, top1=top1)]).verdict == verdict

    @pytest.mark.parametrize(
        ("top1", "verdict"), [(0.903, "pass"), (0.898, "pass"), (0.897, "fail"), (0.95, "pass")]
    )
    def test_a_drop_is_in_percentage_points(self, top1, verdict):
        found = grown("max-accuracy-drop", "0.5", record(NET, top1=top1), record(NET, top1=0.903))
        assert found.verdict == verdict

    def test_the_same_images_compare_across_machines(self):
        before = record(NET, top1=0.9, fingerprint="5678", runtime_version="0.9")
        found = grown("max-accuracy-drop", "0.5", record(NET, top1=0.9), before)
        assert found.verdict == "pass"

    def test_other_images_do_not(self):
        before = record(NET, top1=0.9)
        before = replace(before, accuracy=replace(before.accuracy, images=10))
        found = grown("max-accuracy-drop", "0.5", record(NET, top1=0.9), before)
        assert (found.verdict, "images: 10 and 1000" in found.reason) == ("unmeasured", True)

    @pytest.mark.parametrize("side", [0, 1])
    def test_without_a_figure_on_both_sides_it_is_unmeasured(self, side):
        sides = [record(NET, top1=0.9), record(NET)]
        found = grown("max-accuracy-drop", "0.5", sides[side], sides[1 - side])
        assert found.verdict == "unmeasured"


DOUBTS = {
    "failed": {"count": 0},
    "emulated": {"emulated": True},
    "unproved": {"proof": unproved()},
    "another file": {"of": manifest(sha256="1" * 64)},
}


@pytest.mark.parametrize("name", MEASURED)
class TestDoubtfulRecords:
    @pytest.mark.parametrize("doubt", DOUBTS)
    def test_they_are_unmeasured_with_the_word(self, name, doubt):
        now = record(**{"of": NET, "top1": 0.99, **DOUBTS[doubt]})
        found = grown(name, GENEROUS[name], now, record(NET, top1=0.99))
        assert (found.verdict, doubt in found.reason) == ("unmeasured", True)

    def test_a_wrong_answer_fails(self, name):
        wrong = replace(proved(), verified=False, reason="PSNR 3 dB")
        found = grown(
            name, GENEROUS[name], record(NET, top1=0.99, proof=wrong), record(NET, top1=0.99)
        )
        assert (found.verdict, "PSNR 3 dB" in found.reason) == ("fail", True)

    def test_a_sound_one_passes(self, name):
        now = record(NET, top1=0.99)
        assert grown(name, GENEROUS[name], now, now).verdict == "pass"


@given(
    names=st.lists(st.sampled_from(sorted(LIMITS)), min_size=1),
    there=st.booleans(),
    made=st.lists(
        st.fixed_dictionaries(
            {
                "count": st.sampled_from([0, 3, 12]),
                "threads": st.sampled_from([None, 1, 2]),
                "emulated": st.booleans(),
                "proof": st.sampled_from([proved(), unproved()]),
                "top1": st.sampled_from([None, 0.9]),
                "of": st.sampled_from([NET, manifest(sha256="1" * 64)]),
            }
        ),
        max_size=3,
    ),
    known=st.sampled_from([None, build([], []), build([NET], []), build([NET], [record(NET)])]),
)
def test_nothing_passes_unmeasured_and_every_rule_speaks(names, there, made, known):
    rules = [rule(name, GENEROUS[name]) for name in names]
    found = judge(rules, [NET] if there else [], [record(**one) for one in made], known)
    assert {f.rule for f in found} == set(names)
    assert all(f.measured is not None or f.rule == "contract" for f in found if f.verdict == "pass")
    assert all(f.reason and "\n" not in f.reason for f in found)


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        (["pass", "pass"], 0),
        (["pass", "unmeasured"], 3),
        (["unmeasured", "fail", "pass"], 1),
        ([], 1),
    ],
)
def test_the_exit_code_is_that_of_the_worst_finding(verdicts, code):
    like = one("max-size", "1 MB")
    assert exit_code([replace(like, verdict=verdict) for verdict in verdicts]) == code


CONTRACT = NET.contract
IMAGE = CONTRACT.inputs[0]
STEPS = Preprocessing(channels=1, size=(224, 224), mean=(0.5,), std=(0.5,))


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"inputs": (replace(IMAGE, name="picture"),)}, "input picture"),
        ({"inputs": (replace(IMAGE, shape=(1, 192, 192, 3)),)}, "1x192x192x3"),
        ({"inputs": (replace(IMAGE, layout="NCHW"),)}, "NCHW"),
        ({"inputs": (replace(IMAGE, dtype="int8"),)}, "int8"),
        ({"inputs": (replace(IMAGE, scale=0.25, zero_point=3),)}, "scale 0.25, zero 3"),
        ({"inputs": (replace(IMAGE, scale=0.5, zero_point=4),)}, "scale 0.5, zero 4"),
        ({"preprocessing": dataclasses.replace(STEPS, mean=(0.25,))}, "0.25"),
        ({"postprocessing": "none"}, "postprocessing"),
        ({"classes": ("cat", "dog")}, "classes"),
        ({"dynamic_batch": False}, "batch"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_whatever_an_application_relies_on_is_judged(changes, word):
    before = replace(
        CONTRACT, inputs=(replace(IMAGE, scale=0.5, zero_point=3),), preprocessing=STEPS
    )
    known = build([manifest(contract=before)], [])
    now = manifest(contract=replace(before, **changes))
    found = one("contract", "unchanged", artifacts=[now], baseline=known)
    assert (found.verdict, word in found.reason) == ("fail", True)


class TestProcesses:
    """The gate holds medians of processes against each other, where there were several."""

    def spread(self, ms, seed, processes=10):
        """Return a record whose processes differ by 2 %, and make 30 rounds together."""
        levels = ms * np.exp(0.02 * np.random.default_rng(seed).standard_normal(processes))
        each = 30 // processes
        made = [rounds(level, spread=0.001, count=each, seed=seed) for level in levels]
        return record(NET, count=0, rounds=sum(made, ()), processes=(each,) * processes)

    @pytest.mark.parametrize(("processes", "least", "most"), [(1, 20, 40), (10, 0, 2)])
    def test_equal_artifacts_fail_only_by_the_process_that_they_happened_to_get(
        self, processes, least, most
    ):
        pairs = [[self.spread(4.0, 2 * seed + i, processes) for i in (0, 1)] for seed in range(60)]
        verdicts = [grown("max-latency-growth", "0.1%", *pair).verdict for pair in pairs]
        assert least <= verdicts.count("fail") <= most

    def test_a_clear_growth_fails(self):
        found = grown("max-latency-growth", "1%", self.spread(4.4, 2), self.spread(4.0, 1))
        assert found.verdict == "fail"

    def test_fewer_than_six_are_too_short(self):
        short = self.spread(4.0, 1, processes=5)
        found = grown("max-latency-growth", "1%", short, self.spread(4.0, 1))
        assert (found.verdict, "6 processes" in found.reason) == ("unmeasured", True)
        assert one("max-latency", "9 ms", records=[short]).verdict == "unmeasured"

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bench.compare import (
    SAME_ARTIFACT,
    TWO_ARTIFACTS,
    Rule,
    compare,
    compare_all,
    pairs,
    word,
)
from bench.conditions import latest, name, successes
from bench.ratio import Ratio
from bench.reading import readings
from bench.record import ColdStart
from tests.bench.factory import manifest, record, unproved
from tests.bench.test_noise import PROFILE

FLOAT, INT8 = manifest(), manifest(precision="int8", size=250_000)
OTHER = manifest("other")


class TestWord:
    @pytest.mark.parametrize(
        ("low", "high", "expected"),
        [
            (0.90, 0.95, "faster"),
            (0.97, 0.99, "faster"),
            (0.985, 0.995, "same"),
            (0.99, 1.01, "same"),
            (0.99, 1.05, "cannot tell"),
            (0.5, 1.5, "cannot tell"),
            (1.05, 1.10, "slower"),
        ],
    )
    def test_it_is_decided_by_the_whole_interval(self, low, high, expected):
        assert word(Ratio(value=1.0, low=low, high=high), 0.02) == expected

    @given(st.floats(0.1, 10), st.floats(0, 1), st.floats(0.001, 0.5))
    def test_it_never_says_more_than_the_interval_shows(self, low, width, margin):
        high = low + width
        holds = {
            "faster": high < 1,
            "slower": low > 1,
            "same": low >= 1 - margin and high <= 1 + margin,
            "cannot tell": low <= 1 <= high,
        }
        assert holds[word(Ratio(value=low, low=low, high=high), margin)]


class TestCompare:
    def test_everything_is_b_against_a(self):
        a = record(FLOAT, 4.0, top1=0.9)
        b = record(INT8, 2.0, seed=1, top1=0.89, load_ns=1_000_000)
        found = compare(a, b)
        assert found.word == "faster"
        assert found.time.value == pytest.approx(0.5, rel=0.02)
        assert (found.size, found.load, found.memory) == (0.25, 0.5, 1.0)
        assert found.accuracy == pytest.approx(-0.01)
        assert (found.incomparable, found.caution) == ((), ())

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("fingerprint", "5678"),
            ("runtime", "other"),
            ("runtime_version", "0.9"),
            ("provider", "GPU"),
            ("threads", 4),
            ("threads_found", 2),
            ("batch", 8),
            ("emulated", True),
        ],
    )
    def test_other_conditions_are_refused_and_named_with_both_values(self, field, value):
        a, b = record(FLOAT), record(FLOAT, **{field: value})
        found = compare(a, b)
        assert (found.time, found.word) == (None, None)
        (difference,) = found.incomparable
        assert difference.startswith(f"{field.replace('_', ' ')}: ")
        assert ("yes" if value is True else str(value)) in difference

    def test_anyway_compares_and_still_says_why_not(self):
        found = compare(record(FLOAT), record(FLOAT, 8.0, threads=4), Rule(anyway=True))
        assert (found.word, found.incomparable) == ("slower", ("threads: 1 and 4",))

    def test_the_p90_is_compared_too(self):
        found = compare(record(FLOAT, 4.0), record(FLOAT, 5.0, seed=1))
        assert found.p90.low < 1.25 < found.p90.high

    def test_two_of_one_run_are_compared_round_by_round_and_two_runs_are_not(self):
        a, b = record(FLOAT), record(INT8, seed=1)
        assert compare(a, b).pairwise
        assert not compare(a, replace(b, run="later")).pairwise
        assert not compare(a, record(INT8, threads=2), Rule(anyway=True)).pairwise

    def test_several_processes_are_compared_process_by_process(self):
        a, b = (replace(record(FLOAT, seed=s), processes=(2,) * 10) for s in (0, 1))
        found = compare(a, b)
        assert (found.pairwise, found.processes) == (True, 10)
        assert compare(a, replace(b, processes=())).processes == 1
        short = replace(b, rounds=b.rounds[:10], processes=(2,) * 5)
        assert compare(a, short).word == "cannot tell"

    def test_the_load_is_the_median_of_all_processes(self):
        start = ColdStart(start_ns=None, import_ns=None, load_ns=1_000_000, first_ns=1)
        starts = tuple(replace(start, load_ns=ns) for ns in (9_000_000, 1_000_000, 1_100_000))
        assert compare(record(FLOAT), replace(record(FLOAT), cold=starts)).load == 0.55

    def test_faster_and_slower_are_beyond_the_devices_noise(self):
        a, b = record(FLOAT, 4.0), record(FLOAT, 4.2, seed=1)
        wild = replace(PROFILE, within=replace(PROFILE.within, floor=0.1))
        known = {a.device.fingerprint: wild}
        assert (compare(a, b).word, compare(a, b).floor) == ("slower", None)
        found = compare(a, b, Rule(noise=known))
        assert (found.word, found.floor) == ("same", 0.1)
        later = compare(a, replace(b, run="later"), Rule(noise=known))
        assert (later.word, later.floor) == ("slower", PROFILE.between.floor)

    def test_too_few_rounds_cannot_tell(self):
        assert compare(record(FLOAT, count=9), record(FLOAT, 9.0, count=9)).word == "cannot tell"

    def test_two_formats_may_differ_in_their_runtime(self):
        onnx = record(manifest(format="onnx"), runtime="onnxruntime")
        assert compare(record(FLOAT, runtime="litert"), onnx).incomparable == ()

    def test_verdicts_that_are_not_valid_are_told(self):
        a, b = record(FLOAT, count=3), record(FLOAT, proof=unproved())
        assert compare(a, b).caution == ("A too short", "B unproved")

    def test_what_is_not_of_the_same_kind_is_not_compared(self):
        a, b = record(FLOAT, top1=0.9), record(FLOAT, top1=0.9, load_ns=None)
        b = replace(
            b,
            accuracy=replace(b.accuracy, images=5),
            memory=replace(b.memory, definition="PSS"),
        )
        found = compare(a, b)
        assert (found.load, found.memory, found.accuracy) == (None, None, None)


def paired(a, b, descriptions):
    return pairs(list(readings(a)), list(readings(b)), descriptions)


class TestPairs:
    def test_the_same_key_goes_first(self):
        a, b = [record(FLOAT), record(FLOAT, threads=2)], [record(FLOAT, threads=2), record(FLOAT)]
        found, rest_a, rest_b = paired(a, b, SAME_ARTIFACT)
        assert [(x.key, y.key) for x, y in found] == [(r.key, r.key) for r in a]
        assert (rest_a, rest_b) == ([], [])

    def test_one_measurement_on_each_side_is_a_pair_whatever_it_was_made_on(self):
        a, b = (
            [record(FLOAT), record(OTHER)],
            [record(OTHER), record(FLOAT, device="pi", threads=4)],
        )
        found, *_ = paired(a, b, SAME_ARTIFACT)
        assert [x.manifest.key == y.manifest.key for x, y in found] == [True, True]

    def test_unlike_artifacts_are_never_before_and_after(self):
        found, rest_a, rest_b = paired([record(FLOAT)], [record(OTHER)], SAME_ARTIFACT)
        assert (found, len(rest_a), len(rest_b)) == ([], 1, 1)

    def test_several_candidates_are_not_guessed_among(self):
        several = [record(FLOAT, threads=2), record(FLOAT, threads=4)]
        found, rest_a, rest_b = paired([record(FLOAT)], several, SAME_ARTIFACT)
        assert (found, len(rest_a), len(rest_b)) == ([], 1, 2)

    def test_two_variants_pair_by_model(self):
        a = [record(FLOAT), record(OTHER)]
        b = [record(manifest("other", precision="int8")), record(INT8)]
        found, *_ = paired(a, b, TWO_ARTIFACTS)
        assert [(x.manifest.network.name, y.manifest.network.name) for x, y in found] == [
            ("net", "net"),
            ("other", "other"),
        ]

    def test_two_models_pair_by_variant(self):
        a = [record(FLOAT), record(INT8)]
        b = [record(manifest("other", precision="int8")), record(OTHER)]
        found, *_ = paired(a, b, TWO_ARTIFACTS)
        assert [x.manifest.variant == y.manifest.variant for x, y in found] == [True, True]

    def test_what_is_alone_on_both_sides_is_a_pair(self):
        a, b = [record(FLOAT)], [record(manifest("other", format="onnx"))]
        assert len(paired(a, b, TWO_ARTIFACTS)[0]) == 1

    def test_every_record_is_in_a_pair_or_left_over(self):
        a = [record(FLOAT), record(INT8), record(OTHER)]
        outcome = compare_all(a, [record(FLOAT), record(FLOAT, threads=2)], SAME_ARTIFACT, Rule())
        assert outcome.made
        assert outcome.only_a == tuple(sorted(map(name, a[1:])))
        assert outcome.only_b == (name(record(FLOAT, threads=2)),)

    def test_only_refused_pairs_are_no_comparison(self):
        assert not compare_all(
            [record(FLOAT)], [record(FLOAT, threads=2)], SAME_ARTIFACT, Rule()
        ).made


class TestWhichRecordsCount:
    def test_the_latest_of_each_key(self):
        records = [record(FLOAT, 1.0), record(OTHER), record(FLOAT, 2.0)]
        assert latest(iter(records)) == [records[2], records[1]]

    def test_the_latest_that_succeeded(self):
        good, wrong = record(FLOAT), record(FLOAT, proof=replace(unproved(), verified=False))
        empty = record(OTHER, count=0)
        found, failed = successes(iter([good, wrong, record(FLOAT, count=0), empty]))
        assert found == [good]
        assert failed == [name(empty)]

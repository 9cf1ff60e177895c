"""Counts of instructions: exact, in place of times, and never beside them."""

import pytest
from msgspec.structs import replace

from bench import units
from bench.baseline import build, measurement, unfit
from bench.budget import LIMITS, Rule, quantity
from bench.compare import Outcome, compare
from bench.compare import Rule as Comparing
from bench.exact import is_exact
from bench.gate import judge
from bench.matrix import Choice, Effort
from bench.record import BenchError
from bench.report.compared import compared
from bench.rows import rows
from bench.run import exit_code
from bench.table import notes
from bench.verdict import verdict
from tests.bench.fake_device import FakeDevice, Script
from tests.bench.records import make_manifest, make_record
from tests.bench.running import cells, measure

COUNT = 113_860_140


def counted(*counts, **settings):
    """Return a record of a device that counts instructions: one invocation a round."""
    found = make_record(rounds=[(n,) for n in counts or (COUNT,) * 3], emulated=True, **settings)
    device = replace(found.device, name="arm64-exact", counts="instructions")
    return replace(found, device=device)


def growth(now, before, limit="0.1%"):
    rule = Rule("max-latency-growth", "*", "*", quantity(limit, "share", ""), limit)
    (found,) = judge([rule], [now.manifest], [now], build([before.manifest], [before]))
    return found


class TestWhatIsExact:
    def test_rounds_that_count_the_same_but_for_where_memory_lies(self):
        assert is_exact([810_052, 809_959, 810_094], threads=1)

    def test_too_few_rounds_are_not(self):
        assert not is_exact([COUNT, COUNT], threads=1)

    def test_rounds_that_differ_by_more_than_memory_are_not(self):
        assert not is_exact([COUNT, COUNT, round(1.0011 * COUNT)], threads=1)
        assert not is_exact([100_000, 100_000, 100_501], threads=1)

    def test_memory_may_be_more_than_a_thousandth_of_a_small_network(self):
        assert is_exact([47_102, 47_052, 46_993], threads=1)

    @pytest.mark.parametrize("threads", [2, None])
    def test_several_threads_are_not_however_they_look(self, threads):
        assert not is_exact([COUNT] * 3, threads)


class TestVerdict:
    def test_a_count_is_emulated_and_holds(self):
        found = verdict(counted())
        assert (found.word, found.exact, found.holds) == ("emulated", True, True)
        assert found.evidence == "113,860,140 instructions, the same in every run, and no time"
        assert exit_code([counted()]) == 0

    def test_counts_of_several_threads_do_not_hold(self):
        record = counted(100, 120, 140, threads=2)
        found = verdict(record)
        assert (found.word, found.holds) == ("emulated", False)
        assert found.evidence.endswith("100 to 140: threads take turns by chance")
        assert found.advice == "count one, by --threads 1"
        assert exit_code([record]) == 3

    def test_the_times_of_an_emulator_still_mean_nothing(self):
        assert exit_code([make_record(rounds=[(100,)] * 3, emulated=True)]) == 3

    def test_a_wrong_answer_comes_first(self):
        assert verdict(counted(verified=False)).word == "wrong"

    def test_an_unproved_answer_does_not_hold(self):
        assert not verdict(counted(verified=None)).holds


class TestComparison:
    def test_the_same_count_is_identical(self):
        found = compare(counted(), counted())
        assert (found.word, found.time.value, found.floor) == ("identical", 1.0, None)

    @pytest.mark.parametrize(("more", "word"), [(1, "slower"), (-1, "faster")])
    def test_one_instruction_is_a_difference(self, more, word):
        found = compare(counted(), counted(*[COUNT + more] * 3))
        assert found.word == word
        assert found.time.low == found.time.value == found.time.high

    def test_a_count_and_a_time_are_never_compared_even_anyway(self):
        found = compare(counted(), make_record(rounds=[(COUNT,)] * 20), Comparing(anyway=True))
        assert (found.word, found.time, found.p90, found.load) == (None, None, None, None)
        assert "figures: instructions and time" in found.incomparable

    def test_the_table_shows_both_to_the_last_instruction(self):
        pair = compare(counted(), counted(*[COUNT + 1] * 3))
        report = compared(Outcome(pairs=(pair,), margin=0.02, only_a=(), only_b=()))
        shown = [cell.text for cell in report.tables[0].rows[0]]
        assert shown[1:3] == ["113,860,140", "113,860,141"]
        assert any("the same in every run" in note for note in report.notes)


class TestGate:
    def test_identical_counts_pass(self):
        found = growth(counted(), counted())
        assert found.verdict == "pass"
        assert found.reason == "113,860,140 instructions against 113,860,140: identical"
        assert (found.unit, found.measured, found.baseline) == ("instructions", COUNT, COUNT)

    def test_a_growth_of_more_than_a_thousandth_fails(self):
        now = counted(*[round(COUNT * 1.0011)] * 3)
        found = growth(now, counted())
        assert found.verdict == "fail"
        assert found.reason.endswith("+0.11 %")

    def test_a_growth_within_the_limit_passes_and_is_told(self):
        found = growth(counted(*[COUNT + 100] * 3), counted())
        assert found.verdict == "pass"
        assert found.reason.endswith(": +8.78e-05 %")

    def test_counts_of_several_threads_are_unmeasured(self):
        several = counted(100, 120, 140, threads=2)
        assert unfit(several, several.manifest) == "emulated"
        assert growth(several, counted(threads=2)).verdict == "unmeasured"

    def test_a_limit_of_time_is_not_held_against_a_count(self):
        rule = Rule("max-latency", "*", "*", 1e9, "1 s")
        (found,) = judge([rule], [make_manifest()], [counted()], None)
        assert found.verdict == "unmeasured"
        assert "max-latency-growth" in found.reason
        assert LIMITS["max-latency-growth"].growth

    def test_another_processor_is_not_comparable(self):
        other = counted()
        other = replace(other, device=replace(other.device, fingerprint="5678"))
        assert growth(other, counted()).verdict == "unmeasured"

    def test_a_baseline_keeps_the_count(self):
        assert unfit(counted(), make_manifest()) is None
        assert measurement(counted()).count == COUNT


class Counting(FakeDevice):
    """A device of tests whose samples are counts."""

    def info(self):
        return replace(super().info(), emulated=True, counts="instructions")


class TestRun:
    def test_a_few_invocations_of_one_process_are_enough(self, root):
        device = Counting({"a": Script(ns=COUNT, drift=0, noise=0)})
        record = measure(root, device, effort=Effort(processes=10), patterns=["a"])["a"]
        assert record.rounds == ((COUNT,),) * 3
        assert (record.stop, record.processes) == ("precise", (3,))

    def test_several_streams_are_refused_in_one_line(self, root):
        with pytest.raises(BenchError, match=r"counts instructions.*several streams.*'bench run'"):
            cells(root, Counting(), choice=Choice(streams=(2,)))


class TestTable:
    def test_a_row_says_what_its_figures_count(self):
        (row,) = rows([counted()])
        assert (row.counts, units.measured(row.counts)(row.p50_ns)) == (
            "instructions",
            "113,860,140",
        )

    def test_in_a_report_it_is_rounded_and_named(self):
        (row,) = rows([counted()])
        assert units.rounded(row.counts)(row.p50_ns) == "114 M instructions"
        assert units.rounded(None)(4.1e6) == "4.10 ms"

    def test_the_notes_say_that_they_are_no_times(self):
        assert any("its figures are instructions, no times" in note for note in notes([counted()]))

"""A predecessor measured in turns with its successor: what is measured, and what the gate says."""

import json

import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from bench.baseline import build
from bench.cli import command
from bench.conditions import latest, latest_pairs, successes
from bench.gate import judge
from bench.matrix import MAX_OPEN, Effort, groups, with_predecessors
from bench.record import BenchError
from bench.record_file import read
from tests.bench.factory import manifest, record
from tests.bench.fake_device import FakeDevice
from tests.bench.running import cells
from tests.bench.test_gate import rule
from tests.bench.test_noise import PROFILE
from tests.tiny import tiny_onnx

NET, OLD = manifest(sha256="1" * 64), manifest(sha256="0" * 64)
GROWTH = rule("max-latency-growth", "3%")


def pair(ms, *, old=OLD, run="one"):
    """Return what took 4 ms before, and the record of now, made in turns with it."""
    before = replace(record(old, 4.0, spread=0.002), run=run, group=0, beside=True)
    return before, replace(record(NET, ms, spread=0.002), run=run, group=0)


class TestTheGate:
    def judged(self, records, *, noise=None, baseline_ms=5.0):
        """Hold records against a baseline that was measured when the machine was slower."""
        baseline = build([OLD], [record(OLD, baseline_ms)])
        (found,) = judge([GROWTH], [NET], records, baseline, noise)
        return found

    def test_growth_is_that_against_the_file_beside_it_not_that_of_another_run(self):
        found = self.judged(pair(4.2))
        assert found.verdict == "fail"
        assert "side by side" in found.reason
        assert "+5.0 %" in found.reason

    def test_what_did_not_grow_passes_however_slow_the_machine_is_today(self):
        found = self.judged(pair(4.0), baseline_ms=3.0)
        assert found.verdict == "pass"

    def test_the_noise_within_one_run_counts(self):
        found = self.judged(pair(4.0), noise={"1234": PROFILE})
        assert found.threshold == max(0.03, PROFILE.within.floor)

    def test_a_baseline_without_records_will_do(self):
        (found,) = judge([GROWTH], [NET], pair(4.2), build([OLD], []))
        assert found.verdict == "fail"

    def test_another_file_than_the_baselines_is_no_yardstick(self):
        found = self.judged(pair(4.2, old=manifest(sha256="2" * 64)))
        assert "side by side" not in found.reason

    def test_what_was_beside_an_earlier_record_is_no_yardstick(self):
        before, _ = pair(4.0, run="earlier")
        _, now = pair(4.2, run="later")
        assert "side by side" not in self.judged([before, now]).reason


class TestRecords:
    def test_a_predecessor_is_no_measurement_of_what_is_there_now(self):
        before, now = pair(4.2)
        assert latest([now, before]) == [now]
        assert successes([now, before]) == ([now], [])

    def test_it_is_found_by_its_successors_key(self):
        before, now = pair(4.2)
        assert latest_pairs([before, now]) == ([now], {now.key: before})


@pytest.fixture
def twice(tmp_path):
    """Two directories with an artifact of one name each."""
    return tiny_onnx(tmp_path / "now").parents[1], tiny_onnx(tmp_path / "before").parents[1]


class TestCells:
    def test_each_is_followed_by_its_predecessor(self, twice):
        now, before = twice
        one, other = with_predecessors(cells(now, FakeDevice()), before)
        assert (one.beside, other.beside) == (False, True)
        assert other.artifact.path.is_relative_to(before)

    def test_a_group_never_parts_them(self, twice):
        now, before = twice
        (one, other) = with_predecessors(cells(now, FakeDevice()), before)
        odd = cells(now, FakeDevice())
        many = [*odd, *([one, other] * MAX_OPEN)]
        assert all(sum(c.beside for c in g) >= len(g) // 2 for g in groups(many))

    def test_a_directory_without_any_predecessor_is_told(self, twice, tmp_path):
        (tmp_path / "empty").mkdir()
        with pytest.raises(BenchError, match="no artifact there has the name"):
            with_predecessors(cells(twice[0], FakeDevice()), tmp_path / "empty")

    def test_the_artifact_itself_is_no_predecessor(self, twice):
        now, _ = twice
        with pytest.raises(BenchError, match="is the very artifact"):
            with_predecessors(cells(now, FakeDevice(), effort=Effort()), now)


def run(*words):
    return CliRunner().invoke(command, ["run", *map(str, words)], catch_exceptions=False)


def test_the_command_records_both_and_compares_them(twice, tmp_path):
    now, before = twice
    out = tmp_path / "records.jsonl"
    brief = ("--processes", 1, "--max-seconds", 0.5, "--out", out)
    done = run("--artifacts-dir", now, "--beside", before, *brief)
    one, other = sorted(read(out), key=lambda found: found.beside)
    assert (one.beside, other.beside, one.key, one.group) == (False, True, other.key, other.group)
    assert "Now (B) against before (A), measured side by side" in done.stdout
    done = run("--artifacts-dir", now, "--beside", before, *brief, "--json")
    assert sorted(row["beside"] for row in json.loads(done.stdout)) == [False, True]


@pytest.mark.parametrize("other", [("--scenario", "offline"), ("--resume",)])
def test_it_goes_with_no_scenario_and_no_resume(twice, other):
    now, before = twice
    done = run("--artifacts-dir", now, "--beside", before, *other)
    assert done.exit_code == 2
    assert f"leave out {other[0]}" in done.output

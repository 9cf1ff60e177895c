"""Streams and scenarios as a user asks for them."""

import json

import pytest

from bench.record_file import read
from bench.rows import can_run
from tests.conftest import ROOT
from tests.tiny import tiny_onnx

QUICK = ("--max-seconds", "1", "--precision-target", "50%", "--processes", "1")


@pytest.fixture
def bench(cli, tmp_path):
    """Run ``bench`` beside one artifact; return code, stdout, stderr."""
    tiny_onnx(tmp_path / "artifacts")

    def run(*arguments):
        done = cli("bench", *arguments, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)})
        assert "Traceback" not in done.stderr
        return done.returncode, done.stdout, done.stderr

    return run


def records(tmp_path):
    found = list(read(tmp_path / "results" / "records.jsonl"))
    assert [r.failure for r in found if can_run(r) and r.failure] == []
    return found


def test_throughput_by_streams_is_a_table_of_its_own(bench, tmp_path):
    code, out, err = bench("run", "--streams", "1,2", *QUICK)
    assert code in {0, 3}
    one, two = records(tmp_path)
    assert (one.settings.streams, two.settings.streams) == (1, 2)
    assert all(served.invocations >= 2 for served in two.throughput.rounds)
    assert "\nThroughput\n" in out
    assert "2 streams" in err
    assert out.count("streams: every stream is a thread") == 1


def test_json_tells_the_throughput_where_it_was_asked_for(bench, tmp_path):
    _, out, _ = bench("run", *QUICK, "--json", "--streams", "1")
    (row,) = json.loads(out)
    assert row["throughput"]["low"] <= row["throughput"]["per_s"] <= row["throughput"]["high"]
    _, out, _ = bench("run", *QUICK, "--json")
    (row,) = json.loads(out)
    assert row["streams"] is row["throughput"] is row["scenario"] is None
    assert row["energy"] == []
    assert row["energy_unreadable"] == []


def test_a_shortened_scenario_says_so_everywhere_and_fails_no_build_as_valid(bench, tmp_path):
    arguments = ("run", "--scenario", "single-stream", "--scenario-seconds", "5.5")
    code, out, err = bench(*arguments)
    assert code == 3
    (record,) = records(tmp_path)
    assert record.scenario.shortened
    assert record.scenario.seconds >= 5.5
    assert record.settings.scenario == "single-stream"
    assert "cpu, 1 thread, batch 1, single-stream" in out
    assert "shortened" in out
    assert "too short for the rule: MLPerf's single-stream asks for 600 s and 64" in out
    assert "too short" in err
    code, _, err = bench(*arguments, "--resume")
    assert code == 3
    assert "1 already recorded" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--scenario", "ofline"), "is not one of 'single-stream', 'multi-stream', 'offline'"),
        (("--scenario", "offline", "--streams", "2"), "leave out --streams"),
        (("--scenario", "offline", "--processes", "6"), "leave out --processes"),
        (("--scenario", "offline", "--max-seconds", "6"), "leave out --max-seconds"),
        (("--scenario", "offline", "--scenario-seconds", "inf"), "a number is expected"),
        (("--scenario", "offline", "--scenario-seconds", "0"), "0.0 is not in the range x>=1"),
        (("--scenario-seconds", "6"), "add --scenario NAME"),
        (("--streams", "0"), "write it as --streams 1,2"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_line(bench, tmp_path, arguments, said):
    code, out, err = bench("run", *arguments)
    assert code == 2
    assert out == ""
    (line,) = err.strip().splitlines()
    assert said in line
    assert not (tmp_path / "results").exists()

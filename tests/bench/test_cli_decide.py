import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.record_file import read
from tests.tiny import tiny_onnx

EDGEWORTHY = Path(__file__).resolve().parents[2] / "edgeworthy.py"


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    where = tmp_path_factory.mktemp("decide")
    for name in ("before", "now"):
        tiny_onnx(where / "artifacts", name=name)
    return where


def decide(where, *arguments):
    done = subprocess.run(
        [sys.executable, str(EDGEWORTHY), "bench", "decide", *arguments],
        cwd=where, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    return done


def test_the_exit_code_is_the_decision_and_both_are_recorded(here):
    quick = ("--processes", "1", "--max-seconds", "1", "--max-slowdown", "50%", "--json")
    done = decide(here, "before", "now", *quick)
    found = json.loads(done.stdout)
    assert done.returncode == {"within": 0, "slower": 1, "undecided": 3}[found["word"]]
    assert found["low"] <= found["ratio"] <= found["high"]
    assert (found["processes"], found["rounds"] >= 10) == (1, True)
    records = list(read(here / "results" / "records.jsonl"))
    assert [r.manifest.network.name for r in records] == ["before", "now"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("*", "now"), "'*' fits 2 artifacts, one is decided on: before/onnx-fp32, now/onnx-fp32"),
        (("before", "noww"), "no artifact in artifacts fits 'noww'; did you mean 'now'?"),
        (("before", "now", "--max-slowdown", "much"), "--max-slowdown 'much' is not a quantity"),
        (("before", "now", "--processes", "3"), "fewer than 6 show nothing for sure"),
    ],
)
def test_what_cannot_be_decided_on_is_named_in_a_line(here, arguments, told):
    done = decide(here, *arguments)
    assert done.returncode == 2
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1

"""Verdicts on real measurements that are disturbed on purpose."""

import os
import subprocess
import sys

import pytest

from bench.evidence import evidences
from bench.matrix import Choice, Effort, describe, plan, select
from bench.run import run_matrix
from bench.stats import figures
from bench.verdict import verdict
from devices.local import LocalDevice
from tests.tiny import tiny_onnx

pytestmark = pytest.mark.slow


@pytest.fixture
def neighbours():
    """Programs that do nothing but use the processor, two for every core."""
    loops = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"])
        for _ in range(2 * (os.cpu_count() or 1))
    ]
    yield loops
    for loop in loops:
        loop.kill()
        loop.wait()


class Keeper:
    def __init__(self):
        self.records = []

    def progress(self, cell, stage, rounds):
        pass

    def record(self, cell, record):
        self.records.append(record)


def measured(tmp_path, device):
    tiny_onnx(tmp_path)
    keeper = Keeper()
    cells = plan(select(tmp_path, []), describe([device]), Choice(batches=(16384,)), Effort())
    run_matrix(cells, keeper)
    (record,) = keeper.records
    return record


@pytest.mark.skipif(sys.platform != "linux", reason="needs the scheduler's word")
def test_busy_neighbours_on_every_core_are_seen_and_named(tmp_path, neighbours):
    record = measured(tmp_path, LocalDevice())
    (found,) = evidences([record], [figures(record)])
    found = found.share
    assert found.disturbed > 0.1
    assert found.others > 0.4
    assert found.lost > 0.2
    said = verdict(record)
    assert said.word == "contended"
    assert "other programs" in said.evidence
    assert "stop other programs" in said.advice

"""The worker far from its host: how long it lives, and whom it works for."""

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager

import psutil
import pytest

from devices import facts, worker
from devices.device import Job
from devices.local import WORKER
from tests import tiny


@contextmanager
def started(*options, tmp=None):
    """A worker's process, and a function that asks it and returns the answer."""
    with subprocess.Popen(
        [sys.executable, "-u", str(WORKER), *options],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=os.environ | ({} if tmp is None else {"TMPDIR": str(tmp)}),
    ) as process:  # fmt: skip

        def ask(**request):
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        try:
            yield process, ask
        finally:
            process.kill()


def test_a_worker_tells_its_age_and_where_it_runs():
    begin = time.monotonic_ns()
    with started() as (_, ask):
        age = ask(op="start")["age_ns"]
        assert 0 <= age <= time.monotonic_ns() - begin + 10_000_000
        assert ask(op="facts")["facts"] == facts.facts()


def test_empty_lines_are_signs_of_life_only():
    with started("--lease", "60") as (process, ask):
        process.stdin.write("\n \n\n")
        assert ask(op="start")["event"] == "started"
        assert ask(op="close") == {"event": "closed"}
        process.stdin.close()
        assert process.wait(20) == 0


def test_lines_that_arrive_in_pieces_are_put_together():
    with started("--lease", "60") as (process, ask):
        ask(op="start")
        for piece in ('{"op": ', '"start"}\n{"op"', ': "close"}\n'):
            process.stdin.write(piece)
            process.stdin.flush()
            time.sleep(0.1)
        events = [json.loads(process.stdout.readline())["event"] for _ in range(2)]
        assert events == ["started", "closed"]


def test_without_a_sign_for_longer_than_its_lease_it_ends():
    with started("--lease", "1") as (process, ask):
        ask(op="start")
        assert process.wait(20) == 0


@pytest.mark.parametrize("streams", [1, 2])
def test_the_end_of_input_ends_it_in_the_middle_of_a_measurement(tmp_path, streams):
    artifact = tiny.tiny_onnx(tmp_path)
    with started("--lease", "60") as (process, ask):
        job = Job(artifact=artifact, runtime="onnxruntime", threads=1)
        ask(op="load", artifact=str(job.artifact), runtime=job.runtime, threads=1)
        ask(op="streams", count=streams)
        process.stdin.write(json.dumps({"op": "measure", "runs": 10**8}) + "\n")
        process.stdin.close()
        assert process.wait(20) == -9


def test_what_it_started_ends_with_it():
    program = (
        "import runpy, subprocess, sys\n"
        f"worker = runpy.run_path({str(WORKER)!r})\n"
        "lines = worker['leased'](sys.stdin, 60)\n"
        "child = subprocess.Popen(['sleep', '100'])\n"
        "print(child.pid, flush=True)\n"
        "child.wait()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        child = psutil.Process(int(process.stdout.readline()))
        process.stdin.close()
        assert process.wait(20) == -9
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_workers_of_one_owner_share_a_lock_and_another_owner_is_told_who_has_it(tmp_path):
    with started(tmp=tmp_path) as (_, first), started(tmp=tmp_path) as (_, second):
        assert first(op="lock", file="one.lock", owner="anna@desk")["event"] == "locked"
        assert second(op="lock", file="one.lock", owner="anna@desk")["event"] == "locked"
        with started(tmp=tmp_path) as (_, other):
            answer = other(op="lock", file="one.lock", owner="ben@lap")
            assert (answer["event"], answer["cause"]) == ("error", "busy")
            assert answer["detail"] == "anna@desk is measuring on it; try again after that"


def test_a_refusal_does_not_keep_the_lock_from_others(tmp_path):
    with started(tmp=tmp_path) as (_, refused):
        with started(tmp=tmp_path) as (_, first):
            first(op="lock", file="one.lock", owner="anna@desk")
            refused(op="lock", file="one.lock", owner="ben@lap")
        assert refused(op="lock", file="one.lock", owner="carl@pc")["event"] == "locked"


def test_a_lock_outlives_no_holder(tmp_path):
    with started(tmp=tmp_path) as (process, first):
        first(op="lock", file="one.lock", owner="anna@desk")
        process.kill()
        process.wait()
        with started(tmp=tmp_path) as (_, other):
            assert other(op="lock", file="one.lock", owner="ben@lap")["event"] == "locked"


def test_an_age_is_not_told_where_the_system_does_not(monkeypatch):
    monkeypatch.setattr(worker, "texts", lambda pattern: [])
    assert worker.age_ns() is None

"""Several inferences at once: what the worker counts as done, and what it refuses to count."""

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from devices import worker
from devices.device import WorkerError


def at_once(*invokes, runs):
    with ThreadPoolExecutor(len(invokes)) as pool:
        return worker.at_once(list(invokes), pool, runs)


@pytest.mark.parametrize("format", ["onnx", "tflite", "torch"])
def test_streams_make_as_many_runs_together_as_are_asked_for(request, open_session, format):
    runtimes = {"onnx": "onnxruntime", "tflite": "litert", "torch": "torch"}
    artifact = request.getfixturevalue("torch_program" if format == "torch" else format)
    session = open_session(artifact, runtimes[format])
    session.streams(3)
    samples = session.measure(40)
    assert len(samples) == 40
    assert session.served.invocations >= len(samples)
    # None was at work for longer than there was time.
    assert sum(samples) <= 3 * session.served.wall_ns


def test_one_stream_is_measured_as_ever(open_session, onnx):
    session = open_session(onnx)
    assert len(session.measure(7)) == 7
    assert session.served is None


def test_a_run_with_copies_is_that_of_one_stream(open_session, onnx):
    session = open_session(onnx)
    session.streams(2)
    assert len(session.measure(7, copies=True)) == 7
    assert session.served is None


def test_what_a_stream_had_begun_counts_by_its_share():
    spans = [(0, 10), (10, 20), (0, 12), (12, 44), (20, 30)]
    assert worker.served(spans, end=20) == {
        "ns": [10, 12, 10],
        "served": {"invocations": 3 + 8 / 32, "wall_ns": 20},
    }


def test_no_more_is_made_than_was_begun_when_all_was_done():
    found = at_once(lambda: time.sleep(0.001), lambda: time.sleep(0.01), runs=20)
    assert len(found["ns"]) == 20
    assert 20 <= found["served"]["invocations"] < 22
    # Each began with one that is in no figure, and at most one of each ended later.
    assert 22 <= found["invocations"] <= 24


def test_a_round_has_at_least_five_of_each_stream():
    assert len(at_once(lambda: None, lambda: None, lambda: None, runs=1)["ns"]) == 15


def test_the_quicker_one_does_more_of_what_is_asked_for():
    calls = {"quick": 0, "slow": 0}

    def invoke(name, seconds):
        calls[name] += 1
        time.sleep(seconds)

    at_once(lambda: invoke("quick", 0.001), lambda: invoke("slow", 0.05), runs=20)
    assert calls["quick"] > calls["slow"] >= 2
    assert sum(calls.values()) >= 22


def test_a_stream_that_fails_ends_them_all():
    def fail():
        raise RuntimeError("out of something")

    with pytest.raises(RuntimeError, match="out of something"):
        at_once(lambda: None, fail, runs=3)


def test_a_stream_that_answers_otherwise_is_refused(onnx):
    made = worker.Worker()
    made.answer({"op": "load", "artifact": str(onnx), "runtime": "onnxruntime"})
    made.answer({"op": "streams", "count": 2})
    assert made.answer({"op": "measure", "runs": 3})["event"] == "samples"
    right = made.sessions[1].get
    made.sessions[1].get = lambda: [output + 1 for output in right()]
    answer = made.answer({"op": "measure", "runs": 3})
    assert answer["cause"] == "wrong-answer"
    assert answer["detail"] == "stream 2 of 2 answers otherwise than the first to the same input"


def test_each_stream_has_the_threads_that_were_asked_for(open_session, tflite):
    session = open_session(tflite, "litert", threads=2)
    session.streams(2)
    assert len(session.measure(50)) == 50
    assert session.ready.threads == 2


def test_a_process_that_loaded_another_file_runs_no_streams(onnx):
    made = worker.Worker()
    for _ in range(2):
        made.answer({"op": "load", "artifact": str(onnx), "runtime": "onnxruntime"})
    assert made.answer({"op": "streams", "count": 2})["cause"] == "unsupported"


def test_nothing_loaded_runs_in_no_stream():
    assert worker.Worker().answer({"op": "streams", "count": 2})["event"] == "error"


def test_the_outputs_stay_those_of_the_golden_inputs(open_session, onnx):
    session = open_session(onnx)
    before = session.verify()["logits"]
    session.streams(2)
    session.measure(5)
    np.testing.assert_array_equal(session.verify()["logits"], before)


def test_a_file_too_large_for_another_stream_is_a_workers_error(open_session, onnx):
    session = open_session(onnx)
    with pytest.raises(WorkerError, match="streams"):
        session.streams(-1)

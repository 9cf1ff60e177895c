"""Workers kept for the next file: proofs as good as in a process of its own, timing refused."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from devices.device import Job, WorkerError
from devices.local import LocalDevice
from devices.workers import Workers
from tests import tiny
from tests.devices.conftest import sign


@pytest.fixture
def workers() -> Iterator[Workers]:
    with Workers(LocalDevice()) as made:
        yield made


def job(artifact: Path, runtime: str = "onnxruntime") -> Job:
    return Job(artifact=artifact, runtime=runtime, threads=1)


def alive() -> list[psutil.Process]:
    """Return the workers of this process that run."""
    running = [p for p in psutil.Process().children() if p.status() != psutil.STATUS_ZOMBIE]
    return [p for p in running if "worker.py" in " ".join(p.cmdline())]


def test_files_of_a_kind_share_a_worker_and_each_gives_its_own_answer(
    workers: Workers, onnx: Path, tmp_path: Path
) -> None:
    other = tiny.tiny_onnx(tmp_path, dynamic_batch=False)
    answers = [workers.verify(job(path), "onnx") for path in (onnx, other, onnx)]
    answers.append(workers.verify(job(onnx, "onnx-reference"), "onnx", rows=2))
    assert len(alive()) == 1
    assert [len(answer.outputs["logits"]) for answer in answers] == [len(tiny.images())] * 3 + [2]
    assert [answer.ready.reference for answer in answers] == [False] * 3 + [True]


def test_files_of_another_kind_get_another_worker_and_all_end(onnx: Path, tflite: Path) -> None:
    with Workers(LocalDevice()) as workers:
        workers.verify(job(onnx), "onnx")
        workers.verify(job(tflite, "litert"), "tflite")
        assert len(alive()) == 2
    assert not alive()


def test_a_damaged_file_costs_its_own_proof_only(
    workers: Workers, onnx: Path, tmp_path: Path
) -> None:
    damaged = tiny.tiny_onnx(tmp_path)
    (damaged / "model.onnx").write_bytes(b"\0" * 64)
    sign(damaged)
    workers.verify(job(onnx), "onnx")
    with pytest.raises(WorkerError):
        workers.verify(job(damaged), "onnx")
    assert workers.verify(job(onnx), "onnx").outputs


def test_a_worker_that_died_is_replaced(workers: Workers, onnx: Path) -> None:
    workers.verify(job(onnx), "onnx")
    [first] = alive()
    os.kill(first.pid, signal.SIGKILL)
    assert workers.verify(job(onnx), "onnx").outputs
    [second] = alive()
    assert second.pid != first.pid


def test_a_process_that_has_run_another_file_is_never_timed(onnx: Path) -> None:
    session = LocalDevice().open(job(onnx))
    session.load(job(onnx), str(onnx))
    for measure in (lambda: session.measure(1), session.memory):
        with pytest.raises(WorkerError, match="needs a process of its own"):
            measure()
    session.close()


def test_a_file_that_cannot_be_loaded_is_not_answered_for_by_the_one_before(
    onnx: Path, tmp_path: Path
) -> None:
    session = LocalDevice().open(job(onnx))
    with pytest.raises(WorkerError):
        session.load(job(tmp_path), str(tmp_path))
    with pytest.raises(WorkerError, match="nothing is loaded"):
        session.verify()
    session.close()

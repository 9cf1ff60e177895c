"""Steps in processes of their own, forked or started: jobs in, events out, deaths told."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from export import child
from export.child import ChildError, Children
from export.jobs import ConvertJob, Event, encode

STEP = "export.convert"
LOG = "step.log"


@pytest.fixture(params=[True, False], ids=["forked", "started"])
def children(request: pytest.FixtureRequest) -> Iterator[Children]:
    made = Children(forking=request.param)
    yield made
    made.close()


def empty(directory: Path) -> Path:
    """Write the job of a step that has nothing to convert."""
    job = ConvertJob(format="torch", directory=directory, scratch=directory, variants=())
    (directory / "program.json").write_bytes(INFO)
    (directory / "job.json").write_bytes(encode(job))
    return directory / "job.json"


INFO = (
    b'{"network":{"name":"n","settings":{},"weights":{"origin":"random"},"parameters":0,"macs":0,'
    b'"peak_activation_bytes":0,"total_activation_bytes":0},"inputs":[],"outputs":[],'
    b'"dynamic_batch":false,"preprocessing":null,"postprocessing":"","classes":null,"golden":[],'
    b'"calibration":null,"layers":[]}'
)


def test_a_step_runs_its_job_to_the_end(children: Children, tmp_path: Path) -> None:
    heard: list[Event] = []
    child.run(children, STEP, empty(tmp_path), tmp_path / LOG, heard.append)
    assert [event.event for event in heard] == ["end"]


def test_a_step_may_be_started_before_its_job_is_known(children: Children, tmp_path: Path) -> None:
    children.prepare(STEP, tmp_path / LOG, "torch")
    heard: list[Event] = []
    child.run(children, STEP, empty(tmp_path), tmp_path / LOG, heard.append)
    assert [event.event for event in heard] == ["end"]


def test_what_was_prepared_and_not_needed_ends(children: Children, tmp_path: Path) -> None:
    others = below()  # such as hosts that other tests share
    children.prepare(STEP, tmp_path / LOG, "torch")
    started = below() - others
    children.close()
    assert started
    _, alive = psutil.wait_procs([*started], timeout=10)
    assert not alive


def below() -> set[psutil.Process]:
    return set(psutil.Process().children(recursive=True))


def test_a_step_that_ends_early_says_why(children: Children, tmp_path: Path) -> None:
    with pytest.raises(ChildError, match="ended with status 1: FileNotFoundError"):
        child.run(children, STEP, tmp_path / "none.json", tmp_path / LOG, lambda _: None)


def test_a_step_that_is_killed_says_so(children: Children, tmp_path: Path) -> None:
    others = below()
    step = children.begin(STEP, tmp_path / LOG, "torch")
    deadline = time.monotonic() + 60
    while not (running := waiting(others)) and time.monotonic() < deadline:
        time.sleep(0.05)
    for process in running:
        os.kill(process.pid, signal.SIGKILL)
    assert list(step.events()) == []
    assert step.status == -signal.SIGKILL
    assert "for memory" in child.last_word(step.status, tmp_path / LOG)


def waiting(others: set[psutil.Process]) -> list[psutil.Process]:
    """Return the new processes below this one that have none of their own: the steps."""
    return [p for p in below() - others if not p.children()]


def test_stopping_ends_every_step(children: Children, tmp_path: Path) -> None:
    step = children.begin(STEP, tmp_path / LOG, "torch")
    children.stop()
    assert list(step.events()) == []
    with pytest.raises(KeyboardInterrupt):
        children.start(["true"], tmp_path / LOG)
    with pytest.raises(KeyboardInterrupt):
        children.begin(STEP, tmp_path / "other.log")

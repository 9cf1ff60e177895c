"""Measuring: every artifact proved on the device, warmed up, then timed in interleaved rounds.

Artifacts of a group are open side by side, one worker each, and take turns in rounds of about
`ROUND_NS`, in a seeded random order: what drifts (a clock, a neighbour, the heat) meets all alike.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from math import ceil
from typing import Literal, Protocol
from uuid import uuid4

import msgspec
import numpy as np

from bench import stats
from bench.accuracy import AccuracyTest
from bench.matrix import Cell, groups
from bench.record import SCHEMA, Accuracy, Failure, Record, WarmUp
from bench.rows import can_run
from devices.device import Job, Memory, Session, WorkerError
from export import verify
from export.artifact import ArtifactError, Proof

ROUND_NS = 75e6
# A record of a very quick network stays of readable size.
MAX_RUNS = 500
WARM_UP_BLOCK_NS = 25e6
# How many more rounds there must be before the interval is looked at again: looking after every
# round would stop at the first lucky one.
GROWTH = 1.1
NEVER_TIMED = "never timed: it ran in an interpreter, on no device"
FORMAT_NAMES = {"onnx": "ONNX", "tflite": "TFLite", "coreml": "Core ML", "torch": "torch"}

Stage = Literal["load", "prove", "warm up", "measure", "accuracy"]


class Listener(Protocol):
    """Whoever follows a run."""

    def progress(self, cell: Cell, stage: Stage, rounds: Sequence[Sequence[int]]) -> None:
        """Called before every step of a measurement, with the samples so far."""

    def record(self, cell: Cell, record: Record) -> None:
        """Called with every record as it is finished, failures included."""


@dataclass
class _Measurement:
    """One cell while it is measured; becomes a record in the end."""

    cell: Cell
    run: str
    session: Session | None = None
    first_ns: int | None = None
    proof: Proof = field(default_factory=lambda: Proof(verified=None, reason="not reached"))
    warm_up: WarmUp | None = None
    runs: int = 1
    rounds: list[tuple[int, ...]] = field(default_factory=list)
    look_at: int = stats.MIN_ROUNDS
    memory: Memory | None = None
    accuracy: Accuracy | None = None
    stop: Literal["precise", "time", "failed"] | None = None

    @property
    def opened(self) -> Session:
        assert self.session is not None
        return self.session

    def close(self) -> None:
        if self.session is not None:
            self.session.close()

    def record(self, failure: Failure | None = None) -> Record:
        ready = self.session.ready if self.session else None
        return Record(
            schema=SCHEMA,
            run=self.run,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            tool_version=tool_version(),
            manifest=self.cell.artifact.manifest,
            device=self.cell.target.info,
            settings=self.cell.settings(ready),
            load_ns=ready.load_ns if ready and not ready.reference else None,
            first_ns=self.first_ns,
            warm_up=self.warm_up,
            rounds=tuple(self.rounds),
            memory=self.memory,
            proof=self.proof,
            accuracy=self.accuracy,
            environment=ready.environment if ready else {},
            stop=self.stop or "failed",
            failure=failure,
        )


class _WrongAnswerError(Exception):
    """What the device computed is not what the original computes."""


def tool_version() -> str:
    """Return the installed version of edgeworthy."""
    try:
        return version("edgeworthy")
    except PackageNotFoundError:
        return "not installed"


def run_matrix(
    cells: Iterable[Cell], listener: Listener, accuracy: AccuracyTest | None = None
) -> None:
    """Measure every cell; a worker's failure becomes a record and the others go on.

    An interrupt closes the workers and passes on; what was being measured then is not recorded.
    """
    run = uuid4().hex
    for group in groups(cells):
        _Group(run, listener, accuracy).measure(group)


def exit_code(records: Iterable[Record]) -> int:
    """Return 1 if an answer was wrong; 3 if something that could run was not measured validly, or
    nothing could run; else 0.
    """
    records = list(records)
    words = [stats.verdict(record).word for record in records if can_run(record)]
    if "wrong" in words:
        return 1
    return 0 if words and set(words) == {"valid"} else 3


class _Group:
    """Artifacts measured side by side."""

    def __init__(self, run: str, listener: Listener, accuracy: AccuracyTest | None) -> None:
        self._run, self._listener, self._accuracy = run, listener, accuracy

    def measure(self, cells: Sequence[Cell]) -> None:
        measurements = [_Measurement(cell, self._run) for cell in cells]
        try:
            ready = [m for m in measurements if self._attempt(m, self._prepare)]
            self._interleave(ready, cells[0].effort.seed)
        finally:
            for measurement in measurements:
                measurement.close()

    def _attempt(self, m: _Measurement, step: Callable[[_Measurement], None]) -> bool:
        """Take one step; what goes wrong in it ends this measurement with a record."""
        try:
            step(m)
        except _WrongAnswerError as error:
            m.first_ns = None  # the timing of a wrong answer is void
            failure = Failure(stage="verify", cause="wrong-answer", detail=str(error))
        except WorkerError as error:
            failure = Failure(stage=error.stage, cause=error.cause, detail=error.detail)
        except ArtifactError as error:
            failure = Failure(stage="verify", cause="error", detail=str(error))
        else:
            return True
        m.stop = "failed"
        m.close()
        self._listener.record(m.cell, m.record(failure))
        return False

    def _tell(self, m: _Measurement, stage: Stage) -> None:
        self._listener.progress(m.cell, stage, m.rounds)

    def _prepare(self, m: _Measurement) -> None:
        self._tell(m, "load")
        m.session = _open(m.cell)
        if not m.session.ready.reference:
            m.first_ns = m.session.measure(1)[0]
        self._tell(m, "prove")
        m.proof = _prove(m)
        if m.proof.verified is False:
            raise _WrongAnswerError(m.proof.reason)
        if m.session.ready.reference:
            self._judge(m)
            word = "proved (emulated)" if m.proof.verified else "unproved"
            raise WorkerError("measure", "unsupported", f"{word}, {NEVER_TIMED}")
        self._tell(m, "warm up")
        _warm_up(m)

    def _interleave(self, active: list[_Measurement], seed: int) -> None:
        order = np.random.default_rng(seed)
        while active:
            for index in order.permutation(len(active)):
                self._attempt(active[index], self._round)
            active = [m for m in active if m.stop is None]

    def _round(self, m: _Measurement) -> None:
        self._tell(m, "measure")
        m.rounds.append(tuple(m.opened.measure(1 + m.runs)[1:]))
        m.stop = _stop(m)
        if m.stop is not None:
            self._finish(m)

    def _finish(self, m: _Measurement) -> None:
        # Before the accuracy: classifying a batch of images takes memory of its own.
        m.memory = m.opened.memory()
        self._judge(m)
        m.close()
        self._listener.record(m.cell, m.record())

    def _judge(self, m: _Measurement) -> None:
        """Measure the accuracy, where images are at hand that fit."""
        if self._accuracy and not self._accuracy.misfit(m.cell.artifact.manifest):
            self._tell(m, "accuracy")
            m.accuracy = self._accuracy.measure(m.opened, m.cell.artifact.manifest)


def _open(cell: Cell) -> Session:
    manifest = cell.artifact.manifest
    if cell.runtime is None:
        detail = f"no {FORMAT_NAMES[manifest.format]} runtime on this system"
        raise WorkerError("start", "missing-runtime", detail)
    job = Job(
        artifact=cell.artifact.path, runtime=cell.runtime, threads=cell.threads, batch=cell.batch
    )
    return cell.target.device.open(job)


def _prove(m: _Measurement) -> Proof:
    """Compare what the device computes for the golden inputs with the original's outputs."""
    artifact, ready = m.cell.artifact, m.opened.ready
    if not artifact.manifest.golden:
        return Proof(verified=None, reason=artifact.manifest.proof.reason)
    _, expected = verify.golden(artifact.path, artifact.manifest)
    outputs = m.opened.verify()
    proof = verify.prove(artifact.manifest, expected, outputs, m.opened.alarms)
    return msgspec.structs.replace(
        proof,
        runtime=ready.runtime,
        runtime_version=ready.runtime_version,
        emulated=ready.reference,
    )


def _warm_up(m: _Measurement) -> None:
    """Run blocks of about `WARM_UP_BLOCK_NS` until steady, and choose the runs of a round."""
    limit = m.cell.effort.max_seconds * 1e9
    blocks: list[float] = []
    last, runs, spent = float(m.first_ns or 1), 1, float(m.first_ns or 1)
    while not stats.is_steady(blocks) and spent < limit:
        samples = m.opened.measure(_runs_for(WARM_UP_BLOCK_NS, last))
        last = float(np.median(samples))
        blocks.append(last)
        runs += len(samples)
        spent += sum(samples)
    m.warm_up = WarmUp(runs=runs, seconds=spent / 1e9, steady=stats.is_steady(blocks))
    m.runs = _runs_for(ROUND_NS, last)


def _runs_for(nanoseconds: float, one: float) -> int:
    return int(min(MAX_RUNS, max(1, round(nanoseconds / max(one, 1.0)))))


def _stop(m: _Measurement) -> Literal["precise", "time"] | None:
    """Tell whether to stop: the interval of the median is tight, or the time is spent."""
    effort = m.cell.effort
    if len(m.rounds) >= m.look_at:
        m.look_at = ceil(len(m.rounds) * GROWTH)
        if stats.precision(m.rounds) <= effort.precision_target:
            return "precise"
    spent = sum(sum(samples) for samples in m.rounds)
    return "time" if spent >= effort.max_seconds * 1e9 else None

"""Measuring: every artifact proved on the device, warmed up, then timed in interleaved rounds.

Artifacts of a group are open side by side, one worker each, and take turns in rounds of about
`pace.ROUND_NS`, in a seeded random order: what drifts (a clock, a neighbour, the heat) meets all
alike. After a few rounds all get a fresh worker, as two processes of one file differ for as long as
they live; each shows what a cold start takes, too.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from math import ceil
from typing import Protocol
from uuid import uuid4

import msgspec
import numpy as np

from bench import sequential, stats
from bench.accuracy import AccuracyTest
from bench.energy import IDLE_S
from bench.limits import cool
from bench.matrix import Cell, groups
from bench.measurement import Measurement, Stage
from bench.record import ColdStart, Failure, Record, Surroundings
from bench.rows import can_run
from bench.scenario import Plan
from bench.serving import serve
from bench.sustained import sustain
from bench.verdict import verdict
from devices.device import TRANSPORT, Cloud, Session, TransportError, WorkerError
from export import verify
from export.artifact import ArtifactError, Manifest, Proof

# Runs with copies in and out, for each one without.
END_TO_END = 0.2
NEVER_TIMED = "never timed: it ran in an interpreter, on no device"


class Listener(Protocol):
    """Whoever follows a run."""

    def progress(self, cell: Cell, stage: Stage, rounds: Sequence[Sequence[int]]) -> None:
        """Called before every step of a measurement, with the samples so far."""

    def record(self, cell: Cell, record: Record) -> None:
        """Called with every record as it is finished, failures included."""


class _WrongAnswerError(Exception):
    """What the device computed is not what the original computes."""


def run_matrix(
    cells: Iterable[Cell],
    listener: Listener,
    accuracy: AccuracyTest | None = None,
    *,
    mixed: bool = False,
) -> None:
    """Measure every cell; a worker's failure becomes a record and the others go on.

    With `mixed` numbers of threads take turns, too: see `bench.matrix.groups`.

    An interrupt closes the workers and passes on. What was being measured then is not recorded;
    what only waits for its sustained run, or is in it, is, without a curve.
    """
    run = uuid4().hex
    for number, group in enumerate(groups(cells, mixed=mixed)):
        measure_group([Measurement(cell, run, number) for cell in group], listener, accuracy)


def measure_group(
    measurements: Sequence[Measurement], listener: Listener, accuracy: AccuracyTest | None
) -> None:
    """Measure cells side by side: of one device, and few enough to be open at once.

    An interrupt closes the workers and passes on; see `run_matrix` for what is recorded then.
    """
    _Group(listener, accuracy).measure(measurements)


def exit_code(records: Iterable[Record]) -> int:
    """Return 1 if an answer was wrong; 3 if something that could run was not measured validly, or
    nothing could run; else 0.
    """
    records = list(records)
    judged = [verdict(record) for record in records if can_run(record)]
    if any(found.word == "wrong" for found in judged):
        return 1
    return 0 if judged and all(found.holds for found in judged) else 3


def shortfall(records: Iterable[Record]) -> str | None:
    """Return in one line how many figures do not hold, and by which verdicts; None if all do."""
    judged = [verdict(record) for record in records if can_run(record)]
    words = Counter(found.word for found in judged if not found.holds)
    if not words:
        return None
    told = ", ".join(f"{number} {word}" for word, number in words.items())
    return f"{words.total()} of {len(judged)} figures do not hold: {told}"


class _Group:
    """Artifacts measured side by side."""

    def __init__(self, listener: Listener, accuracy: AccuracyTest | None) -> None:
        self._listener, self._accuracy = listener, accuracy
        self._duel: Sequence[Measurement] = ()
        self._waiting: list[Measurement] = []

    def measure(self, measurements: Sequence[Measurement]) -> None:
        effort = measurements[0].cell.effort
        self._duel = () if effort.max_slowdown is None else measurements
        try:
            self._begun_ns = time.monotonic_ns()
            order, active = np.random.default_rng(effort.seed), list(measurements)
            while active:
                due = [active[index] for index in order.permutation(len(active))]
                ready = [m for m in due if self._attempt(m, self._prepare)]
                self._interleave([m for m in ready if m.stop is None], order)
                active = [m for m in active if m.stop is None]
                for m in active:
                    m.close()
            for m in measurements:
                if m.stop != "failed" and effort.sustained_s is not None:
                    self._attempt(m, self._sustain)
        finally:
            self._end(measurements)

    def _end(self, measurements: Sequence[Measurement]) -> None:
        """Record what only waits for its sustained run, and close every worker."""
        try:
            for m in [*self._waiting]:
                self._finish(m)
        finally:
            for m in measurements:
                m.close()

    def _attempt(self, m: Measurement, step: Callable[[Measurement], None]) -> bool:
        """Take one step; what goes wrong in it ends this measurement with a record."""
        try:
            step(m)
        except _WrongAnswerError as error:
            m.void()
            failure = Failure(stage="verify", cause="wrong-answer", detail=_told(m, str(error)))
        except WorkerError as error:
            detail = _told(m, error.detail)
            failure = Failure(stage=error.stage, cause=error.cause, detail=detail)
        except TransportError as error:
            failure = Failure(stage="start", cause=TRANSPORT, detail=_told(m, str(error)))
        except ArtifactError as error:
            failure = Failure(stage="verify", cause="error", detail=str(error))
        else:
            return True
        m.stop = "failed"
        self._waiting = [other for other in self._waiting if other is not m]
        m.close()
        self._listener.record(m.cell, m.record(failure))
        return False

    def _tell(self, m: Measurement, stage: Stage) -> None:
        self._listener.progress(m.cell, stage, m.rounds)

    def _prepare(self, m: Measurement) -> None:
        """Start a fresh process, prove it, and warm it up."""
        self._tell(m, "load")
        m.start()
        cool(m.opened, m.cell.target.device.limits, partial(self._tell, m, "cool"))
        if not m.opened.ready.reference:
            m.cold.append(_cold_start(m.opened))
        self._tell(m, "prove")
        m.proof = _prove(m)
        if m.proof.verified is False:
            raise _WrongAnswerError(m.proof.reason)
        if m.opened.ready.reference:
            self._judge(m)
            word = "proved (emulated)" if m.proof.verified else "unproved"
            raise WorkerError("measure", "unsupported", f"{word}, {NEVER_TIMED}")
        self._tell(m, "warm up")
        if (m.cell.streams or 1) > 1:
            m.opened.streams(m.cell.streams or 1)
        self._read_meters(m)
        warm_up = m.pace.warm_up if m.is_first else m.pace.warm_up_again
        m.warmed(warm_up(m.opened, m.cold[-1].first_ns))
        if m.cell.effort.scenario is not None:
            self._serve(m, m.cell.effort.scenario)

    def _read_meters(self, m: Measurement) -> None:
        """Have the worker read its energy sensors; the first one also tells what idling takes."""
        m.meters = m.opened.meters()
        if m.meters.meters and m.is_first:
            self._tell(m, "idle")
            m.idle = m.opened.idle(IDLE_S)

    def _serve(self, m: Measurement, plan: Plan) -> None:
        """Run by a scenario's rule instead of in rounds between those of others."""

        def tell() -> None:
            self._tell(m, "measure")

        m.surroundings = Surroundings(before=m.opened.sensors())
        serve(m, plan, float(np.mean(m.opened.measure(1 + m.pace.runs)[1:])), tell)
        self._settle(m)
        self._finish(m)

    def _interleave(self, active: list[Measurement], order: np.random.Generator) -> None:
        """Make one round of each in turn until their processes are done; one lap is one block."""
        while active:
            for index in order.permutation(len(active)):
                self._attempt(active[index], self._round)
            self._decide()
            active = [m for m in active if m.stop is None and not m.pace.is_over(m.processes)]

    def _decide(self) -> None:
        """End both of two that are compared, if it is clear which is slower, or the time is up."""
        if not self._is_duel or not all(m.pace.is_whole(m.processes) for m in self._duel):
            return
        before, now = (stats.units(m.rounds, m.processes) for m in self._duel)
        limit = self._duel[0].cell.effort.max_slowdown or 0.0
        decided = sequential.decide(before, now, limit).word != "undecided"
        if decided or any(m.pace.is_time_up(m.rounds) for m in self._duel):
            for m in self._duel:
                m.stop = "decided" if decided else "time"
                self._attempt(m, self._stop)

    @property
    def _is_duel(self) -> bool:
        """Tell whether two are compared; where one of them failed, the other goes on by itself."""
        return bool(self._duel) and all(m.stop is None for m in self._duel)

    def _round(self, m: Measurement) -> None:
        self._tell(m, "measure")
        if m.surroundings is None:
            m.surroundings = Surroundings(before=m.opened.sensors())
        start_ns = time.monotonic_ns() - self._begun_ns
        m.rounds.append(tuple(m.timed(m.pace.runs)))
        m.starts_ns.append(start_ns)
        m.processes[-1] += 1
        if m.opened.ready.copies and (m.cell.streams or 1) == 1:
            runs = 1 + ceil(m.pace.runs * END_TO_END)
            m.end_to_end.append(tuple(m.opened.measure(runs, copies=True)[1:]))
        m.stop = None if self._is_duel else m.pace.stop(m.rounds, m.processes)
        if m.stop is not None:
            self._stop(m)

    def _stop(self, m: Measurement) -> None:
        self._settle(m)
        self._waiting.append(m)
        if m.cell.effort.sustained_s is None:
            self._finish(m)

    def _sustain(self, m: Measurement) -> None:
        def tell() -> None:
            self._tell(m, "sustain")

        typical_ns = float(np.median(m.rounds[-1]))
        seconds, threads = m.cell.effort.sustained_s or 0.0, m.cell.threads * (m.cell.streams or 1)
        m.sustained = sustain(m.opened, seconds, typical_ns, threads, tell)
        self._finish(m)

    def _settle(self, m: Measurement) -> None:
        # Before anything else: a core that has nothing to do lowers its clock and cools down.
        assert m.surroundings is not None
        m.surroundings = msgspec.structs.replace(m.surroundings, after=m.opened.sensors())
        if m.opened.cloud is not None:
            _prove_again(m)
        # Before the accuracy: classifying a batch of images takes memory of its own.
        m.memory = m.opened.memory()
        self._judge(m)

    def _finish(self, m: Measurement) -> None:
        self._waiting = [other for other in self._waiting if other is not m]
        m.close()
        self._listener.record(m.cell, m.record())

    def _judge(self, m: Measurement) -> None:
        """Measure the accuracy, where images are at hand that fit."""
        if self._accuracy and not self._accuracy.misfit(m.cell.artifact.manifest):
            self._tell(m, "accuracy")
            m.accuracy = self._accuracy.measure(m.opened, m.cell.artifact.manifest)


def _prove_again(m: Measurement) -> None:
    """Prove a server again once it was timed: another may answer by then."""
    proof = _prove(m)
    if proof.verified is False:
        reason = f"its answers were right at first, and wrong once it was timed: {proof.reason}"
        m.proof = msgspec.structs.replace(proof, reason=reason)
        raise _WrongAnswerError(reason)


def _told(m: Measurement, what: str) -> str:
    return what if m.is_first else f"{what} (in process {len(m.processes)})"


def _cold_start(session: Session) -> ColdStart:
    """Run a process that did nothing yet, once."""
    ready = session.ready
    return ColdStart(
        start_ns=ready.start_ns,
        import_ns=ready.import_ns,
        load_ns=ready.load_ns,
        first_ns=session.measure(1)[0],
    )


def _as_computed(manifest: Manifest, precision: str | None) -> Manifest:
    """Promise of an fp32 file no more than of the precision that its runtime computes in."""
    if precision is None or manifest.precision != "fp32":
        return manifest
    return msgspec.structs.replace(manifest, precision=precision)


def _as_images(proof: Proof, cloud: Cloud | None) -> Proof:
    """Judge a server that was sent images by whether it takes them for their pixels' tensors.

    Only the classes tell: a lossy file is another input than the golden one.
    """
    if cloud is None or cloud.images_decided is None or not proof.verified:
        return proof
    if cloud.images_decided == 0:
        reason = f"no golden input has a clear class, to tell what is made of a {cloud.payload}"
        return msgspec.structs.replace(proof, verified=None, reason=reason)
    if cloud.images_agreed == cloud.images_decided:
        return proof
    told = f"{cloud.images_agreed} of {cloud.images_decided} golden inputs"
    reason = f"sent as {cloud.payload}, {told} get the class that they get as tensors of the pixels"
    return msgspec.structs.replace(proof, verified=False, reason=reason)


def _prove(m: Measurement) -> Proof:
    """Compare what the device computes for the golden inputs with the original's outputs.

    After the first process one input will do, and is judged among the answers known already, as the
    tolerance is one of all inputs together.
    """
    artifact, ready = m.cell.artifact, m.opened.ready
    if not artifact.manifest.golden:
        return Proof(verified=None, reason=artifact.manifest.proof.reason)
    if ready.unproved is not None:
        return Proof(verified=None, reason=ready.unproved)
    _, expected = verify.golden(artifact.path, artifact.manifest)
    comparable = verify.comparable_rows(artifact.manifest)
    found = m.opened.verify(None if m.is_first else 1 + min(comparable, default=0))
    m.answers = {
        name: np.concatenate([rows, m.answers.get(name, rows)[len(rows) :]])
        for name, rows in found.items()
    }
    promised = _as_computed(artifact.manifest, ready.precision)
    proof = verify.prove(promised, expected, m.answers, m.opened.alarms)
    return msgspec.structs.replace(
        _as_images(proof, m.opened.cloud),
        runtime=ready.runtime,
        runtime_version=ready.runtime_version,
        emulated=ready.reference,
    )

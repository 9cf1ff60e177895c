"""Profiling one artifact on a device: proved, timed without the profiler, then with it."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from bench.matrix import Artifact, Cell
from bench.measurement import Measurement
from bench.profile import Effort, Operation, Profile, typical
from devices.device import OperatorTimes, Session, WorkerError
from export import verify

PROFILED_NS = 1_000_000_000
LEAST_RUNS, MOST_RUNS = 4, 200
WARM_UP_RUNS = 5

# Of each operator: its layer, kind, MACs, and bytes moved, None where they are not known.
Work = tuple[str, str, int, int | None]
Attribute = Callable[[Artifact, Sequence[OperatorTimes]], Iterable[Work]]


class ProfileError(Exception):
    """An artifact could not be profiled; the message says why."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def profile(cell: Cell, attribute: Attribute) -> Profile:
    """Profile an artifact; `attribute` tells the work of its operators.

    Raises:
        ProfileError: its runtime offers no profile, it cannot be run, or its answer is wrong.
        ArtifactError: its file cannot be read.
    """
    if cell.target.info.emulated:
        where = cell.target.info.name
        raise ProfileError(f"device '{where}' is emulated: its times mean nothing; name another", 3)
    measurement = Measurement(cell, run="", group=0)
    try:
        measurement.start()
        session = measurement.opened
        if session.ready.reference:
            detail = f"{cell.runtime} interprets the file to prove it, and is never timed"
            raise WorkerError("profile", "unsupported", detail)
        _check_answer(cell.artifact, session)
        return _profile(cell, session, attribute)
    except WorkerError as error:
        raise ProfileError(f"{cell.name}: {error.cause}: {error.detail}", 3) from None
    finally:
        measurement.close()


def _check_answer(artifact: Artifact, session: Session) -> None:
    if not artifact.manifest.golden:
        return
    _, expected = verify.golden(artifact.path, artifact.manifest)
    proof = verify.prove(artifact.manifest, expected, session.verify(), session.alarms)
    if proof.verified is False:
        key = artifact.manifest.key
        raise ProfileError(f"{key}: wrong answer, so its times mean nothing: {proof.reason}", 1)


def _profile(cell: Cell, session: Session, attribute: Attribute) -> Profile:
    one = float(np.median(session.measure(WARM_UP_RUNS)))
    runs = int(np.clip(PROFILED_NS / one, LEAST_RUNS, MOST_RUNS))
    unprofiled = session.measure(runs)
    found = session.profile(runs)
    unprofiled += session.measure(runs)
    works = attribute(cell.artifact, found)
    return Profile(
        artifact=cell.artifact.manifest.key,
        runtime=session.ready.runtime_version,
        device=cell.target.info.name,
        threads=cell.threads,
        runs=runs,
        operations=tuple(
            Operation(layer, kind, times, Effort(typical(times.ns), macs, moved))
            for times, (layer, kind, macs, moved) in zip(found, works, strict=True)
        ),
        peak=session.peak(cell.threads),
        unprofiled_ns=float(np.median(unprofiled)),
    )

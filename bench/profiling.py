"""Profiling one artifact on a device: proved, timed without the profiler, then with it."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime

import numpy as np

from bench.matrix import Artifact, Cell
from bench.measurement import Measurement, tool_version
from bench.stored_profile import SCHEMA, Operator, StoredProfile
from devices.device import OperatorTimes, Session, WorkerError
from export import verify
from export.artifact import Proof

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


def profile(cell: Cell, attribute: Attribute) -> StoredProfile:
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
        proof = _proved(cell.artifact, session)
        return _profile(cell, session, attribute, proof)
    except WorkerError as error:
        raise ProfileError(f"{cell.name}: {error.cause}: {error.detail}", 3) from None
    finally:
        measurement.close()


def _proved(artifact: Artifact, session: Session) -> Proof:
    if not artifact.manifest.golden:
        return Proof(verified=None, reason="the artifact has no golden inputs")
    _, expected = verify.golden(artifact.path, artifact.manifest)
    proof = verify.prove(artifact.manifest, expected, session.verify(), session.alarms)
    if proof.verified is False:
        key = artifact.manifest.key
        raise ProfileError(f"{key}: wrong answer, so its times mean nothing: {proof.reason}", 1)
    return proof


def _profile(cell: Cell, session: Session, attribute: Attribute, proof: Proof) -> StoredProfile:
    one = float(np.median(session.measure(WARM_UP_RUNS)))
    runs = int(np.clip(PROFILED_NS / one, LEAST_RUNS, MOST_RUNS))
    unprofiled = session.measure(runs)
    found = session.profile(runs)
    unprofiled += session.measure(runs)
    works = attribute(cell.artifact, found)
    return StoredProfile(
        schema=SCHEMA,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        tool_version=tool_version(),
        manifest=cell.artifact.manifest,
        device=cell.target.info,
        runtime=session.ready.runtime_version,
        threads=cell.threads,
        runs=runs,
        operators=tuple(
            Operator(layer=layer, kind=kind, macs=macs, bytes=moved, times=times)
            for times, (layer, kind, macs, moved) in zip(found, works, strict=True)
        ),
        peak=session.peak(cell.threads),
        unprofiled_ns=float(np.median(unprofiled)),
        proof=proof,
    )

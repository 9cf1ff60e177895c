"""The proof that ``edgeworthy export`` makes: golden inputs through each runtime that is here."""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from devices.device import Job, WorkerError
from devices.local import LocalDevice
from devices.workers import Workers
from export import verify
from export.artifact import Manifest, OtherProof, Proof
from export.pipeline import Outputs

# A reference evaluator needs some 5 s for a billion multiply-adds.
SLOW = {"onnx-reference"}
SLOW_MACS = 250_000_000


def prove(
    directory: Path, manifest: Manifest, workers: Workers | None = None
) -> tuple[Proof, Outputs | None]:
    """Run an artifact on its golden inputs in workers on this machine, and judge the outputs.

    The first runtime decides; the others show where else the file runs (`Proof.also`). `workers`
    are those to use; None for some of its own.
    """
    if workers is None:
        with Workers(LocalDevice()) as own:
            return prove(directory, manifest, own)
    proof, outputs = decide(directory, manifest, workers)
    also = _elsewhere(workers, directory, manifest)
    return msgspec.structs.replace(proof, also=also), outputs


def prove_elsewhere(directory: Path, manifest: Manifest) -> tuple[OtherProof, ...]:
    """Run an artifact in the runtimes beside the one that decides."""
    with Workers(LocalDevice()) as workers:
        return _elsewhere(workers, directory, manifest)


def decide(directory: Path, manifest: Manifest, workers: Workers) -> tuple[Proof, Outputs | None]:
    """Run an artifact in the one runtime that decides, as `prove` does."""
    runtimes = workers.device.runtimes(manifest.format)
    if not runtimes:
        return Proof(verified=None, reason=_unproved(manifest.format)), None
    return run(workers, runtimes[0], directory, manifest)


def _elsewhere(workers: Workers, directory: Path, manifest: Manifest) -> tuple[OtherProof, ...]:
    return tuple(_by(workers, _runtimes(workers, manifest)[1:], directory, manifest))


def prove_by_all(workers: Workers, directory: Path, manifest: Manifest) -> Iterator[OtherProof]:
    """Run an artifact in every runtime of the workers' device, one after the other."""
    return _by(workers, _runtimes(workers, manifest), directory, manifest)


def _runtimes(workers: Workers, manifest: Manifest) -> list[str]:
    device = workers.device
    return [*device.runtimes(manifest.format), *device.references(manifest.format)]


def _by(
    workers: Workers, runtimes: list[str], directory: Path, manifest: Manifest
) -> Iterator[OtherProof]:
    return (_other(workers, name, directory, manifest) for name in runtimes)


def run(
    workers: Workers, runtime: str, directory: Path, manifest: Manifest, rows: int | None = None
) -> tuple[Proof, Outputs | None]:
    """Prove an artifact with one runtime of a device, by its first `rows` golden inputs or all."""
    batch = manifest.contract.inputs[0].shape[0]
    job = Job(artifact=directory, runtime=runtime, threads=1, batch=batch)
    try:
        outputs, ready, alarms = workers.verify(job, manifest.format, rows)
    except WorkerError as error:
        refuted = None if error.cause == "unsupported" else False
        reason = f"{runtime} could not run it: {error.detail}"
        return Proof(verified=refuted, reason=reason, runtime=runtime), None
    _, expected = verify.golden(directory, manifest)
    seen = msgspec.structs.replace(manifest, golden=manifest.golden[:rows])
    proof = verify.prove(seen, {n: a[:rows] for n, a in expected.items()}, outputs, alarms)
    return msgspec.structs.replace(
        proof,
        runtime=ready.runtime,
        runtime_version=ready.runtime_version,
        emulated=ready.reference,
    ), outputs


def _other(workers: Workers, runtime: str, directory: Path, manifest: Manifest) -> OtherProof:
    """Prove with a further runtime; one in numpy gets as many inputs as it runs in seconds."""
    rows = len(manifest.golden)
    if runtime in SLOW:
        rows = min(rows, max(1, SLOW_MACS // max(1, manifest.network.macs)))
        if manifest.network.macs > 4 * SLOW_MACS:
            reason = f"not run: it would take minutes for {manifest.network.macs / 1e9:.1f} G MACs"
            return OtherProof(runtime=runtime, verified=None, reason=reason)
    proof, _ = run(workers, runtime, directory, manifest, rows)
    return OtherProof(
        runtime=runtime,
        runtime_version=proof.runtime_version,
        verified=proof.verified,
        reason=proof.reason,
        inputs=rows,
        psnr_db=min((error.psnr_db for error in proof.outputs), default=None),
    )


def _unproved(format: str) -> str:
    if format == "coreml":
        return "the reference interpreter needs coremltools: pip install 'edgeworthy[coreml]'"
    return f"no runtime for {format} is installed here: pip install 'edgeworthy[bench]'"

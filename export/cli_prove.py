"""The proof that ``edgeworthy export`` makes: golden inputs through each runtime that is here."""

from pathlib import Path

import msgspec

from devices.device import Job, WorkerError
from devices.local import LocalDevice
from export import verify
from export.artifact import Manifest, OtherProof, Proof
from export.pipeline import Outputs


def prove(directory: Path, manifest: Manifest) -> tuple[Proof, Outputs | None]:
    """Run an artifact on its golden inputs in workers on this machine, and judge the outputs.

    The first runtime decides; the others show where else the file runs (`Proof.also`).
    """
    device = LocalDevice()
    runtimes = [*device.runtimes(manifest.format), *device.references(manifest.format)]
    if not runtimes:
        return Proof(verified=None, reason=_unproved(manifest.format)), None
    (proof, outputs), *others = (_run(device, name, directory, manifest) for name in runtimes)
    also = tuple(_other(proof) for proof, _ in others)
    return msgspec.structs.replace(proof, also=also), outputs


def _run(
    device: LocalDevice, runtime: str, directory: Path, manifest: Manifest
) -> tuple[Proof, Outputs | None]:
    batch = manifest.contract.inputs[0].shape[0]
    try:
        session = device.open(Job(artifact=directory, runtime=runtime, threads=1, batch=batch))
        try:
            outputs = session.verify()
        finally:
            session.close()
    except WorkerError as error:
        reason = f"{runtime} could not run it: {error.detail}"
        return Proof(verified=False, reason=reason, runtime=runtime), None
    _, expected = verify.golden(directory, manifest)
    proof = verify.prove(manifest, expected, outputs)
    version = session.ready.runtime_version
    return msgspec.structs.replace(proof, runtime=runtime, runtime_version=version), outputs


def _other(proof: Proof) -> OtherProof:
    assert proof.runtime is not None
    return OtherProof(
        runtime=proof.runtime,
        runtime_version=proof.runtime_version,
        verified=proof.verified is True,
        reason=proof.reason,
        psnr_db=min((error.psnr_db for error in proof.outputs), default=None),
    )


def _unproved(format: str) -> str:
    if format == "coreml":
        return "no Core ML runtime on this system"
    return f"no runtime for {format} is installed here: pip install 'edgeworthy[bench]'"

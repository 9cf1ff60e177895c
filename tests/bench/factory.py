"""Artifacts and records of chosen figures, from seeded synthetic rounds."""

import numpy as np
from msgspec.structs import replace

from bench.record import Accuracy
from bench.record_file import append
from export.artifact import (
    MODEL_FILES,
    Calibration,
    OutputError,
    Proof,
    Quantization,
    list_files,
    write_manifest,
)
from tests.bench.records import make_manifest, make_record

MS = 1_000_000


def proved(psnr_db=60.0):
    error = OutputError(
        name="logits",
        max_abs_error=0.01,
        psnr_db=psnr_db,
        cosine=1.0,
        top1=1.0,
        decided=4,
        inputs=4,
    )
    return Proof(verified=True, runtime="onnxruntime", runtime_version="1.0", outputs=(error,))


def unproved():
    return Proof(verified=None, reason="no Core ML runtime on this system")


def manifest(
    name="net",
    *,
    format="tflite",
    precision="fp32",
    size=1_000_000,
    parameters=1_000_000,
    macs=40_000_000,
    sha256="0" * 64,
    proof=None,
    calibration=None,
    weights=None,
    shape=(1, 224, 224, 3),
    contract=None,
):
    """Return a manifest of one model file of `size` bytes."""
    base = make_manifest(name)
    image = replace(base.contract.inputs[0], shape=shape, layout="NHWC")
    source = Calibration(source=calibration, images=8, fingerprint="f", method="minmax")
    return replace(
        base,
        network=replace(
            base.network,
            parameters=parameters,
            macs=macs,
            weights=weights or base.network.weights,
            peak_activation_bytes=2_400_000,
            total_activation_bytes=20_000_000,
        ),
        format=format,
        precision=precision,
        size_bytes=size,
        files=(replace(base.files[0], path=MODEL_FILES[format], bytes=size, sha256=sha256),),
        contract=contract or replace(base.contract, inputs=(image,)),
        proof=proof or proved(),
        quantization=Quantization(
            weights="int8", activations="int8", calibration=source if calibration else None
        ),
        tools={"torch": "2.13.0"},
    )


def rounds(ms, *, spread=0.01, count=20, seed=0):
    """Return `count` rounds of five samples around a median of `ms` milliseconds."""
    rng = np.random.default_rng(seed)
    level = ms * MS * (1 + spread * rng.standard_normal((count, 1)))
    return tuple(tuple(map(int, r)) for r in level * (1 + 0.001 * rng.standard_normal((count, 5))))


def record(of=None, ms=4.0, *, spread=0.01, count=20, seed=0, top1=None, **conditions):
    """Return a record of the artifact `of`.

    `conditions` are fields of the settings (`threads`, `runtime_version`), of the device
    (`device`, `fingerprint`, `emulated`), and of the record (`proof`, `failure`, `created`).
    """
    accuracy = top1 is not None and Accuracy(
        dataset="fashion-mnist", fingerprint="d", images=1000, top1=top1, top5=None
    )
    base = make_record(
        manifest=of or manifest(),
        rounds=rounds(ms, spread=spread, count=count, seed=seed) if count else (),
        accuracy=accuracy or None,
    )
    if "device" in conditions:
        conditions["name"] = conditions.pop("device")
    parts = {"settings": base.settings, "device": base.device}
    for part, value in parts.items():
        names = conditions.keys() & set(value.__struct_fields__)
        parts[part] = replace(value, **{name: conditions.pop(name) for name in names})
    return replace(base, **parts, **conditions)


def save_artifact(root, like, fill=b"\0"):
    """Write an artifact with the name, format and size of a manifest; return its real manifest."""
    directory = root / like.network.name / like.variant
    directory.mkdir(parents=True, exist_ok=True)
    (directory / MODEL_FILES[like.format]).write_bytes(fill * like.size_bytes)
    real = replace(like, files=list_files(directory))
    write_manifest(directory, real)
    return real


def save_records(path, *records):
    for one in records:
        append(path, one)
    return path

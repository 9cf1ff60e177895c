"""Records made directly, for what is computed from them."""

from bench.record import SCHEMA, Failure, Record, Settings, WarmUp
from devices.device import DeviceInfo, Memory
from export.artifact import SCHEMA as MANIFEST_SCHEMA
from export.artifact import (
    Contract,
    File,
    Manifest,
    Network,
    Proof,
    Quantization,
    Tensor,
    Weights,
)


def make_manifest(name="net", **changes):
    image = Tensor(name="image", shape=(1, 1, 8, 8), dtype="float32", layout="NCHW")
    logits = Tensor(name="logits", shape=(1, 10), dtype="float32", layout="NC")
    contract = Contract(
        inputs=(image,),
        outputs=(logits,),
        dynamic_batch=True,
        preprocessing=None,
        postprocessing="softmax",
    )
    network = Network(
        name=name,
        settings={},
        weights=Weights(origin="random"),
        parameters=1_234_567,
        macs=41_000_000,
        peak_activation_bytes=1,
        total_activation_bytes=2,
    )
    given = {
        "schema": MANIFEST_SCHEMA,
        "created": "2026-01-01T00:00:00Z",
        "network": network,
        "format": "onnx",
        "precision": "fp32",
        "quantization": Quantization(weights="float32", activations="float32"),
        "contract": contract,
        "size_bytes": 4_090_000,
        "files": (File(path="model.onnx", bytes=4_090_000, sha256="0" * 64),),
        "golden": (),
        "tools": {},
        "proof": Proof(verified=True),
    }
    return Manifest(**{**given, **changes})


def make_record(
    *,
    rounds=((100, 101, 102),),
    manifest=None,
    verified=True,
    emulated=False,
    failure=None,
    cause="died",
    max_seconds=10.0,
    threads=1,
    accuracy=None,
):
    """Return a record; `failure` is the stage at which it failed."""
    settings = Settings(
        runtime="onnxruntime",
        runtime_version="1.0",
        provider="CPU",
        threads=threads,
        threads_found=threads,
        batch=1,
        seed=0,
        precision_target=0.02,
        max_seconds=max_seconds,
    )
    return Record(
        schema=SCHEMA,
        run="run",
        created="2026-01-01T00:00:00Z",
        tool_version="0",
        manifest=manifest or make_manifest(),
        device=DeviceInfo(
            name="cpu",
            kind="local",
            fingerprint="1234",
            emulated=emulated,
            facts={"processor": "scripted", "cores": "2"},
        ),
        settings=settings,
        load_ns=2_000_000,
        first_ns=3_000_000,
        warm_up=WarmUp(runs=6, seconds=0.1, steady=True),
        rounds=tuple(tuple(one) for one in rounds),
        memory=Memory(definition="peak", before_load=1, after_load=2, after_run=50_000_000),
        proof=Proof(verified=verified, reason=None if verified else "PSNR 3.0 dB, below 80 dB"),
        accuracy=accuracy,
        stop="failed" if failure else "precise",
        failure=Failure(stage=failure, cause=cause, detail="why") if failure else None,
    )

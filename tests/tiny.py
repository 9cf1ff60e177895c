"""Real artifacts, tiny and quick to make, for every package's tests.

One network in all of them, with seeded weights: image (N, 1, 8, 8), convolution 3x3 to 4 channels,
ReLU, global average pool, a fully connected layer to logits (N, 10). The golden outputs are
computed here, in numpy, by none of the runtimes under test.
"""

import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from export.artifact import (
    GOLDEN,
    MODEL_FILES,
    SCHEMA,
    Contract,
    GoldenRow,
    Manifest,
    Network,
    Proof,
    Quantization,
    Tensor,
    Weights,
    list_files,
    model_bytes,
    write_manifest,
)
from models.preprocess import Preprocessing

Array = np.ndarray[Any, np.dtype[np.float32]]
AMPLITUDES = (0.5, 1.0, 4.0, 0.0)
CLASSES = 10


@cache
def weights() -> dict[str, Array]:
    """Return the network's parameters: 90 numbers."""
    rng = np.random.default_rng(7)
    shapes: dict[str, tuple[int, ...]] = {
        "kernel": (4, 1, 3, 3),
        "shift": (4,),
        "matrix": (CLASSES, 4),
        "bias": (CLASSES,),
    }
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


@cache
def images() -> Array:
    """Return the golden inputs, (rows, 1, 8, 8): noise of several amplitudes, and zeros."""
    noise = np.random.default_rng(11).normal(size=(len(AMPLITUDES), 1, 8, 8))
    return np.asarray(noise * np.reshape(AMPLITUDES, (-1, 1, 1, 1)), dtype=np.float32)


def forward(batch: Array) -> Array:
    """Return the logits (N, 10) of a batch (N, 1, 8, 8)."""
    w = weights()
    windows = np.lib.stride_tricks.sliding_window_view(batch[:, 0], (3, 3), axis=(1, 2))
    features = np.einsum("nhwij,cij->nchw", windows, w["kernel"][:, 0])
    features = np.maximum(features + w["shift"].reshape(1, -1, 1, 1), 0).mean(axis=(2, 3))
    return np.asarray(features @ w["matrix"].T + w["bias"], dtype=np.float32)


def tiny_onnx(
    directory: Path, *, name: str = "tiny", wrong: bool = False, dynamic_batch: bool = True
) -> Path:
    """Write ``directory/NAME/onnx-fp32``; `wrong`: golden outputs that the model does not give."""
    import onnx

    target = _folder(directory, name, "onnx")
    onnx.save(onnx_model("batch" if dynamic_batch else 1), str(target / MODEL_FILES["onnx"]))
    return _finish(target, "onnx", name=name, wrong=wrong, dynamic_batch=dynamic_batch)


def onnx_model(batch: int | str) -> Any:
    """Return the network as an ONNX model; a string is the name of a dynamic batch."""
    from onnx import TensorProto, helper, numpy_helper

    nodes = [
        helper.make_node("Conv", ["image", "kernel", "shift"], ["conv"]),
        helper.make_node("Relu", ["conv"], ["relu"]),
        helper.make_node("GlobalAveragePool", ["relu"], ["pool"]),
        helper.make_node("Flatten", ["pool"], ["flat"]),
        helper.make_node("Gemm", ["flat", "matrix", "bias"], ["logits"], transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, 1, 8, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, CLASSES])],
        [numpy_helper.from_array(value, key) for key, value in weights().items()],
    )
    opset = helper.make_opsetid("", 18)
    return helper.make_model(graph, opset_imports=[opset], ir_version=10)


def tiny_torch(directory: Path, *, name: str = "tiny") -> Path:
    """Write ``directory/NAME/torch-fp32``, a ``torch.export`` program with a dynamic batch."""
    import torch

    target = _folder(directory, name, "torch")
    batch = torch.export.Dim("batch", min=1, max=1024)
    example = (torch.from_numpy(images()),)
    with quiet():
        program = torch.export.export(torch_module(), example, dynamic_shapes=({0: batch},))
        torch.export.save(program, target / MODEL_FILES["torch"])
    return _finish(target, "torch", name=name, dynamic_batch=True)


def torch_module() -> Any:
    """Return the network as a torch module in evaluation mode."""
    import torch
    from torch import nn

    head = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    module = nn.Sequential(*head, nn.Linear(4, CLASSES)).eval()
    with torch.no_grad():
        for parameter, value in zip(module.parameters(), weights().values(), strict=True):
            parameter.copy_(torch.from_numpy(value))
    return module


def tiny_tflite(directory: Path, *, name: str = "tiny") -> Path:
    """Write ``directory/NAME/tflite-fp32``, channel-last, batch 1. Takes about ten seconds."""
    target = _folder(directory, name, "tflite")
    (target / MODEL_FILES["tflite"]).write_bytes(tflite_bytes())
    return _finish(target, "tflite", name=name, dynamic_batch=False)


@cache
def tflite_bytes() -> bytes:
    """Return the network as a TFLite file; converted once a process."""
    with quiet():
        import litert_torch
        import torch

        module = litert_torch.to_channel_last_io(torch_module(), args=[0])
        edge = litert_torch.convert(module.eval(), (torch.zeros(1, 8, 8, 1),))
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / MODEL_FILES["tflite"]
        edge.export(str(path))
        return path.read_bytes()


def tiny_coreml(directory: Path, *, name: str = "tiny", wrong: bool = False) -> Path:
    """Write ``directory/NAME/coreml-fp32``, batch 1."""
    target = _folder(directory, name, "coreml")
    with quiet():
        import coremltools as ct
        import torch

        program = torch.export.export(torch_module(), (torch.zeros(1, 1, 8, 8),))
        model = ct.convert(
            program.run_decompositions({}),
            inputs=[ct.TensorType(name="image", shape=(1, 1, 8, 8), dtype=np.float32)],
            outputs=[ct.TensorType(name="logits", dtype=np.float32)],
            minimum_deployment_target=ct.target.iOS17,
            compute_precision=ct.precision.FLOAT32,
            skip_model_load=True,
        )
        model.save(str(target / MODEL_FILES["coreml"]))
    return _finish(target, "coreml", name=name, wrong=wrong, dynamic_batch=False)


@contextmanager
def quiet() -> Iterator[None]:
    """Let the converters' own warnings pass: under pytest every warning is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _folder(directory: Path, name: str, format: str) -> Path:
    target = directory / name / f"{format}-fp32"
    target.mkdir(parents=True)
    return target


def _finish(
    target: Path,
    format: Literal["onnx", "tflite", "coreml", "torch"],
    *,
    name: str,
    dynamic_batch: bool,
    wrong: bool = False,
) -> Path:
    rows = images().transpose(0, 2, 3, 1) if format == "tflite" else images()
    logits = forward(images()) * np.float32(-1 if wrong else 1)
    image = Tensor(
        name="image",
        shape=(1, *rows.shape[1:]),
        dtype="float32",
        layout="NHWC" if format == "tflite" else "NCHW",
    )
    contract = Contract(
        inputs=(image,),
        outputs=(Tensor(name="logits", shape=(1, CLASSES), dtype="float32", layout="NC"),),
        dynamic_batch=dynamic_batch,
        preprocessing=Preprocessing(channels=1, size=(8, 8), mean=(0.5,), std=(0.5,)),
        postprocessing="softmax",
    )
    golden = {"in.image": rows, "out.logits": logits}
    finish(target, format, contract, golden, name=name)
    return target


def finish(
    target: Path,
    format: Literal["onnx", "tflite", "coreml", "torch"],
    contract: Contract,
    golden: dict[str, Array],
    *,
    name: str,
) -> None:
    """Write `golden` and a complete manifest beside the model file that lies in `target`."""
    np.savez(target / GOLDEN, **golden)  # type: ignore[arg-type]
    files = list_files(target)
    manifest = Manifest(
        schema=SCHEMA,
        created="2026-01-01T00:00:00Z",
        network=Network(
            name=name,
            settings={},
            weights=Weights(origin="random", seed=7),
            parameters=sum(value.size for value in weights().values()),
            macs=6 * 6 * 4 * 9 + 4 * CLASSES,
            peak_activation_bytes=2 * 4 * 4 * 36,
            total_activation_bytes=4 * (2 * 4 * 36 + 4 + CLASSES),
        ),
        format=format,
        precision="fp32",
        quantization=Quantization(weights="float32", activations="float32"),
        contract=contract,
        size_bytes=model_bytes(files),
        files=files,
        golden=tuple(
            GoldenRow(kind="noise" if amplitude else "zeros", amplitude=amplitude)
            for amplitude in AMPLITUDES
        ),
        tools={"numpy": np.__version__},
        proof=Proof(verified=None, reason="not run"),
    )
    write_manifest(target, manifest)

"""A small network with a depthwise layer, ways to break it, and its files made here in seconds.

Nothing of our converters is in them: a float ONNX file is written node by node, ONNX Runtime's own
tools make int8 and float16 of it.
"""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from export import trace_onnx
from export.causes import Cause, Setting, find
from export.diagnose import Diagnoser, Diagnosis
from export.reference import Reference
from tests.tiny import quiet

Array = np.ndarray[Any, np.dtype[np.float32]]
SIZE = 12
# The layers' names: the places in the sequence of those with weights.
FIRST, DEPTHWISE, POINTWISE, LAST = "0", "2", "4", "8"


def network() -> nn.Sequential:
    """Return the network, (N, 1, 12, 12) to (N, 10), sound at every precision."""
    torch.manual_seed(1)
    made = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.ReLU(),
        nn.Conv2d(8, 16, 1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10),
    )  # fmt: skip
    for layer in made:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight)
            nn.init.zeros_(layer.bias)
    return made.eval().requires_grad_(False)


@cache
def images() -> Array:
    """Return inputs (16, 1, 12, 12)."""
    noise = np.random.default_rng(3).standard_normal((16, 1, SIZE, SIZE))
    return np.asarray(noise, np.float32)


def tensor(array: Array) -> torch.Tensor:
    """Return an array as torch has it."""
    return torch.from_numpy(array)


def write_onnx(module: nn.Sequential, path: Path) -> Path:
    """Write a float32 file of a sequence of convolutions, ReLUs, a pool and a linear layer."""
    nodes: list[onnx.NodeProto] = []
    stored: list[TensorProto] = []
    for name, layer in module.named_children():
        before = nodes[-1].output[0] if nodes else "image"
        after = "logits" if layer is module[-1] else f"t{name}"
        parameters = [f"{name}.{key}" for key, _ in layer.named_parameters()]
        kind, attributes = _operator(layer)
        nodes.append(helper.make_node(kind, [before, *parameters], [after], **attributes))
        stored += [
            numpy_helper.from_array(p.detach().numpy(), f"{name}.{key}")
            for key, p in layer.named_parameters()
        ]
    graph = helper.make_graph(
        nodes,
        "weak",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 1, SIZE, SIZE])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 10])],
        stored,
    )
    opset = helper.make_opsetid("", 18)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=10), str(path))
    return path


def _operator(layer: nn.Module) -> tuple[str, dict[str, Any]]:
    if isinstance(layer, nn.Conv2d):
        padding = [int(p) for p in layer.padding] * 2
        return "Conv", {"group": layer.groups, "pads": padding}
    if isinstance(layer, nn.Linear):
        return "Gemm", {"transB": 1}
    kinds = {nn.ReLU: "Relu", nn.AdaptiveAvgPool2d: "GlobalAveragePool", nn.Flatten: "Flatten"}
    return kinds[type(layer)], {}


def int8(
    module: nn.Sequential, folder: Path, *, per_channel: bool = True, calibrated_on: Array
) -> Path:
    """Write an int8 file; ranges are min and max over `calibrated_on`."""
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        """Gives the images one by one."""

        def __init__(self) -> None:
            self._left: Iterator[dict[str, Array]] = iter(
                [{"image": calibrated_on[i : i + 1]} for i in range(len(calibrated_on))]
            )

        def get_next(self) -> dict[str, Array] | None:
            """Return the next, None at the end."""
            return next(self._left, None)

    target = folder / "int8.onnx"
    with quiet():
        quantize_static(
            str(write_onnx(module, folder / "float.onnx")),
            str(target),
            Reader(),
            per_channel=per_channel,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
        )
    return target


def half(module: nn.Sequential, folder: Path) -> Path:
    """Write a float16 file with float32 inputs and outputs."""
    from onnxruntime.transformers.float16 import convert_float_to_float16

    with quiet():
        model = convert_float_to_float16(
            onnx.load(str(write_onnx(module, folder / "float.onnx"))), keep_io_types=True
        )
    target = folder / "half.onnx"
    onnx.save(model, str(target))
    return target


def reference(module: nn.Module) -> Reference:
    """Return the float network."""
    with quiet():
        return Reference(torch.export.export(module, (torch.zeros(1, 1, SIZE, SIZE),)))


def diagnose(module: nn.Module, path: Path, inputs: Array) -> Diagnosis:
    """Compare a file with the network."""
    traced = trace_onnx.read(path, ["image"], ["logits"])
    return Diagnoser(reference(module), traced, 1).run([inputs], lambda done, count: None)


def broken(change: Callable[[nn.Sequential], None]) -> nn.Sequential:
    """Return the network after a change."""
    module = network()
    change(module)
    return module


def causes(
    diagnosis: Diagnosis, layer: str, precision: str = "int8", method: str = "min-max"
) -> list[Cause]:
    """Return why a layer is weak."""
    found = next(f for f in diagnosis.layers if f.pair.layer.name == layer)
    return find(found, Setting(precision, "onnx", method, 16), ["next"])

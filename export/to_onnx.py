"""ONNX by torch's dynamo exporter, in plain operators of an opset that old runtimes know.

Integer files are written by `export.onnx_int8` and `export.onnx_weights`, float16 by ONNX Runtime's
own tool.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper, version_converter
from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16

from export.artifact import Quantization
from export.convert import Interface, Variant, calibration_inputs, plain
from export.integers import INT4_BLOCK
from export.jobs import PROGRAM, ConvertJob, ProgramInfo
from export.onnx_graph import align, check_folded, constants, opset, tidied
from export.onnx_int8 import Writer, plan
from export.onnx_ranges import observe
from export.onnx_weights import INT4_OPSET, store_weights
from export.precision import Precision
from export.program import folded
from export.ranges import Ranges

# What torch's exporter writes without a conversion: ONNX Runtime 1.14 and later (2023) read it.
OPSET = 18
# The first at which ONNX's own evaluator restores integers: ONNX Runtime 1.15.
INT8_OPSET = 19
# They square or exponentiate, beyond what float16 holds from 256 and 12 on.
FLOAT_IN_HALF = ["LRN", "LogSoftmax", "LpNormalization", "ReduceL2", "ReduceSumSquare", "Softmax"]
HALF_MAX = float(np.finfo(np.float16).max)


@dataclass(frozen=True)
class _Written:
    """A model, and what its manifest says of how it was made."""

    model: onnx.ModelProto
    recipe: dict[str, Any] = field(default_factory=dict)
    granularity: str | None = None


class Converter:
    """ONNX files of one program."""

    TOOLS = ("onnx", "onnxscript", "onnxruntime")

    def __init__(self, job: ConvertJob, info: ProgramInfo) -> None:
        """Take the program."""
        self._job, self._info = job, info
        self._makers: dict[str, Callable[[], _Written]] = {
            "fp32": lambda: _Written(self._float()),
            "fp16": self._half,
            "int8": self._int8,
            "int8-weights": lambda: self._weights(8, INT8_OPSET, "per-channel"),
            "int4-weights": lambda: self._weights(4, INT4_OPSET, f"blocks of {INT4_BLOCK}"),
        }

    def write(self, precision: Precision, io: str, target: Path) -> Variant:
        """Write `model.onnx` with float32 inputs and outputs."""
        made = self._makers[precision.name]()
        onnx.save(tidied(made.model), str(target))
        integer = made.granularity is not None
        return Variant(
            interface=Interface(
                inputs=tuple(plain(p.name, p.shape) for p in self._info.inputs),
                outputs=tuple(plain(p.name, p.shape) for p in self._info.outputs),
            ),
            quantization=Quantization(
                weights=precision.weights,
                activations=precision.activations,
                granularity=made.granularity,
                calibration=self._info.calibration if precision.calibrated else None,
                kept_float=self._job.quantizing.keep_float if integer else (),
                recipe={"tool": "torch.onnx dynamo", "opset": opset(made.model)} | made.recipe,
            ),
            dynamic_batch=self._info.dynamic_batch,
        )

    @cached_property
    def _path(self) -> Path:
        """The float32 file, converted once."""
        program = folded(self._job.directory / PROGRAM)
        inputs = tuple(torch.zeros(port.shape) for port in self._info.inputs)
        made = torch.onnx.export(
            program,
            inputs,
            dynamo=True,
            input_names=[port.name for port in self._info.inputs],
            output_names=[port.name for port in self._info.outputs],
            opset_version=OPSET,
            verbose=False,
        )
        assert made is not None
        path = self._job.scratch / "float.onnx"
        model = tidied(made.model_proto)
        check_folded(model)
        onnx.save(model, str(path))
        return path

    def _float(self, version: int = OPSET) -> onnx.ModelProto:
        """Return the float32 model, converted to a later opset."""
        model = onnx.load(str(self._path))
        if version == OPSET:
            return model
        return tidied(version_converter.convert_version(model, version))

    def _half(self) -> _Written:
        model = self._float()
        beyond = _beyond_half(model)
        half = convert_float_to_float16(
            model,
            keep_io_types=True,
            op_block_list=[*DEFAULT_OP_BLOCK_LIST, *FLOAT_IN_HALF],
            node_block_list=beyond,
        )
        present = sorted({n.op_type for n in half.graph.node} & set(FLOAT_IN_HALF))
        return _Written(half, {"tool": "torch.onnx dynamo, onnxruntime", "float": present + beyond})

    def _int8(self) -> _Written:
        model, settings = self._float(INT8_OPSET), self._job.quantizing
        made, ranges = plan(model, self._kept(model)), Ranges(settings.method, settings.percentile)
        inputs = calibration_inputs(self._job, self._info)
        observe(self._float(), sorted(made.tensors), inputs, ranges)
        Writer(model, made, ranges).write()
        recipe: dict[str, Any] = {
            "format": "QDQ",
            "activation_type": "uint8",
            "weight_type": "int8",
            "per_channel": True,
            "calibrate_method": settings.method,
        }
        if settings.method == "percentile":
            recipe["percentile"] = settings.percentile
        return _Written(model, recipe, "per-channel")

    def _weights(self, bits: int, version: int, granularity: str) -> _Written:
        model = self._float(version)
        store_weights(model, bits, self._kept(model))
        return _Written(model, {"weight_type": f"int{bits}"}, granularity)

    def _kept(self, model: onnx.ModelProto) -> set[str]:
        """Return the outputs of the nodes that the user wants in float."""
        kept = self._job.quantizing.keep_float
        if not kept:
            return set()
        pairs = align(model, self._info.layers)
        return {node.output[0] for layer, node in pairs if layer.name in kept}


def _beyond_half(model: onnx.ModelProto) -> list[str]:
    """Return the nodes with constants that float16 cannot hold: the tool would clamp them."""
    large = {
        name
        for name, tensor in constants(model.graph).items()
        if tensor.data_type == onnx.TensorProto.FLOAT
        and np.abs(numpy_helper.to_array(tensor)).max(initial=0.0) > HALF_MAX
    }
    return [node.name for node in model.graph.node if large & set(node.input)]

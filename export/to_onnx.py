"""ONNX by torch's dynamo exporter; int8 as QDQ and fp16 by ONNX Runtime's own tools.

The opset is the exporter's default, recorded in the recipe. Batch-norm after a convolution is
folded by the exporter's optimiser, and checked: a file that still has one is a failure.
"""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process
from onnxruntime.transformers.float16 import convert_float_to_float16

from export.artifact import Quantization
from export.convert import Interface, Variant, calibration_inputs, plain
from export.jobs import PROGRAM, ConvertJob, ProgramInfo
from export.precision import Precision
from export.program import folded

QDQ = {"format": "QDQ", "activation_type": "QInt8", "weight_type": "QInt8", "per_channel": True}


class Converter:
    """ONNX files of one program."""

    TOOLS = ("onnx", "onnxscript", "onnxruntime")

    def __init__(self, job: ConvertJob, info: ProgramInfo) -> None:
        """Take the program."""
        self._job, self._info = job, info

    def write(self, precision: Precision, io: str, target: Path) -> Variant:
        """Write `model.onnx` with float32 inputs and outputs."""
        makers = {"fp32": self._float, "fp16": self._half, "int8": self._int8}
        quantization = makers[precision.name](precision, target)
        return Variant(
            interface=Interface(
                inputs=tuple(plain(p.name, p.shape) for p in self._info.inputs),
                outputs=tuple(plain(p.name, p.shape) for p in self._info.outputs),
            ),
            quantization=quantization,
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
            verbose=False,
        )
        assert made is not None
        path = self._job.scratch / "float.onnx"
        made.save(str(path))
        _check_folded(onnx.load(str(path)))
        return path

    def _float(self, precision: Precision, target: Path) -> Quantization:
        model = _tidied(onnx.load(str(self._path)))
        onnx.save(model, str(target))
        return self._described(precision, {"opset": model.opset_import[0].version})

    def _half(self, precision: Precision, target: Path) -> Quantization:
        half = convert_float_to_float16(onnx.load(str(self._path)), keep_io_types=True)
        onnx.save(_tidied(half), str(target))
        recipe = {"opset": half.opset_import[0].version, "keep_io_types": True}
        return self._described(precision, recipe)

    def _int8(self, precision: Precision, target: Path) -> Quantization:
        prepared = self._job.scratch / "prepared.onnx"
        quant_pre_process(str(self._path), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(target),
            _Reader(calibration_inputs(self._job, self._info)),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )
        model = _tidied(onnx.load(str(target)))
        onnx.save(model, str(target))
        recipe = QDQ | {"opset": model.opset_import[0].version, "calibrate_method": "MinMax"}
        return self._described(precision, recipe, granularity="per-channel")

    def _described(
        self, precision: Precision, recipe: dict[str, Any], granularity: str | None = None
    ) -> Quantization:
        return Quantization(
            weights=precision.weights,
            activations=precision.activations,
            granularity=granularity,
            calibration=self._info.calibration if precision.calibrated else None,
            recipe={"tool": "torch.onnx dynamo, onnxruntime"} | recipe,
        )


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    """Feeds the calibration inputs to ONNX Runtime, one at a time."""

    def __init__(self, inputs: list[dict[str, np.ndarray[Any, Any]]]) -> None:
        self._inputs: Iterator[dict[str, np.ndarray[Any, Any]]] = iter(inputs)

    def get_next(self) -> dict[str, np.ndarray[Any, Any]] | None:
        """Return the next input by name, None at the end."""
        return next(self._inputs, None)


def _check_folded(model: onnx.ModelProto) -> None:
    """Raise RuntimeError where a batch-norm follows a convolution; after others it has to stay."""
    linear = {"Conv", "ConvTranspose", "Gemm"}
    makers = {name: node.op_type for node in model.graph.node for name in node.output}
    for node in model.graph.node:
        if node.op_type == "BatchNormalization" and makers.get(node.input[0]) in linear:
            raise RuntimeError(f"the exporter left the batch-norm {node.name} that is not folded")


def _tidied(model: onnx.ModelProto) -> onnx.ModelProto:
    """Drop what only the exporter's author reads: stack traces and names of scopes, with the paths
    of the machine that made the file.
    """
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        del value.metadata_props[:]
    for tensor in model.graph.initializer:
        del tensor.metadata_props[:]
    del model.graph.metadata_props[:]
    del model.graph.value_info[:]
    return model

"""TFLite by litert-torch, quantized by AI Edge Quantizer.

Images are channel-last, as every TFLite client expects. The file keeps the program's names for
its inputs and outputs.
"""

from functools import cached_property
from pathlib import Path
from typing import Any

import litert_torch
import numpy as np
import torch
from ai_edge_litert.interpreter import Interpreter
from ai_edge_quantizer import calibrator, qtyping, quantizer, recipe_manager
from ai_edge_quantizer.utils import qsv_utils

from export.artifact import Quantization, Tensor
from export.convert import Interface, Variant, calibration_inputs, layout
from export.jobs import PROGRAM, ConvertJob, ProgramInfo
from export.precision import Precision
from export.program import folded, static

SIGNATURE = "serving_default"
ALL = qtyping.TFLOperationName.ALL_SUPPORTED


class _ChannelsLast(torch.nn.Module):
    """The program with images in NHWC, called by name so that the names reach the file."""

    def __init__(self, program: torch.nn.Module, info: ProgramInfo) -> None:
        super().__init__()
        self.program = program
        self._inputs = [port.name for port in info.inputs]
        self._outputs = [port.name for port in info.outputs]

    def forward(self, **images: torch.Tensor) -> dict[str, torch.Tensor]:
        """Run the program; 4-dimensional tensors go in and come out channel-last."""
        results = self.program(*(_moved(images[name], 3, 1) for name in self._inputs))
        flat = torch.utils._pytree.tree_leaves(results)
        moved = [_moved(result, 1, 3) for result in flat]
        return dict(zip(self._outputs, moved, strict=True))


def _moved(tensor: torch.Tensor, source: int, target: int) -> torch.Tensor:
    return tensor.movedim(source, target) if tensor.ndim == 4 else tensor


class Converter:
    """TFLite files of one program."""

    TOOLS = ("litert-torch", "ai-edge-litert", "ai-edge-quantizer")

    def __init__(self, job: ConvertJob, info: ProgramInfo) -> None:
        """Take the program."""
        self._job, self._info = job, info

    def write(self, precision: Precision, io: str, target: Path) -> Variant:
        """Write `model.tflite`; `io` is the number type of inputs and outputs."""
        recipe = None if precision.name == "fp32" else _RECIPES[precision.name]()
        if recipe is None:
            target.write_bytes(self._path.read_bytes())
        else:
            if precision.calibrated and io == "float32":
                _float_interface(recipe)
            self._quantize(recipe, target)
        described = Quantization(
            weights=precision.weights,
            activations=precision.activations,
            granularity="per-channel" if precision.weights == "int8" else None,
            io=io,
            calibration=self._info.calibration if precision.calibrated else None,
            recipe={"ai-edge-quantizer": recipe.get_quantization_recipe()} if recipe else {},
        )
        return Variant(
            interface=self._interface(target), quantization=described, dynamic_batch=False
        )

    @cached_property
    def _path(self) -> Path:
        """The float32 file, converted once."""
        program = static(
            folded(self._job.directory / PROGRAM), [p.shape for p in self._info.inputs]
        )
        wrapped = _ChannelsLast(program.module(), self._info)
        samples = {p.name: _moved(torch.zeros(p.shape), 1, 3) for p in self._info.inputs}
        path = self._job.scratch / "float.tflite"
        litert_torch.convert(wrapped, sample_kwargs=samples).export(str(path))
        return path

    def _quantize(self, recipe: recipe_manager.RecipeManager, target: Path) -> None:
        tool = quantizer.Quantizer(str(self._path))
        tool.load_quantization_recipe(recipe.get_quantization_recipe())
        ranges = None
        if tool.need_calibration:
            inputs = calibration_inputs(self._job, self._info)
            relaid = [{name: _relaid(array) for name, array in one.items()} for one in inputs]
            # Not the tool's own `calibrate`: that takes a moving average, which cuts the extremes.
            calibration = calibrator.Calibrator(
                str(self._path), num_threads=1, qsv_update_func=qsv_utils.min_max_update
            )
            calibration.calibrate({SIGNATURE: relaid}, recipe)
            ranges = calibration.get_model_qsvs()
        tool.quantize(ranges, enable_progress_report=False).export_model(str(target))

    def _interface(self, path: Path) -> Interface:
        """Read the names, shapes and scales back from the file that was written."""
        runner = Interpreter(str(path)).get_signature_runner(SIGNATURE)
        inputs, outputs = runner.get_input_details(), runner.get_output_details()
        return Interface(
            inputs=tuple(_tensor(p.name, inputs[p.name]) for p in self._info.inputs),
            outputs=tuple(_tensor(p.name, outputs[p.name]) for p in self._info.outputs),
        )


def _relaid(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.ascontiguousarray(np.moveaxis(array, 1, 3)) if array.ndim == 4 else array


def _tensor(name: str, details: dict[str, Any]) -> Tensor:
    shape = tuple(int(size) for size in details["shape"])
    dtype = np.dtype(details["dtype"]).name
    scale, zero_point = details["quantization"]
    integer = dtype.startswith(("int", "uint"))
    return Tensor(
        name=name,
        shape=shape,
        dtype=dtype,
        layout=layout(len(shape), True),
        scale=float(scale) if integer else None,
        zero_point=int(zero_point) if integer else None,
    )


def _half() -> recipe_manager.RecipeManager:
    """Weights cast to float16 and restored on loading; arithmetic as the runtime likes."""
    recipe = recipe_manager.RecipeManager()
    cast = qtyping.OpQuantizationConfig(
        weight_tensor_config=qtyping.TensorQuantizationConfig(
            num_bits=16, dtype=qtyping.TensorDataType.FLOAT
        ),
        compute_precision=qtyping.ComputePrecision.FLOAT,
        explicit_dequantize=True,
    )
    recipe.add_quantization_config(
        regex=".*", operation_name=ALL, algorithm_key="float_casting", op_config=cast
    )
    return recipe


def _int8() -> recipe_manager.RecipeManager:
    """Weights int8 symmetric per channel, activations int8 with a zero point per tensor."""
    recipe = recipe_manager.RecipeManager()
    recipe.add_static_config(
        regex=".*", operation_name=ALL, activation_num_bits=8, weight_num_bits=8
    )
    return recipe


def _int8_weights() -> recipe_manager.RecipeManager:
    """Weights int8 symmetric per channel, restored on loading; arithmetic in float32."""
    recipe = recipe_manager.RecipeManager()
    recipe.add_weight_only_config(regex=".*", operation_name=ALL, num_bits=8)
    return recipe


def _float_interface(recipe: recipe_manager.RecipeManager) -> None:
    for end in (qtyping.TFLOperationName.INPUT, qtyping.TFLOperationName.OUTPUT):
        recipe.add_quantization_config(regex=".*", operation_name=end, algorithm_key="no_quantize")


_RECIPES = {"fp16": _half, "int8": _int8, "int8-weights": _int8_weights}

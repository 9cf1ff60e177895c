"""TFLite by litert-torch, quantized by AI Edge Quantizer.

Images are channel-last, as every TFLite client expects. The file keeps the program's names for
its inputs and outputs.
"""

import copy
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import litert_torch
import numpy as np
import torch
from ai_edge_litert.interpreter import Interpreter
from ai_edge_quantizer import quantizer
from ai_edge_quantizer.recipe_manager import RecipeManager

from export import tflite_pack
from export.artifact import Quantization, Tensor
from export.convert import Interface, Variant, calibration_inputs, layout
from export.jobs import PROGRAM, ConvertJob, ProgramInfo
from export.precision import ExportError, Precision
from export.program import shared
from export.ranges import Ranges
from export.tflite_names import align, name_interface, outputs_between, rename
from export.tflite_ranges import SIGNATURE, activation_ranges
from export.tflite_recipe import recipe


class FloatFile(NamedTuple):
    """The converted file, and each layer's output tensors in it."""

    path: Path
    layers: dict[str, tuple[str, ...]]


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
        kept = self._job.quantizing.keep_float if precision.integer else ()
        made = None
        if precision.name == "fp32":
            target.write_bytes(self._float.path.read_bytes())
        else:
            made = recipe(precision.name, self._outputs(kept), io=io)
            self._quantize(made, target)
        described = Quantization(
            weights=precision.weights,
            activations=precision.activations,
            granularity="per-channel" if precision.integer else None,
            io=io,
            calibration=self._info.calibration if precision.calibrated else None,
            kept_float=kept,
            recipe={"ai-edge-quantizer": made.get_quantization_recipe()} if made else {},
        )
        return Variant(
            interface=self._interface(target), quantization=described, dynamic_batch=False
        )

    @cached_property
    def _float(self) -> FloatFile:
        """The float32 file, converted once, with its tensors named after the layers."""
        program = shared(self._job.directory / PROGRAM)
        wrapped = _ChannelsLast(program.module(), self._info)
        samples = {p.name: _moved(torch.zeros(p.shape), 1, 3) for p in self._info.inputs}
        path = self._job.scratch / "float.tflite"
        litert_torch.convert(wrapped, sample_kwargs=samples).export(str(path))
        model = tflite_pack.read(path.read_bytes())
        parameters = {name: p.detach().numpy() for name, p in program.state_dict.items()}
        layers = rename(model, align(model, self._info.layers, parameters))
        path.write_bytes(tflite_pack.pack(model))
        return FloatFile(path, layers)

    def _outputs(self, kept: tuple[str, ...]) -> list[str]:
        """Return the output tensors of the operators of some layers, and of those between them.

        Raises:
            ExportError: a layer has no operator of its own in the file.
        """
        if not kept:
            return []
        for name in kept:
            if name not in self._float.layers:
                raise ExportError(
                    f"--keep-float {name}: no operator of the TFLite file has this layer's "
                    "weights, which were merged with others; leave it out"
                )
        outputs = [output for name in kept for output in self._float.layers[name]]
        return outputs + outputs_between(tflite_pack.read(self._float.path.read_bytes()), outputs)

    def _quantize(self, made: RecipeManager, target: Path) -> None:
        tool = quantizer.Quantizer(str(self._float.path))
        tool.load_quantization_recipe(made.get_quantization_recipe())
        # A copy: the tool writes into the ranges that it is given.
        ranges = copy.deepcopy(self._ranges) if tool.need_calibration else None
        quantized = tool.quantize(ranges, enable_progress_report=False).quantized_model
        model = tflite_pack.read(bytes(quantized))
        name_interface(model)
        target.write_bytes(tflite_pack.pack(model))

    @cached_property
    def _ranges(self) -> dict[str, Any]:
        """The activations' ranges in the tool's form, over the calibration inputs."""
        quantizing = self._job.quantizing
        inputs = calibration_inputs(self._job, self._info)
        relaid = [{name: _relaid(array) for name, array in one.items()} for one in inputs]
        found = Ranges(quantizing.method, quantizing.percentile)
        return activation_ranges(self._float.path, relaid, found)

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

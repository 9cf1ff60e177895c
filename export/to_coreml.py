"""Core ML as an ML program for iOS 17 and later, with a float32 interface."""

from functools import cached_property
from pathlib import Path
from typing import Any

import coremltools as ct
import numpy as np
from coremltools.optimize import coreml as compression

from export.artifact import Quantization
from export.convert import Interface, Variant, plain
from export.jobs import PROGRAM, ConvertJob, ProgramInfo
from export.precision import Precision
from export.program import folded, static

TARGET = "iOS17"
COMPUTE = {"fp32": "float32", "fp16": "float16", "int8-weights": "float16"}


class Converter:
    """Core ML packages of one program."""

    TOOLS = ("coremltools",)

    def __init__(self, job: ConvertJob, info: ProgramInfo) -> None:
        """Take the program."""
        self._job, self._info = job, info

    def write(self, precision: Precision, io: str, target: Path) -> Variant:
        """Write `model.mlpackage`."""
        compute = COMPUTE[precision.name]
        model = self._float16 if compute == "float16" else self._convert(compute)
        recipe: dict[str, Any] = {"minimum_deployment_target": TARGET, "compute_precision": compute}
        if precision.weights == "int8":
            linear = {"mode": "linear_symmetric", "dtype": "int8", "granularity": "per_channel"}
            config = compression.OptimizationConfig(compression.OpLinearQuantizerConfig(**linear))
            model = compression.linear_quantize_weights(model, config)
            recipe["linear_quantize_weights"] = linear
        model.save(str(target))
        return Variant(
            interface=Interface(
                inputs=tuple(plain(p.name, p.shape) for p in self._info.inputs),
                outputs=tuple(plain(p.name, p.shape) for p in self._info.outputs),
            ),
            quantization=Quantization(
                weights=precision.weights,
                activations=compute,
                granularity="per-channel" if precision.weights == "int8" else None,
                recipe=recipe,
            ),
            dynamic_batch=False,
        )

    @cached_property
    def _float16(self) -> Any:
        """The float16 program, which the weights' compression starts from too."""
        return self._convert("float16")

    def _convert(self, compute: str) -> Any:
        program = static(
            folded(self._job.directory / PROGRAM), [p.shape for p in self._info.inputs]
        )
        precision = ct.precision.FLOAT16 if compute == "float16" else ct.precision.FLOAT32
        ports = self._info.inputs
        return ct.convert(
            program.run_decompositions({}),
            inputs=[ct.TensorType(name=p.name, shape=p.shape, dtype=np.float32) for p in ports],
            outputs=[ct.TensorType(name=p.name, dtype=np.float32) for p in self._info.outputs],
            minimum_deployment_target=ct.target.iOS17,
            compute_precision=precision,
            skip_model_load=True,
        )

"""Core ML as an ML program with a float32 interface.

Half precision, 8-bit weights and W8A8 need iOS 17 (macOS 14), 4-bit weights iOS 18 (macOS 15).
"""

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from export import coreml_check, coreml_package
from export.artifact import Check, Quantization
from export.convert import Array, Variant, Wrapped, calibration_inputs, golden_data
from export.coreml_calibration import Stats, observed
from export.coreml_interface import Application, application
from export.coreml_program import (
    CLEANUP,
    FLOAT,
    HALF,
    from_torch,
    lower,
    name_layers,
    reload,
    weighted,
    with_between,
)
from export.coreml_quantization import GRANULARITY, TARGETS, Configured, activations, weights
from export.jobs import PROGRAM, ConvertJob, ProgramInfo
from export.precision import Precision
from export.program import folded, shared


class Converter:
    """Core ML packages of one program."""

    TOOLS = ("coremltools",)

    def __init__(self, job: ConvertJob, info: ProgramInfo) -> None:
        """Take the program."""
        self._job, self._info = job, info

    def write(self, precision: Precision, io: str, target: Path) -> Variant:
        """Write `model.mlpackage`.

        Raises:
            ExportError: a layer that is to stay float cannot be found in the program.
        """
        steps: tuple[Configured, ...] = ()
        if precision.name in {"fp32", "fp16"}:
            model = self._float32 if precision.name == "fp32" else self._float16
            if self._app.wraps:
                model = lower(reload(model, FLOAT), FLOAT, **self._app.types())
        else:
            model, steps = self._compressed(precision)
        coreml_package.write(model.get_spec(), Path(model.weights_dir), target)
        return Variant(
            interface=self._app.interface(),
            quantization=self._described(precision, steps),
            dynamic_batch=False,
            checks=self._checks(target) if precision.calibrated else (),
            wrapped=Wrapped(info=self._app.described(), golden=self._golden)
            if self._app.wraps
            else None,
        )

    @cached_property
    def _app(self) -> Application:
        return application(self._info, self._job.coreml)

    @cached_property
    def _network(self) -> torch.nn.Module:
        """The network with what the file has around it."""
        path = self._job.directory / PROGRAM
        if not self._app.wraps:
            return shared(path).module()
        program = folded(path)
        self._app.wrap(program)
        return program.module()

    @cached_property
    def _golden(self) -> dict[str, Array]:
        """Golden data as the file takes and gives them, before it renames an output."""
        found = golden_data(self._job)
        if not self._app.wraps:
            return found
        (port,), (output,) = self._info.inputs, self._info.outputs
        (given,) = self._app.pictured({port.name: found[f"in.{port.name}"]}).values()
        with torch.no_grad():
            results = [self._network(torch.from_numpy(given[i : i + 1])) for i in range(len(given))]
        return {f"in.{port.name}": given, f"out.{output.name}": torch.cat(results).numpy()}

    @cached_property
    def _float32(self) -> Any:
        """The float32 model, converted once."""
        examples = tuple(torch.zeros(port.shape) for port in self._info.inputs)
        decomposed = torch.export.export(self._network, examples).run_decompositions({})
        made = from_torch(decomposed, self._info.inputs, self._info.outputs)
        name_layers(made, self._info.layers)
        return lower(made, FLOAT)

    @cached_property
    def _float16(self) -> Any:
        """The float16 model, from the float32 one."""
        return lower(reload(self._float32, FLOAT), FLOAT, HALF)

    def _compressed(self, precision: Precision) -> tuple[Any, tuple[Configured, ...]]:
        """Return a model with integers in it, from the float16 one, and what was done to it."""
        target = TARGETS[precision.name]
        program = reload(self._float16, target)
        kept = self._job.quantizing.keep_float
        layers = weighted(program, self._info.layers) if kept else {}
        operators = with_between(program, [op for name in kept for op in layers[name]])
        steps: list[Configured] = []
        if precision.calibrated:
            steps.append(activations(self._ranges(program), operators))
        steps.append(weights(precision, program, operators))
        passes = [done for step in steps for done in step.passes]
        return lower(program, target, (*passes, *CLEANUP), **self._app.types()), tuple(steps)

    def _ranges(self, program: Any) -> Stats:
        given = calibration_inputs(self._job, self._info)
        inputs = [self._app.pictured(one) for one in given]
        package = Path(self._float16.package_path)
        return observed(package, program, inputs, self._job.quantizing)

    def _checks(self, package: Path) -> tuple[Check, ...]:
        rows = coreml_check.rows(self._info.golden, self._info.calibration)
        given = {port.name: self._golden[f"in.{port.name}"] for port in self._info.inputs}
        batch = self._info.inputs[0].shape[0]
        inputs = [{k: np.repeat(a[i : i + 1], batch, 0) for k, a in given.items()} for i in rows]
        named = zip(self._info.outputs, self._app.interface().outputs, strict=True)
        expected = {t.name: self._golden[f"out.{port.name}"][rows] for port, t in named}
        return coreml_check.check(package, inputs, expected)

    def _described(self, precision: Precision, steps: tuple[Configured, ...]) -> Quantization:
        compute = "float32" if precision.name == "fp32" else "float16"
        recipe: dict[str, Any] = {
            "minimum_deployment_target": TARGETS[precision.name].name,
            "compute_precision": compute,
        }
        return Quantization(
            weights=precision.weights,
            activations=precision.activations if precision.calibrated else compute,
            granularity=GRANULARITY.get(precision.name),
            calibration=self._info.calibration if precision.calibrated else None,
            kept_float=self._job.quantizing.keep_float if steps else (),
            recipe=recipe | {step.name: step.options for step in steps},
        )

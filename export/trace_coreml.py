"""The intermediate values of a Core ML package, by the reference interpreter."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from devices import mil
from export.trace import HALF, Array, Grid, Run, Step, Trace, Weight, common, grid

WEIGHTED = {"conv", "linear"}


def read(path: Path, inputs: Sequence[str], outputs: Sequence[str]) -> Trace:
    """Read a package with these `inputs` and `outputs`.

    Raises:
        ImportError: coremltools, whose schema is needed, is not installed.
        ValueError: it is no package that the interpreter knows.
    """
    program = mil.load(path)
    return Trace(
        steps=tuple(_step(operator, program) for operator in program.operators),
        inputs=tuple(inputs),
        outputs=tuple(outputs),
        run=_runner(program, inputs),
        grids=_grids(program),
    )


def _step(operator: mil.Operator, program: mil.Program) -> Step:
    kind = common(operator.kind)
    named = [name for _, names in sorted(operator.inputs.items()) for name in names]
    return Step(
        kind=kind,
        inputs=tuple(name for name in named if name not in program.constants),
        output=operator.name,
        weight=_weight(operator, program) if kind in WEIGHTED else None,
    )


def _weight(operator: mil.Operator, program: mil.Program) -> Weight | None:
    name = _constant(operator.inputs, "weight" if "weight" in operator.inputs else "y", program)
    if name is None or operator.kind == "conv_transpose":
        return None
    values = program.constant(name).astype(np.float32)
    bias = _constant(operator.inputs, "bias", program)
    return Weight(
        values=values.T if operator.kind == "matmul" else values,
        bias=program.constant(bias).astype(np.float32) if bias else None,
    )


def _constant(inputs: Mapping[str, tuple[str, ...]], key: str, program: mil.Program) -> str | None:
    return next((name for name in inputs.get(key, ()) if name in program.constants), None)


def _grids(program: mil.Program) -> dict[str, Grid]:
    ports = [*program.inputs, *(o for operator in program.operators for o in operator.outputs)]
    found = {port.name: HALF for port in ports if port.dtype == "float16"}
    for operator in program.operators:
        scale = _constant(operator.inputs, "scale", program)
        if operator.kind == "quantize" and scale and program.constant(scale).size == 1:
            zero = _constant(operator.inputs, "zero_point", program)
            kind = np.iinfo(operator.outputs[0].dtype)
            found[operator.name] = grid(
                float(program.constant(scale)),
                int(program.constant(zero)) if zero else 0,
                int(kind.min),
                int(kind.max),
            )
    return found


def _runner(program: mil.Program, inputs: Sequence[str]) -> Run:
    def run(arrays: Sequence[Array], wanted: Sequence[str]) -> dict[str, Array]:
        values = dict(zip(inputs, arrays, strict=True))
        asked = set(wanted)

        def keep(name: str, value: Array) -> None:
            if name in asked:
                values[name] = np.array(value, np.float32)

        program.run(dict(values), keep)
        return {name: values[name] for name in wanted}

    return run

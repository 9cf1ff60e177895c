"""A Core ML program in coremltools' own form: made from torch once, then taken on from there.

The float32 program is converted and simplified once. Every other precision starts from a file that
is there already and runs only the passes that it needs.
"""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import chain, count
from typing import Any

import coremltools as ct
import numpy as np
from coremltools.converters.mil.frontend.milproto.load import load as from_spec
from coremltools.converters.mil.mil import Builder
from torch.export import ExportedProgram

from export.jobs import Port
from export.layers import Step, WeightedLayer, between
from export.precision import ExportError

# What programs without integers need: iOS 17, macOS 14.
FLOAT = ct.target.iOS17
# A pass's name, and its options.
Pass = tuple[str, Mapping[str, Any]]
CLEANUP: tuple[Pass, ...] = tuple(
    (f"common::{name}", {})
    for name in ("const_elimination", "const_deduplication", "dead_code_elimination")
)
HALF: tuple[Pass, ...] = (
    ("common::add_fp16_cast", {}),
    ("common::add_int16_cast", {}),
    ("common::update_output_dtypes", {}),
    *CLEANUP,
    ("common::cast_optimization", {}),
    *CLEANUP,
)
# Operators that have weights, by the name of the argument.
WEIGHTED = {"conv": "weight", "conv_transpose": "weight", "linear": "weight", "matmul": "y"}


def from_torch(program: ExportedProgram, inputs: Sequence[Port], outputs: Sequence[Port]) -> Any:
    """Return a program in the ATen dialect as a float32 MIL program with a float32 interface."""
    made = ct.convert(
        program,
        inputs=[ct.TensorType(name=p.name, shape=p.shape, dtype=np.float32) for p in inputs],
        outputs=[ct.TensorType(name=p.name, dtype=np.float32) for p in outputs],
        minimum_deployment_target=FLOAT,
        compute_precision=ct.precision.FLOAT32,
        convert_to="milinternal",
    )
    _restore_relu6(made.functions["main"])
    return made


def reload(model: Any, target: Any) -> Any:
    """Return the MIL program of a lowered model, for a deployment target no older than its own."""
    program = from_spec(
        model_spec=model.get_spec(),
        specification_version=target.value,
        file_weights_dir=model.weights_dir,
    )
    main = program.functions["main"]
    kept = [ct.TensorType(name=output.name, dtype=np.float32) for output in main.outputs]
    main.set_output_types(kept)
    return program


def lower(program: Any, target: Any, passes: Sequence[Pass] = (), **interface: Any) -> Any:
    """Return a MIL program after these passes as a model, with its weight file on the disk.

    `interface` is what coremltools is told besides of inputs and outputs.
    """
    names = [name for name, _ in passes]
    pipeline = ct.PassPipeline(names, "edgeworthy")
    for name, options in passes:
        if options:
            pipeline.set_options(name, dict(options))
    return ct.convert(
        program,
        source="milinternal",
        convert_to="mlprogram",
        minimum_deployment_target=target,
        pass_pipeline=pipeline,
        skip_model_load=True,
        **interface,
    )


def _restore_relu6(main: Any) -> None:
    """Say relu6 where torch's decomposition says clip.

    A convolution and its relu6 are one operator to a device, and to coremltools' activation
    quantization, which would otherwise measure and round what comes between the two.
    """
    for op in list(main.operations):
        if op.op_type != "clip" or (op.alpha.val, op.beta.val) != (0.0, 6.0):
            continue
        (old,) = op.outputs
        with main:
            new = Builder.relu6(x=op.x, name=op.name, before_op=op)
        new.op.scopes = op.scopes
        main.replace_uses_of_var_after_op(anchor_op=op, old_var=old, new_var=new)
        main.remove_ops([op])
        new.set_name(old.name)


def weighted(program: Any, layers: Sequence[WeightedLayer]) -> dict[str, list[Any]]:
    """Return the operators of each layer, by the layer's name.

    Raises:
        ExportError: the program's convolutions and matrix products are not those layers, in their
            order and with weights of their shapes.
    """
    found = [op for op in program.functions["main"].operations if _weight_shape(op)]
    shapes = [_weight_shape(op) for op in found]
    wanted = [_plain_shape(layer.weight_shape) for layer in layers]
    if [sorted(s) for s in shapes] != [sorted(s) for s in wanted]:
        raise ExportError(
            f"the Core ML program has {len(found)} operators with weights and the network "
            f"{len(layers)} layers, or in another order: --keep-float cannot find them"
        )
    named: dict[str, list[Any]] = {}
    for layer, op in zip(layers, found, strict=True):
        named.setdefault(layer.name, []).append(op)
    return named


def with_between(program: Any, kept: Sequence[Any]) -> list[Any]:
    """Return operators that stay float, and those that lie between them only."""
    operators = [op for op in program.functions["main"].operations if op.op_type != "const"]
    steps = [
        Step(
            inputs=tuple(str(v.name) for v in _read(op)),
            outputs=tuple(str(v.name) for v in op.outputs),
            weighted=bool(_weight_shape(op)),
        )
        for op in operators
    ]
    names = {op.name for op in kept}
    numbers = {number for number, op in enumerate(operators) if op.name in names}
    return [*kept, *(operators[number] for number in sorted(between(steps, numbers)))]


def _read(op: Any) -> list[Any]:
    """Return the variables that an operator reads, one by one."""
    values = op.inputs.values()
    return [v for value in values for v in (value if isinstance(value, list | tuple) else [value])]


def weight(op: Any) -> Any | None:
    """Return the constant that holds an operator's weight; None where it has none."""
    argument = WEIGHTED.get(op.op_type)
    found = getattr(op, argument) if argument else None
    return (
        found.op
        if found is not None and found.op is not None and found.op.op_type == "const"
        else None
    )


def _weight_shape(op: Any) -> tuple[int, ...]:
    constant = weight(op)
    return () if constant is None else _plain_shape(constant.outputs[0].shape)


def _plain_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """Return a shape as it is whatever the rank: a 1x1 convolution is a matrix product."""
    return tuple(int(size) for size in shape if size != 1) or (1,)


def name_layers(program: Any, layers: Sequence[WeightedLayer]) -> None:
    """Give the operators with weights the names of their layers, where those can be told.

    An output of the program keeps its own name.
    """
    main = program.functions["main"]
    outputs = {output.name for output in main.outputs}
    taken = {*main.inputs, *(output.name for op in main.operations for output in op.outputs)}
    with suppress(ExportError):
        for name, ops in weighted(program, layers).items():
            for op in ops:
                op.name = _free(_identifier(name), taken)
                if op.outputs[0].name not in outputs:
                    op.outputs[0].set_name(op.name)


def _identifier(name: str) -> str:
    plain = re.sub(r"\W", "_", name, flags=re.ASCII)
    return plain if plain[0].isalpha() else f"layer_{plain}"


def _free(name: str, taken: set[str]) -> str:
    """Return a name that is not taken, and take it."""
    numbered = (f"{name}_{number}" for number in count(1))
    free = next(n for n in chain([name], numbered) if n not in taken)
    taken.add(free)
    return free

"""Runs a program's operators one after the other, each result checked against its declaration."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from devices.mil.errors import MilError, UnknownError
from devices.mil.numerics import Alarm, alarm, halved
from devices.mil.ops import KERNELS
from devices.mil.ops.quantization import linear_quantize, saturation
from devices.mil.ops.registry import Kernel, Value, hold
from devices.mil.program import Array, Keep, Operator
from devices.mil.tensors import HELD, Port, port
from devices.mil.values import Values

# What an argument is: a value in place, or the name of a constant or of what was computed.
Source = Value | str
# Arguments that are several tensors, even where there is only one.
LISTS = {"values"}


@dataclass(frozen=True)
class Step:
    """An operator with what it needs to run."""

    operator: Operator
    kernel: Kernel
    sources: Mapping[str, Source | list[Source]]


class Executor:
    """The operators of a program, and its constants; `inputs` are the names that are given."""

    def __init__(self, values: Values, inputs: Sequence[Port]) -> None:
        self._values = values
        self._inputs = {p.name: p for p in inputs}
        self._known = set(self._inputs)
        self.steps: list[Step] = []
        self.constants: dict[str, Value] = {}
        self._loaded: list[Alarm] = []
        self.alarms: list[Alarm] = []

    def add(self, operation: Any) -> None:
        """Take the next operation: decode a constant, unpack a weight, or remember an operator.

        Raises:
            MilError: names the operation and its output.
        """
        name = operation.outputs[0].name if operation.outputs else ""
        try:
            if operation.type == "const":
                self.constants[name] = self._constant(operation.attributes["val"])
                return
            step = self._step(operation)
        except MilError as error:
            raise type(error)(f"{operation.type} '{name}': {error}") from None
        if operation.type.startswith("constexpr_"):
            self.constants.update(_perform(step, self.constants, self._loaded, linear=False))
            return
        self.steps.append(step)
        self._known |= {o.name for o in step.operator.outputs}

    def _constant(self, value: Any) -> Value:
        data, dtype = self._values.decode(value)
        return Value(hold(data, dtype) if isinstance(data, np.ndarray) else data, dtype)

    def _step(self, operation: Any) -> Step:
        if operation.type not in KERNELS or operation.blocks:
            raise UnknownError("this operator is not known here")
        if not operation.outputs:
            raise MilError("it has no output")
        sources: dict[str, Source | list[Source]] = {}
        for key, argument in operation.inputs.items():
            found = [self._source(binding) for binding in argument.arguments]
            sources[key] = found if key in LISTS else _only(key, found)
        for key, value in operation.attributes.items():
            if key != "name":
                sources[key] = self._constant(value)
        kernel = KERNELS[operation.type]
        kernel.check(set(sources))
        outputs = tuple(port(o.name, o.type) for o in operation.outputs)
        named = {k: tuple(filter(None, (b.name for b in a.arguments)))
                 for k, a in operation.inputs.items()}  # fmt: skip
        return Step(Operator(outputs[0].name, operation.type, named, outputs), kernel, sources)

    def _source(self, binding: Any) -> Source:
        if binding.WhichOneof("binding") == "value":
            return self._constant(binding.value)
        name = str(binding.name)
        if name not in self._known and name not in self.constants:
            raise MilError(f"nothing before it gives its input '{name}'")
        return name

    def run(
        self,
        inputs: Mapping[str, Array],
        outputs: Sequence[str],
        keep: Keep | None,
        *,
        linear: bool,
        instead: Mapping[str, Array],
    ) -> dict[str, Array]:
        """Compute `outputs`; see `devices.mil.program.Program.run`."""
        self.alarms = list(self._loaded)
        found = dict(self.constants)
        for name, array in instead.items():
            shared = np.require(array, np.float32, ["C", "W"])  # a network's weights may be large
            found[name] = Value(torch.as_tensor(shared), found[name].dtype)
        for name, array in inputs.items():
            found[name] = _given(self._inputs[name], array, linear=linear)
        last = self._last_uses(outputs)
        with torch.inference_mode():
            for number, step in enumerate(self.steps):
                results = _perform(step, found, self.alarms, linear=linear)
                found.update(results)
                if keep is not None:
                    _show(results, keep)
                for name in last.get(number, ()):
                    found.pop(name, None)
        return {name: _array(found[name]) for name in outputs}

    def _last_uses(self, outputs: Sequence[str]) -> dict[int, list[str]]:
        """Return by step what nothing needs after it."""
        last = {
            name: number
            for number, step in enumerate(self.steps)
            for name in (*_names(step), *(o.name for o in step.operator.outputs))
            if name not in outputs
        }
        found: dict[int, list[str]] = {}
        for name, number in last.items():
            found.setdefault(number, []).append(name)
        return found


def _only(key: str, found: list[Source]) -> Source:
    if len(found) != 1:
        raise MilError(f"input '{key}' is bound {len(found)} times")
    return found[0]


def _names(step: Step) -> Iterator[str]:
    for source in step.sources.values():
        for one in source if isinstance(source, list) else [source]:
            if isinstance(one, str):
                yield one


def _given(wanted: Port, array: Array, *, linear: bool) -> Value:
    tensor = hold(array, wanted.dtype)
    rounds = wanted.dtype == "float16" and not linear
    return Value(halved(tensor) if rounds else tensor, wanted.dtype)


def _array(value: Value) -> Array:
    return value.data.numpy() if isinstance(value.data, Tensor) else np.asarray([value.data])


def _show(results: Mapping[str, Value], keep: Keep) -> None:
    for name, value in results.items():
        if isinstance(value.data, Tensor):
            keep(name, value.data.numpy())


def _perform(
    step: Step, found: Mapping[str, Value], alarms: list[Alarm], *, linear: bool
) -> dict[str, Value]:
    """Return the outputs of one operator; add what its numbers lost to `alarms`."""
    where = f"{step.operator.kind} '{step.operator.name}'"
    try:
        return _outputs(step, found, alarms, linear=linear)
    except MilError as error:
        raise type(error)(f"{where}: {error}") from None
    except (RuntimeError, ValueError, TypeError, IndexError, KeyError) as error:
        raise MilError(f"{where}: {' '.join(str(error).split())[:300]}") from None


def _outputs(
    step: Step, found: Mapping[str, Value], alarms: list[Alarm], *, linear: bool
) -> dict[str, Value]:
    operator, kernel = step.operator, step.kernel
    values = {
        key: [_look(one, found) for one in source]
        if isinstance(source, list)
        else _look(source, found)
        for key, source in step.sources.items()
    }
    arguments = {key: kernel.argument(key, value) for key, value in values.items()}
    quantizes = operator.kind == "quantize"
    if quantizes and not linear and (share := saturation(**arguments)):
        alarms.append(Alarm("saturation", operator.name, share))
    made = (linear_quantize if quantizes and linear else kernel.function)(**arguments)
    results = made if isinstance(made, list) else [made]
    if len(results) != len(operator.outputs):
        raise MilError(f"computed {len(results)} outputs, declared {len(operator.outputs)}")
    expected = kernel.result_dtype(values)
    return {
        out.name: _checked(out, result, expected, alarms, linear=linear)
        for out, result in zip(operator.outputs, results, strict=True)
    }


def _look(source: Source, found: Mapping[str, Value]) -> Value:
    return found[source] if isinstance(source, str) else source


def _checked(
    declared: Port, result: Any, expected: str | None, alarms: list[Alarm], *, linear: bool
) -> Value:
    """Return a result rounded to its type, once it is what the program declares."""
    if not isinstance(result, Tensor) or declared.shape is None:
        return Value(result, declared.dtype)
    shape = tuple(result.shape)
    if len(shape) != len(declared.shape) or any(
        want not in (-1, have) for want, have in zip(declared.shape, shape, strict=True)
    ):
        raise MilError(f"computed shape {list(shape)}, declared {list(declared.shape)}")
    if not result.is_floating_point():
        _check_dtype(str(result.dtype).removeprefix("torch."), HELD.get(declared.dtype), declared)
        return Value(result, declared.dtype)
    if linear and declared.dtype in {"int8", "uint8"}:
        return Value(result, declared.dtype)
    _check_dtype(expected or "float32", declared.dtype, declared)
    rounded = halved(result) if declared.dtype == "float16" and not linear else result
    if found := alarm(declared.name, result, rounded):
        alarms.append(found)
    return Value(rounded, declared.dtype)


def _check_dtype(computed: str, wanted: str | None, declared: Port) -> None:
    if computed != wanted:
        raise MilError(f"computed {computed}, declared {declared.dtype}")

"""Operators as plain functions: their parameters are the operator's, by name and type.

A function's annotations say how it takes each argument: a tensor, a number, numbers, text. What it
has no parameter for, and no default, is an error when a program is loaded.
"""

import inspect
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from devices.mil.errors import MilError, UnknownError
from devices.mil.tensors import HELD, SHORT

Ints = tuple[int, ...]
Tensors = list[Tensor]
Labels = list[str | int]


@dataclass(frozen=True)
class Value:
    """An argument while a program runs: a tensor as torch holds it, text, or a list."""

    data: Any
    dtype: str


@dataclass(frozen=True)
class Kernel:
    """An operator's function, the types of its parameters, and which of them it cannot do without.

    `result` names the argument that a floating-point result has its type from; text in it is the
    type itself. None: the first tensor that is a floating-point number.
    """

    function: Callable[..., Any]
    parameters: Mapping[str, Any]
    required: frozenset[str]
    result: str | None

    def check(self, given: set[str]) -> None:
        """Refuse arguments that are not known here, or not there.

        Raises:
            MilError: names the first of them.
        """
        if unknown := sorted(given - set(self.parameters)):
            takes = ", ".join(self.parameters)
            raise UnknownError(f"input '{unknown[0]}' is not known here; known are {takes}")
        if missing := sorted(self.required - given):
            raise MilError(f"input '{missing[0]}' is missing")

    def argument(self, name: str, value: Value | list[Value]) -> Any:
        """Return an argument in the form that the function takes.

        Raises:
            MilError: it is not of that form.
        """
        try:
            return _CONVERSIONS[self.parameters[name]](value)
        except (TypeError, ValueError, AttributeError, RuntimeError):
            raise MilError(f"input '{name}' is not what this operator takes") from None

    def result_dtype(self, arguments: Mapping[str, Value | list[Value]]) -> str | None:
        """Return the type that a floating-point result must have; None: any."""
        if self.result is not None and self.result in arguments:
            source = arguments[self.result]
            assert isinstance(source, Value)
            return SHORT.get(source.data, source.data) if _is_text(source) else source.dtype
        tensors = [name for name, kind in self.parameters.items() if kind in (Tensor, Tensors)]
        given = [arguments[name] for name in tensors if name in arguments]
        several = [v if isinstance(v, list) else [v] for v in given]
        floats = [v.dtype for values in several for v in values if v.dtype.startswith("float")]
        return floats[0] if floats else None


def _is_text(value: Value) -> bool:
    return isinstance(value.data, str)


KERNELS: dict[str, Kernel] = {}


def op(*names: str, result: str | None = None) -> Callable[[Callable[..., Any]], Any]:
    """Register a function as the operators `names`; see `Kernel` for `result`."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        hints = typing.get_type_hints(function)
        parameters = inspect.signature(function).parameters
        kernel = Kernel(
            function,
            {name: _plain(hints[name]) for name in parameters},
            frozenset(n for n, p in parameters.items() if p.default is inspect.Parameter.empty),
            result,
        )
        KERNELS.update(dict.fromkeys(names, kernel))
        return function

    return register


def _plain(hint: Any) -> Any:
    """Return a hint without the None that an optional parameter allows."""
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return next(kind for kind in typing.get_args(hint) if kind is not type(None))
    return hint


def hold(array: Any, dtype: str) -> Tensor:
    """Return a numpy array as torch holds this type here.

    Raises:
        MilError: a type that cannot be computed with.
    """
    if dtype not in HELD:
        raise UnknownError(f"data type {dtype} cannot be computed with")
    return torch.as_tensor(array.astype(HELD[dtype]))


def _tensor(value: Value) -> Tensor:
    if not isinstance(value.data, Tensor):
        raise TypeError
    return value.data


def _number(value: Value) -> float:
    return float(_tensor(value).item())


def _integer(value: Value) -> int:
    if _tensor(value).is_floating_point():
        raise TypeError
    return int(value.data.item())


def _integers(value: Value) -> Ints:
    tensor = _tensor(value)
    if tensor.is_floating_point() or tensor.dim() > 1:
        raise TypeError
    return tuple(int(v) for v in tensor.reshape(-1).tolist())


def _text(value: Value) -> str:
    if not isinstance(value.data, str):
        raise TypeError
    return value.data


def _labels(value: Value) -> Labels:
    return [v if isinstance(v, str) else v.item() for v in value.data]


_CONVERSIONS: dict[Any, Callable[[Any], Any]] = {
    Tensor: _tensor,
    Tensors: lambda values: [_tensor(value) for value in values],
    float: _number,
    int: _integer,
    bool: lambda value: bool(_tensor(value).item()),
    Ints: _integers,
    str: _text,
    Labels: _labels,
}

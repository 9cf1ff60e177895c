"""A saved ``.mlpackage`` as a program: its interface, its operators, its constants, and a run."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from devices.mil.errors import MilError
from devices.mil.schema import main_function, read
from devices.mil.tensors import Port, port
from devices.mil.values import Values

if TYPE_CHECKING:
    from devices.mil.numerics import Alarm

Array = npt.NDArray[Any]
Keep = Callable[[str, Array], None]


@dataclass(frozen=True)
class Operator:
    """An operator that computes: its name is its first output's.

    `inputs` names the tensors of each argument; those that are constants can be had from
    `Program.constant`.
    """

    name: str
    kind: str
    inputs: Mapping[str, tuple[str, ...]]
    outputs: tuple[Port, ...]


class Program:
    """A program in memory. Its constants are unpacked once, so that running it is quick."""

    def __init__(self, function: Any, block: Any, values: Values) -> None:
        """Read the interface, all operators, and all constants; see `load`."""
        from devices.mil.executor import Executor

        self.inputs = tuple(port(i.name, i.type) for i in function.inputs)
        self._executor = Executor(values, self.inputs)
        for operation in block.operations:
            self._executor.add(operation)
        self.operators: tuple[Operator, ...] = tuple(s.operator for s in self._executor.steps)
        given = {p.name: p for p in self.inputs}
        given |= {o.name: o for operator in self.operators for o in operator.outputs}
        if missing := [name for name in block.outputs if name not in given]:
            raise MilError(f"no operator gives the output '{missing[0]}'")
        self.outputs = tuple(given[name] for name in block.outputs)

    @property
    def alarms(self) -> tuple["Alarm", ...]:
        """What went wrong in the numbers of the last run, in the order of the operators."""
        return tuple(self._executor.alarms)

    def constant(self, name: str) -> Array:
        """Return a constant by its tensor's name; compressed ones unpacked, float16 as float32.

        Raises:
            KeyError: the tensor is not a constant.
        """
        return np.asarray(self._executor.constants[name].data)

    @property
    def constants(self) -> frozenset[str]:
        """The names of all constants, compressed weights among them."""
        return frozenset(self._executor.constants)

    def run(
        self,
        inputs: Mapping[str, Array],
        keep: Keep | None = None,
        *,
        linear: bool = False,
        instead: Mapping[str, Array] | None = None,
    ) -> dict[str, Array]:
        """Compute the outputs; half precision is rounded after every operator.

        Args:
            inputs: an array for each input, of its shape; converted to its type.
            keep: called with the name and value of every operator's output, float16 as float32.
            linear: round nothing, neither to half precision nor in quantize operators, and clip
                nothing in those: what remains is the structure, its constants and its scales.
            instead: constants by name to use in place of the file's own.

        Returns:
            The outputs by name; a classifier's scores in the order of its classes.

        Raises:
            MilError: an input is missing or has another shape, or an operator's result is not what
                the program declares.
        """
        fed = {p.name: _fed(p, inputs) for p in self.inputs}
        outputs = [p.name for p in self.outputs]
        return self._executor.run(fed, outputs, keep, linear=linear, instead=instead or {})


def _fed(wanted: Port, given: Mapping[str, Array]) -> Array:
    if wanted.name not in given:
        raise MilError(f"input '{wanted.name}' is missing; given are {_listed(given)}")
    array = np.asarray(given[wanted.name])
    expected = wanted.shape or ()
    fits = len(array.shape) == len(expected) and all(
        want in (-1, have) for want, have in zip(expected, array.shape, strict=True)
    )
    if not fits:
        raise MilError(
            f"input '{wanted.name}' has shape {list(array.shape)}, the program takes "
            f"{list(expected)}"
        )
    return array


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


def load(path: Path | str) -> Program:
    """Open a saved ``.mlpackage``.

    Raises:
        ImportError: coremltools, whose schema is needed, or torch is not installed.
        MilError: it is damaged, or holds an operator, an argument or a type not known here.
    """
    spec, directory = read(Path(path))
    function, block = main_function(spec)
    return Program(function, block, Values(directory))

"""Test data that lies beside a model file, in ONNX's own layouts.

Either ``test_data_set_0/input_0.pb, output_0.pb`` and so on, as in ONNX's model zoo; or, as the
onnx package ships its light models, ``NAME_output_0.pb`` for the input that its test runner makes:
the numbers from 0 up, divided by how many there are.
"""

from collections.abc import Callable, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from export.artifact import ArtifactError, Contract, Tensor

Array = np.ndarray[Any, Any]
Rows = dict[str, Array]


def given(path: Path, contract: Contract) -> Rows | None:
    """Return golden data as an artifact holds it, one row an image; None if there is none.

    Raises:
        ArtifactError: there is data, but it cannot be read or does not fit the file.
    """
    sets = sorted(path.parent.glob("test_data_set_*"))
    outputs = [path.with_name(f"{path.stem}_output_{i}.pb") for i in range(len(contract.outputs))]
    if sets:
        found = [_data_set(directory, contract) for directory in sets]
        return {name: np.concatenate([rows[name] for rows in found]) for name in found[0]}
    if all(output.is_file() for output in outputs):
        made = {f"in.{t.name}": _ramp(t) for t in contract.inputs}
        return made | _named("out", contract.outputs, outputs)
    return None


def _data_set(directory: Path, contract: Contract) -> Rows:
    inputs = [directory / f"input_{i}.pb" for i in range(len(contract.inputs))]
    outputs = [directory / f"output_{i}.pb" for i in range(len(contract.outputs))]
    return _named("in", contract.inputs, inputs) | _named("out", contract.outputs, outputs)


def _ramp(tensor: Tensor) -> Array:
    count = prod(tensor.shape)
    return (np.arange(count).reshape(tensor.shape) / count).astype(np.float32)


def _named(side: str, tensors: Sequence[Tensor], files: Sequence[Path]) -> Rows:
    read = _reader()
    return {
        f"{side}.{t.name}": _fitting(t, read(file), file)
        for t, file in zip(tensors, files, strict=True)
    }


def _fitting(tensor: Tensor, array: Array, file: Path) -> Array:
    if array.shape[1:] != tensor.shape[1:]:
        raise ArtifactError(
            f"{file} holds {list(array.shape)}, '{tensor.name}' is {list(tensor.shape)}: it "
            "belongs to another file; move one of them elsewhere"
        )
    return array.astype(np.float32)


def _reader() -> Callable[[Path], Array]:
    try:
        from google.protobuf.message import DecodeError
        from onnx import TensorProto, numpy_helper
    except ImportError as error:
        raise ArtifactError(
            f"reading test data needs {error.name}: pip install 'edgeworthy[onnx]'"
        ) from None

    def read(file: Path) -> Array:
        try:
            array: Array = numpy_helper.to_array(TensorProto.FromString(file.read_bytes()))
        except (OSError, DecodeError, TypeError, ValueError) as error:
            raise ArtifactError(f"cannot read {file}: {error}") from None
        return array

    return read

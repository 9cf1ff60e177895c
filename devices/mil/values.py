"""Decodes the constants of a program: immediate ones, lists, and those in weight files."""

from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from devices.mil.blob import Array, WeightFile, unpack
from devices.mil.errors import MilError
from devices.mil.tensors import element, tensor_type

# The protobuf field that holds an immediate tensor of a type; the others are in `bytes`.
FIELDS = {
    "bool": "bools",
    "float32": "floats",
    "float64": "doubles",
    "int32": "ints",
    "int64": "longInts",
    "string": "strings",
}
PREFIX = "@model_path/"


class Values:
    """The constants of a package whose weight files are named from `directory`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._files: dict[str, WeightFile] = {}

    def decode(self, value: Any) -> tuple[Any, str]:
        """Return a value and its dtype: an array, text, or a list of either.

        Raises:
            MilError: the value is damaged, or of a type that is not known here.
        """
        if value.type.WhichOneof("type") == "listType":
            items = [self.decode(item)[0] for item in value.immediateValue.list.values]
            return items, "list"
        shape, dtype = tensor_type(value.type)
        if dtype != "string":
            element(dtype)
        stored = value.WhichOneof("value") == "blobFileValue"
        decode = self._stored if stored else _immediate
        return decode(value, shape, dtype), dtype

    def _stored(self, value: Any, shape: tuple[int, ...], dtype: str) -> Array:
        name = value.blobFileValue.fileName
        if name not in self._files:
            self._files[name] = WeightFile(self._locate(name))
        return self._files[name].read(value.blobFileValue.offset, shape, dtype)

    def _locate(self, name: str) -> Path:
        path = (self._directory / name.removeprefix(PREFIX)).resolve()
        if not path.is_relative_to(self._directory):
            raise MilError(f"weight file '{name}' lies outside the package")
        return path


def _immediate(value: Any, shape: tuple[int, ...], dtype: str) -> Any:
    tensor = value.immediateValue.tensor
    field = tensor.WhichOneof("value")
    if field != FIELDS.get(dtype, "bytes"):
        raise MilError(f"an immediate {dtype} is stored as {field}")
    stored = getattr(tensor, field).values
    if field == "bytes":
        return unpack(stored, shape, dtype)
    if len(stored) != prod(shape):
        raise MilError(f"{len(stored)} values are stored for {dtype} of shape {list(shape)}")
    if field == "strings":
        return list(stored) if shape else stored[0]
    return np.array(stored, element(dtype)[1]).reshape(shape)

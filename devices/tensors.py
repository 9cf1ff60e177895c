"""Tensors as the Open Inference Protocol carries them over HTTP: JSON, or bytes behind the JSON.

The messages are those of the protocol's REST specification; bytes behind the JSON are its binary
tensor data extension, whose header says how long the JSON is.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

HEADER = "Inference-Header-Content-Length"
TYPES = {
    "BOOL": "?", "UINT8": "u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8", "INT8": "i1",
    "INT16": "<i2", "INT32": "<i4", "INT64": "<i8", "FP16": "<f2", "FP32": "<f4", "FP64": "<f8",
}  # fmt: skip


class RequestError(Exception):
    """A request that cannot be answered; the message says why and what is expected."""


class Sent(msgspec.Struct, kw_only=True):
    """A tensor of a request; its bytes are behind the JSON where `parameters` says how many."""

    name: str
    shape: tuple[int, ...]
    datatype: str
    parameters: dict[str, Any] = {}
    data: list[Any] | None = None


class Wanted(msgspec.Struct, kw_only=True):
    """An output that a request asks for."""

    name: str
    parameters: dict[str, Any] = {}


class Request(msgspec.Struct, kw_only=True):
    """A request to infer."""

    inputs: tuple[Sent, ...]
    outputs: tuple[Wanted, ...] = ()
    id: str = ""
    parameters: dict[str, Any] = {}


def decoded(body: bytes, header: str | None) -> tuple[Request, dict[str, Any]]:
    """Return a request, and its tensors by name: arrays, or lists of bytes.

    Raises:
        RequestError: it does not follow the protocol.
    """
    length = len(body) if header is None else _length(header, body)
    try:
        request = msgspec.json.decode(body[:length], type=Request)
    except msgspec.MsgspecError as error:
        raise RequestError(f"not a request of the protocol: {error}") from None
    rest = memoryview(body)[length:]
    tensors = {}
    for sent in request.inputs:
        size = sent.parameters.get("binary_data_size")
        if size is not None and not (isinstance(size, int) and 0 <= size <= len(rest)):
            raise RequestError(f"input '{sent.name}': {len(rest)} bytes follow, not {size}")
        tensors[sent.name] = _tensor(sent, None if size is None else bytes(rest[:size]))
        rest = rest[size or 0 :]
    return request, tensors


def _length(header: str, body: bytes) -> int:
    if not header.isdecimal() or int(header) > len(body):
        raise RequestError(f"{HEADER} is {header}, and the body has {len(body)} bytes")
    return int(header)


def _tensor(sent: Sent, raw: bytes | None) -> Any:
    if min(sent.shape, default=1) < 0:
        raise RequestError(f"input '{sent.name}' has shape {list(sent.shape)}")
    if sent.datatype == "BYTES":
        return _texts(sent, raw)
    if sent.datatype not in TYPES:
        known = ", ".join((*TYPES, "BYTES"))
        raise RequestError(f"input '{sent.name}': no datatype {sent.datatype}; there is: {known}")
    kind = np.dtype(TYPES[sent.datatype])
    try:
        flat = np.asarray(sent.data or (), kind) if raw is None else np.frombuffer(raw, kind)
        return flat.reshape(sent.shape)
    except (TypeError, ValueError, OverflowError) as error:
        raise RequestError(f"input '{sent.name}': {error}") from None


def _texts(sent: Sent, raw: bytes | None) -> list[bytes]:
    """Return the elements of a BYTES tensor: each has its length before it, four bytes."""
    if raw is None:
        raise RequestError(f"input '{sent.name}': send BYTES as binary data behind the JSON")
    found = []
    while raw:
        size = int.from_bytes(raw[:4], "little")
        if len(raw) < 4 + size:
            raise RequestError(f"input '{sent.name}': its bytes end too early")
        found.append(raw[4 : 4 + size])
        raw = raw[4 + size :]
    return found


def encoded(
    head: Mapping[str, Any], outputs: Mapping[str, Any], request: Request
) -> tuple[bytes, int | None]:
    """Return an answer's body, and the length of its JSON if bytes follow it.

    Args:
        head: what the answer holds besides the outputs.
        outputs: float32 arrays by name.
        request: says which outputs it wants, and how.
    """
    everything = bool(request.parameters.get("binary_data_output"))
    wanted = request.outputs or tuple(Wanted(name=name) for name in outputs)
    told, raw = list[dict[str, Any]](), list[bytes]()
    for one in wanted:
        array = np.ascontiguousarray(outputs[one.name], "<f4")
        tensor = {"name": one.name, "datatype": "FP32", "shape": list(array.shape)}
        if one.parameters.get("binary_data", everything):
            raw.append(array.tobytes())
            told.append({**tensor, "parameters": {"binary_data_size": array.nbytes}})
        else:
            told.append({**tensor, "data": array.ravel().tolist()})
    text = msgspec.json.encode({**head, "outputs": told})
    return text + b"".join(raw), len(text) if raw else None


def check(request: Request, names: Sequence[str]) -> None:
    """Refuse a request for outputs that are not there.

    Raises:
        RequestError: one is not.
    """
    for one in request.outputs:
        if one.name not in names:
            raise RequestError(f"no output '{one.name}'; there is: {', '.join(names)}")

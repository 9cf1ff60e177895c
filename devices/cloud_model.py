"""A server's model beside the artifact that it should be: the same tensors, in the same order."""

from typing import Any

import numpy as np

from devices.device import WorkerError
from devices.open_inference import Endpoint, MissingError
from devices.tensors import TYPES
from devices.worker import decode, encode

IMAGE = "-image"


def find(endpoint: Endpoint, name: str | None, artifact: str, network: str) -> dict[str, Any]:
    """Return a model by the name given, or else the artifact's, or else the network's."""
    if name is not None:
        return endpoint.model(name)
    try:
        return endpoint.model(artifact)
    except MissingError as error:
        try:
            return endpoint.model(network)
        except MissingError:
            raise MissingError(f"{error}; name it by model = 'NAME' in devices.toml") from None


def _ordered(there: list[dict[str, Any]], here: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the server's tensors in the artifact's order: by name, or as they come."""
    by_name = {tensor["name"]: tensor for tensor in there}
    names = [tensor["name"] for tensor in here]
    return [by_name[name] for name in names] if set(names) == set(by_name) else there


def _fits(found: list[int], shape: list[int]) -> bool:
    """Tell whether a shape is one of a model's; Triton may leave the batch out."""
    return any(
        len(one) == len(shape) and all(n in (-1, m) for n, m in zip(one, shape, strict=True))
        for one in (found, [shape[0], *found])
    )


def encoded(batch: Any, there: dict[str, Any], own: dict[str, Any]) -> Any:
    """Return a batch as the server takes it: float, or as the artifact's file stores it."""
    kind = TYPES.get(there["datatype"])
    stored = encode(batch, own)
    if kind is not None and np.dtype(kind) == stored.dtype:
        return stored
    if there["datatype"] == "FP32":
        return np.ascontiguousarray(batch, np.float32)
    told = f"input '{there['name']}' takes {there['datatype']}, the artifact {own['dtype']}"
    raise WorkerError("load", "unsupported", f"the server's {told}")


def decoded(output: Any, own: dict[str, Any]) -> Any:
    """Return an output as float32.

    Raises:
        WorkerError: it holds texts.
    """
    if output.dtype.kind not in "fiub":
        told = f"output '{own['name']}' holds texts, not numbers"
        raise WorkerError("verify", "error", told)
    return decode(output, own) if str(output.dtype) == own["dtype"] else np.asarray(output, "f4")


def fit(model: dict[str, Any], contract: dict[str, Any], batch: int) -> dict[str, Any]:
    """Return a server's model with its tensors in the artifact's order.

    Args:
        model: as the server describes it.
        contract: that of the artifact's manifest.
        batch: how many inputs a request holds.

    Raises:
        WorkerError: its tensors are others.
    """
    sides = {}
    for side in ("inputs", "outputs"):
        there, here = model[side], contract[side]
        if len(there) != len(here):
            raise _misfit(model, f"has {len(there)} {side}, the artifact has {len(here)}")
        sides[side] = _ordered(there, here)
        for found, tensor in zip(sides[side], here, strict=True):
            shape = [batch, *tensor["shape"][1:]]
            if not _fits(found["shape"], shape):
                told = f"{side[:-1]} '{found['name']}' is {found['shape']}, not {shape}"
                raise _misfit(model, told)
    return {**model, **sides}


def of_images(endpoint: Endpoint, name: str) -> dict[str, Any]:
    """Return the model that takes images for the network `name`, and decodes them.

    Raises:
        DeviceError: there is none.
        WorkerError: it takes something else.
    """
    model = endpoint.model(f"{name}{IMAGE}")
    if [tensor["datatype"] for tensor in model["inputs"]] != ["BYTES"]:
        raise _misfit(model, "it does not take one input of datatype BYTES")
    return model


def _misfit(model: dict[str, Any], told: str) -> WorkerError:
    return WorkerError("load", "error", f"the server's model '{model['name']}' is another: {told}")

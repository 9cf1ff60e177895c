"""Artifacts as models of a server: each in a runtime of the worker, in this process."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from devices.device import DeviceError
from devices.tensors import RequestError
from devices.worker import Worker

# An image, as a file holds it, as one input of the network without its batch.
Decoder = Callable[[bytes], Any]
IMAGE = "image"


class Answer(NamedTuple):
    """The outputs by name, and what it took in nanoseconds: waiting, and the inference."""

    outputs: dict[str, Any]
    queue_ns: int
    compute_ns: int


class Model:
    """An artifact that is loaded; one inference at a time, others wait."""

    def __init__(self, name: str, artifact: Path, runtime: str, threads: int | None) -> None:
        """Load it.

        Raises:
            DeviceError: the runtime cannot.
        """
        self.name = name
        self._worker, self._turn = Worker(), threading.Lock()
        settings = {"runtime": runtime, "threads": threads}
        answer = self._worker.answer({"op": "load", "artifact": str(artifact), **settings})
        if answer["event"] == "error":
            raise DeviceError(f"{artifact} cannot be served: {answer['detail']}")
        self.platform = str(answer["runtime_version"])
        contract = self._worker.contract
        self.inputs, self.outputs = contract["inputs"], contract["outputs"]

    def metadata(self) -> dict[str, Any]:
        """Return the protocol's description of it."""
        return {
            "name": self.name,
            "platform": self.platform,
            "inputs": [_tensor(t) for t in self.inputs],
            "outputs": [_tensor(t) for t in self.outputs],
        }

    def infer(self, tensors: dict[str, Any], arrived_ns: int) -> Answer:
        """Run a batch once, when it is its turn.

        Args:
            tensors: float32 arrays by input.
            arrived_ns: when the request was there, by `time.perf_counter_ns`.

        Raises:
            RequestError: the inputs are not those of the network.
        """
        batches = [self._input(tensor, tensors) for tensor in self.inputs]
        with self._turn:
            begun_ns = time.perf_counter_ns()
            found = self._worker.infer(batches)
            ended_ns = time.perf_counter_ns()
        outputs = {t["name"]: array for t, array in zip(self.outputs, found, strict=True)}
        return Answer(outputs, begun_ns - arrived_ns, ended_ns - begun_ns)

    def _input(self, tensor: dict[str, Any], tensors: dict[str, Any]) -> Any:
        name, shape = tensor["name"], list(tensor["shape"])
        if set(tensors) != {t["name"] for t in self.inputs}:
            there = ", ".join(t["name"] for t in self.inputs)
            raise RequestError(f"the inputs are {', '.join(tensors) or 'none'}, not {there}")
        found = tensors[name]
        if not isinstance(found, np.ndarray) or found.dtype != np.float32:
            raise RequestError(f"input '{name}' is of datatype FP32")
        if list(found.shape) != shape:
            raise RequestError(f"input '{name}' has shape {list(found.shape)}, not {shape}")
        return found


class ImageModel:
    """A model that takes images, as files hold them, and decodes them before its turn."""

    def __init__(self, model: Model, decode: Decoder) -> None:
        """Take a model with one input."""
        self.name = f"{model.name}-{IMAGE}"
        self._model, self._decode = model, decode

    def metadata(self) -> dict[str, Any]:
        """Return the protocol's description of it."""
        batch = self._model.inputs[0]["shape"][0]
        taken = {"name": IMAGE, "datatype": "BYTES", "shape": [batch]}
        return {**self._model.metadata(), "name": self.name, "inputs": [taken]}

    def infer(self, tensors: dict[str, Any], arrived_ns: int) -> Answer:
        """Decode a batch of images and run it; decoding counts as computing.

        Raises:
            RequestError: there is no image that can be decoded.
        """
        files = tensors.get(IMAGE)
        if not isinstance(files, list):
            raise RequestError(f"the input is '{IMAGE}', of datatype BYTES")
        begun_ns = time.perf_counter_ns()
        try:
            batch = np.stack([self._decode(file) for file in files])
        except Exception as error:  # a damaged file fails in any way
            raise RequestError(f"input '{IMAGE}' holds no image: {error}") from None
        decoded_ns = time.perf_counter_ns()
        name = self._model.inputs[0]["name"]
        found = self._model.infer({name: batch}, decoded_ns)
        return Answer(
            found.outputs,
            found.queue_ns + begun_ns - arrived_ns,
            found.compute_ns + decoded_ns - begun_ns,
        )


def _tensor(tensor: dict[str, Any]) -> dict[str, Any]:
    return {"name": tensor["name"], "datatype": "FP32", "shape": list(tensor["shape"])}

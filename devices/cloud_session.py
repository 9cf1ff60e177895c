"""A connection to a server as a `devices.device.Session`: see `devices.cloud`."""

import gc
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from devices.device import (
    TRANSPORT,
    Alarm,
    Cloud,
    DeviceError,
    Idle,
    Job,
    Memory,
    Meters,
    OperatorTimes,
    Peak,
    Ready,
    Sensors,
    Served,
    Spent,
    Stages,
    TransportError,
    UnauthorisedError,
    Usage,
    WorkerError,
)
from devices.open_inference import (
    Endpoint,
    HungError,
    Inferred,
    MissingError,
    OverloadError,
    SilentError,
    patiently,
)
from devices.tensors import TYPES
from devices.worker import decode, encode, environment, keep_worst, read_golden, read_manifest

UNTOLD = "none: a server tells its clients nothing of its memory"
# A JPEG as phones' cameras and browsers' canvases write it.
QUALITY = 90


class CloudSession:
    """A `devices.device.Session` over a connection to a server."""

    def __init__(
        self,
        endpoint: Endpoint,
        job: Job,
        model: str | None,
        cloud: Cloud,
        *,
        begin_ns: int,
        probe: Callable[[], object],
    ) -> None:
        """Find the model.

        Args:
            endpoint: the server.
            job: says which artifact.
            model: its name there; None for that of the artifact.
            cloud: what is known so far.
            begin_ns: when opening began, by `time.perf_counter_ns`.
            probe: asks the server what it is, by a connection of its own.

        Raises:
            WorkerError: the server has no such model, or another one by this name.
        """
        self._endpoint, self._batch, self._probe = endpoint, job.batch, probe
        manifest = read_manifest(job.artifact)
        self._contract = manifest["contract"]
        self.alarms: tuple[Alarm, ...] = ()
        self.usage: Usage | None = None
        self.served: Served | None = None
        self.spent: Spent | None = None
        golden = job.artifact / "golden.npz"
        known = manifest.get("golden") != []
        self._inputs, self._expected = read_golden(golden, self._contract, known)
        about = reported("start", endpoint.about)
        artifact = f"{job.artifact.parent.name}-{job.artifact.name}"
        self._model = reported(
            "load", lambda: _found(endpoint, model, artifact, job.artifact.parent.name)
        )
        self._fit()
        self._timed = self._model
        if cloud.payload != "tensor":
            self._timed = reported("load", lambda: endpoint.model(f"{self._model['name']}-image"))
        self._names = [t["name"] for t in self._model["outputs"]]
        self._counted = endpoint.statistics(self._timed["name"]) is not None
        self.ready = Ready(
            load_ns=time.perf_counter_ns() - begin_ns,
            runtime=job.runtime,
            runtime_version=about,
            provider=str(self._model.get("platform") or "not told"),
            threads=None,
            environment=environment(),
        )
        self.cloud: Cloud | None = msgspec.structs.replace(cloud, server=about)

    def _fit(self) -> None:
        """Compare the server's tensors with the artifact's.

        Raises:
            WorkerError: they differ.
        """
        for side in ("inputs", "outputs"):
            there, here = self._model[side], self._contract[side]
            if len(there) != len(here):
                told = f"has {len(there)} {side}, the artifact has {len(here)}"
                raise _misfit(self._model, told)
            for found, tensor in zip(_ordered(there, here), here, strict=True):
                shape = [self._batch, *tensor["shape"][1:]]
                if not _fits(found["shape"], shape):
                    told = f"{side[:-1]} '{found['name']}' is {found['shape']}, not {shape}"
                    raise _misfit(self._model, told)
            self._model[side] = _ordered(there, here)

    def verify(self, rows: int | None = None) -> dict[str, Any]:
        """Send all golden inputs, or the first `rows`, as tensors; return the outputs by name."""
        worst: list[dict[int, Any]] = [{} for _ in self._expected]
        for start in range(rows or len(self._inputs[0])):
            outputs = self._infer("verify", self._rows(start))
            for output, kept, expected in zip(outputs, worst, self._expected, strict=True):
                keep_worst(output, kept, expected, start)
        names = [tensor["name"] for tensor in self._contract["outputs"]]
        arrays = [np.stack([kept[n] for n in sorted(kept)[:rows]]) for kept in worst]
        return dict(zip(names, arrays, strict=True))

    def _rows(self, start: int) -> list[Any]:
        numbers = np.arange(start, start + self._batch) % len(self._inputs[0])
        return [rows[numbers] for rows in self._inputs]

    def _infer(self, stage: str, batches: list[Any]) -> list[Any]:
        inputs, name = self._tensors(batches), self._model["name"]
        answer = self._answered(
            stage, lambda: patiently(lambda: self._endpoint.infer(name, inputs, self._names))
        )
        return self._outputs(
            stage, reported(stage, lambda: self._endpoint.read(answer, self._names))
        )

    def _answered(self, stage: str, ask: Callable[[], Any]) -> Any:
        def heard() -> Any:
            try:
                return ask()
            except SilentError as error:
                raise self._silent(error) from None

        return reported(stage, heard)

    def _silent(self, error: SilentError) -> DeviceError:
        """Tell a server that hangs, which others of its models need not, from one out of reach."""
        try:
            self._probe()
        except DeviceError:
            return error
        return HungError(f"{error}, but answers what else it is asked")

    def _outputs(self, stage: str, found: Inferred) -> list[Any]:
        """Return an answer's outputs in the artifact's order, as float32.

        Raises:
            WorkerError: one is not what the manifest promises.
        """
        told = self._contract["outputs"]
        outputs = [_decoded(found.outputs[n], t) for n, t in zip(self._names, told, strict=True)]
        for output, tensor in zip(outputs, told, strict=True):
            if list(output.shape) != [self._batch, *tensor["shape"][1:]]:
                said = f"output '{tensor['name']}' has shape {list(output.shape)}"
                raise WorkerError(stage, "error", f"{said}, the manifest promises another")
        return outputs

    def _tensors(self, batches: list[Any]) -> list[Any]:
        pairs = zip(self._model["inputs"], batches, self._contract["inputs"], strict=True)
        given = [(t["name"], t["datatype"], _encoded(b, t, own)) for t, b, own in pairs]
        return self._endpoint.tensors(given)

    def _images(self, batches: list[Any]) -> list[Any]:
        assert self.cloud is not None
        kind, tensor = self.cloud.payload, self._contract["inputs"][0]
        steps = self._contract.get("preprocessing")
        if steps is None:
            raise WorkerError("measure", "unsupported", "the artifact takes no images")
        files = [_file(row, tensor["layout"], steps, kind) for row in batches[0]]
        taken = self._timed["inputs"][0]
        array = np.array(files, dtype=np.object_)
        return self._endpoint.tensors([(taken["name"], "BYTES", array)])

    def measure(self, runs: int, *, copies: bool = False) -> list[int]:
        """Send one golden input `runs` times; return what each took in nanoseconds, in all."""
        assert self.cloud is not None
        batches = self._rows(0)
        make = self._tensors if self.cloud.payload == "tensor" else self._images
        gc.disable()
        try:
            found = [
                self._answered("measure", lambda: patiently(lambda: self._once(make, batches)))
                for _ in range(runs)
            ]
        finally:
            gc.enable()
        encoding, whole, queue, compute = zip(*found, strict=True)
        told = all(n is not None for n in (*queue, *compute))
        rest = [w - e - (q or 0) - (c or 0) for e, w, q, c in found]
        stages = Stages(
            encode=encoding,
            upload_download=tuple(rest),
            queue=queue if told else None,
            compute=compute if told else None,
        )
        inputs, name = make(batches), self._timed["name"]
        sent = self._endpoint.request_bytes(name, inputs, self._names)
        self.cloud = msgspec.structs.replace(
            self.cloud, request_bytes=sent, response_bytes=self._received, stages=(stages,)
        )
        return list(whole)

    def _once(self, make: Any, batches: list[Any]) -> tuple[int, int, int | None, int | None]:
        """Return the nanoseconds of encoding and of all, and of queue and compute if told."""
        name = self._timed["name"]
        before = self._endpoint.statistics(name) if self._counted else None
        begin = time.perf_counter_ns()
        inputs = make(batches)
        encoded = time.perf_counter_ns()
        answer = self._endpoint.infer(name, inputs, self._names)
        end = time.perf_counter_ns()
        found = self._endpoint.read(answer, self._names)
        self._outputs("measure", found)
        self._received = found.size
        queue, compute = found.parameters.get("queue_ns"), found.parameters.get("compute_ns")
        if before and (after := self._endpoint.statistics(name)) and after[0] == before[0] + 1:
            queue, compute = after[1] - before[1], after[2] - before[2]
        numbers = isinstance(queue, int) and isinstance(compute, int)
        told = (queue, compute) if numbers else (None, None)
        return encoded - begin, end - begin, *told

    def predict(self, images: Path, top: int = 5) -> list[list[int]]:
        """Classify the images of a `.npy` file; a last batch that is not full is filled and cut."""
        rows = np.load(images, mmap_mode="r")
        classes: list[list[int]] = []
        for start in range(0, len(rows), self._batch):
            numbers = np.arange(start, start + self._batch).clip(max=len(rows) - 1)
            scores = self._infer("predict", [rows[numbers]])[0].reshape(self._batch, -1)
            best = np.argsort(-scores, axis=1, kind="stable")[:, :top]
            classes += best[: len(rows) - start].tolist()
        return classes

    def memory(self) -> Memory:
        """Return no figures: they are the server's own."""
        return Memory(definition=UNTOLD, before_load=None, after_load=None, after_run=None)

    def sensors(self) -> Sensors:
        """Return none."""
        return Sensors()

    def meters(self) -> Meters:
        """Return none."""
        return Meters()

    def idle(self, seconds: float) -> Idle:
        """Return no figures: there is no meter."""
        time.sleep(seconds)
        return Idle(joules=(), wall_ns=int(seconds * 1e9))

    def streams(self, count: int) -> None:
        """Refuse: one request at a time is what is measured."""
        raise _unsupported("streams", "several requests at once")

    def profile(self, runs: int) -> tuple[OperatorTimes, ...]:
        """Refuse: servers tell no operators' times."""
        raise _unsupported("profile", "operators' times")

    def peak(self, threads: int) -> Peak:
        """Refuse: servers run nothing else."""
        raise _unsupported("peak", "a peak test")

    def close(self) -> None:
        """End the connection."""
        self._endpoint.close()


def _found(endpoint: Endpoint, name: str | None, artifact: str, network: str) -> dict[str, Any]:
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


def _encoded(batch: Any, there: dict[str, Any], own: dict[str, Any]) -> Any:
    """Return a batch as the server takes it: float, or as the artifact's file stores it."""
    kind = TYPES.get(there["datatype"])
    stored = encode(batch, own)
    if kind is not None and np.dtype(kind) == stored.dtype:
        return stored
    if there["datatype"] == "FP32":
        return np.ascontiguousarray(batch, np.float32)
    told = f"input '{there['name']}' takes {there['datatype']}, the artifact {own['dtype']}"
    raise WorkerError("load", "unsupported", f"the server's {told}")


def _decoded(output: Any, own: dict[str, Any]) -> Any:
    if output.dtype.kind not in "fiub":
        told = f"output '{own['name']}' holds texts, not numbers"
        raise WorkerError("verify", "error", told)
    return decode(output, own) if str(output.dtype) == own["dtype"] else np.asarray(output, "f4")


def _file(row: Any, layout: str, steps: dict[str, Any], kind: str) -> bytes:
    """Return an input as the image file that an app would send: preprocessing undone."""
    from PIL import Image

    planes = row if layout == "NHWC" else row.transpose(1, 2, 0)
    scaled = planes * np.asarray(steps["std"]) + np.asarray(steps["mean"])
    pixels = (scaled * 255).round().clip(0, 255).astype(np.uint8)
    file = BytesIO()
    image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    image.save(file, kind, **({"quality": QUALITY} if kind == "jpeg" else {}))
    return file.getvalue()


def reported(stage: str, ask: Any) -> Any:
    """Ask; what goes wrong ends a measurement, as a worker's failure does."""
    try:
        return ask()
    except DeviceError as error:
        raise WorkerError(stage, _cause(error), str(error)) from None


def _cause(error: DeviceError) -> str:
    if isinstance(error, OverloadError):
        return "busy"
    if isinstance(error, HungError):
        return "hung"
    if isinstance(error, MissingError):
        return "missing-model"
    if isinstance(error, TransportError):
        return TRANSPORT
    return "unauthorised" if isinstance(error, UnauthorisedError) else "error"


def _misfit(model: dict[str, Any], told: str) -> WorkerError:
    return WorkerError("load", "error", f"the server's model '{model['name']}' is another: {told}")


def _unsupported(stage: str, what: str) -> WorkerError:
    return WorkerError(stage, "unsupported", f"a server as a device offers no {what}")

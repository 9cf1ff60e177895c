"""A connection to a server as a `devices.device.Session`: see `devices.cloud`."""

import gc
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from devices import picture
from devices.cloud_model import decoded, encoded, find, fit, of_images
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
from devices.worker import environment, keep_worst, read_golden, read_manifest

UNTOLD = "none: a server tells its clients nothing of its memory"
PROBE_TIMEOUT_S = 10.0


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
        direct: Callable[[float], Endpoint],
    ) -> None:
        """Find the model.

        Args:
            endpoint: the server.
            job: says which artifact.
            model: its name there; None for that of the artifact.
            cloud: what is known so far.
            begin_ns: when opening began, by `time.perf_counter_ns`.
            direct: connects to it past any link, for answers of which only what they are counts;
                takes the seconds that one may last.

        Raises:
            WorkerError: the server has no such model, or another one by this name.
        """
        self._endpoint, self._batch = endpoint, job.batch
        self._direct, self._timeout_s = direct, job.timeout_s
        self.alarms: tuple[Alarm, ...] = ()
        self.usage: Usage | None = None
        self.served: Served | None = None
        self.spent: Spent | None = None
        manifest = read_manifest(job.artifact)
        self._contract = manifest["contract"]
        self._inputs, self._expected = read_golden(
            job.artifact / "golden.npz", self._contract, manifest.get("golden") != []
        )
        about = reported("start", endpoint.about)
        self._find(job.artifact, model, images=cloud.payload != "tensor")
        self.ready = Ready(
            load_ns=time.perf_counter_ns() - begin_ns,
            runtime=job.runtime,
            runtime_version=about,
            provider=str(self._model.get("platform") or "not told"),
            threads=None,
            environment=environment(),
        )
        self.cloud: Cloud | None = msgspec.structs.replace(cloud, server=about)

    def _find(self, artifact: Path, name: str | None, *, images: bool) -> None:
        """Find the model that is proved, and the one that is timed."""
        endpoint, network = self._endpoint, artifact.parent.name
        found = reported(
            "load", lambda: find(endpoint, name, f"{network}-{artifact.name}", network)
        )
        self._timed = self._model = fit(found, self._contract, self._batch)
        if images:
            self._timed = reported("load", lambda: of_images(endpoint, self._model["name"]))
        self._names = [t["name"] for t in self._model["outputs"]]
        self._counted = endpoint.statistics(self._timed["name"]) is not None

    def verify(self, rows: int | None = None) -> dict[str, Any]:
        """Send all golden inputs, or the first `rows`, as tensors; return the outputs by name.

        Where images are timed all golden inputs are sent as images, too: see `_compare`.
        """
        worst: list[dict[int, Any]] = [{} for _ in self._expected]
        for start in range(rows or len(self._inputs[0])):
            outputs = self._infer("verify", self._endpoint, self._model, self._rows(start))
            for output, kept, expected in zip(outputs, worst, self._expected, strict=True):
                keep_worst(output, kept, expected, start)
        if self._timed is not self._model:
            self._compare()
        names = [tensor["name"] for tensor in self._contract["outputs"]]
        arrays = [np.stack([kept[n] for n in sorted(kept)[:rows]]) for kept in worst]
        return dict(zip(names, arrays, strict=True))

    def _compare(self) -> None:
        """Count the golden inputs that get the same class as an image and as its pixels' tensor.

        The network was proved by tensors, so that is what the image must be taken for. A lossy file
        is another input than the golden one, and its scores are not the original's.
        """
        assert self.cloud is not None
        with closing(self._direct(self._timeout_s)) as endpoint:
            pairs = [self._both(endpoint, start) for start in range(len(self._inputs[0]))]
        as_image, as_tensor = (np.stack(scores) for scores in zip(*pairs, strict=True))
        agreed, decided = picture.agreement(as_tensor, as_image)
        self.cloud = msgspec.structs.replace(
            self.cloud, images_agreed=agreed, images_decided=decided
        )

    def _both(self, endpoint: Endpoint, start: int) -> tuple[Any, Any]:
        """Return the scores of a golden input as an image, and as a tensor of the same pixels."""
        rows, (tensor, *_) = self._rows(start)[0], self._contract["inputs"]
        steps = self._contract["preprocessing"]
        pixels = np.stack([picture.row(f, tensor["layout"], steps) for f in self._files(rows)])
        image = self._infer("verify", endpoint, self._timed, [rows])[0]
        return image[0], self._infer("verify", endpoint, self._model, [pixels])[0][0]

    def _rows(self, start: int) -> list[Any]:
        numbers = np.arange(start, start + self._batch) % len(self._inputs[0])
        return [rows[numbers] for rows in self._inputs]

    def _infer(
        self, stage: str, endpoint: Endpoint, model: dict[str, Any], batches: list[Any]
    ) -> list[Any]:
        inputs = self._inputs_of(model, batches)
        answer = self._answered(
            stage, lambda: patiently(lambda: endpoint.infer(model["name"], inputs, self._names))
        )
        return self._outputs(stage, reported(stage, lambda: endpoint.read(answer, self._names)))

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
            with closing(self._direct(PROBE_TIMEOUT_S)) as endpoint:
                endpoint.about()
        except DeviceError:
            return error
        return HungError(f"{error}, but answers what else it is asked")

    def _outputs(self, stage: str, found: Inferred) -> list[Any]:
        """Return an answer's outputs in the artifact's order, as float32.

        Raises:
            WorkerError: one is not what the manifest promises.
        """
        told = self._contract["outputs"]
        outputs = [decoded(found.outputs[n], t) for n, t in zip(self._names, told, strict=True)]
        for output, tensor in zip(outputs, told, strict=True):
            if list(output.shape) != [self._batch, *tensor["shape"][1:]]:
                said = f"output '{tensor['name']}' has shape {list(output.shape)}"
                raise WorkerError(stage, "error", f"{said}, the manifest promises another")
        return outputs

    def _inputs_of(self, model: dict[str, Any], batches: list[Any]) -> list[Any]:
        """Return the payload that a model takes: the tensors, or the images of them."""
        if model is not self._model:
            array = np.array(self._files(batches[0]), dtype=np.object_)
            return self._endpoint.tensors([(model["inputs"][0]["name"], "BYTES", array)])
        pairs = zip(model["inputs"], batches, self._contract["inputs"], strict=True)
        given = [(t["name"], t["datatype"], encoded(b, t, own)) for t, b, own in pairs]
        return self._endpoint.tensors(given)

    def _files(self, rows: Any) -> list[bytes]:
        assert self.cloud is not None
        kind, tensor = self.cloud.payload, self._contract["inputs"][0]
        steps = self._contract.get("preprocessing")
        if steps is None or len(self._contract["inputs"]) > 1:
            raise WorkerError("load", "unsupported", "the artifact takes no images")
        return [picture.file(row, tensor["layout"], steps, kind) for row in rows]

    def measure(self, runs: int, *, copies: bool = False) -> list[int]:
        """Send one golden input `runs` times; return what each took in nanoseconds, in all."""
        assert self.cloud is not None
        batches = self._rows(0)
        gc.disable()
        try:
            found = [
                self._answered("measure", lambda: patiently(lambda: self._once(batches)))
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
        inputs, name = self._inputs_of(self._timed, batches), self._timed["name"]
        sent = self._endpoint.request_bytes(name, inputs, self._names)
        self.cloud = msgspec.structs.replace(
            self.cloud, request_bytes=sent, response_bytes=self._received, stages=(stages,)
        )
        return list(whole)

    def _once(self, batches: list[Any]) -> tuple[int, int, int | None, int | None]:
        """Return the nanoseconds of encoding and of all, and of queue and compute if told."""
        name = self._timed["name"]
        before = self._endpoint.statistics(name) if self._counted else None
        begin = time.perf_counter_ns()
        inputs = self._inputs_of(self._timed, batches)
        ready = time.perf_counter_ns()
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
        return ready - begin, end - begin, *told

    def predict(self, images: Path, top: int = 5) -> list[list[int]]:
        """Classify the images of a `.npy` file; a last batch that is not full is filled and cut.

        They are sent as what is timed, past any link: it does not change the answers.
        """
        rows = np.load(images, mmap_mode="r")
        classes: list[list[int]] = []
        with closing(self._direct(self._timeout_s)) as endpoint:
            for start in range(0, len(rows), self._batch):
                numbers = np.arange(start, start + self._batch).clip(max=len(rows) - 1)
                scores = self._infer("predict", endpoint, self._timed, [rows[numbers]])[0]
                order = np.argsort(-scores.reshape(self._batch, -1), axis=1, kind="stable")
                classes += order[: len(rows) - start, :top].tolist()
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


def _unsupported(stage: str, what: str) -> WorkerError:
    return WorkerError(stage, "unsupported", f"a server as a device offers no {what}")

"""A loaded artifact on a device: the worker's answers turned into the protocol's types."""

import base64
import time
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np

from devices.device import (
    Alarm,
    Cloud,
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
    Usage,
    WorkerError,
)
from devices.process import Child
from devices.refusal import explained

T = TypeVar("T")


class WorkerSession:
    """A `devices.device.Session` over a worker process. Every request has the job's timeout."""

    cloud: Cloud | None = None

    def __init__(self, child: Child, job: Job, artifact: str) -> None:
        """Load `artifact`, a path on the device; the worker is ended if that fails.

        Raises:
            WorkerError: it could not be loaded.
        """
        self._child, self._timeout_s = child, job.timeout_s
        try:
            self._start_ns = self._begin()
            self.load(job, artifact)
        except BaseException:
            child.close(kill=True)
            raise

    def _begin(self) -> int | None:
        """Wait for the worker's first answer; return how long after its start that came."""
        self._ask("start")
        return time.perf_counter_ns() - self._child.started_ns

    def load(self, job: Job, artifact: str) -> None:
        """Load another artifact in the same worker, which will prove it, but not time it.

        Raises:
            WorkerError: it could not be loaded; then nothing is.
        """
        self._timeout_s = job.timeout_s
        self.alarms: tuple[Alarm, ...] = ()
        self.usage: Usage | None = None
        self.served: Served | None = None
        self.spent: Spent | None = None
        settings = {"runtime": job.runtime, "threads": job.threads, "batch": job.batch}
        try:
            answer = self._ask("load", artifact=artifact, **settings)
        except WorkerError as error:
            raise WorkerError(error.stage, error.cause, explained(error.detail)) from None
        self.ready = _typed("load", Ready, {"start_ns": self._start_ns, **answer})

    @property
    def pid(self) -> int:
        """The worker's process id on this machine."""
        return self._child.pid

    def _ask(self, op: str, **arguments: Any) -> dict[str, Any]:
        event = self._child.request(op, self._timeout_s, **arguments)
        event.pop("event", None)
        return event

    def verify(self, rows: int | None = None) -> dict[str, Any]:
        """Run all golden inputs, or the first `rows`; return the outputs by name, float32 arrays
        with a row for each.
        """
        answer = self._ask("verify", rows=rows)
        self.alarms = _typed("verify", tuple[Alarm, ...], answer.get("alarms", ()))
        outputs = answer.get("outputs", {})
        return {name: _array(data) for name, data in outputs.items()}

    def measure(self, runs: int, *, copies: bool = False) -> list[int]:
        """Run one golden input `runs` times; return each invocation's time in nanoseconds."""
        answer = self._ask("measure", runs=runs, copies=copies)
        self.usage = _typed("measure", Usage, answer["usage"]) if "usage" in answer else None
        served, spent = answer.get("served"), answer.get("spent")
        self.served = None if served is None else _typed("measure", Served, served)
        self.spent = None if spent is None else _typed("measure", Spent, spent)
        return _typed("measure", list[int], answer.get("ns"))

    def streams(self, count: int) -> None:
        """Load the artifact until it is there `count` times: `measure` then invokes all at once."""
        self._ask("streams", count=count)

    def meters(self) -> Meters:
        """Return the device's energy sensors, which `measure` reads from now on."""
        return _typed("meters", Meters, self._ask("meters"))

    def idle(self, seconds: float) -> Idle:
        """Return what the energy sensors count while nothing is done for so long."""
        return _typed("idle", Idle, self._ask("idle", seconds=seconds))

    def sensors(self) -> Sensors:
        """Read the device's sensors as they are now."""
        return _typed("sensors", Sensors, self._ask("sensors"))

    def predict(self, images: Path, top: int = 5) -> list[list[int]]:
        """Classify the images of a `.npy` file; return the `top` best classes of each."""
        answer = self._ask("predict", images=self._place(images), top=top)
        return _typed("predict", list[list[int]], answer.get("classes"))

    def _place(self, images: Path) -> str:
        """Return where the worker finds a file of images."""
        return str(images.resolve())

    def memory(self) -> Memory:
        """Return the worker's memory figures so far."""
        return _typed("memory", Memory, self._ask("memory"))

    def profile(self, runs: int) -> tuple[OperatorTimes, ...]:
        """Run one golden input under the runtime's profiler; return each operator's times."""
        answer = self._ask("profile", runs=runs)
        return _typed("profile", tuple[OperatorTimes, ...], answer.get("operators"))

    def peak(self, threads: int) -> Peak:
        """Find what the device can do with so many threads."""
        return _typed("peak", Peak, self._ask("peak", threads=threads))

    def close(self) -> None:
        """End the worker. Never raises; safe to call twice."""
        self._child.close()


def _typed(op: str, kind: type[T], value: Any) -> T:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise WorkerError(op, "transport", f"the worker's answer does not fit: {error}") from None


def _array(data: dict[str, Any]) -> Any:
    flat = np.frombuffer(base64.b64decode(data["data"]), dtype=data["dtype"])
    return flat.reshape(data["shape"])

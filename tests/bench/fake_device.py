"""A device of the real protocol whose clock is scripted and seeded: no time passes."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from devices.device import (
    Alarm,
    Cloud,
    DeviceInfo,
    Idle,
    Job,
    Limits,
    Memory,
    Meter,
    Meters,
    Ready,
    Sensors,
    Served,
    Spent,
    Usage,
)
from export.artifact import load
from export.verify import golden


@dataclass(frozen=True)
class Script:
    """How one artifact behaves.

    Invocations take `ns`, varied by a factor of each request (`drift`) and one of each invocation
    (`noise`), both log-normal; the first `slow_runs` take three times as long; the worker waits for
    a core for a share `waits` of the time. `own` is a factor of each process, log-normal, too.
    `fails` gives what to raise at the n-th request (from 1) of an operation. The n-th process (from
    1) behaves by `then[n]`, where that is given.
    """

    ns: float = 1e6
    drift: float = 0.001
    noise: float = 0.001
    slow_runs: int = 0
    waits: float = 0.0
    own: float = 0.0
    wrong: bool = False
    fails: Mapping[tuple[str, int], BaseException] = field(default_factory=dict)
    then: Mapping[int, "Script"] = field(default_factory=dict)


class FakeSession:
    """One loaded artifact."""

    def __init__(self, device: "FakeDevice", job: Job, script: Script) -> None:
        self._device, self._job = device, job
        self._name = job.artifact.parent.name
        self._requests: Counter[str] = Counter()
        self._invocations = 0
        number = device.requests("load").count(self._name) + 1
        self._script = script = script.then.get(number, script)
        self._random = np.random.default_rng([*self._name.encode(), device.seed, *range(1, number)])
        self._level = script.ns * np.exp(self._random.spawn(1)[0].normal(0, script.own))
        self._closed = False
        self.alarms: tuple[Alarm, ...] = ()
        self.usage: Usage | None = None
        self.served: Served | None = None
        self.spent: Spent | None = None
        self.cloud: Cloud | None = None
        self._streams, self._metered = 1, False
        self._request("load")
        self.ready = Ready(
            start_ns=50_000_000,
            import_ns=100_000_000,
            load_ns=2_000_000,
            runtime=job.runtime,
            runtime_version="1.0",
            provider="fake",
            threads=job.threads,
            environment={"python": "3.9"},
            copies=device.copies,
        )
        device.opened(self._name)

    def _request(self, op: str) -> None:
        self._requests[op] += 1
        self._device.log.append((op, self._name))
        error = self._script.fails.get((op, self._requests[op]))
        if error is not None:
            raise error

    def verify(self, rows: int | None = None) -> dict[str, Any]:
        self._request("verify")
        _, outputs = golden(self._job.artifact, load(self._job.artifact))
        sign = -1 if self._script.wrong else 1
        return {name: sign * array[:rows] for name, array in outputs.items()}

    def measure(self, runs: int, *, copies: bool = False) -> list[int]:
        self._request("measure")
        s = self._script
        level = self._level * (2 if copies else 1) * np.exp(self._random.normal(0, s.drift))
        times = level * np.exp(self._random.normal(0, s.noise, runs))
        numbers = self._invocations + np.arange(runs)
        self._invocations += runs
        found = [int(t) for t in np.where(numbers < s.slow_runs, 3 * times, times)]
        if self._streams > 1 and not copies:
            self.served = Served(invocations=self._streams * runs, wall_ns=sum(found))
            found = found * self._streams
        if self._metered:
            joules = self._device.watts * sum(found) / 1e9 / self._streams
            self.spent = Spent(joules=(joules,), invocations=runs * self._streams)
        wall, waited = int(sum(found)), int(s.waits * sum(found))
        self.usage = Usage(
            wall_ns=wall, cpu_ns=wall - waited, waited_ns=waited, involuntary=waited // 4_000_000
        )
        return found

    def streams(self, count: int) -> None:
        """So many take no longer than one, and each does the same."""
        self._request("streams")
        self._streams = count

    def meters(self) -> Meters:
        self._request("meters")
        self._metered = self._device.watts is not None
        meter = Meter(name="scripted", covers="the script", definition="a counter")
        return Meters(meters=(meter,) if self._metered else ())

    def idle(self, seconds: float) -> Idle:
        """A quarter of the power at work."""
        self._request("idle")
        return Idle(joules=(self._device.watts / 4 * seconds,), wall_ns=int(seconds * 1e9))

    def sensors(self) -> Sensors:
        self._request("sensors")
        return Sensors(temperature_c=40.0 + self._requests["sensors"])

    def predict(self, images: Path, top: int = 5) -> list[list[int]]:
        """Every image is of class 0, then 1, and so on."""
        self._request("predict")
        self._device.images.append(images)
        return [list(range(top))] * len(np.load(images))

    def memory(self) -> Memory:
        self._request("memory")
        return Memory(definition="scripted", before_load=1, after_load=2, after_run=3)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._device.log.append(("close", self._name))
            self._device.open_now.discard(self._name)


class FakeDevice:
    """Runs ONNX and TFLite artifacts by their scripts, named after the model."""

    kind = "fake"
    limits = Limits()

    def __init__(
        self,
        scripts: Mapping[str, Script] | None = None,
        *,
        name: str = "fake",
        emulated: bool = False,
        seed: int = 0,
        copies: str | None = None,
        watts: float | None = None,
    ) -> None:
        self.name, self.emulated, self.seed, self.copies = name, emulated, seed, copies
        self.watts = watts
        self.scripts = dict(scripts or {})
        self.log: list[tuple[str, str]] = []
        self.images: list[Path] = []
        self.open_now: set[str] = set()
        self.most_open = 0

    def opened(self, name: str) -> None:
        self.open_now.add(name)
        self.most_open = max(self.most_open, len(self.open_now))

    def info(self) -> DeviceInfo:
        return DeviceInfo(
            name=self.name,
            kind=self.kind,
            fingerprint=f"{self.name}-1",
            emulated=self.emulated,
            facts={"processor": "scripted"},
        )

    def runtimes(self, format: str) -> list[str]:
        return {"onnx": ["first", "second"], "tflite": ["first"]}.get(format, [])

    def open(self, job: Job) -> FakeSession:
        return FakeSession(self, job, self.scripts.get(job.artifact.parent.name, Script()))

    def requests(self, op: str) -> list[str]:
        """Return whose requests of one kind were made, in order."""
        return [name for kind, name in self.log if kind == op]

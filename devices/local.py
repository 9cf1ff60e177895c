"""This machine as a device: a worker process on its CPU, on all cores or on some of them."""

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import msgspec

from devices import facts
from devices.device import DeviceError, DeviceInfo, Job, Limits, WorkerError
from devices.process import Child
from devices.session import WorkerSession

WORKER = Path(__file__).with_name("worker.py")
PROBE_TIMEOUT_S = 120.0
# Which runtimes run a format, preferred first, and the packages any of which provides one.
RUNTIMES: dict[str, dict[str, tuple[str, ...]]] = {
    "tflite": {"litert": ("ai_edge_litert", "tflite_runtime", "tensorflow")},
    "onnx": {"onnxruntime": ("onnxruntime",)},
    "coreml": {"coreml-reference": ("coremltools",)},
    "torch": {"torch": ("torch",)},
}
# What proves a format beside them, and is never timed.
REFERENCES: dict[str, dict[str, tuple[str, ...]]] = {
    "tflite": {"litert-builtin": RUNTIMES["tflite"]["litert"]},
    "onnx": {"onnx-reference": ("onnx",)},
}
PACKAGES = (
    "ai_edge_litert", "tflite_runtime", "tensorflow", "onnx", "onnxruntime", "coremltools", "torch",
)  # fmt: skip
# Tells, in another environment, which of the packages it is given are there.
FIND = """
import sys
from importlib.util import find_spec
print(*(name for name in sys.argv[1:] if getattr(find_spec(name), "origin", None)))
"""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The keys of a ``[devices.NAME]`` table with ``kind = "local"``."""

    cpus: Annotated[tuple[int, ...], msgspec.Meta(min_length=1)] | None = None
    python: Annotated[str, msgspec.Meta(min_length=1)] | None = None


class LocalDevice:
    """The machine that this runs on."""

    # What devices share that must not be at work at the same time: see `devices.lock`.
    machine = "this machine"
    limits = Limits()

    def __init__(
        self,
        name: str = "cpu",
        cpus: Sequence[int] | None = None,
        *,
        limit_bytes: int | None = None,
        python: str | None = None,
    ) -> None:
        """Describe the device; nothing is started.

        Args:
            name: what records call it.
            cpus: the cores that workers are bound to, all their threads included; None for all.
            limit_bytes: the largest address space of a worker (RLIMIT_AS), None for no limit.
            python: the interpreter of another environment, whose runtimes workers use; None for
                this one.
        """
        self.name, self.kind = name, "local"
        self.cpus = None if cpus is None else tuple(sorted(set(cpus)))
        self._limit_bytes = limit_bytes
        self._python = None if python is None else str(Path(python).expanduser())

    def info(self) -> DeviceInfo:
        """Describe this machine as it is now.

        Raises:
            DeviceError: it has not the cores that the device is bound to, or not its Python.
        """
        self._check_cpus()
        self._check_python()
        found = facts.facts(self.cpus)
        return DeviceInfo(
            name=self.name,
            kind=self.kind,
            fingerprint=facts.fingerprint(found),
            emulated=False,
            facts=found,
        )

    def _check_cpus(self) -> None:
        if self.cpus is None:
            return
        if not hasattr(os, "sched_getaffinity"):
            raise DeviceError(f"device '{self.name}': {sys.platform} cannot bind a worker to cores")
        allowed = sorted(os.sched_getaffinity(0))
        if missing := [cpu for cpu in self.cpus if cpu not in allowed]:
            there = ",".join(map(str, allowed))
            raise DeviceError(
                f"device '{self.name}': core {missing[0]} is not there; there is {there}: "
                "correct its cpus in devices.toml"
            )

    def runtimes(self, format: str) -> list[str]:
        """Return the runtimes able to run `format` that are installed here, preferred first."""
        return self._present(RUNTIMES.get(format, {}))

    def references(self, format: str) -> list[str]:
        """Return the runtimes that can only prove `format`, among those installed here."""
        return self._present(REFERENCES.get(format, {}))

    def _present(self, runtimes: dict[str, tuple[str, ...]]) -> list[str]:
        return [name for name, packages in runtimes.items() if self._packages & {*packages}]

    @cached_property
    def _packages(self) -> frozenset[str]:
        """The runtimes' packages that are installed."""
        if self._python is None:
            return frozenset(filter(_installed, PACKAGES))
        self._check_python()
        command = [self._python, "-c", FIND, *PACKAGES]
        found = subprocess.run(command, capture_output=True, text=True, check=False)
        return frozenset(found.stdout.split())

    def _check_python(self) -> None:
        if self._python is not None and shutil.which(self._python) is None:
            raise DeviceError(
                f"device '{self.name}': {self._python} is no program; set its python in "
                "devices.toml to an environment's interpreter, as /opt/board/bin/python"
            )

    def probe(self, runtime: str) -> str:
        """Start a worker, import `runtime` in it, and return the runtime's version.

        Raises:
            WorkerError: it could not be started, or has no such runtime.
        """
        child = self._start()
        try:
            answer = child.request("probe", PROBE_TIMEOUT_S, runtime=runtime)
            return str(answer.get("runtime_version"))
        finally:
            child.close()

    def open(self, job: Job) -> WorkerSession:
        """Start a worker and load the artifact.

        Raises:
            WorkerError: it could not be started or could not load the artifact.
        """
        return WorkerSession(self._start(), job, self.path(job))

    def path(self, job: Job) -> str:
        """Return where a worker finds the artifact."""
        return str(job.artifact.resolve())

    def _start(self) -> Child:
        try:
            self._check_cpus()
            self._check_python()
        except DeviceError as error:
            raise WorkerError("start", "error", str(error)) from None
        command = [self._python or sys.executable, "-u", str(WORKER)]
        if self.cpus is not None:
            command += ["--cpus", ",".join(map(str, self.cpus))]
        if self._limit_bytes is not None:
            command += ["--limit-bytes", str(self._limit_bytes)]
        # Linux ends the worker with the thread that started it, so only the main thread may ask.
        if threading.current_thread() is threading.main_thread():
            command += ["--parent", str(os.getpid())]
        return Child(command, self.environment())

    def environment(self) -> dict[str, str]:
        """Return a worker's environment: this process's, without our own packages on Python's path.

        The worker's own directory, with modules of ours in it, is kept out too (from Python 3.11
        on).
        """
        ours = WORKER.parent.parent
        kept = [
            entry
            for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep)
            if entry and Path(entry).resolve() != ours
        ]
        return {**os.environ, "PYTHONPATH": os.pathsep.join(kept), "PYTHONSAFEPATH": "1"}


def make(name: str, settings: Settings) -> LocalDevice:
    """Return the device that a ``[devices.NAME]`` table describes."""
    return LocalDevice(name, settings.cpus, python=settings.python)


def _installed(package: str) -> bool:
    try:
        spec = find_spec(package)
    except ValueError:
        return False
    return spec is not None and spec.origin is not None

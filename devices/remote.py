"""A device elsewhere: whatever has a POSIX shell and a way to it runs the same worker.

What it needs is sent there once and kept by its content (`devices.store`). The worker lives no
longer than its host: see `devices.worker` on leases.
"""

import os
import shlex
import weakref
from collections.abc import Callable, Mapping, Sequence
from getpass import getuser
from pathlib import Path
from socket import gethostname
from typing import Protocol, TypeVar

from devices import facts, remote_facts
from devices.device import (
    DeviceError,
    DeviceInfo,
    Job,
    Limits,
    Session,
    TransportError,
    WorkerError,
)
from devices.local import FIND, RUNTIMES
from devices.remote_child import LostError, RemoteChild
from devices.session import WorkerSession
from devices.store import Store
from devices.transport import Transport

LEASE_S = 60.0
START_TIMEOUT_S = 120.0
LOCK = "edgeworthy.lock"
WORKER = {
    f"devices/{name}.py": Path(__file__).with_name(f"{name}.py") for name in ("facts", "worker")
}
T = TypeVar("T")


class Provisioner(Protocol):
    """Where the Python and the runtimes of a device's workers come from."""

    def python(self, store: Store) -> Sequence[str]:
        """Return the words that start Python on the device, where it is from now on."""

    def runtimes(self, format: str, found: Mapping[str, str], store: Store) -> list[str]:
        """Return what can run `format` on a device with such facts, preferred first."""

    def environment(
        self, runtime: str, found: Mapping[str, str], store: Store
    ) -> Mapping[str, str]:
        """Put there what a runtime and numpy need; return the variables by which a worker finds
        them.

        Raises:
            DeviceError: it cannot be had, or not be put there.
        """


class OwnRuntimes:
    """The runtimes that a Python on the device has itself: a `Provisioner` that sends nothing."""

    def __init__(self, python: Sequence[str]) -> None:
        """Take the words that start that Python."""
        self._python = tuple(python)

    def python(self, store: Store) -> Sequence[str]:
        """Return the words that start it."""
        return self._python

    def runtimes(self, format: str, found: Mapping[str, str], store: Store) -> list[str]:
        """Return the runtimes for `format` that are installed there."""
        known = RUNTIMES.get(format, {})
        packages = {package for names in known.values() for package in names}
        ran = store.transport.run(shlex.join([*self._python, "-c", FIND, *sorted(packages)]))
        there = set(ran.out.split())
        return [name for name, names in known.items() if there & {*names}]

    def environment(
        self, runtime: str, found: Mapping[str, str], store: Store
    ) -> Mapping[str, str]:
        """Return nothing: Python finds them."""
        return {}


class RemoteSession(WorkerSession):
    """A loaded artifact on a device elsewhere."""

    def __init__(self, child: RemoteChild, job: Job, artifact: str, device: "RemoteDevice") -> None:
        """Lock the device, and load `artifact`, a path there; the worker is ended if that fails.

        Raises:
            WorkerError: another host has the device, or the artifact could not be loaded.
        """
        self._device = device
        super().__init__(child, job, artifact)

    def _begin(self) -> int | None:
        """Return the worker's own word for its age: ours would count the way there."""
        started = self._ask("start")
        self._ask("lock", file=self._device.lock, owner=OWNER)
        age_ns = started.get("age_ns")
        return None if age_ns is None else int(age_ns)

    def _place(self, images: Path) -> str:
        return self._device.place("predict", "images", {"images.npy": images}) + "/images.npy"


class RemoteDevice:
    """A device that a transport reaches. Nothing is started or asked before it is needed."""

    limits = Limits()

    def __init__(
        self,
        name: str,
        kind: str,
        transport: Transport,
        cache: str,
        provisioner: Provisioner,
        *,
        cpus: Sequence[int] | None = None,
        emulated: bool | None = None,
        lock: str = LOCK,
        lease_s: float = LEASE_S,
    ) -> None:
        """Describe the device.

        Args:
            name: what records call it.
            kind: of `devices.registry.KINDS`.
            transport: the way to it.
            cache: the directory there for what is sent, from where a command starts.
            provisioner: where Python and the runtimes come from.
            cpus: the cores that workers are bound to; None for all.
            emulated: whether its times are those of no real device; None to find out.
            lock: the file there that all hosts lock, in its directory for temporary files if the
                path is not absolute.
            lease_s: how long a worker there outlives a way that is cut.
        """
        self.name, self.kind, self.transport, self.lock = name, kind, transport, lock
        self.machine = f"{kind} {transport.address}"
        self.store = Store(transport, cache)
        self._provisioner, self._emulated, self._lease_s = provisioner, emulated, lease_s
        self.cpus = None if cpus is None else tuple(sorted(set(cpus)))
        self._keeper: RemoteChild | None = None
        self._facts: dict[str, str] | None = None

    def info(self) -> DeviceInfo:
        """Describe the device as it is now.

        Raises:
            TransportError: it cannot be reached.
            DeviceError: it does not let this host in, or has no Python that will do.
        """
        self._facts = found = self._survey()
        self.store.doubt()
        guessed = "emulator" in found
        return DeviceInfo(
            name=self.name,
            kind=self.kind,
            fingerprint=facts.fingerprint(found),
            emulated=guessed if self._emulated is None else self._emulated,
            facts=found,
        )

    @property
    def facts(self) -> dict[str, str]:
        """What the device last said of itself, as `devices.facts`."""
        if self._facts is None:
            self._facts = self._survey()
        return self._facts

    def _survey(self) -> dict[str, str]:
        return remote_facts.ask(
            self.name, self.transport, self._provisioner.python(self.store), self.cpus
        )

    def runtimes(self, format: str) -> list[str]:
        """Return the runtimes able to run `format` that are there or can be sent, preferred first.

        Raises:
            DeviceError: the device cannot be reached, or cannot be used.
        """
        return self._provisioner.runtimes(format, self.facts, self.store)

    def references(self, format: str) -> list[str]:
        """Return nothing: what only proves a file needs no device."""
        return []

    def probe(self, runtime: str) -> str:
        """Start a worker, import `runtime` in it, and return the runtime's version.

        Raises:
            WorkerError: it could not be started, or has no such runtime.
        """
        return self._surely(lambda: self._probe(runtime))

    def _probe(self, runtime: str) -> str:
        child = self._start(runtime)
        try:
            answer = child.request("probe", START_TIMEOUT_S, runtime=runtime)
            return str(answer.get("runtime_version"))
        finally:
            child.close()

    def _surely(self, use: Callable[[], T]) -> T:
        """Use what was sent there; if it is gone, send it and use it once more."""
        try:
            return use()
        except LostError:
            self.store.doubt()
            return use()

    def open(self, job: Job) -> Session:
        """Send the artifact if need be, start a worker, and load it.

        From the first one on the device is locked until this process ends or `close`.

        Raises:
            WorkerError: another host has the device; the way to it failed; or the worker could not
                be started or could not load the artifact.
        """
        return self._surely(lambda: self._open(job))

    def _open(self, job: Job) -> Session:
        artifact = self.send(job)
        files = [f"{artifact}/{name}" for name in _files(job.artifact)]
        return RemoteSession(self._start(job.runtime, files), job, artifact, self)

    def send(self, job: Job) -> str:
        """Send the artifact if need be, and lock the device; return the artifact's path there.

        Raises:
            WorkerError: another host has the device, or the way to it failed.
        """
        return self._surely(lambda: self._send(job))

    def _send(self, job: Job) -> str:
        artifact = self.place("load", "artifacts", _files(job.artifact))
        self._keep(job.runtime)
        return artifact

    def place(self, stage: str, kind: str, files: Mapping[str, Path]) -> str:
        """Put files there, if they are not there yet; return their directory.

        Raises:
            WorkerError: that failed, at `stage`.
        """
        try:
            return self.store.place(kind, files)
        except DeviceError as error:
            raise as_worker_error(stage, error) from None

    def _keep(self, runtime: str) -> None:
        """Have a worker hold the lock while those that measure come and go."""
        if self._keeper is not None and self._keeper.is_alive:
            return
        self.close()
        keeper = self._start(runtime)
        try:
            keeper.request("lock", START_TIMEOUT_S, file=self.lock, owner=OWNER)
            self.store.tidy()
        except BaseException as error:
            keeper.close(kill=True)
            if isinstance(error, DeviceError):
                raise as_worker_error("start", error) from None
            raise
        self._keeper = keeper
        weakref.finalize(self, keeper.close)

    def _start(self, runtime: str, files: Sequence[str] = ()) -> RemoteChild:
        """Start a worker that needs some files there besides its own."""
        try:
            python = self._provisioner.python(self.store)
            sent = self.store.place("worker", WORKER)
            given = self._provisioner.environment(runtime, self.facts, self.store)
            variables = [f"{name}={value}" for name, value in given.items()]
            words = ["env", *variables, *python, "-u", f"{sent}/devices/worker.py"]
            words += ["--lease", f"{self._lease_s:g}"]
            words += ["--cpus", ",".join(map(str, self.cpus))] if self.cpus else []
            command = self.store.guarded(
                shlex.join(words), [*files, *(f"{sent}/{name}" for name in WORKER)]
            )
            return RemoteChild(self.transport, command, self._lease_s)
        except DeviceError as error:
            raise as_worker_error("start", error) from None

    def close(self) -> None:
        """Unlock the device for other hosts. Never raises; safe to call twice."""
        if self._keeper is not None:
            self._keeper.close()
            self._keeper = None


OWNER = f"{getuser()}@{gethostname()} (process {os.getpid()})"


def _files(artifact: Path) -> dict[str, Path]:
    """Return the files of an artifact by their names in it."""
    return {str(p.relative_to(artifact)): p for p in artifact.rglob("*") if p.is_file()}


def as_worker_error(stage: str, error: DeviceError) -> WorkerError:
    """Return what ends one measurement where a device could not be used at some stage of it."""
    cause = "transport" if isinstance(error, TransportError) else "error"
    return WorkerError(stage, cause, str(error))

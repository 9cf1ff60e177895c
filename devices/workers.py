"""Workers that stay for the next file: for proofs, where a process a file would cost more than it.

Only the first file of a process may be timed (see `devices.worker`).
"""

import threading
from types import TracebackType
from typing import Any, NamedTuple, Self

from devices.device import Alarm, Job, Ready, WorkerError
from devices.local import LocalDevice
from devices.session import WorkerSession


class Verified(NamedTuple):
    """What a worker computed of the golden inputs, by output, and what it said of itself."""

    outputs: dict[str, Any]
    ready: Ready
    alarms: tuple[Alarm, ...]


class Workers:
    """Workers of a device, each kept for the files of one kind. Threads may share them."""

    def __init__(self, device: LocalDevice) -> None:
        """Take a device; nothing is started."""
        self.device = device
        self._idle: dict[str, list[WorkerSession]] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for session in [s for sessions in self._idle.values() for s in sessions]:
            session.close()
        self._idle.clear()

    def verify(self, job: Job, kind: str, rows: int | None = None) -> Verified:
        """Run an artifact's golden inputs, or the first `rows`, in a worker for files of `kind`.

        A worker that fails is ended. Where it had run another file before, a fresh one decides.

        Raises:
            WorkerError: the artifact could not be loaded, or not be run.
        """
        with self._lock:
            kept = self._idle.get(kind)
            session = kept.pop() if kept else None
        if session is not None:
            try:
                session.load(job, self.device.path(job))
                return self._verified(session, kind, rows)
            except WorkerError:
                session.close()
        return self._verified(self.device.open(job), kind, rows)

    def _verified(self, session: WorkerSession, kind: str, rows: int | None) -> Verified:
        try:
            found = Verified(session.verify(rows), session.ready, session.alarms)
        except BaseException:
            session.close()
            raise
        with self._lock:
            self._idle.setdefault(kind, []).append(session)
        return found

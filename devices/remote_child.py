"""A worker elsewhere, held by the local program that reaches it.

Nothing is believed of a way that may break in the middle: a worker's end is told by a line of its
own.
"""

import os
import threading
from contextlib import suppress
from typing import IO, Any

from devices.device import DeviceError, WorkerError
from devices.process import Child
from devices.store import LOST
from devices.transport import BEGIN, END, Transport

ANSWER_S = 15.0  # even a slow link needs less for a command that does nothing
OOM_KILLS = "$(sed -n 's/^oom_kill //p' /proc/vmstat 2>/dev/null)"


class LostError(WorkerError):
    """What a worker needs is no longer on the device."""

    def __init__(self, stage: str) -> None:
        """Take what was being done."""
        detail = (
            "what was sent there is gone, and again once it was sent anew: something clears it; "
            "set its cache to another directory in devices.toml"
        )
        super().__init__(stage, "error", detail)


class RemoteChild(Child):
    """A worker elsewhere, held by the local program that reaches it."""

    _ended: tuple[int, bool] | None = None

    def __init__(self, transport: Transport, command: str, lease_s: float) -> None:
        """Start a shell command there; an empty line now and then keeps its lease.

        Raises:
            WorkerError: it could not be started.
        """
        counted = f"printf '%s\\n' {BEGIN}; a={OOM_KILLS}; {command}; c=$?; b={OOM_KILLS}; "
        told = f"printf '%s %d %d\\n' {END} $c $((${{b:-0}} - ${{a:-0}}))"
        self._closed, self._transport = threading.Event(), transport
        super().__init__(transport.argv(counted + told), dict(os.environ))
        threading.Thread(target=self._keep_alive, args=(lease_s / 4,), daemon=True).start()

    def _keep_alive(self, every_s: float) -> None:
        while not self._closed.wait(every_s):
            with suppress(OSError, ValueError):
                self._stdin.write(b"\n")
                self._stdin.flush()

    def request(self, op: str, timeout_s: float, **arguments: Any) -> dict[str, Any]:
        """Send one request; where there is no answer, find out whose fault that is.

        Raises:
            WorkerError: as a child's; `transport` if the device does not answer either.
        """
        try:
            return super().request(op, timeout_s, **arguments)
        except WorkerError as error:
            if error.cause == "hung" and (why := self._silence()):
                raise WorkerError(
                    op, "transport", f"no answer within {timeout_s:g} s: {why}"
                ) from None
            raise

    def _silence(self) -> str:
        """Return why the device itself does not answer, empty if it does."""
        try:
            self._transport.run("true", ANSWER_S)
        except DeviceError as error:
            return str(error)
        return ""

    def _read(self, stdout: IO[bytes]) -> None:
        """Take the lines between the two of the shell; a login may print others before."""
        begun = False
        for line in stdout:
            word, *figures = line.split() or [b""]
            if begun and word == END.encode():
                code, oom_kills = map(int, figures)
                self._ended = 128 - code if code > 128 else code, oom_kills > 0
            elif begun:
                self._lines.put(line)
            begun = begun or word == BEGIN.encode()
        self._lines.put(b"")

    def _death(self, op: str) -> WorkerError:
        self._lines.put(b"")  # whoever asks again is told again
        self.close()
        if self._ended is None:
            detail = f"the connection to the device ended{self._last_words()}"
            return WorkerError(op, "transport", detail)
        return LostError(op) if self._ended[0] == LOST else self._died(op, *self._ended)

    @property
    def is_alive(self) -> bool:
        """Tell whether the local program still runs."""
        return self._process.poll() is None

    def close(self, *, kill: bool = False) -> None:
        """End and reap the local program; the worker there ends as it loses its input."""
        self._closed.set()
        super().close(kill=kill)

"""A worker as a child process: requests and answers as JSON lines, with timeouts, always reaped."""

import json
import os
import queue
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any
from weakref import WeakSet

from devices.device import WorkerError

OUT_OF_MEMORY = re.compile(r"bad_alloc|MemoryError|allocate memory|out of memory", re.IGNORECASE)
TAIL_BYTES = 8192
CLOSE_S = 2.0
# A line that no worker sends, as it has no newline.
_INTERRUPT = b"interrupt"
_children: "WeakSet[Child]" = WeakSet()
_children_change = threading.Lock()


def interrupt() -> None:
    """Have every thread that waits for a worker, or asks one next, raise `KeyboardInterrupt`."""
    with _children_change:
        for child in _children:
            child.interrupt()


class Child:
    """A worker started from a command, in a process group of its own."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        """Start `command` with `environment`.

        Raises:
            WorkerError: it could not be started.
        """
        self._oom_kills = _oom_kills()
        self.started_ns = time.perf_counter_ns()
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment,
                process_group=0,
            )
        except OSError as error:
            raise WorkerError("start", "died", f"cannot start {command[0]}: {error}") from None
        self.pid = self._process.pid
        self._lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._tail = bytearray()
        stdin, stdout, stderr = self._process.stdin, self._process.stdout, self._process.stderr
        assert stdin
        assert stdout
        assert stderr
        self._stdin = stdin
        self._readers = [_reader(self._read, stdout), _reader(self._drain, stderr)]
        with _children_change:
            _children.add(self)

    def interrupt(self) -> None:
        """Have the thread that waits for an answer, or asks next, raise `KeyboardInterrupt`."""
        self._lines.put(_INTERRUPT)

    def _read(self, stdout: IO[bytes]) -> None:
        for line in stdout:
            self._lines.put(line)
        self._lines.put(b"")

    def _drain(self, stderr: IO[bytes]) -> None:
        while block := os.read(stderr.fileno(), TAIL_BYTES):
            self._tail += block
            del self._tail[:-TAIL_BYTES]

    def request(self, op: str, timeout_s: float, **arguments: Any) -> dict[str, Any]:
        """Send one request and return the answer's event.

        Raises:
            WorkerError: the worker answered with an error, died, or did not answer in `timeout_s`
                seconds (it is killed then).
            KeyboardInterrupt: see `interrupt`.
        """
        self._send({"op": op, **arguments})
        try:
            line = self._lines.get(timeout=timeout_s)
        except queue.Empty:
            self.close(kill=True)
            detail = f"no answer within {timeout_s:g} s; the worker was killed"
            raise WorkerError(op, "hung", detail) from None
        if line == _INTERRUPT:
            raise KeyboardInterrupt
        if not line:
            raise self._death(op)
        return _event(op, line)

    def _send(self, message: dict[str, Any]) -> None:
        """Write one line; a worker that is gone shows in the answer that is missing."""
        with suppress(OSError, ValueError):
            self._stdin.write(json.dumps(message).encode() + b"\n")
            self._stdin.flush()

    def _death(self, op: str) -> WorkerError:
        self._lines.put(b"")  # whoever asks again is told again
        self.close()
        return self._died(op, self._process.returncode, _oom_kills() > self._oom_kills)

    def _died(self, op: str, code: int, oom_kill: bool) -> WorkerError:
        """Return what to say of an exit code (of a signal's number below 0)."""
        end = f"was killed by {_signal(-code)}" if code < 0 else f"ended with exit code {code}"
        detail = f"the worker {end}"
        killed_for_memory = code == -signal.SIGKILL and oom_kill
        if killed_for_memory:
            detail += "; the kernel counts an out-of-memory kill"
        tail = self._tail.decode(errors="replace")
        short = killed_for_memory or OUT_OF_MEMORY.search(tail)
        return WorkerError(op, "out-of-memory" if short else "died", detail + self._last_words())

    def _last_words(self) -> str:
        lines = self._tail.decode(errors="replace").splitlines()
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f"; its last words: {last[:300]}" if last else ""

    def close(self, *, kill: bool = False) -> None:
        """End and reap the worker and what it started: by asking, or else by force."""
        if self._stdin.closed:
            return
        if not kill:
            self._send({"op": "close"})
        with suppress(OSError):
            self._stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(0 if kill else CLOSE_S)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        for thread in self._readers:
            thread.join(CLOSE_S)


def _reader(read: Callable[[IO[bytes]], None], pipe: IO[bytes]) -> threading.Thread:
    """Start reading a pipe to its end, which may come after that of the process we started."""

    def run() -> None:
        with pipe:
            read(pipe)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def _event(op: str, line: bytes) -> dict[str, Any]:
    try:
        event: dict[str, Any] = dict(json.loads(line))
    except (TypeError, ValueError):
        text = line[:200].decode(errors="replace").strip()
        raise WorkerError(op, "transport", f"not an answer: {text}") from None
    if event.get("event") == "error":
        raise WorkerError(op, str(event.get("cause")), str(event.get("detail")))
    return event


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _oom_kills() -> int:
    """Return how many processes this kernel has killed for memory, 0 where it does not tell."""
    try:
        text = Path("/proc/vmstat").read_text(encoding="ascii")
    except OSError:
        return 0
    found = re.search(r"^oom_kill (\d+)$", text, re.MULTILINE)
    return int(found.group(1)) if found else 0

"""One step of an export in a process of its own: the host's side and the child's side.

Converters clash, leak, print and crash; each has a process to itself and speaks JSON lines on the
real standard output, while everything that the libraries print goes to a log. A step is told on
its standard input where its job is, so that it can import its libraries before there is one.
"""

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, TypeVar

import msgspec

from export.artifact import ArtifactError
from export.jobs import Event, decode

PR_SET_PDEATHSIG = 1
ROOT = Path(__file__).resolve().parent.parent
T = TypeVar("T")


class ChildError(ArtifactError):
    """A step died without a word of its own; the message holds the end of its log."""

    exit_code = 1


class Step:
    """A running step: it takes a job, and tells what comes of it."""

    def __init__(self, stdin: IO[bytes], stdout: IO[bytes], wait: Callable[[], int]) -> None:
        """Take the ends of its pipes, and what waits for its exit status."""
        self._stdin, self._stdout, self._wait = stdin, stdout, wait
        self.status: int | None = None

    def give(self, job: Path) -> None:
        """Tell where the job is; a step that has ended shows in what it does not answer."""
        with suppress(BrokenPipeError):
            os.write(self._stdin.fileno(), f"{job}\n".encode())

    def discard(self) -> None:
        """Let the step end without a job."""
        self._stdin.close()
        self._stdout.close()

    def events(self) -> Iterator[Event]:
        """Give the step's events as they come, until it has ended and its `status` is known."""
        with self._stdin, self._stdout:
            for line in self._stdout:
                event = msgspec.json.decode(line, type=Event)
                if event.event == "exit":
                    self.status = event.exit_code
                else:
                    yield event
        if self.status is None:
            self.status = self._wait()


class Children:
    """The processes now running, so that an interrupt can end them all."""

    def __init__(self, *, forking: bool = sys.platform == "linux") -> None:
        """Start nothing yet. `forking`: steps come from one process that has imported torch."""
        self._forking = forking
        self._server: socket.socket | None = None
        self._running: set[subprocess.Popen[bytes]] = set()
        self._prepared: dict[Path, Step] = {}
        self._lock = threading.Lock()
        self.stopped = threading.Event()

    def start(
        self, arguments: list[str], log: Path, stdin: int = subprocess.DEVNULL
    ) -> subprocess.Popen[bytes]:
        """Start a command in a process group of its own; its stderr goes to the end of `log`."""
        with self._lock:
            return self._start(arguments, log, stdin)

    def _start(
        self, arguments: list[str], log: Path, stdin: int, passed: Sequence[int] = ()
    ) -> subprocess.Popen[bytes]:
        if self.stopped.is_set():
            raise KeyboardInterrupt
        with log.open("ab") as stderr:
            process = subprocess.Popen(
                arguments,
                stdin=stdin,
                stdout=subprocess.DEVNULL if passed else subprocess.PIPE,
                stderr=stderr,
                start_new_session=True,
                env=_environment(),
                pass_fds=passed,
            )
        self._running.add(process)
        return process

    def prepare(self, module: str, log: Path, *arguments: str) -> None:
        """Start one of our modules before its job is known; `run` with the same log goes on."""
        self._prepared[log] = self.begin(module, log, *arguments)

    def begin(self, module: str, log: Path, *arguments: str) -> Step:
        """Start one of our modules, or return it where it was prepared.

        Raises:
            ChildError: the process that the steps come from has died.
        """
        if (step := self._prepared.pop(log, None)) is not None:
            return step
        if self._forking:
            return self._fork(module, log, arguments)
        process = self.start([*_module(module), *arguments], log, subprocess.PIPE)
        assert process.stdin is not None
        assert process.stdout is not None
        return Step(process.stdin, process.stdout, lambda: self.finish(process))

    def _fork(self, module: str, log: Path, arguments: Sequence[str]) -> Step:
        job, give = os.pipe()
        events, send = os.pipe()
        # A step whose end nobody could tell was killed together with who would have told it.
        step = Step(os.fdopen(give, "wb"), os.fdopen(events, "rb"), lambda: -signal.SIGKILL)
        message = json.dumps([module, *arguments]).encode()
        with os.fdopen(job), os.fdopen(send), log.open("ab") as stderr:
            try:
                socket.send_fds(self._serving(log), [message], [job, send, stderr.fileno()])
            except BaseException as error:
                step.discard()
                if isinstance(error, OSError):
                    raise ChildError(last_word(-signal.SIGKILL, log)) from None
                raise
        return step

    def _serving(self, log: Path) -> socket.socket:
        """Return the way to what forks, started with the log of the first step."""
        with self._lock:
            if self.stopped.is_set():
                raise KeyboardInterrupt
            if self._server is None:
                self._server, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                with theirs:
                    command = [*_module("export.forking"), str(theirs.fileno())]
                    self._start(command, log, subprocess.DEVNULL, [theirs.fileno()])
            return self._server

    def finish(self, process: subprocess.Popen[bytes]) -> int:
        """Wait for a process to end; return its exit status."""
        status = process.wait()
        with self._lock:
            self._running.discard(process)
        return status

    def stop(self) -> None:
        """End all processes, and let no other start."""
        with self._lock:
            self.stopped.set()
            for process in self._running:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)

    def close(self) -> None:
        """End what was prepared and not needed, and what the steps come from."""
        for step in self._prepared.values():
            step.discard()
        self._prepared.clear()
        if self._server is not None:
            self._server.close()
        for process in list(self._running):
            self.finish(process)


def _environment() -> dict[str, str]:
    """Return the children's environment: quiet, and a thread each, as several run side by side."""
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "2", "PYTHONWARNINGS": "ignore", "TQDM_DISABLE": "1"}
    return {"OMP_NUM_THREADS": "1"} | os.environ | quiet


def _module(name: str) -> list[str]:
    """Return the command that runs one of our modules, whatever the current directory holds."""
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import runpy; " + (
        f"runpy.run_module({name!r}, run_name='__main__', alter_sys=True)"
    )
    return [sys.executable, "-P", "-c", code]


def run(
    children: Children, module: str, job: Path, log: Path, on_event: Callable[[Event], None]
) -> None:
    """Run one of our modules on a job file, handing over its events as they come.

    Raises:
        ChildError: it ended without its `end` event; says how.
    """
    step = children.begin(module, log)
    step.give(job)
    ended = False
    for event in step.events():
        ended = ended or event.event == "end"
        on_event(event)
    if children.stopped.is_set():
        raise KeyboardInterrupt
    if not ended:
        raise ChildError(last_word(step.status or 0, log))


def last_word(status: int, log: Path) -> str:
    """Return why a step ended early, in one line, from its exit status and the end of its log."""
    if status == -signal.SIGKILL:
        return "killed from outside, most likely for memory; export fewer at once with --jobs 1"
    how = f"by {signal.Signals(-status).name}" if status < 0 else f"with status {status}"
    lines = [li for li in log.read_text(errors="replace").splitlines() if li.strip()]
    said = lines[-1].strip().removeprefix("error: ") if lines else "it printed nothing"
    return (
        said if status > 0 and lines and lines[-1].startswith("error: ") else f"ended {how}: {said}"
    )


def end_with_parent() -> None:
    """In the child: be killed when the parent dies (Linux), which may not live to stop it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def steps(job_type: type[T]) -> Iterator[tuple[T, Callable[[Event], None]]]:
    """In the child: give the job once it is known, if it ever is, and a function that sends events.

    An exception becomes an `error` event with one line, and its traceback goes to the log.
    """
    end_with_parent()
    channel = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)

    def send(event: Event) -> None:
        channel.write(msgspec.json.encode(event) + b"\n")

    if path := sys.stdin.readline().rstrip("\n"):
        yield decode(Path(path).read_bytes(), job_type), send
        send(Event(event="end"))

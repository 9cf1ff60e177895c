"""One step of an export in a process of its own: the host's side and the child's side.

Converters clash, leak, print and crash; each has a process to itself and speaks JSON lines on the
real standard output, while everything that the libraries print goes to a log.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from export.artifact import ArtifactError
from export.jobs import Event, decode

PR_SET_PDEATHSIG = 1
ROOT = Path(__file__).resolve().parent.parent
T = TypeVar("T")


class ChildError(ArtifactError):
    """A step died without a word of its own; the message holds the end of its log."""

    exit_code = 1


class Children:
    """The processes now running, so that an interrupt can end them all."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self.stopped = threading.Event()

    def start(self, arguments: list[str], log: Path) -> subprocess.Popen[bytes]:
        """Start a command in a process group of its own; its stderr goes to the end of `log`."""
        with self._lock, log.open("ab") as stderr:
            if self.stopped.is_set():
                raise KeyboardInterrupt
            process = subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                start_new_session=True,
                env=_environment(),
            )
            self._running.add(process)
        return process

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
    process = children.start([*_module(module), str(job)], log)
    ended = False
    try:
        assert process.stdout is not None
        for line in process.stdout:
            event = msgspec.json.decode(line, type=Event)
            ended = ended or event.event == "end"
            on_event(event)
    finally:
        status = children.finish(process)
    if children.stopped.is_set():
        raise KeyboardInterrupt
    if not ended:
        raise ChildError(last_word(status, log))


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


def steps(job_type: type[T]) -> Iterator[tuple[T, Callable[[Event], None]]]:
    """In the child: give the job named on the command line and a function that sends events.

    An exception becomes an `error` event with one line, and its traceback goes to the log.
    """
    if sys.platform == "linux":  # a host that is killed cannot stop its children
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    channel = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)

    def send(event: Event) -> None:
        channel.write(msgspec.json.encode(event) + b"\n")

    yield decode(Path(sys.argv[1]).read_bytes(), job_type), send
    send(Event(event="end"))

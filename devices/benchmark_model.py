"""Google's benchmark_model on a phone: TFLite files on its GPU or NPU, which no Python reaches.

The program is the user's (`benchmark_model = PATH` in devices.toml). It makes its own inputs and
shows no outputs, so nothing is proved; and it tells means, not samples: of a round there is its
first invocation and the mean of the others.
"""

import re
import shlex
from pathlib import Path
from typing import Any, NamedTuple

from devices.device import (
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
    TransportError,
    Usage,
    WorkerError,
)
from devices.store import Store, sha256

NAME = "benchmark_model"
# The options that choose what computes, by the runtime's name.
FLAGS = {
    NAME: (),
    f"{NAME}-xnnpack": ("--use_xnnpack=true",),
    f"{NAME}-gpu": ("--use_gpu=true",),
    f"{NAME}-nnapi": ("--use_nnapi=true",),
}
TIMING = "benchmark_model's own: of each round its first invocation and the mean of the others"
UNPROVED = "benchmark_model makes its own inputs and shows no outputs"
FOOTPRINT = "benchmark_model's own: growth of its resident set since it started, in whole 0.1 MB"
NUMBER = r"([0-9.eE+]+)"
SUMMARY = re.compile(rf"Inference timings in us: Init: {NUMBER}, First inference: {NUMBER}")
# Where all took the same there is nothing but `curr`.
COUNTED = re.compile(rf"count=(\d+)(?: first={NUMBER})? curr={NUMBER}(?:.*? avg={NUMBER})?")
GROWTH = re.compile(rf"Memory footprint delta.*?init={NUMBER} overall={NUMBER}")
APPLIED = re.compile(r"[Aa]pplied (\w+) delegate, and the model graph will be (\w+) executed")


class Told(NamedTuple):
    """What the program said of one start: times in ns, memory in bytes; None where it said nothing.

    `delegate` is what it says to compute with, and whether that takes all of the model.
    """

    init_ns: int
    first_ns: int
    runs: int
    run_first_ns: int
    mean_ns: int
    init_bytes: int | None
    overall_bytes: int | None
    delegate: str | None


def told(text: str) -> Told | None:
    """Return what the program's output says, None if it has no result."""
    summary, counted = SUMMARY.search(text), COUNTED.findall(text)
    if summary is None or not counted:
        return None
    runs, first, latest, mean = counted[-1]  # the warm-up's come before
    growth, applied = GROWTH.search(text), APPLIED.search(text)
    init, overall = map(_bytes, growth.groups()) if growth else (None, None)
    return Told(
        _nanoseconds(summary[1]), _nanoseconds(summary[2]), int(runs),
        _nanoseconds(first or latest), _nanoseconds(mean or latest), init, overall,
        f"{applied[1]} delegate, {applied[2]}" if applied else None,
    )  # fmt: skip


def _nanoseconds(microseconds: str) -> int:
    return round(1e3 * float(microseconds))


def _bytes(megabytes: str) -> int:
    return round(1e6 * float(megabytes))


def place(program: Path, store: Store) -> str:
    """Put the program there, if it is not there yet; return its path.

    Raises:
        DeviceError: there is no such file here, or it cannot be put or be run there.
    """
    try:
        path = f"{store.place(NAME, {NAME: program})}/{NAME}"
    except OSError as error:
        raise DeviceError(f"{NAME} = '{program}': {error.strerror}") from None
    quoted = shlex.quote(path)
    if store.transport.run(f"chmod 700 {quoted} && test -x {quoted}").code:
        raise DeviceError(f"{path} cannot be run there")
    return path


class BenchmarkModelSession:
    """A `devices.device.Session` that starts the program anew for every request to measure."""

    alarms: tuple[Alarm, ...] = ()
    usage: Usage | None = None
    served: Served | None = None
    spent: Spent | None = None
    cloud: Cloud | None = None

    def __init__(self, program: Path, store: Store, job: Job, artifact: str) -> None:
        """Start the program once, for its figures of a cold start.

        Raises:
            WorkerError: it does not run, or does not compute with what it should.
        """
        if job.batch != 1:
            raise WorkerError("load", "unsupported", f"{NAME} runs files at their own batch only")
        self._store, self._timeout_s = store, job.timeout_s
        words = [place(program, store), f"--graph={artifact}/model.tflite", *FLAGS[job.runtime]]
        words += [] if job.threads is None else [f"--num_threads={job.threads}"]
        self._words = [*words, "--min_secs=0", "--warmup_min_secs=0", "--warmup_runs=1"]
        self._cold: Told | None = self._run("load", 1)
        self._last = self._cold
        if FLAGS[job.runtime] and self._last.delegate is None:
            detail = f"{NAME} did not apply the delegate of {' '.join(FLAGS[job.runtime])}"
            raise WorkerError("load", "unsupported", detail)
        self.ready = Ready(
            load_ns=self._last.init_ns,
            runtime=job.runtime,
            runtime_version=f"sha256:{sha256(program)}",
            provider=self._last.delegate or "its default",
            threads=None,
            environment={},
            timing=TIMING,
            unproved=UNPROVED,
        )

    def _run(self, stage: str, runs: int) -> Told:
        command = shlex.join([*self._words, f"--num_runs={runs}"])
        try:
            ran = self._store.transport.run(f"{command} 2>&1", self._timeout_s)
        except DeviceError as error:
            cause = "transport" if isinstance(error, TransportError) else "error"
            raise WorkerError(stage, cause, str(error)) from None
        found = told(ran.out)
        if ran.code or found is None:
            last = (ran.out.strip().splitlines() or ["it said nothing"])[-1][:300]
            detail = f"{NAME} ended with exit code {ran.code}; its last words: {last}"
            raise WorkerError(stage, "error", detail)
        return found

    def verify(self, rows: int | None = None) -> dict[str, Any]:
        """Refuse: see `UNPROVED`.

        Raises:
            WorkerError: always.
        """
        raise WorkerError("verify", "unsupported", UNPROVED)

    def measure(self, runs: int, *, copies: bool = False) -> list[int]:
        """Start the program for so many invocations.

        Returns:
            The first one's time and the mean of the others, in nanoseconds; where there is one
            only, its time. The first request of all is answered by the cold start.
        """
        if runs == 1 and self._cold is not None:
            cold, self._cold = self._cold, None
            return [cold.first_ns]
        self._cold = None
        self._last = found = self._run("measure", runs)
        if found.runs == 1:
            return [found.mean_ns]
        others = (found.mean_ns * found.runs - found.run_first_ns) / (found.runs - 1)
        return [found.run_first_ns, round(others)]

    def streams(self, count: int) -> None:
        """Refuse: the program runs alone.

        Raises:
            WorkerError: always.
        """
        raise WorkerError("streams", "unsupported", f"{NAME} runs one inference at a time")

    def meters(self) -> Meters:
        """Return no sensors: the program reads none."""
        return Meters()

    def idle(self, seconds: float) -> Idle:
        """Return nothing, as there are no meters."""
        return Idle(joules=(), wall_ns=0)

    def sensors(self) -> Sensors:
        """Return no figures: the program reads none."""
        return Sensors()

    def predict(self, images: Path, top: int = 5) -> list[list[int]]:
        """Refuse: see `UNPROVED`.

        Raises:
            WorkerError: always.
        """
        raise WorkerError("predict", "unsupported", UNPROVED)

    def memory(self) -> Memory:
        """Return how the program grew, as it says itself."""
        return Memory(
            definition=FOOTPRINT,
            before_load=None,
            after_load=self._last.init_bytes,
            after_run=self._last.overall_bytes,
        )

    def profile(self, runs: int) -> tuple[OperatorTimes, ...]:
        """Refuse: the program tells operators' means only.

        Raises:
            WorkerError: always.
        """
        raise WorkerError("profile", "unsupported", f"{NAME} shows no single operator's samples")

    def peak(self, threads: int) -> Peak:
        """Refuse: the program measures networks only.

        Raises:
            WorkerError: always.
        """
        raise WorkerError("peak", "unsupported", f"{NAME} does not tell what the device can do")

    def close(self) -> None:
        """Do nothing: the program ends by itself."""

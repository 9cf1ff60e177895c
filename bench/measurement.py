"""One cell while it is measured: what is known of it so far, and the record it becomes."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

from msgspec.structs import replace as replace_data

from bench.matrix import Cell
from bench.pace import CountPace, Pace
from bench.record import (
    SCHEMA,
    Accuracy,
    Cloud,
    ColdStart,
    EndToEnd,
    Energy,
    Failure,
    Record,
    Scenario,
    Stages,
    Stop,
    Surroundings,
    Sustained,
    Throughput,
    WarmUp,
)
from devices.device import Idle, Job, Memory, Meters, Served, Session, Spent, Usage, WorkerError
from export.artifact import Proof

FORMAT_NAMES = {"onnx": "ONNX", "tflite": "TFLite", "coreml": "Core ML", "torch": "torch"}

STREAMS = (
    "every stream is a thread of one process with the file loaded for itself, and invokes it over "
    "and over"
)
ONE_STREAM = "one inference after another; the time is that of the invocations alone"

Stage = Literal["load", "cool", "prove", "idle", "warm up", "measure", "accuracy", "sustain"]


@dataclass
class Measurement:
    """What was found so far; `group` is the number of its group within the run.

    `processes` holds the number of rounds of each worker, the one at work last; `answers` what the
    device computed for the golden inputs.
    """

    cell: Cell
    run: str
    group: int
    session: Session | None = None
    processes: list[int] = field(default_factory=list)
    cold: list[ColdStart] = field(default_factory=list)
    answers: dict[str, Any] = field(default_factory=dict)
    proof: Proof = field(default_factory=lambda: Proof(verified=None, reason="not reached"))
    warm_up: WarmUp | None = None
    pace: Pace = field(init=False)
    rounds: list[tuple[int, ...]] = field(default_factory=list)
    starts_ns: list[int] = field(default_factory=list)
    usage: list[Usage] = field(default_factory=list)
    surroundings: Surroundings | None = None
    end_to_end: list[tuple[int, ...]] = field(default_factory=list)
    sustained: Sustained | None = None
    served: list[Served] = field(default_factory=list)
    scenario: Scenario | None = None
    meters: Meters | None = None
    idle: Idle | None = None
    spent: list[Spent] = field(default_factory=list)
    memory: Memory | None = None
    accuracy: Accuracy | None = None
    stages: list[Stages] = field(default_factory=list)
    stop: Stop | None = None

    def __post_init__(self) -> None:
        # Samples of streams overlap: together they are so much longer than the time they take.
        seconds = self.cell.effort.max_seconds * (self.cell.streams or 1)
        effort = replace(self.cell.effort, max_seconds=seconds, processes=self.cell.processes)
        self.pace = CountPace(effort) if self.cell.target.info.counts else Pace(effort)

    @property
    def opened(self) -> Session:
        """The worker, once it is there."""
        assert self.session is not None
        return self.session

    @property
    def is_first(self) -> bool:
        """Tell whether the worker at work is the first."""
        return len(self.processes) == 1

    def start(self) -> None:
        """Start a fresh worker for this cell.

        Raises:
            WorkerError: the device has no runtime for it, or it could not be loaded.
        """
        cell = self.cell
        self.processes.append(0)
        if cell.runtime is None:
            detail = f"no {FORMAT_NAMES[cell.artifact.manifest.format]} runtime on this system"
            raise WorkerError("start", "missing-runtime", detail)
        where, runtime = cell.artifact.path, cell.runtime
        job = Job(artifact=where, runtime=runtime, threads=cell.threads, batch=cell.batch)
        self.session = cell.target.device.open(job)

    def timed(self, runs: int) -> list[int]:
        """Return the times of a round's invocations but for its first, and note what it took."""
        samples = self.opened.measure(1 + runs)[1:]
        if self.opened.usage is not None:
            self.usage.append(self.opened.usage)
        if self.opened.served is not None:
            self.served.append(self.opened.served)
        elif self.cell.streams is not None:
            self.served.append(Served(invocations=len(samples), wall_ns=sum(samples)))
        if self.opened.spent is not None:
            self.spent.append(self.opened.spent)
        if self.opened.cloud is not None:
            self.stages += [later(stages) for stages in self.opened.cloud.stages]
        return samples

    def void(self) -> None:
        """Forget what was timed: the answer was wrong."""
        self.warm_up = self.surroundings = self.scenario = None
        for found in (
            self.cold,
            self.rounds,
            self.starts_ns,
            self.usage,
            self.end_to_end,
            self.served,
            self.spent,
            self.stages,
        ):
            found.clear()
        self.processes = [0] * len(self.processes)

    def warmed(self, now: WarmUp) -> None:
        """Add what warming up one more process took."""
        before = self.warm_up or WarmUp(runs=0, seconds=0.0, steady=True)
        self.warm_up = WarmUp(
            runs=before.runs + now.runs,
            seconds=before.seconds + now.seconds,
            steady=before.steady and now.steady,
        )

    def close(self) -> None:
        """End the worker, if there is one."""
        if self.session is not None:
            self.session.close()

    def record(self, failure: Failure | None = None) -> Record:
        """Return the record of what was found."""
        ready = self.session.ready if self.session else None
        return Record(
            schema=SCHEMA,
            run=self.run,
            group=self.group,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            tool_version=tool_version(),
            manifest=self.cell.artifact.manifest,
            device=self.cell.target.info,
            settings=self.cell.settings(ready),
            load_ns=self.cold[0].load_ns if self.cold else None,
            first_ns=self.cold[0].first_ns if self.cold else None,
            cold=tuple(self.cold),
            warm_up=self.warm_up,
            rounds=tuple(self.rounds),
            starts_ns=tuple(self.starts_ns),
            processes=tuple(count for count in self.processes if count),
            usage=tuple(self.usage),
            surroundings=self.surroundings,
            end_to_end=_end_to_end(ready.copies if ready else None, self.end_to_end),
            sustained=self.sustained,
            throughput=self._throughput(),
            scenario=self.scenario,
            energy=self._energy(),
            memory=self.memory,
            proof=self.proof,
            accuracy=self.accuracy,
            cloud=self._cloud(),
            environment=ready.environment if ready else {},
            rung=self.cell.effort.rung,
            beside=self.cell.beside,
            stop=self.stop or "failed",
            failure=failure,
        )

    def _throughput(self) -> Throughput | None:
        if not self.served:
            return None
        how = STREAMS if (self.cell.streams or 1) > 1 else ONE_STREAM
        return Throughput(definition=how, rounds=tuple(self.served))

    def _cloud(self) -> Cloud | None:
        found = self.session.cloud if self.session else None
        return None if found is None else replace_data(found, stages=tuple(self.stages))

    def _energy(self) -> Energy | None:
        found = self.meters
        if found is None or not (found.meters or found.unreadable):
            return None
        return Energy(sensors=found, rounds=tuple(self.spent), idle=self.idle)


def _end_to_end(how: str | None, rounds: list[tuple[int, ...]]) -> EndToEnd | None:
    return EndToEnd(definition=how, rounds=tuple(rounds)) if how and rounds else None


def later(stages: Stages) -> Stages:
    """Return the stages of a round without those of its first request, which is no sample."""
    return Stages(
        encode=stages.encode[1:],
        upload_download=stages.upload_download[1:],
        queue=None if stages.queue is None else stages.queue[1:],
        compute=None if stages.compute is None else stages.compute[1:],
    )


def tool_version() -> str:
    """Return the installed version of edgeworthy."""
    try:
        return version("edgeworthy")
    except PackageNotFoundError:
        return "not installed"

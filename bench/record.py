"""The record: one measurement of one artifact on one device, or the reason why there is none.

One line of JSON in a JSONL file, immutable, with raw samples. Statistics are computed on reading.
"""

from typing import ClassVar, Literal

import msgspec

from devices.device import Cloud as Cloud  # noqa: PLC0414  part of a record
from devices.device import (
    DeviceInfo,
    Idle,
    Memory,
    Meters,
    Sensors,
    Served,
    Spent,
    Usage,
)
from devices.device import Link as Link  # noqa: PLC0414  part of a record
from devices.device import Stages as Stages  # noqa: PLC0414  part of a record
from export.artifact import Manifest, Proof

SCHEMA = 1
# What ended the sampling: the interval was tight, the question of a gate was decided, the time was
# spent, or something failed.
Stop = Literal["precise", "decided", "time", "failed"]
# Those of MLPerf Inference but for its server: see `bench.scenario`.
ScenarioName = Literal["single-stream", "multi-stream", "offline"]


class BenchError(Exception):
    """Records or settings cannot be used; the message says why and what to do."""

    exit_code: ClassVar[int] = 2


class _Data(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Immutable data that is checked when read."""


class Settings(_Data, frozen=True, kw_only=True):
    """How the measurement was made. `threads` is what was asked for (None: the runtime's choice),
    `threads_found` what the runtime reported. `streams` is how many inferences ran at once, None
    where nobody asked for the throughput: it was one. `scenario` is the rule that was followed.
    `timing` is how an invocation was timed, None for the worker's clock around it. `network` is the
    shaped link to a server, None for the network as it is.
    """

    runtime: str
    runtime_version: str | None
    provider: str | None
    threads: int | None
    threads_found: int | None
    batch: int
    seed: int
    precision_target: float
    max_seconds: float
    streams: int | None = None
    scenario: ScenarioName | None = None
    timing: str | None = None
    network: str | None = None


class WarmUp(_Data, frozen=True, kw_only=True):
    """Timed invocations before each process's first sample; those of the proof are not counted.

    `steady` False: the limit came first, in one of them at least.
    """

    runs: int
    seconds: float
    steady: bool


class ColdStart(_Data, frozen=True, kw_only=True):
    """What one fresh process took until its first answer, in nanoseconds, step by step.

    `start_ns`: the process, Python and numpy; `import_ns`: the runtime's import; `load_ns`: from
    the file's path to a runtime ready to be invoked; `first_ns`: the first invocation. The file had
    been read before: it came from the system's file cache. None where a device cannot tell.
    """

    start_ns: int | None
    import_ns: int | None
    load_ns: int
    first_ns: int

    @property
    def total_ns(self) -> int:
        """The steps that are known, together."""
        return (self.start_ns or 0) + (self.import_ns or 0) + self.load_ns + self.first_ns


class Surroundings(_Data, frozen=True, kw_only=True):
    """The device's sensors right before the first round and right after the last."""

    before: Sensors
    after: Sensors | None = None


class Sustained(_Data, frozen=True, kw_only=True):
    """A curve of running back to back for `seconds`: medians of successive stretches, and when each
    began. Temperatures and clocks of the same stretches are empty where there is no such sensor,
    and so is `lost`, the share of the time in which the worker had no core, where nothing tells.
    """

    seconds: float
    times_s: tuple[float, ...]
    medians_ns: tuple[int, ...]
    temperatures_c: tuple[float, ...] = ()
    frequencies_mhz: tuple[float, ...] = ()
    lost: tuple[float, ...] = ()


class EndToEnd(_Data, frozen=True, kw_only=True):
    """Nanoseconds of single runs in the process, with inputs handed over and outputs fetched, one
    list a round; `definition` says how.
    """

    definition: str
    rounds: tuple[tuple[int, ...], ...]


class Throughput(_Data, frozen=True, kw_only=True):
    """What was done in each round, by one stream or several together, or by a scenario's queries;
    `definition` says how. Kept where the throughput was asked for.
    """

    definition: str
    rounds: tuple[Served, ...]


class Scenario(_Data, frozen=True, kw_only=True):
    """A run by a scenario of MLPerf Inference: see `bench.scenario`.

    Asked for were `least_seconds` and `least_queries` (offline: samples), `shortened` if that is
    less than the rule asks. `queries` were made, of `samples` in all, in `seconds` (the time of
    the queries alone). `latencies` counts all of them: (nanoseconds, how many), see `bench.tail`.
    """

    name: ScenarioName
    shortened: bool
    least_seconds: float
    least_queries: int
    seconds: float
    queries: int
    samples: int
    latencies: tuple[tuple[int, int], ...]


class Energy(_Data, frozen=True, kw_only=True):
    """What the device's energy sensors counted in each round, its first invocation included, and in
    an idle time before the first; `sensors.unreadable` names those that refused.
    """

    sensors: Meters
    rounds: tuple[Spent, ...] = ()
    idle: Idle | None = None


class Accuracy(_Data, frozen=True, kw_only=True):
    """Share of images whose label is the best answer (`top1`), or among the best five (`top5`)."""

    dataset: str
    fingerprint: str
    images: int
    top1: float
    top5: float | None


class Failure(_Data, frozen=True, kw_only=True):
    """Why there are no samples, or no more: see `devices.device.WorkerError`."""

    stage: str
    cause: str
    detail: str


class Record(_Data, frozen=True, kw_only=True):
    """The one result type. `rounds` holds nanoseconds of single invocations, one list a round.

    Each round began with one invocation that is not in it: other artifacts ran in between, and its
    time would tell of their traces in the caches.

    Records of the same `run` and `group` were measured side by side, and round i of all of them is
    one block: made one after the other, in random order, beginning at `starts_ns` (nanoseconds on
    one clock since the group began). `usage` tells for every round what it took, where
    the device can tell.

    `processes` tells how many successive rounds each process made; process i of a group's artifacts
    were measured side by side, and so were rounds, where all made equally many. Empty in records
    from before there could be several: it was one process. `cold` is what each took to start, one a
    process, and `load_ns` and `first_ns` are those of the first. `warm_up` is that of all together.

    Of several streams (`throughput`) a round holds what all of them made; of a `scenario` it holds
    queries of a stretch of the run, evenly drawn where they are more than `serving.KEPT`.

    `rung` is set in records of a search that were cut short to compare many candidates: see
    `bench.search`. No other command takes them for a measurement. `beside` is true of a predecessor
    that was measured only for `bench check` to hold its successor, of the same run, group and key,
    against.

    Raises:
        ValueError: `processes` made other rounds than there are.
    """

    schema: int
    run: str
    group: int | None = None
    created: str
    tool_version: str
    manifest: Manifest
    device: DeviceInfo
    settings: Settings
    load_ns: int | None = None
    first_ns: int | None = None
    cold: tuple[ColdStart, ...] = ()
    warm_up: WarmUp | None = None
    rounds: tuple[tuple[int, ...], ...] = ()
    starts_ns: tuple[int, ...] = ()
    processes: tuple[int, ...] = ()
    usage: tuple[Usage, ...] = ()
    surroundings: Surroundings | None = None
    end_to_end: EndToEnd | None = None
    sustained: Sustained | None = None
    throughput: Throughput | None = None
    scenario: Scenario | None = None
    energy: Energy | None = None
    memory: Memory | None = None
    proof: Proof
    accuracy: Accuracy | None = None
    cloud: Cloud | None = None
    environment: dict[str, str] = {}
    rung: int | None = None
    beside: bool = False
    stop: Stop
    failure: Failure | None = None

    def __post_init__(self) -> None:
        """Check what would otherwise show as figures of the wrong process."""
        if self.processes and sum(self.processes) != len(self.rounds):
            made, there = sum(self.processes), len(self.rounds)
            raise ValueError(f"its processes made {made} rounds, and it holds {there}")

    @property
    def sampled(self) -> bool:
        """Tell whether there are samples."""
        return bool(self.rounds)

    @property
    def counts(self) -> bool:
        """Tell whether it is a measurement in its own right: of no rung, beside no successor."""
        return self.rung is None and not self.beside

    @property
    def several(self) -> bool:
        """Tell whether its rounds are those of several processes: see `bench.stats.units`."""
        return len(self.processes) > 1

    @property
    def key(self) -> tuple[str, ...]:
        """Model, artifact variant, device, runtime, threads, batch, how it was asked to run if not
        alone, and by which network: what a result is about.
        """
        return key(self.manifest, self.device, self.settings)


def key(manifest: Manifest, device: DeviceInfo, s: Settings) -> tuple[str, ...]:
    """Return the key of a record of these: see `Record.key`."""
    threads = "default" if s.threads is None else str(s.threads)
    names = (manifest.network.name, manifest.variant, device.name)
    asked = load(s.streams, s.scenario, s.network)
    return (*names, s.runtime, threads, str(s.batch), *asked)


def load(streams: int | None, scenario: str | None, network: str | None = None) -> tuple[str, ...]:
    """Return how a measurement asks an artifact to run, as words; none of one stream alone, over
    the network as it is.
    """
    several = (f"{streams} streams",) if streams and streams > 1 else ()
    by = (f"network {network}",) if network else ()
    return (*several, *((scenario,) if scenario else ()), *by)

"""The record: one measurement of one artifact on one device, or the reason why there is none.

One line of JSON in a JSONL file, immutable, with raw samples. Statistics are computed on reading.
"""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Literal, TypeVar

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
_BLOCK = 1 << 16
# So much of a file is read at once: many lines.
_READ = 1 << 20

Line = TypeVar("Line", bound=msgspec.Struct)


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


def check_writable(path: Path) -> None:
    """Find out before a long run whether records can be appended to `path`; parents are created.

    Raises:
        BenchError: they cannot.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new = not path.exists()
        path.open("ab").close()
        if new:
            path.unlink()
    except OSError as error:
        raise _unwritable(path, error) from None


def append(path: Path, record: msgspec.Struct) -> None:
    """Append a record, or a profile, as one line to a JSONL file, and flush it to the disk before
    returning.

    A last line without its newline, left by a killed process, is cut away first; and where the
    line cannot be written whole, nothing of it stays. Writers take turns.

    Raises:
        BenchError: the file cannot be written to.
    """
    line = msgspec.json.encode(record) + b"\n"
    try:
        with path.open("a+b", buffering=0) as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            _cut_torn_line(stream)
            _write_whole(stream, line)
            os.fsync(stream.fileno())
    except OSError as error:
        raise _unwritable(path, error) from None


def _cut_torn_line(stream: FileIO) -> None:
    """Truncate to the end of the last whole line, looking backwards block by block."""
    end = size = stream.seek(0, os.SEEK_END)
    whole = 0
    while end and not whole:
        start = max(0, end - _BLOCK)
        stream.seek(start)
        newline = stream.read(end - start).rfind(b"\n")
        whole = start + newline + 1 if newline >= 0 else 0
        end = start
    if whole < size:
        stream.truncate(whole)


def _write_whole(stream: FileIO, line: bytes) -> None:
    before = stream.seek(0, os.SEEK_END)
    try:
        if stream.write(line) != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError:
        with suppress(OSError):
            stream.truncate(before)
        raise


def _unwritable(path: Path, error: OSError) -> BenchError:
    return BenchError(
        f"cannot write records to {path}: {error.strerror}; choose another file with --out FILE"
    )


def read(path: Path, start: int = 0, end: int | None = None) -> Iterator[Record]:
    """Yield the records of a JSONL file one at a time.

    Manifests and devices that are equal to the byte are one object in all of them. A last line
    without its newline, as a killed process may leave, is passed over.

    Args:
        path: the file.
        start: bytes of it; a line that began before is left out. Messages count lines from here.
        end: likewise; a line that begins there or later is left out, None of none.

    Raises:
        BenchError: no such file, or a line that is not a record; names the line.
    """
    try:
        stream = path.open("rb", buffering=_READ)
    except OSError as error:
        raise BenchError(
            f"cannot read {path}: {error.strerror}; make records with 'bench run --out {path}'"
        ) from None
    with stream:
        decoder = _Decoder()
        for number, line in enumerate(_lines(stream, start, end), 1):
            if line.endswith(b"\n") and line.strip():
                yield decoder.decode(line, f"{path}:{number}")


def _lines(stream: BinaryIO, start: int, end: int | None) -> Iterator[bytes]:
    """Yield the lines that begin between two bytes."""
    place = start
    if start:
        place = stream.seek(start - 1) + len(stream.readline())
    for line in stream:
        if end is not None and place >= end:
            return
        yield line
        place += len(line)


# What many records have in common, and what takes longest to decode.
COMMON: dict[str, Any] = {
    "manifest": Manifest,
    "device": DeviceInfo,
    "settings": Settings,
    "proof": Proof,
    "environment": dict[str, str],
}


class _Decoder:
    """Decodes lines; what they have in common is decoded once, and is one object in all records."""

    def __init__(self) -> None:
        self._known: dict[bytes, Any] = {}
        self._last: dict[str, tuple[msgspec.Raw, Any]] = {}

    def decode(self, line: bytes, where: str) -> Record:
        """Return the record of a line.

        Raises:
            BenchError: it holds none.
        """
        try:
            fields = msgspec.structs.asdict(_LINES.decode(line))
            if fields["schema"] > SCHEMA:
                return _decode(line, where)
            for name in COMMON:
                fields[name] = self._common(name, fields[name])
            return Record(**fields)
        except (msgspec.MsgspecError, ValueError):
            return _decode(line, where)  # slower, and says what is wrong, and where

    def _common(self, name: str, text: msgspec.Raw) -> Any:
        """Return what a text holds: mostly that of the line before."""
        last, found = self._last.get(name, (None, None))
        if text != last:
            key = bytes(text)
            found = self._known.get(key)
            if found is None:
                found = self._known[key] = msgspec.json.decode(key, type=COMMON[name])
            self._last[name] = text.copy(), found
        return found


def _line() -> type[msgspec.Struct]:
    """Return a record's type in which what is common is left as text."""
    empty = msgspec.Raw(b"{}")
    fields: list[tuple[str, Any, Any]] = []
    for one in msgspec.structs.fields(Record):
        kind, default = (msgspec.Raw, empty) if one.name in COMMON else (one.type, one.default)
        absent = msgspec.field() if one.required else msgspec.field(default=default)
        fields.append((one.name, kind, absent))
    return msgspec.defstruct("_Line", fields, kw_only=True, forbid_unknown_fields=True)


_LINES = msgspec.json.Decoder(_line())


def _decode(line: bytes, where: str) -> Record:
    return decode(line, where, Record, "record", SCHEMA)


def decode(line: bytes, where: str, kind: type[Line], noun: str, latest: int) -> Line:
    """Return what a line holds.

    Args:
        line: JSON with a field ``schema``.
        where: it stands, for the message.
        kind: what it should be.
        noun: what that is called.
        latest: the last schema of it that this version reads.

    Raises:
        BenchError: it is something else, or of a later schema.
    """
    schema = _schema_of(line)
    if schema is not None and schema > latest:
        raise BenchError(
            f"{where} has schema {schema}, this edgeworthy reads up to {latest}: upgrade it"
        )
    try:
        return msgspec.json.decode(line, type=kind)
    except msgspec.MsgspecError as error:
        raise BenchError(f"{where} is not a {noun}: {error}") from None


def _schema_of(line: bytes) -> int | None:
    try:
        value: Any = msgspec.json.decode(line)
    except msgspec.MsgspecError:
        return None
    schema = value.get("schema") if isinstance(value, dict) else None
    return schema if isinstance(schema, int) else None

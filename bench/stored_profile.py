"""A profile as it is kept: one line of JSON for each, immutable, with the raw times of all runs."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from bench.profile import KINDS, Effort, Operation, Profile, typical
from bench.record import BenchError
from bench.record_file import decode
from devices.device import DeviceInfo, OperatorTimes, Peak
from export.artifact import Manifest, Proof

SCHEMA = 1


class Operator(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An operator of the runtime with its times, and the work attributed to it.

    `layer` is empty where the runtime added the operator by itself, `bytes` None where the runtime
    does not tell.

    Raises:
        ValueError: of no known kind, or without a time and a start for each run.
    """

    layer: str
    kind: str
    macs: int
    bytes: int | None
    times: OperatorTimes

    def __post_init__(self) -> None:
        """Check what would otherwise leave a share of the time out of the figures."""
        if self.kind not in KINDS:
            raise ValueError(f"there is no kind of operators {self.kind!r}")
        if not self.times.ns or len(self.times.ns) != len(self.times.starts_ns):
            raise ValueError(f"{self.times.name!r} has not one time and one start for each run")


class StoredProfile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What ``bench profile`` found of one artifact on one device.

    `runtime` has its version; `unprofiled_ns` is the median of whole runs without the profiler.
    """

    schema: int
    created: str
    tool_version: str
    manifest: Manifest
    device: DeviceInfo
    runtime: str
    threads: int
    runs: int
    operators: tuple[Operator, ...]
    peak: Peak
    unprofiled_ns: float
    proof: Proof

    @property
    def key(self) -> tuple[str, ...]:
        """What it is about: of several, the last counts."""
        where = (self.device.name, self.device.fingerprint)
        return ("profile", self.manifest.key, *where, self.runtime, str(self.threads))

    @property
    def profile(self) -> Profile:
        """Its figures."""
        return Profile(
            artifact=self.manifest.key,
            runtime=self.runtime,
            device=self.device.name,
            threads=self.threads,
            runs=self.runs,
            operations=tuple(map(_operation, self.operators)),
            peak=self.peak,
            unprofiled_ns=self.unprofiled_ns,
        )


def _operation(of: Operator) -> Operation:
    effort = Effort(typical(of.times.ns), of.macs, of.bytes)
    return Operation(of.layer, of.kind, of.times, effort)


def read(path: Path) -> Iterator[StoredProfile]:
    """Yield the profiles of a JSONL file; a line that a killed process left torn is passed over.

    Raises:
        BenchError: no such file, or a line that is no profile; names the line.
    """
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except OSError as error:
        raise BenchError(
            f"cannot read {path}: {error.strerror}; "
            f"make profiles with 'bench profile ARTIFACT --out {path}'"
        ) from None
    for number, line in enumerate(lines, 1):
        if line.endswith(b"\n") and line.strip():
            yield decode(line, f"{path}:{number}", StoredProfile, "profile", SCHEMA)


def latest(profiles: Iterable[StoredProfile]) -> list[StoredProfile]:
    """Return the last profile of each key."""
    return list({profile.key: profile for profile in profiles}.values())

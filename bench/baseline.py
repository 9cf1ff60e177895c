"""The baseline: a small committed file of figures that `bench check` judges growth against."""

import hashlib
import re
from collections.abc import Iterable
from functools import cached_property
from itertools import islice
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import msgspec

from bench import atomic
from bench.conditions import Conditions, succeeded
from bench.exact import is_exact
from bench.record import Accuracy, BenchError, Record
from export.artifact import GOLDEN, Contract, Manifest, Tensor, matches

if TYPE_CHECKING:
    from bench.stats import Floats

SCHEMA = 1
ROUNDS = 30
# Among so many, none of which can be compared, the most similar one is looked for.
FEW = 100


class _Data(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Immutable data that is checked when read."""


class _Written(msgspec.Struct):
    """What a baseline of any version says of itself."""

    schema: Any = None


class Peak(_Data, frozen=True, kw_only=True):
    """The worker's memory after the runs, in bytes, by a named definition."""

    definition: str
    after_run: int


class Measurement(_Data, frozen=True, kw_only=True):
    """One measurement, reduced: the medians of its rounds in nanoseconds, memory, accuracy.

    `processes_ns` has the median of each process, where there were several.
    """

    artifact: str
    model_sha256: str
    conditions: Conditions
    rounds_ns: tuple[int, ...]
    processes_ns: tuple[int, ...] = ()
    memory: Peak | None = None
    accuracy: Accuracy | None = None

    @property
    def units_ns(self) -> tuple[int, ...]:
        """Return the medians of processes, or those of the only one's rounds."""
        return self.processes_ns or self.rounds_ns

    @property
    def count(self) -> int | None:
        """Return what an invocation counts, if that is the same in every run: see `bench.exact`."""
        known = self.conditions.counts and is_exact(self.rounds_ns, self.conditions.threads)
        return round(median(self.rounds_ns)) if known else None

    @property
    def name(self) -> str:
        """Return ``model/variant`` and the conditions: what the measurement is about."""
        return f"{self.artifact} {self.conditions.label}"


class Known(_Data, frozen=True, kw_only=True):
    """What the baseline holds of an artifact. `contract` is for reading, its digest for judging."""

    size_bytes: int
    files: dict[str, int]
    model_sha256: str
    contract_sha256: str
    contract: dict[str, str]
    verified: bool | None
    psnr_db: dict[str, float]


class Past:
    """The measurements of one artifact, and which of them another one is held against."""

    def __init__(self, measured: Iterable[Measurement]) -> None:
        self.by_name = {one.name: one for one in measured}
        self._by_setting: dict[tuple[str, int | None, int], list[Measurement]] = {}
        for one in self.by_name.values():
            self._by_setting.setdefault(_setting(one), []).append(one)

    def closest(self, now: Measurement) -> tuple[Measurement, tuple[str, ...]]:
        """Return the one under the most similar conditions, and what differs.

        Of those on the same machine with as many threads and the same batch, or else of the first
        few of all, which differ in any case: so that it costs no more where there are many.
        """
        same = self.by_name.get(now.name)
        if same and not same.conditions.differences(now.conditions):
            return same, ()
        few = [*([same] if same else []), *islice(self.by_name.values(), FEW)]
        near = self._by_setting.get(_setting(now)) or few
        found = [(m, m.conditions.differences(now.conditions)) for m in near]
        return min(found, key=lambda pair: (len(pair[1]), pair[0].name != now.name))


def _setting(one: Measurement) -> tuple[str, int | None, int]:
    where = one.conditions
    return where.fingerprint, where.threads, where.batch


class Baseline(_Data, frozen=True, kw_only=True, dict=True):
    """The whole file: artifacts by ``model/variant``, measurements by that and their conditions."""

    schema: int
    artifacts: dict[str, Known]
    measurements: dict[str, Measurement]

    def of(self, key: str) -> Past | None:
        """Return the measurements of one artifact, None if there are none."""
        return self._by_artifact.get(key)

    @cached_property
    def _by_artifact(self) -> dict[str, Past]:
        found: dict[str, list[Measurement]] = {}
        for measured in self.measurements.values():
            found.setdefault(measured.artifact, []).append(measured)
        return {key: Past(each) for key, each in found.items()}


def model_sha256(manifest: Manifest) -> str:
    """Return the hash of what would be shipped: of the one file, or of all names and hashes."""
    return manifest.model_sha256


def contract_sha256(contract: Contract) -> str:
    """Return a hash that changes when anything that an application relies on changes."""
    return hashlib.sha256(msgspec.json.encode(contract, order="deterministic")).hexdigest()


def describe(contract: Contract) -> dict[str, str]:
    """Return the contract as short lines by name, so that a difference can be shown."""
    lines = {f"input {t.name}": _tensor(t) for t in contract.inputs}
    lines |= {f"output {t.name}": _tensor(t) for t in contract.outputs}
    lines["batch"] = "dynamic" if contract.dynamic_batch else "fixed"
    lines["preprocessing"] = _json(contract.preprocessing)
    lines["postprocessing"] = contract.postprocessing
    if contract.classes is not None:
        names = hashlib.sha256(_json(contract.classes).encode()).hexdigest()[:12]
        lines["classes"] = f"{len(contract.classes)} names, sha256 {names}"
    return lines


def known(manifest: Manifest) -> Known:
    """Return what the baseline keeps of an artifact."""
    return Known(
        size_bytes=manifest.size_bytes,
        files={file.path: file.bytes for file in manifest.files if file.path != GOLDEN},
        model_sha256=model_sha256(manifest),
        contract_sha256=contract_sha256(manifest.contract),
        contract=describe(manifest.contract),
        verified=manifest.proof.verified,
        psnr_db={o.name: round(o.psnr_db, 1) for o in manifest.proof.outputs},
    )


def measurement(record: Record) -> Measurement:
    """Return what the baseline keeps of a record: every round's median, without the samples."""
    from bench.reading import reading  # and numpy with it, which sizes can be judged without

    made = reading(record)
    memory, figures = made.memory, made.figures
    peak = memory.after_run if memory else None
    return Measurement(
        artifact=record.manifest.key,
        model_sha256=model_sha256(record.manifest),
        conditions=made.conditions,
        rounds_ns=_rounded(figures.rounds) if figures else (),
        processes_ns=_rounded(figures.medians) if figures and made.several else (),
        memory=Peak(definition=memory.definition, after_run=peak) if memory and peak else None,
        accuracy=record.accuracy,
    )


def _rounded(times: "Floats") -> tuple[int, ...]:
    return tuple(map(round, times.tolist()))


def unfit(record: Record, manifest: Manifest | None) -> str | None:
    """Say why nothing can be judged against a record; None if it can serve as a baseline."""
    if manifest is None:
        return "there is no such artifact"
    if model_sha256(record.manifest) != model_sha256(manifest):
        return "measured on another file than the artifact's"
    if not succeeded(record):
        return "wrong" if record.proof.verified is False else "failed"
    if record.proof.verified is None:
        return "unproved"
    return "emulated" if record.device.emulated and not measurement(record).count else None


def build(manifests: Iterable[Manifest], records: Iterable[Record]) -> Baseline:
    """Return the baseline of artifacts and of the records that count, one for each key."""
    measured = [_bounded(record) for record in records]
    return _sorted({m.key: known(m) for m in manifests}, {m.name: m for m in measured})


def update(old: Baseline, new: Baseline, pattern: str) -> Baseline:
    """Return `old` with everything of the artifacts that fit `pattern` replaced by that of `new`.

    An artifact that fits and is not in `new` is dropped; the measurements of one that is keep
    those of conditions not measured again.

    Raises:
        BenchError: no artifact of either fits `pattern`.
    """
    if not any(matches(key, pattern) for key in old.artifacts | new.artifacts):
        there = ", ".join(sorted(old.artifacts | new.artifacts)[:5]) or "none"
        raise BenchError(f"no artifact fits '{pattern}'; there are {there}")
    artifacts = {k: v for k, v in old.artifacts.items() if not matches(k, pattern)}
    artifacts |= {k: v for k, v in new.artifacts.items() if matches(k, pattern)}
    kept = {k: m for k, m in old.measurements.items() if m.artifact in artifacts}
    fresh = {k: m for k, m in new.measurements.items() if matches(m.artifact, pattern)}
    return _sorted(artifacts, kept | fresh)


def write(path: Path, baseline: Baseline) -> None:
    """Write `baseline` as indented JSON, whole or not at all.

    Raises:
        BenchError: `path` cannot be written to.
    """
    text = msgspec.json.format(msgspec.json.encode(baseline), indent=2)
    atomic.write(path, _one_line_lists(text) + b"\n")


def read(path: Path) -> Baseline | None:
    """Read a baseline; None if there is no such file.

    Raises:
        BenchError: it cannot be read, is no baseline, or was written by a newer version.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BenchError(f"cannot read {path}: {error.strerror}") from None
    try:
        schema = msgspec.json.decode(raw, type=_Written).schema
        if isinstance(schema, int) and schema > SCHEMA:
            raise BenchError(
                f"{path} has schema {schema}, this edgeworthy reads up to {SCHEMA}: upgrade it"
            )
        return msgspec.json.decode(raw, type=Baseline)
    except msgspec.MsgspecError as error:
        raise BenchError(
            f"{path} is not a baseline: {error}; write it again with 'bench baseline'"
        ) from None


def _bounded(record: Record) -> Measurement:
    """Keep at most `ROUNDS` rounds, evenly spread: a drift stays visible, the interval widens."""
    whole = measurement(record)
    count = len(whole.rounds_ns)
    picked = {i * (count - 1) // max(1, ROUNDS - 1) for i in range(ROUNDS)} if count else set()
    return msgspec.structs.replace(
        whole, rounds_ns=tuple(whole.rounds_ns[i] for i in sorted(picked))
    )


def _sorted(artifacts: dict[str, Known], measured: dict[str, Measurement]) -> Baseline:
    return Baseline(
        schema=SCHEMA,
        artifacts=dict(sorted(artifacts.items())),
        measurements=dict(sorted(measured.items())),
    )


def _one_line_lists(text: bytes) -> bytes:
    """Put a list of numbers on one line: a measurement is then one changed line, not thirty."""
    numbers = rb"\[\s*(\d[\d\s,]*?)\s*\]"
    return re.sub(numbers, lambda found: b"[" + b" ".join(found[1].split()) + b"]", text)


def _tensor(tensor: Tensor) -> str:
    shape = "x".join(str(n) for n in tensor.shape)
    stored = "" if tensor.scale is None else f", scale {tensor.scale!r}, zero {tensor.zero_point}"
    return f"{tensor.dtype} {shape} {tensor.layout}{stored}"


def _json(value: Any) -> str:
    return msgspec.json.encode(value, order="deterministic").decode()

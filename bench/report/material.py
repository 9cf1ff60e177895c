"""What a report is made from: artifacts, and figures grouped by where they were taken."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import msgspec

from bench import units
from bench.baseline import Baseline, model_sha256
from bench.reading import Reading, readings
from bench.record import Record, load
from bench.rows import Row, row
from bench.stored_profile import StoredProfile
from bench.tradeoff import Tradeoff
from bench.verdict import DOUBTFUL
from export.artifact import Manifest, Tensor

TRUSTED = frozenset({"valid", *DOUBTFUL})
FORMATS = ("torch", "onnx", "tflite", "coreml")
PRECISIONS = ("fp32", "fp16", "int8", "int8-weights", "int4-weights")


class Line(msgspec.Struct, frozen=True):
    """A record and its figures. `outdated`: it is of another file than the artifact there now."""

    record: Record
    row: Row
    outdated: bool

    @property
    def key(self) -> str:
        """Return ``model/variant``."""
        return self.record.manifest.key

    @property
    def time(self) -> float | None:
        """Return the median in nanoseconds, if it is one of the artifact there now."""
        return None if self.outdated else self.row.p50_ns

    @property
    def verdict(self) -> str:
        """Return the word for what the figures are worth."""
        return "outdated" if self.outdated else self.row.verdict


Place = tuple[bool, bool, str, str, int, int, tuple[str, ...]]


@dataclass(frozen=True)
class Group:
    """Lines that may be set side by side: one machine, one number of threads, one batch."""

    label: str
    lines: tuple[Line, ...]

    def best(self, network: str, variant: str) -> Line | None:
        """Return the fastest trustworthy line of one artifact."""
        return self._best.get(f"{network}/{variant}")

    @cached_property
    def _best(self) -> dict[str, Line]:
        found: dict[str, Line] = {}
        for line in self.lines:
            known = found.get(line.key)
            if line.verdict in TRUSTED and (not known or (line.time or 0.0) < (known.time or 0.0)):
                found[line.key] = line
        return found


@dataclass(frozen=True)
class Material:
    """All that a report says. `manifests` is by artifact key, sorted by the network's size, and so
    are the `profiles`. `tradeoff` None: device and cloud were not both measured.
    """

    manifests: dict[str, Manifest]
    groups: tuple[Group, ...]
    without_file: tuple[str, ...]
    baseline: Baseline | None
    profiles: tuple[StoredProfile, ...] = ()
    tradeoff: Tradeoff | None = None

    @property
    def networks(self) -> dict[str, Manifest]:
        """Return a manifest for each network, fewest parameters first."""
        found: dict[str, Manifest] = {}
        for manifest in self.manifests.values():
            found.setdefault(manifest.network.name, manifest)
        return found

    @property
    def variants(self) -> list[str]:
        """Return all variants by format and precision."""
        order = {m.variant: _rank(m) for m in self.manifests.values()}
        return sorted(order, key=order.__getitem__)

    @cached_property
    def lines(self) -> list[Line]:
        """Return the lines of all groups."""
        return [line for group in self.groups for line in group.lines]

    def having(self, *networks: str) -> list[Group]:
        """Return the groups in which each of these networks has a trustworthy line."""
        first, *others = (self._trusted.get(name, {}) for name in networks)
        return [group for number, group in first.items() if all(number in one for one in others)]

    @cached_property
    def _trusted(self) -> dict[str, dict[int, Group]]:
        """Return by network the groups with a trustworthy line of it, by their number."""
        found: dict[str, dict[int, Group]] = {}
        for number, group in enumerate(self.groups):
            for line in group.lines:
                if line.verdict in TRUSTED:
                    found.setdefault(line.row.model, {})[number] = group
        return found


def gather(
    manifests: Iterable[Manifest],
    records: Sequence[Record],
    baseline: Baseline | None = None,
    profiles: Iterable[StoredProfile] = (),
    tradeoff: Tradeoff | None = None,
) -> Material:
    """Sort what is known.

    Args:
        manifests: of the artifacts there now.
        records: one a key. A record of an artifact that is not there brings its own manifest.
        baseline: for changes, if they are wanted.
        profiles: one a key. Those of another file than the artifact's there now are left out.
        tradeoff: device against cloud, where both were measured.
    """
    here = {manifest.key: manifest for manifest in manifests}
    known = {record.manifest.key: record.manifest for record in records} | here
    groups: dict[Place, list[Reading]] = {}
    for record in readings(records):
        groups.setdefault(_place(record), []).append(record)
    return Material(
        manifests=dict(
            sorted(known.items(), key=lambda i: (i[1].network.parameters, *_rank(i[1])))
        ),
        groups=tuple(_group(groups[key], known) for key in sorted(groups)),
        without_file=tuple(sorted(known.keys() - here.keys())),
        baseline=baseline,
        profiles=tuple(sorted((p for p in profiles if _is_of(p, known)), key=_by_size)),
        tradeoff=tradeoff,
    )


def _is_of(profile: StoredProfile, known: dict[str, Manifest]) -> bool:
    manifest = known.get(profile.manifest.key, profile.manifest)
    return model_sha256(manifest) == model_sha256(profile.manifest)


def _by_size(profile: StoredProfile) -> tuple[int | str, ...]:
    return profile.manifest.network.parameters, *_rank(profile.manifest), *profile.key


def input_size(manifest: Manifest) -> str:
    """Return what one image is, as ``224x224x3`` whatever the layout."""
    tensor: Tensor = manifest.contract.inputs[0]
    sizes = dict(zip(tensor.layout, tensor.shape, strict=False))
    if set(tensor.layout) == set("NHWC"):
        return "x".join(str(sizes[axis]) for axis in "HWC")
    return "x".join(str(size) for size in tensor.shape[1:])


def _group(records: Sequence[Reading], known: dict[str, Manifest]) -> Group:
    lines = [_line(record, known[record.manifest.key]) for record in records]
    lines.sort(key=lambda line: (line.time is None, line.time or 0.0, line.key))
    first = records[0].conditions
    threads = units.threads(first.threads)
    emulated = ", emulated" if first.emulated else ""
    emulated += f", {first.counts}" if first.counts else ""
    several = "".join(f", {words}" for words in load(first.streams, first.scenario, first.network))
    return Group(f"{first.device}{emulated}, {threads}, batch {first.batch}{several}", tuple(lines))


def _line(record: Reading, manifest: Manifest) -> Line:
    outdated = model_sha256(record.manifest) != model_sha256(manifest)
    return Line(record, row(record), outdated)


def _place(record: Record) -> Place:
    """Return what a group has in common, so that servers come late and emulated devices last."""
    device, settings = record.device, record.settings
    where = (device.emulated, record.cloud is not None, device.name, device.fingerprint)
    asked = load(settings.streams, settings.scenario, settings.network)
    return *where, settings.threads or 0, settings.batch, asked


def _rank(manifest: Manifest) -> tuple[int, int, str]:
    return (
        FORMATS.index(manifest.format),
        PRECISIONS.index(manifest.precision),
        manifest.variant,
    )

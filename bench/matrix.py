"""What is to be measured: artifacts x devices x threads x batch, in groups run side by side."""

import difflib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

from bench import exact, units
from bench.limits import check_charge
from bench.record import BenchError, Settings, load
from bench.scenario import Plan
from devices import quarantine
from devices.device import Device, DeviceError, DeviceInfo, Ready
from export import artifact as artifacts
from export.artifact import Manifest

# Workers open at once, and the bytes of their model files together: a worker holds about three
# times its file.
MAX_OPEN = 8
MAX_OPEN_BYTES = 1_500_000_000
NO_RUNTIME = "none"

# Has a device's machine to itself while the context lasts, or raises a `DeviceError`.
Hold = Callable[[Device], AbstractContextManager[None]]


@dataclass(frozen=True)
class Artifact:
    """A checked artifact and where it lies."""

    path: Path
    manifest: Manifest


@dataclass(frozen=True)
class Effort:
    """How hard to measure: stop when the median's interval is within `precision_target` (half
    width as a fraction of the median), or after `max_seconds` of samples; `seed` sets the order.
    At least `processes` fresh processes share the rounds of an artifact, or exactly one if it is 1;
    after them, each artifact runs back to back for `sustained_s` seconds. With `max_slowdown` two
    artifacts are measured until it is clear whether the second takes longer than the first by more
    than that share, however wide their intervals are. With a `scenario` each runs by that instead,
    one after another. `rung`: that of a search, see `bench.search`.
    """

    precision_target: float = 0.02
    max_seconds: float = 10.0
    seed: int = 0
    processes: int = 1
    sustained_s: float | None = None
    max_slowdown: float | None = None
    scenario: Plan | None = None
    rung: int | None = None


@dataclass(frozen=True)
class Choice:
    """The matrix's other dimensions. `runtime` None: the device's first, or all of them with
    `every_runtime`; no `batches`: each file's own; no `streams`: one, and nobody asks for the
    throughput.
    """

    threads: tuple[int, ...] = (1,)
    batches: tuple[int, ...] = ()
    runtime: str | None = None
    streams: tuple[int, ...] = ()
    every_runtime: bool = False


@dataclass(frozen=True)
class Target:
    """A device, described once, and its runtimes by format."""

    device: Device
    info: DeviceInfo


@dataclass(frozen=True)
class Cell:
    """One measurement to make. `runtime` None: the device has none for this format. `beside`: of a
    predecessor, in turns with the cell before.
    """

    artifact: Artifact
    target: Target
    runtime: str | None
    threads: int
    batch: int
    effort: Effort
    streams: int | None = None
    beside: bool = False

    @property
    def key(self) -> tuple[str, ...]:
        """The key that its record will have: see `bench.record.Record.key`."""
        manifest = self.artifact.manifest
        names = (manifest.network.name, manifest.variant, self.target.info.name)
        setting = (self.runtime or NO_RUNTIME, str(self.threads), str(self.batch))
        return (*names, *setting, *self._load)

    @property
    def _load(self) -> tuple[str, ...]:
        rule = self.effort.scenario.name if self.effort.scenario else None
        return load(self.streams, rule, self.network)

    @property
    def network(self) -> str | None:
        """The shaped link to a server, None for the network as it is."""
        return getattr(self.target.device, "network", None)

    @property
    def processes(self) -> int:
        """How many processes share the rounds: one does where all count the same."""
        return 1 if self.target.info.counts else self.effort.processes

    @property
    def name(self) -> str:
        """``model/variant (device, threads, batch)``, with streams and scenario where there are."""
        where = f"{self.target.info.name}, {units.threads(self.threads)}, batch {self.batch}"
        role = ", before" if self.beside else ""
        return f"{self.artifact.manifest.key}{role} ({', '.join((where, *self._load))})"

    def settings(self, ready: Ready | None) -> Settings:
        """Return the settings as a record holds them; `ready` tells what was found."""
        return Settings(
            runtime=self.runtime or NO_RUNTIME,
            runtime_version=ready.runtime_version if ready else None,
            provider=ready.provider if ready else None,
            threads=self.threads,
            threads_found=ready.threads if ready else None,
            batch=self.batch,
            seed=self.effort.seed,
            precision_target=self.effort.precision_target,
            max_seconds=self.effort.max_seconds,
            streams=self.streams,
            scenario=self.effort.scenario.name if self.effort.scenario else None,
            timing=ready.timing if ready else None,
            network=self.network,
        )


def select(root: Path, patterns: Sequence[str]) -> list[Artifact]:
    """Return the artifacts below `root` that fit any of the patterns, each checked file by file.

    No pattern means all. See `export.artifact.find` for what a pattern may be.

    Raises:
        BenchError: a pattern fits nothing, or two artifacts would have one name in the records.
        ArtifactError: one of them is damaged, changed, or no artifact.
    """
    found: dict[Path, Path] = {}
    for pattern in patterns or ("*",):
        found.update({path.resolve(): path for path in _matching(root, pattern)})
    chosen = [Artifact(path, artifacts.load(path)) for path in found.values()]
    _refuse_namesakes(chosen)
    return chosen


def _refuse_namesakes(chosen: Sequence[Artifact]) -> None:
    by_key: dict[str, Path] = {}
    for artifact in chosen:
        other = by_key.setdefault(artifact.manifest.key, artifact.path)
        if other != artifact.path:
            raise BenchError(
                f"{other} and {artifact.path} are both {artifact.manifest.key}: measure them one "
                "after the other, into two files, and see 'bench compare'"
            )


def _matching(root: Path, pattern: str) -> list[Path]:
    found = artifacts.find(root, pattern.removeprefix(f"{root}/"))
    if found:
        return found
    if Path(pattern).is_dir() and Path(pattern) != root:
        artifacts.read_manifest(Path(pattern))
    raise BenchError(_nothing(root, pattern))


def _nothing(root: Path, pattern: str) -> str:
    there = [f"{path.parent.name}/{path.name}" for path in artifacts.find(root)]
    if not there:
        return (
            f"no artifacts in {root}; make some with "
            "'edgeworthy export --model NAME --format FORMAT', or name their place with "
            "--artifacts-dir DIR"
        )
    names = sorted({part for key in there for part in (key, *key.split("/"))})
    near = difflib.get_close_matches(pattern.replace("*", ""), names, 1)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    more = f" and {len(there) - 5} more" if len(there) > 5 else ""
    return f"no artifact in {root} fits '{pattern}'{hint}; there is: {', '.join(there[:5])}{more}"


def describe(devices: Sequence[Device]) -> list[Target]:
    """Ask every device what it is, before anything is measured.

    Raises:
        DeviceError: one of them is unavailable, or set aside.
    """
    return [_target(device) for device in devices]


def _target(device: Device) -> Target:
    quarantine.check(device)
    target = Target(device, device.info())
    check_charge(device.limits, target.info)
    return target


def describe_those_there(
    devices: Sequence[Device], hold: Hold
) -> tuple[list[Target], list[DeviceError]]:
    """Ask every device what it is; return those that answered, and why the others did not.

    Args:
        devices: whom to ask.
        hold: takes a device's machine meanwhile, as asking disturbs what is measured there.

    Raises:
        DeviceError: none did.
    """
    targets, absent = list[Target](), list[DeviceError]()
    for device in devices:
        try:
            with hold(device):
                targets.append(_target(device))
        except DeviceError as error:
            absent.append(error)
    if not targets:
        raise absent[0]
    return targets, absent


def plan(
    chosen: Sequence[Artifact], targets: Sequence[Target], choice: Choice, effort: Effort
) -> list[Cell]:
    """Return every combination, those that share a device, batch and threads one after another.

    Raises:
        BenchError: the runtime asked for can run none of the artifacts, or more is asked of a
            device that counts than to count.
    """
    exact.refuse(targets, *_beyond_counting(choice, effort))
    cells = [
        Cell(artifact, target, runtime, threads, batch, effort, streams)
        for target, threads, streams in product(targets, choice.threads, choice.streams or (None,))
        for batch, artifact in sorted(_batched(chosen, choice.batches), key=lambda pair: pair[0])
        for runtime in _runtimes(target, artifact, choice)
    ]
    if choice.runtime and not any(cell.runtime for cell in cells):
        raise BenchError(_no_such_runtime(choice.runtime, chosen, targets))
    return cells


def _beyond_counting(choice: Choice, effort: Effort) -> Iterator[str]:
    if effort.sustained_s is not None:
        yield "how long one takes under load"
    if effort.scenario is not None:
        yield "a scenario"
    if choice.streams:
        yield "several streams"
    if effort.max_slowdown is not None:
        yield "which of two is slower"


def with_predecessors(cells: Sequence[Cell], root: Path) -> list[Cell]:
    """Return the cells, each followed by that of the artifact of the same name below `root`.

    A cell whose artifact has none there stays alone.

    Raises:
        BenchError: none has one, or `root` is where the artifacts themselves are.
        ArtifactError: one of them is damaged, changed, or no artifact.
    """
    there = {f"{p.parent.name}/{p.name}": p for p in artifacts.find(root)}
    keys = {cell.artifact.manifest.key for cell in cells}
    before = {key: Artifact(there[key], artifacts.load(there[key])) for key in keys & {*there}}
    if not before:
        raise BenchError(
            f"--beside {root}: no artifact there has the name of one that is to be measured "
            f"({min(keys)}); it is for what 'edgeworthy export' made before the change"
        )
    if same := [c for c in cells if (b := before.get(_key(c))) and _is_same(b, c.artifact)]:
        raise BenchError(f"--beside {root}: {_key(same[0])} is the very artifact to be measured")
    return [each for cell in cells for each in (cell, *_predecessor(cell, before))]


def _key(cell: Cell) -> str:
    return cell.artifact.manifest.key


def _is_same(one: Artifact, other: Artifact) -> bool:
    return one.path.resolve() == other.path.resolve()


def _predecessor(cell: Cell, before: dict[str, Artifact]) -> Iterator[Cell]:
    if found := before.get(_key(cell)):
        yield replace(cell, artifact=found, beside=True)


def _batched(
    chosen: Sequence[Artifact], batches: tuple[int, ...]
) -> Iterator[tuple[int, Artifact]]:
    for artifact in chosen:
        own = artifact.manifest.contract.inputs[0].shape[0]
        yield from ((batch, artifact) for batch in batches or (own,))


def _runtimes(target: Target, artifact: Artifact, choice: Choice) -> Sequence[str | None]:
    available = target.device.runtimes(artifact.manifest.format)
    if choice.runtime:
        return [choice.runtime if choice.runtime in available else None]
    return available[: None if choice.every_runtime else 1] or [None]


def _no_such_runtime(wanted: str, chosen: Sequence[Artifact], targets: Sequence[Target]) -> str:
    formats = sorted({artifact.manifest.format for artifact in chosen})
    there = sorted({name for t in targets for f in formats for name in t.device.runtimes(f)})
    near = difflib.get_close_matches(wanted, there, 1)
    hint = f"did you mean '{near[0]}'? " if near else ""
    return (
        f"no runtime '{wanted}' here for {', '.join(formats)}; {hint}"
        f"there is: {', '.join(there) or 'none'}"
    )


def groups(cells: Iterable[Cell], *, mixed: bool = False) -> Iterator[list[Cell]]:
    """Split into runs that share a device and batch and can be open at the same time.

    They share their threads, too, unless `mixed`. A predecessor stays with its successor.
    """
    group: list[Cell] = []
    for some in inseparable(cells):
        if group and not _fits(group, some, mixed=mixed):
            yield group
            group = []
        group += some
    if group:
        yield group


def inseparable(cells: Iterable[Cell]) -> Iterator[list[Cell]]:
    """Split into single cells, and those that a predecessor is measured in turns with."""
    some: list[Cell] = []
    for cell in cells:
        if some and not cell.beside:
            yield some
            some = []
        some.append(cell)
    if some:
        yield some


def _fits(group: list[Cell], some: list[Cell], *, mixed: bool) -> bool:
    first, cell = group[0], some[0]
    loaded = sum(c.artifact.manifest.size_bytes for c in (*group, *some)) * (cell.streams or 1)
    return (
        first.effort.scenario is None
        and (first.target, first.batch, first.streams) == (cell.target, cell.batch, cell.streams)
        and (mixed or first.threads == cell.threads)
        and len(group) + len(some) <= MAX_OPEN
        and loaded <= MAX_OPEN_BYTES
    )

"""What must agree for two measurements to be comparable, and which records count."""

from collections.abc import Iterable
from typing import Any, Literal, TypeVar

import msgspec

from bench.record import Cloud, Record, Settings
from devices.device import DeviceInfo

# Facts of a device that a switch changes, and its clocks with it.
SWITCHES = ("governor", "turbo", "power")

Key = tuple[str, ...]
AnyRecord = TypeVar("AnyRecord", bound=Record)


class Conditions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where and how a measurement was made. `threads` is what was asked for (None: the runtime's
    choice), `threads_found` what the runtime reported; `streams` is how many inferences ran at
    once, `scenario` the rule they followed, `network` the shaped link to a server. `governor`,
    `turbo` and `power` are None where the device does not tell, `shaped_by` where there is no link.
    `counts` says what a nanosecond stands for where it is no time.
    """

    device: str
    fingerprint: str
    emulated: bool
    runtime: str
    runtime_version: str | None
    provider: str | None
    threads: int | None
    threads_found: int | None
    batch: int
    streams: int = 1
    scenario: str | None = None
    governor: str | None = None
    turbo: str | None = None
    power: str | None = None
    counts: Literal["instructions"] | None = None
    network: str | None = None
    shaped_by: str | None = None

    @property
    def label(self) -> str:
        """Return ``cpu litert threads=1 batch=1``, with streams and scenario where there are."""
        threads = "default" if self.threads is None else self.threads
        words = [self.device, self.runtime, f"threads={threads}", f"batch={self.batch}"]
        words += [f"streams={self.streams}"] if self.streams > 1 else []
        words += [self.scenario] if self.scenario else []
        return " ".join((*words, *([f"network={self.network}"] if self.network else [])))

    @property
    def alone(self) -> bool:
        """Tell whether inferences ran one by one, by no scenario's rule: plain latency."""
        return self.streams == 1 and self.scenario is None

    def differences(self, other: "Conditions", *, runtime: bool = True) -> tuple[str, ...]:
        """Name what makes the two incomparable, as ``threads: 1 and 4``; empty if nothing does.

        The device's name may differ if its fingerprint agrees. `runtime` False leaves out the
        runtime, its version and its provider: two formats cannot share them. What only one of
        the two knows of its governor, turbo, power supply and link makes no difference.
        """
        if self == other:
            return ()
        fields = ["fingerprint", "emulated", "threads", "threads_found", "batch"]
        fields += ["streams"]
        fields += ["runtime", "runtime_version", "provider"] if runtime else []
        pairs = [(name, getattr(self, name), getattr(other, name)) for name in fields]
        told = (*SWITCHES, "shaped_by")
        switches = [(name, getattr(self, name), getattr(other, name)) for name in told]
        pairs += [pair for pair in switches if None not in pair]
        pairs += [("figures", self.counts or "time", other.counts or "time")]
        pairs += [("scenario", self.scenario or "none", other.scenario or "none")]
        pairs += [("network", self.network or "as it is", other.network or "as it is")]
        return tuple(
            f"{name.replace('_', ' ')}: {_word(a)} and {_word(b)}" for name, a, b in pairs if a != b
        )


def conditions(device: DeviceInfo, settings: Settings, cloud: Cloud | None = None) -> Conditions:
    """Return the conditions of a record of this device and these settings; of a server's, with what
    shaped the link to it.
    """
    return Conditions(
        device=device.name,
        fingerprint=device.fingerprint,
        emulated=device.emulated,
        runtime=settings.runtime,
        runtime_version=settings.runtime_version,
        provider=_provider(settings.provider),
        threads=settings.threads,
        threads_found=settings.threads_found,
        batch=settings.batch,
        streams=settings.streams or 1,
        scenario=settings.scenario,
        network=settings.network,
        shaped_by=_shaper(cloud),
        counts=device.counts,
        governor=device.facts.get("governor"),
        turbo=device.facts.get("turbo"),
        power=device.facts.get("power"),
    )


def _shaper(cloud: Cloud | None) -> str | None:
    link = cloud.link if cloud else None
    return link.shaped_by.partition(" (")[0] if link else None


def _provider(found: str | None) -> str | None:
    """Leave out into how many parts the file's graph fell: that is the file's doing."""
    return found.partition(" in ")[0] if found else None


def succeeded(record: Record) -> bool:
    """Tell whether a record holds samples that count: nothing failed, no wrong answer."""
    return record.sampled and record.failure is None and record.proof.verified is not False


def name(record: Record) -> str:
    """Return ``model/variant`` and the conditions of a record."""
    return f"{record.manifest.key} {conditions(record.device, record.settings).label}"


def latest(records: Iterable[AnyRecord]) -> list[AnyRecord]:
    """Return the last record of each key that counts, holding no more than that in memory."""
    return list({record.key: record for record in records if record.counts}.values())


def latest_pairs(
    records: Iterable[AnyRecord],
) -> tuple[list[AnyRecord], dict[Key, AnyRecord]]:
    """Return the last record of each key, and by its key what was measured beside it, if any."""
    found: dict[tuple[Key, bool], AnyRecord] = {}
    for record in records:
        if record.rung is None:
            found[record.key, record.beside] = record
    counting = {key: record for (key, beside), record in found.items() if not beside}
    return list(counting.values()), {
        key: record
        for (key, beside), record in found.items()
        if beside and key in counting and are_neighbours(record, counting[key])
    }


def are_neighbours(one: Record, other: Record) -> bool:
    """Tell whether two records were measured side by side, in turns."""
    return (one.run, one.group) == (other.run, other.group)


def successes(records: Iterable[AnyRecord]) -> tuple[list[AnyRecord], list[str]]:
    """Return the last record of each key that succeeded, and the names of keys where none did.

    Those that do not count are left out: see `bench.record.Record`.
    """
    found: dict[Key, AnyRecord] = {}
    every: dict[Key, AnyRecord] = {}
    for record in records:
        if not record.counts:
            continue
        key = record.key
        every[key] = record
        if succeeded(record):
            found[key] = record
    return list(found.values()), [name(every[key]) for key in every if key not in found]


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "unknown" if value is None else str(value)

"""Does int8 pay? Each int8 measurement against the float one of the same network and format."""

from collections.abc import Iterable, Iterator

from bench import units
from bench.compare import Rule, compare
from bench.conditions import succeeded
from bench.ratio import Ratio
from bench.record import Record, load
from bench.sequential import MARGIN


def not_faster(records: Iterable[Record]) -> Iterator[str]:
    """Yield a sentence for each int8 record that its fp32 counterpart does not clearly lose to.

    Both are on one machine, in one runtime, with the same threads and batch; which of the runtime's
    kernels run may differ, as that is the file's doing.
    """
    counted = [r for r in records if succeeded(r) and not r.device.emulated]
    small = [record for record in counted if record.manifest.precision == "int8"]
    plain: dict[tuple[str, ...], list[Record]] = {}
    for other in counted if small else ():
        if other.manifest.precision == "fp32":
            plain.setdefault(_place(other), []).append(other)
    for record in small:
        for other in plain.get(_place(record), ()):
            time = _ratio(other, record)
            if time and time.high > 1 - MARGIN:
                interval = f"{units.times(time.value)} ({time.low:.2f} to {time.high:.2f})"
                yield (
                    f"{record.manifest.key}: int8 is not faster here: {interval} the time of "
                    f"{other.manifest.variant} on {record.device.name}{_why(record)}"
                )


def _place(record: Record) -> tuple[str, ...]:
    """Return what two records must share to be set side by side, so that few are."""
    manifest, s = record.manifest, record.settings
    setting = (
        record.device.fingerprint,
        str(s.threads),
        str(s.batch),
        *load(s.streams, s.scenario, s.network),
    )
    network = (manifest.network.name, str(manifest.network.macs))
    return (*network, manifest.format, *setting)


def _ratio(before: Record, now: Record) -> Ratio | None:
    found = compare(before, now, Rule(anyway=True))
    alike = all(difference.startswith("provider: ") for difference in found.incomparable)
    return found.time if alike else None


def _why(record: Record) -> str:
    computation = record.manifest.computation
    said = computation.doubt(record.manifest.precision) if computation else None
    return f"; {said}" if said else ""

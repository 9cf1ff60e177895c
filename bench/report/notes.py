"""What must be known to read a report: every word of doubt in it, and where figures come from."""

from collections.abc import Iterable, Iterator

from bench.quantized import not_faster
from bench.report import cold, design, endurance, further, memory, profiled
from bench.report.document import EMPTY
from bench.report.material import Line, Material
from bench.rows import independent
from bench.stats import CONFIDENCE
from export.artifact import Manifest, doubts


def notes(material: Material) -> Iterator[str]:
    """Yield one line for each definition and each doubt."""
    yield from _definitions(material)
    yield from _artifacts(material)
    yield from doubts(material.manifests.values())
    yield from not_faster(line.record for line in material.lines if not line.outdated)
    yield from _doubts(material)


def environment(material: Material) -> Iterator[str]:
    """Yield devices, runtimes and tools with their versions."""
    lines = material.lines
    devices = {line.record.device.fingerprint: line.record.device for line in lines}
    for device in devices.values():
        facts = ", ".join(f"{name} {value}" for name, value in device.facts.items())
        yield f"device {device.name}: {facts or 'no facts'} (fingerprint {device.fingerprint[:12]})"
    runtimes = {(line.row.runtime, line.row.runtime_version) for line in lines}
    yield from _versions("runtimes", ((n, v) for n, v in runtimes if v))
    tools = {item for m in material.manifests.values() for item in m.tools.items()}
    yield from _versions("exported with", tools)
    yield from _versions(
        "measured with", {("edgeworthy", line.record.tool_version) for line in lines}
    )
    if days := sorted(line.record.created[:10] for line in lines):
        yield f"measured from {days[0]} to {days[-1]}"


def _versions(title: str, pairs: Iterable[tuple[str, str | None]]) -> Iterator[str]:
    if known := sorted({f"{name} {version}" for name, version in pairs}):
        yield f"{title}: {', '.join(known)}"


def _definitions(material: Material) -> Iterator[str]:
    networks = material.networks
    if any(f"{n}/{v}" not in material.manifests for n in networks for v in material.variants):
        yield f"{EMPTY} under a format: not exported"
    if material.baseline:
        yield "changes in brackets are against the baseline"
    rows = [line.row for line in material.lines]
    if any(row.samples for row in rows):
        yield (
            f"p50: median over {independent(rows)}, ± half its {CONFIDENCE:.0%} interval; "
            "x fastest: among artifacts with the same input in the same table"
        )
    if networks:
        yield design.NOTE
    if any(row.cold for row in rows):
        yield cold.NOTE
    if any(row.sustained for row in rows):
        yield endurance.NOTE
    yield from further.definitions(rows)
    yield from memory.definitions(rows)
    yield from profiled.definitions(material)
    for dataset, images in sorted({(r.dataset, r.images) for r in rows if r.dataset and r.images}):
        yield f"top-1 of a measurement: on {images} images of {dataset}, as run on the device"


def _artifacts(material: Material) -> Iterator[str]:
    manifests = material.manifests.values()
    random = [n for n, m in material.networks.items() if m.network.weights.origin == "random"]
    if random:
        yield f"random weights: sizes and times hold, answers mean nothing: {', '.join(random)}"
    guessed = [m.key for m in manifests if _calibration(m) == "random"]
    if guessed:
        yield f"random calibration: int8 ranges were set without images: {', '.join(guessed)}"
    reasons: dict[str, list[str]] = {}
    for manifest in manifests:
        if manifest.proof.verified is not True:
            word = "unproved" if manifest.proof.verified is None else "wrong"
            reason = f"{word}: {manifest.proof.reason or 'no reason given'}"
            reasons.setdefault(reason, []).append(manifest.key)
    for reason, keys in reasons.items():
        yield f"{reason}: {', '.join(keys)}"
    if emulated := [m.key for m in manifests if m.proof.verified and m.proof.emulated]:
        yield f"verified (emulated): by an interpreter, on no device: {', '.join(emulated)}"


def _calibration(manifest: Manifest) -> str | None:
    calibration = manifest.quantization.calibration
    return calibration.source if calibration else None


def _doubts(material: Material) -> Iterator[str]:
    """Say of every measurement that is not valid why, and what would help."""
    measured = {line.key for line in material.lines}
    never = [key for key in material.manifests if key not in measured]
    if never:
        yield f"unmeasured: there is no record of {', '.join(never)}; type 'bench run'"
    if material.without_file:
        yield f"known from records only, no artifact here: {', '.join(material.without_file)}"
    for group in material.groups:
        reasons: dict[str, list[str]] = {}
        for line in group.lines:
            if line.verdict != "valid":
                reasons.setdefault(_doubt(line), []).append(line.key)
        for reason, keys in reasons.items():
            yield f"{', '.join(keys)} on {group.label}: {reason}"


def _doubt(line: Line) -> str:
    if line.outdated:
        return "outdated: measured before the last export"
    advice = f"; {line.row.advice}" if line.row.advice else ""
    return f"{line.verdict}: {line.row.evidence}{advice}"

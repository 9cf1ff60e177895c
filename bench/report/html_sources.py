"""Where a figure comes from: the records and artifacts of a report, each under an anchor."""

from collections.abc import Iterator
from dataclasses import dataclass

from bench import units
from bench.conditions import name
from bench.report import profile as report_profile
from bench.report.charts_figures import proof_word
from bench.report.material import Line, Material
from bench.stored_profile import StoredProfile
from export.artifact import Manifest

Facts = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Source:
    """A record or an artifact: `key` is what cells and marks name, `word` what it is worth."""

    anchor: str
    key: str
    title: str
    word: str
    facts: Facts


def records(material: Material) -> list[Source]:
    """Return the records of a report, in the order of its tables."""
    return [
        Source(f"record-{n}", line.row.key, name(line.record), line.verdict, tuple(_record(line)))
        for n, line in enumerate(material.lines, 1)
    ]


def artifacts(material: Material) -> list[Source]:
    """Return the artifacts of a report, by the networks' sizes."""
    return [
        Source(f"artifact-{n}", key, key, proof_word(m.proof), tuple(_artifact(m)))
        for n, (key, m) in enumerate(material.manifests.items(), 1)
    ]


def profiles(material: Material) -> list[Source]:
    """Return the profiles of a report, in the order of its tables."""
    return [
        Source(
            anchor=f"profile-{n}",
            key=" ".join(kept.key),
            title=f"{kept.manifest.key} {kept.device.name} {units.threads(kept.threads)}",
            word=proof_word(kept.proof),
            facts=tuple(_profile(kept)),
        )
        for n, kept in enumerate(material.profiles, 1)
    ]


def _profile(kept: StoredProfile) -> Iterator[tuple[str, str]]:
    profile = kept.profile
    yield "profile", f"{len(profile.operations)} operators, {profile.runs} runs, {profile.setting}"
    for line in report_profile.notes(profile):
        yield "note", line
    for kind, (count, effort) in profile.by_kind().items():
        share = f"{profile.share(effort):.1%}"
        yield kind, f"{count} operators, {units.duration(effort.ns)}, {share}"
    if kept.proof.reason:
        yield "proof", kept.proof.reason
    yield "fingerprint", kept.device.fingerprint
    yield "run", f"{kept.created}, edgeworthy {kept.tool_version}"
    yield "profiled file", _hashes(kept.manifest)


def _record(line: Line) -> Iterator[tuple[str, str]]:
    record, row = line.record, line.row
    evidence = "measured before the last export" if line.outdated else row.evidence
    yield "evidence", "; ".join(filter(None, (evidence, row.advice)))
    if not line.outdated:
        yield from _figures(line)
    failure = record.failure
    if failure and failure.detail not in evidence:
        yield "failure", f"{failure.stage}: {failure.cause}: {failure.detail}"
    settings, device = record.settings, record.device
    yield "device", f"{device.name}{', emulated' if device.emulated else ''}"
    yield "fingerprint", device.fingerprint
    yield (
        "runtime",
        " ".join(filter(None, (settings.runtime, settings.runtime_version, settings.provider))),
    )
    threads = "default" if settings.threads is None else str(settings.threads)
    found = f" (found {settings.threads_found})" if settings.threads_found is not None else ""
    yield "threads, batch", f"{threads}{found}, {settings.batch}"
    target = f"± {100 * settings.precision_target:.3g} %"
    yield "asked for", f"{target} in at most {settings.max_seconds:.3g} s, seed {settings.seed}"
    yield "proof", _proof(line)
    yield "run", f"{record.run}, {record.created}, edgeworthy {record.tool_version}"
    yield "measured file", _hashes(record.manifest)
    if known := record.environment:
        yield "versions", ", ".join(f"{name} {value}" for name, value in sorted(known.items()))


def _figures(line: Line) -> Iterator[tuple[str, str]]:
    row = line.row
    if row.p50_ns is None:
        return
    show = units.measured(row.counts)
    p50 = show(row.p50_ns)
    if row.p50_low_ns is not None and row.p50_high_ns is not None:
        p50 = f"{p50}, interval {show(row.p50_low_ns)} to {show(row.p50_high_ns)}"
    yield "p50", f"{p50} {row.counts or ''}".rstrip()
    counted = f"{row.samples} samples in {row.rounds} rounds of {row.processes} processes"
    yield "seen", f"{counted}, ended as {line.record.stop}"


def _proof(line: Line) -> str:
    proof = line.record.proof
    return f"{proof_word(proof)}{f': {proof.reason}' if proof.reason else ''}"


def _artifact(manifest: Manifest) -> Iterator[tuple[str, str]]:
    proof, recipe = manifest.proof, manifest.quantization
    by = " ".join(filter(None, (proof.runtime, proof.runtime_version)))
    outputs = ", ".join(f"{o.name} {o.psnr_db:.0f} dB" for o in proof.outputs)
    told = "; ".join(filter(None, (proof_word(proof), proof.reason, by, outputs)))
    yield "proof", told
    yield "size", f"{units.size(manifest.size_bytes)} ({manifest.size_bytes} bytes)"
    yield "numbers", f"weights {recipe.weights}, activations {recipe.activations}"
    if recipe.calibration:
        source = recipe.calibration
        yield "calibration", f"{source.images} images of {source.source}, {source.method}"
    weights = manifest.network.weights
    yield "weights from", " ".join(filter(None, (weights.origin, weights.dataset)))
    yield "exported", manifest.created
    yield "files", _hashes(manifest)


def _hashes(manifest: Manifest) -> str:
    return ", ".join(f"{file.path} {file.sha256[:12]}" for file in manifest.files)

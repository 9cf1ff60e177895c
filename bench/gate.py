"""The gate: budgets against artifacts, records and the baseline. Pure, and never silent.

Every rule gives a finding for everything it fits, and one that fits nothing fails. What was not
measured, or not under the baseline's conditions, is `unmeasured`, never a pass.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from bench import units
from bench.baseline import Baseline, Known, Measurement, contract_sha256, describe, model_sha256
from bench.budget import Rule
from bench.conditions import Key, latest_pairs
from bench.finding import Finding, finding
from bench.record import Record
from export.artifact import Manifest, matches

UPDATE = "bench baseline --update"


if TYPE_CHECKING:
    from bench.noise import NoiseProfile
    from bench.reading import Reading


@dataclass(frozen=True)
class _Evidence:
    """Everything a rule may look at, by artifact key."""

    manifests: Mapping[str, Manifest]
    records: "Mapping[str, Sequence[Reading]]"
    beside: "Mapping[str, Mapping[Key, Reading]]"
    baseline: Baseline | None
    noise: "Mapping[str, NoiseProfile]"


def judge(
    rules: Sequence[Rule],
    artifacts: Iterable[Manifest],
    records: Iterable[Record],
    baseline: Baseline | None,
    noise: "Mapping[str, NoiseProfile] | None" = None,
) -> list[Finding]:
    """Hold artifacts and records against the rules.

    Args:
        rules: the budgets; none at all is a failure, as nothing would be judged.
        artifacts: what is there now; their files are taken to be checked.
        records: those of another file than the artifact's do not count; of each key the latest
            does, and what was measured beside it.
        baseline: the figures that growth is judged against, or None if there is no such file.
        noise: what 'bench calibrate' found, by the device's fingerprint.

    Returns:
        At least one finding a rule, in the order of the rules and then by subject.
    """
    if not rules:
        return [_no_rules()]
    evidence = _Evidence(
        {m.key: m for m in artifacts}, *_by_artifact(records), baseline, noise or {}
    )
    return [found for rule in rules for found in _judge_rule(rule, evidence)]


def _no_rules() -> Finding:
    return Finding(
        rule="budgets",
        limit="at least one",
        subject="*",
        verdict="fail",
        reason="nothing to compare: there is no budget for what is to be checked; add a "
        "[[tool.edgeworthy.budget]] to pyproject.toml, or a [[budget]] to edgeworthy.toml, with "
        'artifact = "*" and, say, max-size = "5 MB" or max-latency-growth = "10%"',
    )


def _by_artifact(
    records: Iterable[Record],
) -> "tuple[dict[str, list[Reading]], dict[str, dict[Key, Reading]]]":
    """Return what counts, and by its key what was measured beside it."""
    every = list(records)
    if not every:
        return {}, {}
    from bench.reading import readings  # and numpy with it, which sizes can be judged without

    found: dict[str, list[Reading]] = {}
    beside: dict[str, dict[Key, Reading]] = {}
    counting, before = latest_pairs(readings(every))
    for record in counting:
        found.setdefault(record.manifest.key, []).append(record)
    for key, record in before.items():
        beside.setdefault(record.manifest.key, {})[key] = record
    return found, beside


def _judge_rule(rule: Rule, evidence: _Evidence) -> Iterator[Finding]:
    known = evidence.baseline.artifacts if evidence.baseline else {}
    keys = sorted({*evidence.manifests, *known})
    fitting = [key for key in keys if matches(key, rule.artifact)]
    if not fitting:
        there = ", ".join(keys[:5]) + (" and more" if len(keys) > 5 else "") or "no artifacts"
        yield finding(
            rule, rule.artifact, "fail", f"nothing to compare: no artifact fits; there are {there}"
        )
    for key in fitting:
        yield from _judge_artifact(rule, key, evidence)


def _judge_artifact(rule: Rule, key: str, evidence: _Evidence) -> Iterator[Finding]:
    manifest = evidence.manifests.get(key)
    if manifest is None:
        remedy = f"export it again, or drop it with '{UPDATE} {key}'"
        yield finding(rule, key, "fail", f"was in the baseline, is gone; {remedy}")
    elif manifest.proof.verified is False:
        yield finding(rule, key, "fail", f"its proof failed: {manifest.proof.reason or 'wrong'}")
    elif rule.limit.growth and evidence.baseline is None:
        yield finding(rule, key, "fail", "there is no baseline; write one with 'bench baseline'")
    elif rule.limit.growth and evidence.baseline and key not in evidence.baseline.artifacts:
        yield finding(rule, key, "fail", f"is not in the baseline; add it with '{UPDATE} {key}'")
    elif rule.limit.group == "size":
        yield _size(rule, manifest, _known(key, evidence))
    elif rule.limit.group == "contract":
        yield _contract(rule, manifest, _known(key, evidence))
    else:
        yield from _measured(rule, manifest, evidence)


def _known(key: str, evidence: _Evidence) -> Known | None:
    return evidence.baseline.artifacts.get(key) if evidence.baseline else None


def _size(rule: Rule, manifest: Manifest, known: Known | None) -> Finding:
    measured = manifest.size_bytes
    if not rule.limit.growth or known is None:
        return finding(
            rule,
            manifest.key,
            "pass" if measured <= rule.value else "fail",
            units.size(measured),
            unit="B",
            measured=measured,
        )
    return finding(
        rule,
        manifest.key,
        "pass" if measured <= known.size_bytes * (1 + rule.value) else "fail",
        units.against(units.size, measured, known.size_bytes),
        unit="B",
        measured=measured,
        baseline=known.size_bytes,
    )


def _contract(rule: Rule, manifest: Manifest, known: Known | None) -> Finding:
    if known and contract_sha256(manifest.contract) == known.contract_sha256:
        return finding(rule, manifest.key, "pass", "inputs and outputs are the baseline's")
    before, now = known.contract if known else {}, describe(manifest.contract)
    changed = [n for n in sorted({*before, *now}) if before.get(n) != now.get(n)]
    detail = "; ".join(f"{n}: {before.get(n, 'none')} became {now.get(n, 'none')}" for n in changed)
    reason = f"{detail or 'its digest changed'}; if that is meant, '{UPDATE} {manifest.key}'"
    return finding(rule, manifest.key, "fail", reason)


def _measured(rule: Rule, manifest: Manifest, evidence: _Evidence) -> Iterator[Finding]:
    """Judge every record of an artifact on the devices that the rule names."""
    from bench import gate_measured

    known = evidence.baseline.of(manifest.key) if evidence.baseline else None
    any_load = rule.limit.growth or rule.limit.group == "accuracy"
    of_device = [
        r
        for r in evidence.records.get(manifest.key, ())
        if fnmatchcase(r.device.name, rule.device) and (any_load or r.conditions.alone)
    ]
    if not of_device:
        where = "" if rule.device == "*" else f" on a device named {rule.device}"
        there = "" if set(rule.device) & set("*?[") else f" --device {rule.device}"
        remedy = f"type 'bench run --artifact {manifest.key}{there}'"
        yield finding(
            rule, manifest.key, "unmeasured", f"there is no record of it{where}; {remedy}"
        )
        return
    digest = model_sha256(manifest)
    yardstick = gate_measured.Yardstick(known, _beside(manifest.key, evidence), evidence.noise)
    yield from gate_measured.judge_records(rule, of_device, digest, yardstick)
    if rule.limit.growth and known:
        yield from _not_again(rule, of_device, known.by_name)


def _beside(key: str, evidence: _Evidence) -> "dict[Key, Reading]":
    """Return by its key what was measured beside a record, if it is the baseline's own file."""
    known = _known(key, evidence)
    return {
        setting: record
        for setting, record in evidence.beside.get(key, {}).items()
        if known and model_sha256(record.manifest) == known.model_sha256
    }


def _not_again(
    rule: Rule, records: "Sequence[Reading]", known: Mapping[str, Measurement]
) -> Iterator[Finding]:
    """Name what the baseline measured and the records do not hold."""
    now = {record.name for record in records}
    for name, old in known.items():
        if name not in now and fnmatchcase(old.conditions.device, rule.device):
            yield finding(
                rule, name, "unmeasured", "was measured in the baseline, is not in the records"
            )

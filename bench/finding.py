"""What one rule says of one artifact or measurement."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from bench.budget import Rule

Verdict = Literal["pass", "fail", "unmeasured"]
Unit = Literal["B", "ns", "instructions", "share"]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One rule's verdict on one subject, with the figures it rests on.

    `measured` and `baseline` are in `unit`: B, ns, instructions, or share (a fraction of 1). `low`
    and `high` bound what was held against the limit: the time itself, or its ratio to the
    baseline's.
    `threshold` is the growth that was allowed where the device's noise had a say in it.
    """

    rule: str
    limit: str
    subject: str
    verdict: Verdict
    reason: str
    unit: Unit | None = None
    measured: float | None = None
    baseline: float | None = None
    low: float | None = None
    high: float | None = None
    threshold: float | None = None


def finding(
    rule: Rule,
    subject: str,
    verdict: Verdict,
    reason: str,
    *,
    unit: Unit | None = None,
    measured: float | None = None,
    baseline: float | None = None,
    bounds: tuple[float, float] | None = None,
    threshold: float | None = None,
) -> Finding:
    """Return a finding of `rule`; see `Finding` for the units."""
    low, high = bounds or (None, None)
    return Finding(
        rule=rule.name,
        limit=rule.text,
        subject=subject,
        verdict=verdict,
        reason=reason,
        unit=unit,
        measured=measured,
        baseline=baseline,
        low=low,
        high=high,
        threshold=threshold,
    )


def exit_code(findings: Sequence[Finding]) -> int:
    """Return 1 if anything failed, else 3 if anything was not measured, else 0."""
    verdicts = {f.verdict for f in findings}
    return 1 if "fail" in verdicts or not findings else 3 if "unmeasured" in verdicts else 0


def tally(findings: Sequence[Finding]) -> str:
    """Return ``3 pass, 1 fail, 0 unmeasured``."""
    verdicts = [found.verdict for found in findings]
    return ", ".join(f"{verdicts.count(v)} {v}" for v in ("pass", "fail", "unmeasured"))

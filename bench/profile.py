"""A network's time by operator, against what the device can do: the roofline model.

Williams, Waterman, Patterson, "Roofline: an insightful visual performance model for multicore
architectures" (2009): an operator of intensity I (here MACs per byte, 2 operations a MAC) reaches
at most min(peak, 2 I x bandwidth); left of the ridge, where both are equal, memory bounds it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from bench import units
from devices.device import OperatorTimes, Peak

KINDS = ("depthwise", "pointwise", "full convolution", "linear", "other")

Bound = Literal["memory", "compute"]


@dataclass(frozen=True)
class Effort:
    """Work done in some time: `ns` of one run, `bytes` None where the runtime does not tell."""

    ns: float
    macs: int
    bytes: int | None

    @property
    def gflops(self) -> float:
        """Achieved operations a second, 2 a MAC, in 10^9."""
        return 2 * self.macs / self.ns if self.ns else 0.0

    @property
    def gigabytes(self) -> float | None:
        """Achieved bytes a second, in 10^9."""
        return self.bytes / self.ns if self.bytes is not None and self.ns else None

    @property
    def intensity(self) -> float | None:
        """MACs per byte."""
        return self.macs / self.bytes if self.bytes else None

    def bound(self, peak: Peak) -> Bound | None:
        """Tell which roof is above it; None where its bytes are not known, or none."""
        if self.intensity is None:
            return None
        return "memory" if self.intensity < ridge(peak) else "compute"


@dataclass(frozen=True)
class Operation:
    """An operator of the runtime; `layer` is empty where the runtime added it by itself."""

    layer: str
    kind: str
    times: OperatorTimes
    effort: Effort


@dataclass(frozen=True)
class Profile:
    """All operators in the order they ran; `unprofiled_ns` is the median of whole runs without."""

    artifact: str
    runtime: str
    device: str
    threads: int
    runs: int
    operations: tuple[Operation, ...]
    peak: Peak
    unprofiled_ns: float

    @property
    def total_ns(self) -> float:
        """The operators' times together."""
        return sum(operation.effort.ns for operation in self.operations)

    @property
    def setting(self) -> str:
        """Where and how it ran, as ``onnxruntime 1.24.0, cpu, 1 thread``."""
        return f"{self.runtime}, {self.device}, {units.threads(self.threads)}"

    @property
    def profiled_ns(self) -> float:
        """The median over runs of the operators' times together.

        On a busy machine it is more than `total_ns`: a short operator is seldom interrupted, a
        whole run often.
        """
        return float(np.median(np.sum([o.times.ns for o in self.operations], axis=0)))

    @property
    def overhead(self) -> float:
        """How much longer the operators of a run took than a run without, as a fraction."""
        return self.profiled_ns / self.unprofiled_ns - 1

    def share(self, effort: Effort) -> float:
        """Return an effort's share of the time."""
        return effort.ns / self.total_ns if self.total_ns else 0.0

    def by_kind(self) -> dict[str, tuple[int, Effort]]:
        """Return how many operators there are of each kind, and their efforts together."""
        found = {k: [o.effort for o in self.operations if o.kind == k] for k in KINDS}
        return {
            kind: (len(efforts), together(efforts)) for kind, efforts in found.items() if efforts
        }


def ridge(peak: Peak) -> float:
    """Return the intensity, in MACs per byte, from which on computing is what bounds."""
    return peak.flops / 2 / peak.bytes


def typical(samples: Sequence[int]) -> float:
    """Return the mean of the middle half.

    A median would stay on a profiler's whole microseconds, a mean follows what disturbed one run.
    """
    ordered, cut = np.sort(samples), len(samples) // 4
    return float(ordered[cut : len(ordered) - cut].mean())


def together(efforts: Iterable[Effort]) -> Effort:
    """Return the sum; bytes that are not known leave the sum's unknown."""
    efforts = list(efforts)
    moved = [effort.bytes for effort in efforts if effort.bytes is not None]
    return Effort(
        ns=sum(effort.ns for effort in efforts),
        macs=sum(effort.macs for effort in efforts),
        bytes=sum(moved) if len(moved) == len(efforts) else None,
    )


def rows(profile: Profile) -> list[dict[str, Any]]:
    """Return a flat row for each operator, in base units."""
    return [
        {
            "layer": operation.layer,
            "kind": operation.kind,
            "operator": operation.times.kind,
            "name": operation.times.name,
            **_figures(profile, operation.effort),
        }
        for operation in profile.operations
    ]


def as_data(profile: Profile) -> dict[str, Any]:
    """Return a profile as JSON holds it."""
    plain = {k: getattr(profile, k) for k in ("artifact", "runtime", "device", "threads", "runs")}
    return plain | {
        "unprofiled_ns": profile.unprofiled_ns,
        "profiled_ns": profile.profiled_ns,
        "total_ns": profile.total_ns,
        "overhead": profile.overhead,
        "peak": {
            "gflops": profile.peak.flops / 1e9,
            "gbytes_per_s": profile.peak.bytes / 1e9,
            "method": profile.peak.method,
            "ridge_macs_per_byte": ridge(profile.peak),
        },
        "kinds": [
            {"kind": kind, "operators": count, **_figures(profile, effort)}
            for kind, (count, effort) in profile.by_kind().items()
        ],
        "operators": rows(profile),
    }


def _figures(profile: Profile, effort: Effort) -> dict[str, Any]:
    return {
        **asdict(effort),
        "share": profile.share(effort),
        "gflops": effort.gflops,
        "gbytes_per_s": effort.gigabytes,
        "macs_per_byte": effort.intensity,
        "bound": effort.bound(profile.peak),
    }


def trace(profile: Profile) -> dict[str, Any]:
    """Return all runs as a trace that Perfetto and chrome://tracing read; ts and dur are in us."""
    events = [
        {
            "name": operation.layer or operation.times.name,
            "cat": operation.kind,
            "ph": "X",
            "pid": 1,
            "tid": 1,
            "ts": start / 1e3,
            "dur": ns / 1e3,
            "args": {
                "operator": operation.times.kind,
                "run": run,
                "macs": operation.effort.macs,
                "bytes": operation.effort.bytes,
            },
        }
        for operation in profile.operations
        for run, (start, ns) in enumerate(
            zip(operation.times.starts_ns, operation.times.ns, strict=True)
        )
    ]
    events.sort(key=lambda event: float(str(event["ts"])))
    title = f"{profile.artifact}: {profile.setting}"
    named = {"name": "process_name", "ph": "M", "pid": 1, "args": {"name": title}}
    return {"displayTimeUnit": "ns", "traceEvents": [named, *events]}

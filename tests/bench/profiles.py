"""A profile with figures that can be checked in the head."""

from bench.profile import Effort, Operation, Profile
from bench.stored_profile import SCHEMA, Operator, StoredProfile
from devices.device import OperatorTimes, Peak
from export.artifact import Proof
from tests.bench.factory import manifest
from tests.bench.records import make_record

# 100 GFLOP/s and 10 GB/s: the ridge is at 5 MACs per byte.
PEAK = Peak(flops=100e9, bytes=10e9, method="numpy matmul / copy")


def operation(layer, kind, us, macs, moved, *, operator="Conv", start_us=0):
    starts = tuple(1000 * (start_us + 10_000 * run) for run in range(4))
    times = OperatorTimes(name=f"{layer}_op", kind=operator, starts_ns=starts, ns=(1000 * us,) * 4)
    return Operation(layer, kind, times, Effort(ns=1000.0 * us, macs=macs, bytes=moved))


def profile(operations=None, **changed):
    """A full convolution, a depthwise and a pointwise one, and a layout that the runtime adds."""
    operations = operations or (
        operation("stem", "full convolution", 40, 1_000_000, 100_000),
        operation("block.0", "depthwise", 30, 100_000, 200_000, start_us=40),
        operation("block.1", "pointwise", 20, 800_000, 100_000, start_us=70),
        operation("", "other", 10, 0, 50_000, operator="ReorderOutput", start_us=90),
    )
    settings = {
        "artifact": "net/onnx-fp32", "runtime": "onnxruntime 9.9", "device": "cpu", "threads": 1,
        "runs": 4, "peak": PEAK, "unprofiled_ns": 80_000.0,
    }  # fmt: skip
    return Profile(operations=tuple(operations), **(settings | changed))


def stored(of=None, operations=None, **changed):
    """The same profile as it is kept, of the artifact `of`."""
    like = profile(operations)
    operators = [
        Operator(
            layer=o.layer, kind=o.kind, macs=o.effort.macs, bytes=o.effort.bytes, times=o.times
        )
        for o in like.operations
    ]
    fields = {
        "schema": SCHEMA, "created": "2026-01-01T00:00:00Z", "tool_version": "0",
        "manifest": of or manifest("net", format="onnx"), "device": make_record().device,
        "runtime": like.runtime, "threads": 1, "runs": like.runs, "operators": tuple(operators),
        "peak": like.peak, "unprofiled_ns": like.unprofiled_ns, "proof": Proof(verified=True),
    }  # fmt: skip
    return StoredProfile(**(fields | changed))

"""Whether edgeworthy's worker measures what a bare loop and litert-benchmark measure.

    python docs/fidelity.py artifacts/mobilenet_v2_1.0_224/tflite-fp32 [ARTIFACT ...] [--laps 20]

Every lap starts a fresh process of each contender, one after another in random order, which warms
up and runs the same file on one thread for about `--seconds`. Printed are the medians over laps and
the ratio to the worker's, lap by lap, with its 99 % interval. Contenders, by what is timed:

- worker: the samples of `bench run` (LiteRT `invoke()`, ONNX Runtime `run_with_iobinding()`);
- bare loop: the same call between two readings of the clock, in a dozen lines of Python;
- worker with copies, bare `run()`: the same with inputs handed over and outputs fetched (ONNX);
- litert-benchmark: its median, which is written in hundredths of a millisecond, so that a network
  of less than 1 ms cannot be told apart by 1 %; it calls `CompiledModel.run_by_name()`;
- bare CompiledModel: that call in a bare loop, and by index, which looks up no names.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from bench import units  # noqa: E402
from bench.ratio import Sides, ratios  # noqa: E402
from devices.device import Job  # noqa: E402
from devices.local import LocalDevice  # noqa: E402
from export.artifact import GOLDEN, MODEL_FILES, read_manifest  # noqa: E402

WARM_UP_S = 0.3
LEAST_RUNS = 20
RUNTIMES = {"tflite": "litert", "onnx": "onnxruntime"}


def golden(artifact: Path) -> dict[str, Any]:
    """Return the first golden input by name; the loops are for float32 inputs."""
    inputs = read_manifest(artifact).contract.inputs
    with np.load(artifact / GOLDEN) as arrays:
        return {t.name: arrays[f"in.{t.name}"][: t.shape[0]] for t in inputs}


def invoke(artifact: Path) -> Callable[[], Any]:
    """Return what LiteRT's interpreter is asked for."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(artifact / MODEL_FILES["tflite"]), num_threads=1)
    interpreter.allocate_tensors()
    (array,) = golden(artifact).values()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], array)
    return interpreter.invoke  # type: ignore[no-any-return]


def compiled(artifact: Path, by_name: bool) -> Callable[[], Any]:
    """Return what LiteRT's CompiledModel is asked for, as litert-benchmark does or by index."""
    from ai_edge_litert.compiled_model import CompiledModel
    from ai_edge_litert.hardware_accelerator import HardwareAccelerator
    from ai_edge_litert.options import CpuOptions, Options

    options = Options(
        hardware_accelerators=HardwareAccelerator.CPU, cpu_options=CpuOptions(num_threads=1)
    )
    model = CompiledModel.from_file(str(artifact / MODEL_FILES["tflite"]), options=options)
    key = next(iter(model.get_signature_list()))
    inputs, outputs = model.create_input_buffers(0), model.create_output_buffers(0)
    (array,) = golden(artifact).values()
    inputs[0].write(np.ascontiguousarray(array))
    if not by_name:
        return lambda: model.run_by_index(0, inputs, outputs)
    named = [
        dict(zip(names(key), buffers, strict=True))
        for names, buffers in (
            (model.get_input_tensor_details, inputs),
            (model.get_output_tensor_details, outputs),
        )
    ]
    return lambda: model.run_by_name(key, *named)


def session(artifact: Path, binding: bool) -> Callable[[], Any]:
    """Return what ONNX Runtime is asked for, with or without IO binding."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    path = str(artifact / MODEL_FILES["onnx"])
    model = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    arrays = golden(artifact)
    if not binding:
        return lambda: model.run(None, arrays)
    bound = model.io_binding()
    for name, array in arrays.items():
        bound.bind_cpu_input(name, array)
    for output in model.get_outputs():
        bound.bind_output(output.name, "cpu")
    return lambda: model.run_with_iobinding(bound)


LOOPS: dict[str, dict[str, Callable[[Path], Callable[[], Any]]]] = {
    "tflite": {
        "bare loop": invoke,
        "bare CompiledModel, by name": lambda artifact: compiled(artifact, by_name=True),
        "bare CompiledModel, by index": lambda artifact: compiled(artifact, by_name=False),
    },
    "onnx": {
        "bare loop": lambda artifact: session(artifact, binding=True),
        "bare run()": lambda artifact: session(artifact, binding=False),
    },
}


def loop(artifact: Path, name: str, seconds: float) -> None:
    """Print the median of a bare loop, in nanoseconds."""
    call = LOOPS[read_manifest(artifact).format][name](artifact)
    end = time.perf_counter() + WARM_UP_S
    while time.perf_counter() < end:
        call()
    end, times = time.perf_counter() + seconds, []
    while len(times) < LEAST_RUNS or time.perf_counter() < end:
        start = time.perf_counter_ns()
        call()
        times.append(time.perf_counter_ns() - start)
    print(median(times))


def bare(name: str) -> Callable[[Path, float], float]:
    """Return what runs a bare loop in a fresh process."""

    def run(artifact: Path, seconds: float) -> float:
        command = [sys.executable, __file__, str(artifact), "--loop", name]
        command += ["--seconds", str(seconds)]
        return float(subprocess.run(command, check=True, capture_output=True).stdout)

    return run


def worker(artifact: Path, seconds: float, *, copies: bool = False) -> float:
    """Return the median of the worker's samples."""
    runtime = RUNTIMES[read_manifest(artifact).format]
    opened = LocalDevice().open(Job(artifact=artifact, runtime=runtime, threads=1))
    try:
        opened.verify(1)
        end, typical = time.perf_counter() + WARM_UP_S, 1e6
        while time.perf_counter() < end:
            typical = median(opened.measure(10, copies=copies))
        runs = max(LEAST_RUNS, int(seconds * 1e9 / typical))
        return float(median(opened.measure(1 + runs, copies=copies)[1:]))
    finally:
        opened.close()


def litert_benchmark(artifact: Path, seconds: float, typical_ns: float) -> float:
    """Return litert-benchmark's median, in nanoseconds; it writes whole hundredths of a ms."""
    runs = {
        "--warmup_runs": max(5, int(WARM_UP_S * 1e9 / typical_ns)),
        "--num_runs": max(LEAST_RUNS, int(seconds * 1e9 / typical_ns)),
        "--num_threads": 1,
    }
    with tempfile.TemporaryDirectory() as scratch:
        result = Path(scratch) / "result.json"
        command = [str(Path(sys.executable).with_name("litert-benchmark"))]
        command += ["--model", str(artifact / MODEL_FILES["tflite"]), "--result_json", str(result)]
        command += [str(word) for item in runs.items() for word in item]
        subprocess.run(command, check=True, capture_output=True)
        return 1e6 * float(json.loads(result.read_bytes())["latency"]["median_ms"])


def contenders(artifact: Path) -> dict[str, Callable[[Path, float], float]]:
    """Return who takes part, the worker first."""
    form = read_manifest(artifact).format
    found: dict[str, Callable[[Path, float], float]] = {"worker": worker}
    found |= {name: bare(name) for name in LOOPS[form]}
    if form == "onnx":
        found["worker with copies"] = lambda where, s: worker(where, s, copies=True)
    else:
        typical = worker(artifact, 0.1)
        found["litert-benchmark"] = lambda where, s: litert_benchmark(where, s, typical)
    return found


def study(artifact: Path, laps: int, seconds: float) -> None:
    """Print the table of one artifact."""
    racing = contenders(artifact)
    times: dict[str, list[float]] = {name: [] for name in racing}
    for _ in range(laps):
        for name in random.sample(list(racing), len(racing)):
            times[name].append(racing[name](artifact, seconds))
    pairs = [(name, "worker") for name in racing if name != "worker"]
    if "bare run()" in racing:
        pairs = [("bare loop", "worker"), ("bare run()", "worker with copies")]
    if "litert-benchmark" in racing:
        pairs.append(("litert-benchmark", "bare CompiledModel, by name"))
    sides = [
        Sides(np.array(times[other]), np.array(times[name]), True, (True, True))
        for name, other in pairs
    ]
    for (name, other), found in zip(pairs, ratios(sides), strict=True):
        shown = [units.duration(median(times[which])) for which in (name, other)]
        interval = f"{found.value:.4f} | {found.low:.4f} to {found.high:.4f}"
        within = "yes" if found.low >= 0.99 and found.high <= 1.01 else "not shown"
        what = f"{artifact.parent.name}/{artifact.name}"
        print(f"| {what} | {name} | {shown[0]} | {other} | {shown[1]} | {interval} | {within} |")
    sys.stdout.flush()


def main() -> None:
    """Print a row for each artifact and contender."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("artifacts", type=Path, nargs="+", metavar="ARTIFACT")
    parser.add_argument("--laps", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=0.5, help="of samples, of each process")
    parser.add_argument("--loop", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.loop:
        loop(given.artifacts[0], given.loop, given.seconds)
        return
    print("| artifact | contender | median | against | median | ratio | 99 % | within 1 % |")
    print("| --- | --- | --: | --- | --: | --: | --: | --- |")
    for artifact in given.artifacts:
        study(artifact.resolve(), given.laps, given.seconds)


if __name__ == "__main__":
    main()

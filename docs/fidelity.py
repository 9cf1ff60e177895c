"""Whether edgeworthy's worker measures what a bare loop and litert-benchmark measure.

    python docs/fidelity.py artifacts/mobilenet_v2_1.0_224/tflite-fp32 [ARTIFACT ...] [--laps 20]

Every lap starts a fresh process of each contender, one thread each; they take turns in random
order, in rounds of about 75 ms, and a process has the median of its rounds. Printed are the medians
over laps and the ratios, lap by lap, with their 99 % intervals. Contenders, by what is timed:

- worker: the samples of `bench run` (LiteRT `invoke()`, ONNX Runtime `run_with_iobinding()`);
- bare loop: the same call between two readings of the clock, in a dozen lines of Python;
- both in one process, on one loaded network: two processes of one program differ by some per cent,
  by where their memory lies, which no number of runs in them averages away;
- worker with copies, bare `run()`: the same with inputs handed over and outputs fetched (ONNX);
- litert-benchmark, a process a round: it calls `CompiledModel.run_by_name()`, and writes its median
  in hundredths of a millisecond, which tell nothing of 1 % of a network that takes less than one;
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
from devices.worker import Worker as Served  # noqa: E402
from export.artifact import GOLDEN, MODEL_FILES, read_manifest  # noqa: E402

ROUND_NS = 75e6
LEAST_RUNS = 10
# So many at once where two take turns in one process: this machine's speed changes within a second.
TURN = 4
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


BOTH = "both"
TOGETHER = ("bare loop, one process", "worker, one process")
PAIRS = (
    TOGETHER,
    ("bare loop", "worker"),
    ("bare run()", "worker with copies"),
    ("litert-benchmark", "worker"),
    ("bare CompiledModel, by name", "worker"),
    ("bare CompiledModel, by index", "worker"),
    ("litert-benchmark", "bare CompiledModel, by name"),
)
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


def looped(call: Callable[[], Any], runs: int) -> list[int]:
    """Return the nanoseconds of each of `runs` calls: the bare loop."""
    times = []
    for _ in range(runs):
        start = time.perf_counter_ns()
        call()
        times.append(time.perf_counter_ns() - start)
    return times


def serve(artifact: Path, name: str) -> None:
    """Run a bare loop as often as each line asks, and print the median in nanoseconds."""
    call = LOOPS[read_manifest(artifact).format][name](artifact)
    for line in sys.stdin:
        print(median(looped(call, int(line))[1:]), flush=True)


def serve_both(artifact: Path) -> None:
    """Have the worker in this process, and print its median and that of a bare loop beside it."""
    worker = Served()
    runtime = RUNTIMES[read_manifest(artifact).format]
    load = {"op": "load", "artifact": str(artifact), "runtime": runtime, "threads": 1}
    for request in (load, {"op": "verify", "rows": 1}):
        if (answer := worker.answer(request))["event"] == "error":
            sys.exit(str(answer))

    def by_worker(runs: int) -> list[int]:
        found: list[int] = worker.answer({"op": "measure", "runs": runs})["ns"]
        return found

    def by_loop(runs: int) -> list[int]:
        return looped(worker.runtime.invoke, runs)

    turns = [(TOGETHER[0], by_loop), (TOGETHER[1], by_worker)]
    for line in sys.stdin:
        found: dict[str, list[int]] = {name: [] for name in TOGETHER}
        while len(found[TOGETHER[0]]) < int(line):
            for name, take in random.sample(turns, len(turns)):
                found[name] += take(1 + TURN)[1:]
        print(json.dumps({name: median(times) for name, times in found.items()}), flush=True)


class Bare:
    """A bare loop in a process of its own."""

    def __init__(self, artifact: Path, name: str) -> None:
        self._name = name
        command = [sys.executable, __file__, str(artifact), "--loop", name]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL, text=True, **pipes)

    def measure(self, runs: int) -> dict[str, float]:
        """Return the median of so many runs."""
        return {self._name: float(self.ask(runs))}

    def ask(self, runs: int) -> str:
        """Have the process run so often, and return what it prints."""
        assert self._process.stdin
        assert self._process.stdout
        print(1 + runs, file=self._process.stdin, flush=True)
        return str(self._process.stdout.readline())

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


class Both(Bare):
    """The worker and a bare loop by turns in one process."""

    def __init__(self, artifact: Path) -> None:
        super().__init__(artifact, BOTH)

    def measure(self, runs: int) -> dict[str, float]:
        """Return both medians."""
        found: dict[str, float] = json.loads(self.ask(runs))
        return found


class Worker:
    """The worker, as `bench run` starts it and asks it."""

    def __init__(self, artifact: Path, *, copies: bool = False) -> None:
        runtime = RUNTIMES[read_manifest(artifact).format]
        self._session = LocalDevice().open(Job(artifact=artifact, runtime=runtime, threads=1))
        self._session.verify(1)
        self._copies = copies

    def measure(self, runs: int) -> dict[str, float]:
        """Return the median of so many samples."""
        samples = self._session.measure(1 + runs, copies=self._copies)[1:]
        return {"worker with copies" if self._copies else "worker": float(median(samples))}

    def close(self) -> None:
        """End the worker."""
        self._session.close()


class Benchmark:
    """litert-benchmark, a fresh process for every round, warmed up by as many runs."""

    def __init__(self, artifact: Path) -> None:
        self._model = str(artifact / MODEL_FILES["tflite"])

    def measure(self, runs: int) -> dict[str, float]:
        """Return its median in nanoseconds; it writes whole hundredths of a millisecond."""
        with tempfile.TemporaryDirectory() as scratch:
            result = Path(scratch) / "result.json"
            command = [str(Path(sys.executable).with_name("litert-benchmark")), "--num_threads=1"]
            command += [f"--model={self._model}", f"--result_json={result}"]
            command += [f"--warmup_runs={runs}", f"--num_runs={runs}"]
            subprocess.run(command, check=True, capture_output=True)
            latency = json.loads(result.read_bytes())["latency"]
            return {"litert-benchmark": 1e6 * float(latency["median_ms"])}

    def close(self) -> None:
        """Nothing is left to be ended."""


Contender = Bare | Worker | Benchmark


def contenders(artifact: Path) -> list[Contender]:
    """Start everyone who takes part; the worker is the first."""
    form = read_manifest(artifact).format
    last = Worker(artifact, copies=True) if form == "onnx" else Benchmark(artifact)
    return [Worker(artifact), Both(artifact), *(Bare(artifact, name) for name in LOOPS[form]), last]


def lap(artifact: Path, rounds: int) -> dict[str, float]:
    """Return the medians over rounds of fresh processes, which take turns in random order."""
    racing = contenders(artifact)
    try:
        runs = max(LEAST_RUNS, int(ROUND_NS / racing[0].measure(LEAST_RUNS)["worker"]))
        found: dict[str, list[float]] = {}
        for number in range(rounds + 1):
            for each in random.sample(racing, len(racing)):
                for name, typical in each.measure(runs).items():
                    if number:  # the first round warms up
                        found.setdefault(name, []).append(typical)
    finally:
        for each in racing:
            each.close()
    return {name: median(times) for name, times in found.items()}


def study(artifact: Path, laps: int, rounds: int) -> None:
    """Print the table of one artifact."""
    times = [lap(artifact, rounds) for _ in range(laps)]
    columns = {name: np.array([one[name] for one in times]) for name in times[0]}
    pairs = [pair for pair in PAIRS if {*pair} <= columns.keys()]
    sides = [Sides(columns[other], columns[name], True, (True, True)) for name, other in pairs]
    what = f"{artifact.parent.name}/{artifact.name}"
    for (name, other), found in zip(pairs, ratios(sides), strict=True):
        shown = [units.duration(median(columns[which])) for which in (name, other)]
        interval = f"{found.value:.4f} | {found.low:.4f} to {found.high:.4f}"
        within = "yes" if found.low >= 0.99 and found.high <= 1.01 else "not shown"
        print(f"| {what} | {name} | {shown[0]} | {other} | {shown[1]} | {interval} | {within} |")
    sys.stdout.flush()


def main() -> None:
    """Print a row for each artifact and contender."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("artifacts", type=Path, nargs="+", metavar="ARTIFACT")
    parser.add_argument("--laps", type=int, default=20)
    parser.add_argument(
        "--rounds", type=int, default=5, help="of each process, after one to warm up"
    )
    parser.add_argument("--loop", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.loop == BOTH:
        serve_both(given.artifacts[0])
        return
    if given.loop:
        serve(given.artifacts[0], given.loop)
        return
    print("| artifact | contender | median | against | median | ratio | 99 % | within 1 % |")
    print("| --- | --- | --: | --- | --: | --: | --: | --- |")
    for artifact in given.artifacts:
        study(artifact.resolve(), given.laps, given.rounds)


if __name__ == "__main__":
    main()

"""The worker: runs ON the device, a process an artifact; facts.py is all that is sent with it.

Needs Python 3.9, numpy and one runtime. JSON lines on standard input and output; a runtime's own
chatter goes to standard error, whatever descriptor it writes to.

    {"op": "start"}                 -> {"event": "started", "age_ns"}
    {"op": "probe", "runtime": R}   -> {"event": "runtime", "runtime_version", "environment"}
    {"op": "load", "artifact": DIR, "runtime": R, "threads": n | null, "batch": b}
                                    -> {"event": "ready", "import_ns", "load_ns", "threads", ...}
    {"op": "verify", "rows": n | null}
                                    -> {"event": "outputs", "outputs": {NAME: ARRAY}, "alarms"}
    {"op": "measure", "runs": n, "copies": false}
                                    -> {"event": "samples", "ns": [...], "usage": {...}, "spent"}
    {"op": "streams", "count": n}   -> {"event": "streams", "count"}
    {"op": "meters"}                -> {"event": "meters", "meters": [METER, ...], "unreadable"}
    {"op": "idle", "seconds": s}    -> {"event": "idle", "joules": [...], "wall_ns"}
    {"op": "sensors"}               -> {"event": "sensors", "frequency_mhz", "temperature_c", ...}
    {"op": "predict", "images": FILE, "top": k}  -> {"event": "classes", "classes": [[...], ...]}
    {"op": "memory"}                -> {"event": "memory", "definition", "before_load", ...}
    {"op": "profile", "runs": n}    -> {"event": "profile", "operators": [OPERATOR, ...]}
    {"op": "peak", "threads": n}    -> {"event": "peak", "flops", "bytes", "method"}
    {"op": "facts"}                 -> {"event": "facts", "facts": {NAME: TEXT}}
    {"op": "lock", "file": FILE, "owner": TEXT}  -> {"event": "locked"}
    {"op": "close"}                 -> {"event": "closed"}
    whatever fails                  -> {"event": "error", "stage", "cause", "detail"}

Verify runs the first n golden inputs, or all. ARRAY is {"dtype", "shape", "data"}, base64.
Alarms are what a reference saw go wrong in the numbers ({"row", "kind", "operator", "share"}, see
`devices.mil`); "reference" in the answer to `load` says that it is one, and that `measure` and
`profile` are refused. A process may `load` another artifact and prove it, but `measure`, `profile`
and `memory` are refused to it: they depend on what ran before. Inputs and outputs are float32 in
the artifact's own layout: the worker quantizes and dequantizes by the manifest's scale and zero
point.

What is timed. `load_ns`: from the model file's path to a runtime ready to be invoked; importing the
runtime is outside (a TFLite file put to another batch is also invoked once, inside). A sample: one
invocation, by `time.perf_counter_ns`, inputs in place before and outputs fetched after: LiteRT
``invoke()``, ONNX Runtime ``run_with_iobinding()``, torch ``module()``. Python's garbage collector
is off meanwhile. Preprocessing, quantizing a float input and copying are outside. With "copies" the
inputs are handed over and the outputs fetched inside, where the runtime does that by itself:
"copies" in the answer to `load` names how, null where there is nothing to copy. A runtime on a GPU
(`devices.cuda`) times an invocation by the device's own clock: "timing" says how, null for the
above; "precision" is what it computes an fp32 file in, null for the file's own. With --instructions
all times are counts of an emulator (`devices.exact`), and no "usage" is told.

After "streams" the file is loaded n times, and a `measure` without copies invokes all of them at
once, a thread each, until together they did `runs` (at least `LEAST_EACH` a stream); its answer
then also says how much was "served" ({"invocations", "wall_ns"}, see `devices.device.Served`), and
every stream's outputs are compared.

METER is {"name", "covers", "definition"}, one for each energy sensor; "unreadable" names those that
are there and refuse. "spent" is {"joules": [... in the order of the meters], "invocations": n},
null without any: read right before and right after everything that `measure` does.

OPERATOR is {"name", "kind", "activation_bytes", "starts_ns": [...], "ns": [...]}, an entry a run:
what the runtime's own profiler tells, of a session or interpreter beside the one that is measured,
as profiling slows. ONNX Runtime's clock counts whole microseconds. A peak is per second.

`age_ns` is this process's age by the system's own clock, which counts hundredths of a second, null
where it does not tell. Facts are those of `devices.facts`.

A lock on a device is shared by the workers of one owner, and refused to others with cause "busy".

With --lease an empty line is no request, but a sign that the host is alive: without a line for so
long, and at the end of input even in the middle of an invocation, the worker ends itself and what
it started.

Threads are as found: torch is asked; for the others, the operating system's threads that loading
added, and the one that calls (Linux; null elsewhere).
"""
# ruff: noqa: B905 -- zip has no `strict` in Python 3.9

from __future__ import annotations

import argparse
import base64
import contextlib
import gc
import hashlib
import importlib
import json
import os
import platform
import queue
import re
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from array import array as stored
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any, Callable, Iterator

import numpy as np

MODEL_FILES = {
    "tflite": "model.tflite",
    "onnx": "model.onnx",
    "coreml": "model.mlpackage",
    "torch": "model.pt2",
}
OUT_OF_MEMORY = re.compile(
    r"bad_alloc|(can't|cannot|failed to|unable to) allocate|out of memory", re.IGNORECASE
)
PAGES = {
    "resident": "pages in memory by now, shared ones too (Rss of smaps_rollup)",
    "private": "pages in memory that no other process has (USS: Private_* of smaps_rollup)",
    "mapped": "pages in memory of the model file, mapped: the system may drop and read them again",
}
ARENA = (
    "bytes that ONNX Runtime's own arena held in a run, weights included, by its profiler: of a "
    "session beside the measured one"
)
# A second session needs room, in multiples of the file: else a small board would end the worker.
ROOM = 10
MEMORY_SINCE = (
    " of the worker process since its start: before_load includes Python, numpy and the imported "
    "runtime, after_run is after the last verify or measure"
)

UNTIMED_RUNS = 3  # first runs of a profile, left out
# How BLAS libraries are told their threads: by the environment, before they are loaded.
BLAS_THREADS = ("OPENBLAS", "OMP", "MKL", "BLIS", "VECLIB")
LEAST_COPY = 1 << 26  # bytes
PEAK_NS = 2_000_000_000  # how long peaks are looked for
# What the zones of RAPL (Linux's powercap) cover; core and uncore are parts of the package.
ZONES = {"package": "the processor's package", "dram": "its memory", "psys": "the whole platform"}
COUNTED = "a counter, read right before and right after each round"
SAMPLED = "the mean of the power right before and right after each round, times its time: rough"
LEAST_EACH = 5  # invocations of a stream in a round, on average
END_S = 1.0  # that a worker has to end by itself once its host is gone
# Far above what the order of a sum moves, far below what another answer is.
AGREEMENT = 1e-3


class JobError(Exception):
    """What is said to the host in place of a traceback."""

    def __init__(self, cause: str, detail: str) -> None:
        super().__init__(detail)
        self.cause, self.detail = cause, detail


class Litert:
    """TFLite files, by whichever interpreter is there (LiteRT is the present name of TFLite).

    XNNPACK is applied by default. Without a thread count the interpreter uses one thread.
    """

    format = "tflite"
    copies = "set_tensor(), invoke(), get_tensor()"
    modules = (
        "ai_edge_litert.interpreter",
        "tflite_runtime.interpreter",
        "tensorflow.lite.python.interpreter",  # what `tensorflow.lite` gives as an attribute only
    )

    def __init__(self) -> None:
        self._module, self.version = import_first(self.modules)
        self.threads = None

    def load(self, path: str, threads: int | None, contract: dict[str, Any], batch: int) -> None:
        """Open the file; put it to another batch than it was made for, if it can be."""
        self._model = self._open(model_path=path, num_threads=threads)
        self._model.allocate_tensors()
        inputs, outputs = self._details()
        self._inputs = [d["index"] for d in in_order(inputs, contract["inputs"])]
        self._outputs = [d["index"] for d in in_order(outputs, contract["outputs"])]
        self.invoke = self._model.invoke
        if batch != contract["inputs"][0]["shape"][0]:
            self._resize(contract, batch)
        partitions = sum(op["op_name"] == "DELEGATE" for op in self._operations())
        several = f" in {partitions} partitions" if partitions > 1 else ""
        self.provider = f"XNNPACK{several}" if partitions else "built-in kernels"

    def _open(self, **settings: Any) -> Any:
        return self._module.Interpreter(**settings)

    def _operations(self) -> list[dict[str, Any]]:
        listing: Any = getattr(self._model, "_get_ops_details", list)
        return list(listing())

    def _details(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the tensors by name: a single signature's names, else their positions."""
        if (
            hasattr(self._model, "get_signature_list")
            and len(self._model.get_signature_list()) == 1
        ):
            runner = self._model.get_signature_runner()
            if hasattr(runner, "get_output_details"):
                return runner.get_input_details(), runner.get_output_details()
        inputs, outputs = self._model.get_input_details(), self._model.get_output_details()
        return {str(i): d for i, d in enumerate(inputs)}, {str(i): d for i, d in enumerate(outputs)}

    def _resize(self, contract: dict[str, Any], batch: int) -> None:
        try:
            for index, tensor in zip(self._inputs, contract["inputs"]):
                self._model.resize_tensor_input(index, [batch, *tensor["shape"][1:]])
            self._model.allocate_tensors()
            self._model.invoke()
        except (RuntimeError, ValueError):
            check_batch({**contract, "dynamic_batch": False}, batch)
        if any(len(output) != batch for output in self.get()):
            check_batch({**contract, "dynamic_batch": False}, batch)

    def set(self, arrays: list[Any]) -> None:
        """Copy the inputs in."""
        for index, array in zip(self._inputs, arrays):
            self._model.set_tensor(index, array)

    def get(self) -> list[Any]:
        """Copy the outputs out."""
        return [self._model.get_tensor(index) for index in self._outputs]

    def process(self, arrays: list[Any]) -> list[Any]:
        """Run once with everything that an application does in between."""
        self.set(arrays)
        self.invoke()
        return self.get()


class LitertBuiltin(Litert):
    """TFLite files by the interpreter's own kernels: what runs where XNNPACK is not built in."""

    def _open(self, **settings: Any) -> Any:
        kind = self._module.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        return self._module.Interpreter(experimental_op_resolver_type=kind, **settings)


class OnnxRuntime:
    """ONNX files on the CPU provider.

    Without a thread count: one thread a physical core, or an allowed core where not all are: left
    to itself ONNX Runtime then also starts threads on the cores that are not allowed.
    """

    format = "onnx"
    copies = "run(), without IO binding"
    modules = ("onnxruntime",)

    def __init__(self) -> None:
        # Since 1.31 importing it starts a thread that reports on its use, now and then.
        os.environ["ORT_DISABLE_TELEMETRY"] = "1"
        self._runtime, self.version = import_first(self.modules)
        self.threads = None
        self._profile_prefix = ""

    def load(self, path: str, threads: int | None, contract: dict[str, Any], batch: int) -> None:
        """Open the file; inputs and outputs go by the manifest's names."""
        check_batch(contract, batch)
        self._loaded = path, threads, contract, batch
        options = self._runtime.SessionOptions()
        options.enable_profiling = bool(self._profile_prefix)
        options.profile_file_prefix = self._profile_prefix
        options.intra_op_num_threads = threads or allowed_cores()
        options.inter_op_num_threads = 1
        providers = ["CPUExecutionProvider"]
        self._model = self._runtime.InferenceSession(path, options, providers=providers)
        self.provider = ", ".join(self._model.get_providers())
        self._binding = self._model.io_binding()
        self._names = [tensor["name"] for tensor in contract["inputs"]]
        for tensor in contract["outputs"]:
            self._binding.bind_output(tensor["name"], "cpu")
        self.invoke = partial(self._model.run_with_iobinding, self._binding)

    def set(self, arrays: list[Any]) -> None:
        """Bind the inputs, which stay where they are."""
        self._arrays = arrays
        for name, array in zip(self._names, arrays):
            self._binding.bind_cpu_input(name, array)

    def get(self) -> list[Any]:
        """Copy the outputs out."""
        return list(self._binding.copy_outputs_to_cpu())

    def process(self, arrays: list[Any]) -> list[Any]:
        """Run once as an application does that binds nothing."""
        return list(self._model.run(None, dict(zip(self._names, arrays))))

    def profile(self, arrays: list[Any], runs: int) -> list[dict[str, Any]]:
        """Return what the operators took in each of `runs`, by ONNX Runtime's profiler."""
        return onnx_operators(self._profiled(arrays, UNTIMED_RUNS + runs))

    def arena(self, arrays: list[Any]) -> int | None:
        """Return the bytes that its arena held in a run; its profiler tells that from 1.31 on."""
        told = [event["args"] for event in self._profiled(arrays, 1) if event["cat"] == "Node"]
        return max((int(n["mem_arena_held"]) for n in told if "mem_arena_held" in n), default=None)

    def _profiled(self, arrays: list[Any], runs: int) -> list[dict[str, Any]]:
        """Return the events of a session of its own."""
        profiled = OnnxRuntime()
        with tempfile.TemporaryDirectory() as scratch:
            profiled._profile_prefix = str(Path(scratch) / "profile")
            profiled.load(*self._loaded)
            profiled.set(arrays)
            for _ in range(runs):
                profiled.invoke()
            events: list[dict[str, Any]] = json.loads(
                Path(profiled._model.end_profiling()).read_bytes()
            )
        return events


class OnnxReference:
    """ONNX files by the specification's own evaluator, in numpy: it proves, and is never timed."""

    format = "onnx"
    provider = "reference evaluator, CPU"
    reference = True

    def __init__(self) -> None:
        _, self.version = import_first(("onnx",))
        self._evaluator = importlib.import_module("onnx.reference").ReferenceEvaluator
        self.threads = None

    def load(self, path: str, threads: int | None, contract: dict[str, Any], batch: int) -> None:
        """Open the file; inputs and outputs go by the manifest's names."""
        check_batch(contract, batch)
        self._model = self._evaluator(path)
        self._names = [[t["name"] for t in contract[side]] for side in ("inputs", "outputs")]

    def set(self, arrays: list[Any]) -> None:
        """Keep the inputs."""
        self._inputs = dict(zip(self._names[0], arrays))

    def invoke(self) -> None:
        """Run once."""
        self._outputs = self._model.run(self._names[1], self._inputs)

    def get(self) -> list[Any]:
        """Return the outputs as arrays."""
        return list(self._outputs)


class Torch:
    """``torch.export`` programs, run eagerly: for reference."""

    format = "torch"
    modules = ("torch",)

    def __init__(self) -> None:
        self._torch, self.version = import_first(self.modules)
        self.provider = "eager, CPU"

    def load(self, path: str, threads: int | None, contract: dict[str, Any], batch: int) -> None:
        """Open the program; a thread count holds for the whole process."""
        check_batch(contract, batch)
        if threads:
            self._torch.set_num_threads(threads)
        self.threads = self._torch.get_num_threads()
        self._model = self._torch.export.load(path).module()

    def set(self, arrays: list[Any]) -> None:
        """Wrap the inputs, which stay where they are."""
        self._inputs = [self._torch.from_numpy(array) for array in arrays]

    def invoke(self) -> None:
        """Run once."""
        with self._torch.inference_mode():
            self._outputs = self._model(*self._inputs)

    def get(self) -> list[Any]:
        """Return the outputs as arrays."""
        outputs = self._outputs
        several = outputs if isinstance(outputs, (tuple, list)) else (outputs,)
        return [output.numpy() for output in several]

    def profile(self, arrays: list[Any], runs: int) -> list[dict[str, Any]]:
        """Return what the operators took in each of `runs`, called one by one."""
        interpreter = self._torch.fx.Interpreter(self._model)
        run_node, clock, found = interpreter.run_node, time.perf_counter_ns, Profile()

        def timed(node: Any) -> Any:
            start = clock()
            result = run_node(node)
            if node.op == "call_function":
                found.add(node.name, node.target.__name__, start, clock() - start)
            return result

        interpreter.run_node = timed
        with self._torch.inference_mode():
            for _ in range(UNTIMED_RUNS + runs):
                interpreter.run(*self._inputs)
                found.end_run()
        return found.operators()


class CoremlReference:
    """Core ML packages by an interpreter on the host: it proves a file, and is never timed."""

    format = "coreml"
    reference = True
    provider = "reference interpreter, CPU"

    def __init__(self) -> None:
        self._torch, self.version = import_first(("torch",))
        self._mil = import_beside("devices.mil")

    def load(self, path: str, threads: int | None, contract: dict[str, Any], batch: int) -> None:
        """Open the package and unpack its weights."""
        check_batch(contract, batch)
        if threads:
            self._torch.set_num_threads(threads)
        self.threads = self._torch.get_num_threads()
        self._names = [[t["name"] for t in contract[side]] for side in ("inputs", "outputs")]
        self._program = self._told(self._mil.load, path)

    def _told(self, do: Callable[..., Any], argument: Any) -> Any:
        """Tell what the reference does not know from what is wrong with the file."""
        try:
            return do(argument)
        except self._mil.UnknownError as error:
            raise JobError("unsupported", f"the reference cannot run it: {error}") from None

    def set(self, arrays: list[Any]) -> None:
        """Keep the inputs."""
        self._inputs = dict(zip(self._names[0], arrays))

    def invoke(self) -> None:
        """Run once."""
        self._outputs = self._told(self._program.run, self._inputs)

    def get(self) -> list[Any]:
        """Return the outputs as arrays."""
        return [self._outputs[name] for name in self._names[1]]

    def alarms(self) -> list[dict[str, Any]]:
        """Return what went wrong in the numbers of the last run."""
        return [vars(alarm) for alarm in self._program.alarms]


RUNTIMES: dict[str, Any] = {
    "litert": Litert,
    "litert-builtin": LitertBuiltin,
    "onnxruntime": OnnxRuntime,
    "onnx-reference": OnnxReference,
    "coreml-reference": CoremlReference,
    "torch": Torch,
}


# Runtimes of `devices.cuda`.
ON_A_GPU = re.compile(r"(torch|onnxruntime)-")


class Profile:
    """Times of operators, run by run; one that runs several times in a run is summed."""

    def __init__(self) -> None:
        self._runs: list[dict[str, tuple[int, int]]] = []
        self._run: dict[str, tuple[int, int]] = {}
        self._facts: dict[str, dict[str, Any]] = {}

    def add(self, name: str, kind: str, start: int, ns: int, moved: int | None = None) -> None:
        """Take one execution; `moved` are the bytes of its activations."""
        first, before = self._run.get(name, (start, 0))
        self._run[name] = first, before + ns
        self._facts.setdefault(name, {"name": name, "kind": kind, "activation_bytes": moved})

    def end_run(self) -> None:
        """Begin the next run."""
        self._runs.append(self._run)
        self._run = {}

    def operators(self) -> list[dict[str, Any]]:
        """Return the operators in the order of a run, the first runs left out."""
        kept = self._runs[UNTIMED_RUNS:]
        begin = min(start for run in kept for start, _ in run.values())
        return [
            {
                **facts,
                "starts_ns": [run[name][0] - begin for run in kept],
                "ns": [run[name][1] for run in kept],
            }
            for name, facts in self._facts.items()
            if all(name in run for run in kept)
        ]


def onnx_operators(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the operators of ONNX Runtime's trace, whose times are microseconds."""
    found, suffix = Profile(), "_kernel_time"
    for event in events:
        if event["name"] == "model_run":
            found.end_run()
        elif event["cat"] == "Node" and event["name"].endswith(suffix):
            told, name = event["args"], event["name"][: -len(suffix)]
            moved = int(told["activation_size"]) + int(told["output_size"])
            found.add(name, told["op_name"], 1000 * event["ts"], 1000 * event["dur"], moved)
    return found.operators()


def import_first(modules: tuple[str, ...]) -> tuple[Any, str]:
    """Import the first of `modules` that is installed; return it, and its name and version."""
    packages = [name.split(".")[0] for name in modules]
    for name, package in zip(modules, packages):
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if (error.name or "").split(".")[0] != package:
                raise
        else:
            return module, f"{package} {_version(package)}"
    extra = "train" if modules == Torch.modules else "bench"
    raise JobError(
        "missing-runtime",
        f"no {' or '.join(packages)} here; install it with: pip install 'edgeworthy[{extra}]'",
    )


def _version(package: str) -> str:
    try:
        return metadata.version(package.replace("_", "-"))
    except metadata.PackageNotFoundError:
        return str(getattr(sys.modules[package], "__version__", "of unknown version"))


def in_order(details: dict[str, Any], tensors: list[Any]) -> list[Any]:
    """Bring a file's tensors into the manifest's order: by name, else args_0, args_1, ..."""
    names = [tensor["name"] for tensor in tensors]
    if len(names) != len(details):
        raise JobError("error", f"the file has {len(details)} tensors, its manifest {len(names)}")
    if set(names) != set(details):
        names = sorted(details, key=lambda name: [int(n) for n in re.findall(r"\d+", name)][-1:])
    return [details[name] for name in names]


def check_batch(contract: dict[str, Any], batch: int) -> None:
    """Refuse a batch that the file was not made for."""
    made_for = contract["inputs"][0]["shape"][0]
    if not contract["dynamic_batch"] and batch != made_for:
        detail = f"this file is made for batch {made_for}; export it with --batch {batch}"
        raise JobError("unsupported", detail)


def encode(rows: Any, tensor: dict[str, Any]) -> Any:
    """Return float32 rows in the file's dtype: quantized half to even and clipped, or cast."""
    dtype = np.dtype(tensor["dtype"])
    if dtype.kind in "iu" and tensor.get("scale"):
        limits = np.iinfo(dtype)
        stored = np.rint(rows / tensor["scale"]) + (tensor.get("zero_point") or 0)
        rows = np.clip(stored, limits.min, limits.max)
    return np.ascontiguousarray(rows, dtype=dtype)


def decode(stored: Any, tensor: dict[str, Any]) -> Any:
    """Return an output of the file as float32, dequantized if it is an integer with a scale."""
    real = np.array(stored, dtype=np.float32)
    if stored.dtype.kind in "iu" and tensor.get("scale"):
        real = (real - (tensor.get("zero_point") or 0)) * np.float32(tensor["scale"])
    return real


NEED_AN_ARTIFACT = {"verify", "measure", "streams", "predict", "memory", "profile"}


class Worker:
    """One artifact at a time in one runtime; `answer` is the whole protocol."""

    def __init__(self, root: str = "/", clock: Callable[[], int] = time.perf_counter_ns) -> None:
        self.root, self.clock = root, clock
        self.ops: dict[str, Callable[..., dict[str, Any]]] = {
            "start": lambda: {"event": "started", "age_ns": age_ns()},
            "probe": self._probe,
            "load": self._load,
            "verify": self._verify,
            "measure": self._measure,
            "streams": self._streams,
            "meters": self._meters,
            "idle": self._idle,
            "predict": self._predict,
            "sensors": lambda: {"event": "sensors", **sensors(), **self._of_runtime("sensors")},
            "memory": self._memory,
            "profile": self._profile,
            "peak": lambda threads: {"event": "peak", **peak_apart(threads)},
            "facts": lambda: {"event": "facts", "facts": import_beside("devices.facts").facts()},
            "lock": self._lock,
            "close": lambda: {"event": "closed"},
        }
        self.runtime: Any = None
        self.loads = 0
        self.peaks: dict[str, int | None] = {}
        self.pages: dict[str, dict[str, int]] = {}
        self.meters: list[Meter] = []

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the event for a request; whatever goes wrong is an event too."""
        arguments = dict(request)
        op = str(arguments.pop("op", None))
        try:
            if op not in self.ops:
                raise JobError("unsupported", f"no op '{op}'; there is {', '.join(self.ops)}")
            if self.runtime is None and op in NEED_AN_ARTIFACT:
                raise JobError("error", "nothing is loaded; send op 'load' first")
            if self.loads > 1 and op in ("measure", "streams", "memory", "profile"):
                detail = f"'{op}' needs a process of its own; this one has loaded another file"
                raise JobError("unsupported", detail)
            return self.ops[op](**arguments)
        except JobError as error:
            cause, detail = error.cause, error.detail
        except Exception as error:
            short = isinstance(error, MemoryError) or OUT_OF_MEMORY.search(str(error))
            # A JobError of a module beside this one is another class: this one is __main__.
            cause = getattr(error, "cause", "out-of-memory" if short else "error")
            detail = one_line(error)
        return {"event": "error", "stage": op, "cause": cause, "detail": detail}

    def _lock(self, file: str, owner: str) -> dict[str, Any]:
        self.held = hold(file, owner)
        return {"event": "locked"}

    def _probe(self, runtime: str) -> dict[str, Any]:
        version = start_runtime(runtime).version
        return {"event": "runtime", "runtime_version": version, "environment": environment()}

    def _load(
        self, artifact: str, runtime: str, threads: int | None = None, batch: int = 1
    ) -> dict[str, Any]:
        self.runtime = None  # what was loaded before must not answer for this
        self.loads += 1
        directory = Path(artifact)
        manifest = read_manifest(directory)
        self.contract, self.batch = manifest["contract"], batch
        known = manifest.get("golden") != []
        self.inputs, self.expected = read_golden(directory / "golden.npz", self.contract, known)
        start = self.clock()
        opened = start_runtime(runtime)
        import_ns = self.clock() - start
        if manifest["format"] != opened.format:
            files = f"{runtime} runs {opened.format} files"
            raise JobError("unsupported", f"{files}, this artifact is {manifest['format']}")
        alone = count_threads()
        self._note_peak("before_load")
        self.pages["before_load"] = {**pages(None), **getattr(opened, "held", dict)()}
        start = self.clock()
        self.model = str((directory / MODEL_FILES[opened.format]).resolve())
        opened.load(self.model, threads, self.contract, batch)
        load_ns = self.clock() - start
        self._note_peak("after_load")
        self.runtime, self.sessions = opened, [opened]
        self.pages["after_load"] = {**pages(self.model), **self._of_runtime("held")}
        self.another = partial(start_runtime, runtime), threads
        return {
            "event": "ready",
            "import_ns": import_ns,
            "load_ns": load_ns,
            "runtime": runtime,
            "runtime_version": opened.version,
            "provider": opened.provider,
            "threads": opened.threads or (count_threads() - alone + 1 if alone else None),
            "reference": getattr(opened, "reference", False),
            "copies": getattr(opened, "copies", None),
            "timing": getattr(opened, "timing", None),
            "precision": getattr(opened, "precision", None),
            "environment": environment(),
        }

    def _of_runtime(self, what: str) -> dict[str, Any]:
        """Return what a runtime on a device of its own tells besides; others tell nothing."""
        return dict(getattr(self.runtime, what, dict)())

    def _note_peak(self, moment: str) -> None:
        """Note the peak so far; Linux's counters are inexact, so that it could seem to fall."""
        known = [peak for peak in (*self.peaks.values(), peak_memory()) if peak is not None]
        self.peaks[moment] = max(known, default=None)

    def _set(self, start: int) -> None:
        """Put golden inputs number start, start + 1, ... in place as a batch, going round."""
        numbers = np.arange(start, start + self.batch) % len(self.inputs[0])
        self._feed([rows[numbers] for rows in self.inputs])

    def _feed(self, batches: list[Any]) -> None:
        self.fed = [encode(b, t) for b, t in zip(batches, self.contract["inputs"])]
        for session in self.sessions:
            session.set(self.fed)

    def infer(self, batches: list[Any]) -> list[Any]:
        """Return the float outputs for one batch of float inputs: for a server in this process."""
        self._feed(batches)
        return self._run()

    def _run(self) -> list[Any]:
        self.runtime.invoke()
        outputs = [decode(o, t) for o, t in zip(self.runtime.get(), self.contract["outputs"])]
        for output, tensor in zip(outputs, self.contract["outputs"]):
            expected = [self.batch, *tensor["shape"][1:]]
            if list(output.shape) != expected:
                found = f"output '{tensor['name']}' has shape {list(output.shape)}"
                raise JobError("error", f"{found}, the manifest promises {expected}")
        return outputs

    def _verify(self, rows: int | None = None) -> dict[str, Any]:
        """Run every golden input, or the first `rows`, in every place of the batch.

        Returns the worst answer to each. Going round puts different rows beside each other, so that
        a row which leaks into another shows, and so does a place in the batch that is wrong.
        """
        worst: list[dict[int, Any]] = [{} for _ in self.expected]
        alarms: list[dict[str, Any]] = []
        for start in range(rows or len(self.inputs[0])):
            self._set(start)
            for output, kept, expected in zip(self._run(), worst, self.expected):
                keep_worst(output, kept, expected, start)
            if isinstance(self.runtime, CoremlReference):
                alarms += [{"row": start, **alarm} for alarm in self.runtime.alarms()]
        self._note_peak("after_run")
        names = [tensor["name"] for tensor in self.contract["outputs"]]
        arrays = [np.stack([kept[number] for number in sorted(kept)[:rows]]) for kept in worst]
        outputs = dict(zip(names, map(as_data, arrays)))
        return {"event": "outputs", "outputs": outputs, "alarms": alarms}

    def _streams(self, count: int) -> dict[str, Any]:
        """Load the artifact until it is there `count` times, each with threads of its own."""
        if hasattr(self.runtime, "time"):
            detail = "several streams are timed by the processor's clock, and this runtime is not"
            raise JobError("unsupported", detail)
        make, threads = self.another
        while len(self.sessions) < count:
            another = make()
            another.load(self.model, threads, self.contract, self.batch)
            self.sessions.append(another)
        self.pool = ThreadPoolExecutor(count)
        return {"event": "streams", "count": count}

    def _measure(self, runs: int, copies: bool = False) -> dict[str, Any]:
        if getattr(self.runtime, "reference", False):
            raise JobError("unsupported", "a reference interpreter is never timed")
        self._set(0)
        several = len(self.sessions) > 1 and not copies
        invoke = partial(self.runtime.process, self.fed) if copies else self.runtime.invoke
        of_device = None if copies else getattr(self.runtime, "time", None)
        # Beside a count of instructions this machine's times say nothing, and reading them varies.
        used_by_now = usage if self.clock is time.perf_counter_ns else dict
        joules, before = [meter.read() for meter in self.meters], used_by_now()
        gc.disable()
        try:
            if several:
                found = at_once([session.invoke for session in self.sessions], self.pool, runs)
            elif of_device:
                found = {"ns": [of_device() for _ in range(runs)], "invocations": runs}
            else:
                found = {"ns": one_by_one(invoke, runs, self.clock), "invocations": runs}
        finally:
            gc.enable()
        used = {k: None if n is None else n - before[k] for k, n in used_by_now().items()}
        wall_ns = int(used.get("wall_ns") or 0)
        burnt = [meter.joules(since, wall_ns) for meter, since in zip(self.meters, joules)]
        self._note_peak("after_run")
        if several:
            self._check_agreement()
        spent = {"joules": burnt, "invocations": found.pop("invocations")} if burnt else None
        told = {"usage": used} if used else {}
        return {"event": "samples", **found, **told, "spent": spent}

    def _check_agreement(self) -> None:
        """Refuse what streams computed if it differs: the first one's answers were proved."""
        first, *others = [session.get() for session in self.sessions]
        for number, outputs in enumerate(others, 2):
            for expected, output in zip(first, outputs):
                room = AGREEMENT * float(np.abs(expected).max(initial=0))
                if not np.allclose(output, expected, rtol=AGREEMENT, atol=room):
                    told = f"stream {number} of {len(self.sessions)} answers otherwise"
                    raise JobError("wrong-answer", f"{told} than the first to the same input")

    def _meters(self) -> dict[str, Any]:
        self.meters, unreadable = meters(self.root)
        told = [{"name": m.name, "covers": m.covers, "definition": m.how} for m in self.meters]
        return {"event": "meters", "meters": told, "unreadable": unreadable}

    def _idle(self, seconds: float) -> dict[str, Any]:
        """Do nothing for a while, and tell what that took."""
        before, begin = [meter.read() for meter in self.meters], time.perf_counter_ns()
        time.sleep(seconds)
        wall_ns = time.perf_counter_ns() - begin
        joules = [meter.joules(since, wall_ns) for meter, since in zip(self.meters, before)]
        return {"event": "idle", "joules": joules, "wall_ns": wall_ns}

    def _profile(self, runs: int) -> dict[str, Any]:
        if getattr(self.runtime, "reference", False):
            raise JobError("unsupported", "a reference interpreter is never timed, nor profiled")
        if not hasattr(self.runtime, "profile"):
            able = " and ".join(name for name, kind in RUNTIMES.items() if hasattr(kind, "profile"))
            lacks = f"{self.runtime.version} offers Python no profile by operator; {able} do"
            detail = f"{lacks}: profile the same network exported for one of them"
            raise JobError("unsupported", detail)
        self._set(0)
        return {"event": "profile", "operators": self.runtime.profile(self.fed, runs)}

    def _predict(self, images: str, top: int = 5) -> dict[str, Any]:
        """Classify by the first output; a last batch that is not full is filled and cut."""
        rows, shape = np.load(images, mmap_mode="r"), self.contract["inputs"][0]["shape"]
        if len(self.inputs) > 1 or list(rows.shape[1:]) != shape[1:]:
            takes = f"{len(self.inputs)} input(s), the first of {shape[1:]}"
            detail = f"{images} holds images of {list(rows.shape[1:])}, the artifact takes {takes}"
            raise JobError("unsupported", detail)
        classes: list[list[int]] = []
        for start in range(0, len(rows), self.batch):
            numbers = np.arange(start, start + self.batch).clip(max=len(rows) - 1)
            self._feed([rows[numbers]])
            scores = self._run()[0].reshape(self.batch, -1)
            best = np.argsort(-scores, axis=1, kind="stable")[:, :top]
            classes += best[: len(rows) - start].tolist()
        return {"event": "classes", "classes": classes}

    def _memory(self) -> dict[str, Any]:
        source = "ru_maxrss" if sys.platform == "darwin" else "VmHWM"
        definition = f"peak resident set size ({source}){MEMORY_SINCE}"
        self.pages["after_run"] = {**pages(self.model), **self._of_runtime("held")}
        kinds = {**PAGES, **getattr(self.runtime, "kinds", {})}
        series = [
            {"name": name, "definition": kinds[name], **{m: p[name] for m, p in self.pages.items()}}
            for name in self.pages["before_load"]
        ]
        moments = {"before_load": None, "after_load": None, "after_run": self._arena()}
        if moments["after_run"] is not None:
            series.append({"name": "arena", "definition": ARENA, **moments})
        peak = {"definition": definition, "after_run": None, **self.peaks}
        return {"event": "memory", **peak, "series": series}

    def _arena(self) -> int | None:
        """Return what the runtime's own arena holds, where the runtime tells and there is room."""
        free = kilobytes("MemAvailable", texts("proc/meminfo"))
        if not hasattr(self.runtime, "arena") or free < ROOM * Path(self.model).stat().st_size:
            return None
        try:
            return int(self.runtime.arena(self.fed))
        except Exception:  # what is only told beside must not cost what was measured
            return None


def import_beside(module: str) -> Any:
    """Import a module of ours: it lies beside this file where it was installed; on a device only
    facts.py does.
    """
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise JobError("missing-runtime", f"the runtime needs {error.name} here") from None


def start_runtime(name: str) -> Any:
    """Import a runtime and return its adapter."""
    if ON_A_GPU.match(name):
        return import_beside("devices.cuda").start(name)
    if name not in RUNTIMES:
        raise JobError("unsupported", f"no runtime '{name}' here; there is {', '.join(RUNTIMES)}")
    return RUNTIMES[name]()


def read_manifest(directory: Path) -> dict[str, Any]:
    """Return the manifest, once every file agrees with it.

    A model file cut short on its way here could crash a runtime, so the hashes are checked first.
    """
    path = directory / "manifest.json"
    try:
        manifest: dict[str, Any] = json.loads(path.read_bytes())
        digests = [(directory / f["path"], f["sha256"]) for f in manifest["files"]]
        changed = [file for file, digest in digests if sha256(file) != digest]
    except OSError as error:
        missing = f"{error.filename}: {error.strerror}"
        raise JobError("error", f"{missing}; export it again") from None
    except (KeyError, TypeError, ValueError):
        raise JobError("error", f"{path} is not a manifest; export it again") from None
    if changed:
        reason = "does not match the sha256 in its manifest: it was changed or cut short"
        raise JobError("error", f"{changed[0]} {reason}; export it again")
    return manifest


def sha256(path: Path) -> str:
    """Return a file's hash, read in blocks: it must not raise the memory figures."""
    hashed = hashlib.sha256()
    with path.open("rb") as stream:
        for block in iter(partial(stream.read, 1 << 20), b""):
            hashed.update(block)
    return hashed.hexdigest()


def read_golden(path: Path, contract: dict[str, Any], known: bool) -> tuple[list[Any], list[Any]]:
    """Return the golden rows of all inputs and, where they are known, of all outputs, float32."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            inputs = [arrays["in." + tensor["name"]] for tensor in contract["inputs"]]
            outputs = contract["outputs"] if known else []
            return inputs, [arrays["out." + tensor["name"]] for tensor in outputs]
    except (OSError, ValueError, KeyError) as error:
        raise JobError("error", f"{path}: {one_line(error)}; export it again") from None


def keep_worst(output: Any, kept: dict[int, Any], expected: Any, start: int) -> None:
    """Keep by golden input's number the row farthest from what is expected; NaN is farthest."""
    for place, row in enumerate(output):
        number = (start + place) % len(expected)
        if number not in kept or _distance(row, expected[number]) > _distance(
            kept[number], expected[number]
        ):
            kept[number] = row


def _distance(row: Any, expected: Any) -> float:
    return float(np.nan_to_num(np.abs(row - expected), nan=np.inf).max(initial=0))


def as_data(values: Any) -> dict[str, Any]:
    """Return an array as JSON can carry it."""
    data = base64.b64encode(np.ascontiguousarray(values).tobytes()).decode("ascii")
    return {"dtype": str(values.dtype), "shape": list(values.shape), "data": data}


def count_threads() -> int:
    """Return this process's threads, 0 where the system does not tell."""
    return len(list(Path("/proc/self/task").glob("[0-9]*")))


def allowed_cores() -> int:
    """Return how many cores this process is restricted to, 0 if it is not."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    return allowed if allowed < (os.cpu_count() or 0) else 0


def peak_memory() -> int | None:
    """Return this process's peak resident set in bytes, None where the system does not tell."""
    if sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    status = Path("/proc/self/status")
    text = status.read_text(errors="replace") if status.is_file() else ""
    found = re.search(r"^VmHWM:\s+(\d+) kB", text, re.MULTILINE)
    return int(found.group(1)) * 1024 if found else None


def usage() -> dict[str, Any]:
    """Return what this process and the machine have used so far: see `devices.device.Usage`.

    Linux counts the machine's time in hundredths of a second: right in the sum of many rounds.
    """
    import resource

    own = resource.getrusage(resource.RUSAGE_SELF)
    waits = [int(text.split()[1]) for text in texts("proc/self/task/*/schedstat")]
    return {
        "wall_ns": time.perf_counter_ns(),
        "cpu_ns": round((own.ru_utime + own.ru_stime) * 1e9),
        "waited_ns": sum(waits) if waits else None,
        "involuntary": own.ru_nivcsw,
        **machine_time(),
    }


def machine_time() -> dict[str, int]:
    """Return the time of all cores together, where the system tells."""
    tick = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    times = [int(ticks) * tick for text in texts("proc/stat") for ticks in text.split()[1:9]]
    if len(times) != 8:
        return {}
    user, nice, system, idle, waiting, hard, soft, stolen = times
    busy = user + nice + system + hard + soft
    return {"busy_ns": busy, "idle_ns": idle + waiting, "stolen_ns": stolen}


def sensors(root: str = "/") -> dict[str, Any]:
    """Return what the sensors below `root` say now: see `devices.device.Sensors`."""
    cpus = "sys/devices/system/cpu/cpu"
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else ()
    clocks = [n for c in allowed for n in numbers(f"{cpus}{c}/cpufreq/scaling_cur_freq", root)]
    zones = numbers("sys/class/thermal/thermal_zone*/temp", root)
    zones += numbers("sys/class/hwmon/hwmon*/temp*_input", root)
    events = numbers(f"{cpus}[0-9]*/thermal_throttle/*_throttle_count", root)
    flags = numbers("sys/devices/platform/soc*/soc*:firmware/get_throttled", root, 16)
    cooled = [n for place in coolers(root) for n in numbers("cur_state", place)]
    currents = numbers("sys/class/hwmon/hwmon*/oc[0-9]_event_cnt", root)
    return {
        "frequency_mhz": max(clocks) / 1e3 if clocks else None,
        "temperature_c": max(zones) / 1e3 if zones else None,
        "throttle_events": sum(events) if events else None,
        "throttle_flags": flags[0] if flags else None,
        "cooling": max(cooled, default=None),
        "current_events": sum(currents) if currents else None,
        "load": os.getloadavg()[0],
    }


def coolers(root: str) -> list[str]:
    """Return where Linux lowers the clocks of cores for heat: ``cpufreq-cpu0``, in its older
    versions ``thermal-cpufreq-0``.
    """
    found = Path(root).glob("sys/class/thermal/cooling_device*")
    return [str(place) for place in found if "cpufreq" in "".join(texts("type", str(place)))]


def one_by_one(
    invoke: Callable[[], Any], runs: int, clock: Callable[[], int] = time.perf_counter_ns
) -> list[int]:
    """Return the nanoseconds of each of `runs` invocations.

    What the clock says is put where no object has to be made for it, so that nothing but the
    invocation differs from one to the next, and a count of instructions is always the same.
    """
    starts, ends = (stored("q", bytes(8 * runs)) for _ in range(2))
    for number in range(runs):
        starts[number] = clock()
        invoke()
        ends[number] = clock()
    return [end - start for start, end in zip(starts, ends)]


def at_once(invokes: list[Callable[[], Any]], pool: Any, runs: int) -> dict[str, Any]:
    """Invoke all over and over, a thread each, until together they did `runs`.

    None stops before, so that all are at work to the end. Each begins with one that is in no
    figure.
    """
    clock, wanted = time.perf_counter_ns, max(runs, LEAST_EACH * len(invokes))
    ends: list[int] = []
    together = threading.Barrier(len(invokes))

    def stream(invoke: Callable[[], Any]) -> list[tuple[int, int]]:
        spans: list[tuple[int, int]] = []
        try:
            invoke()
            together.wait()
            while len(ends) < wanted:
                start = clock()
                invoke()
                spans.append((start, clock()))
                ends.append(spans[-1][1])
        except threading.BrokenBarrierError:
            return spans
        except BaseException:
            ends.extend([0] * wanted)  # the others must not wait for this one
            together.abort()
            raise
        return spans

    spans = [span for found in list(pool.map(stream, invokes)) for span in found]
    made = len(spans) + len(invokes)
    return {**served(spans, sorted(ends)[wanted - 1]), "invocations": made}


def served(spans: list[tuple[int, int]], end: int) -> dict[str, Any]:
    """Return the times of what ended by `end`, and how much was done by then: what one of the
    streams had begun counts by the share of its time that lies before.
    """
    begin = min(start for start, _ in spans)
    done = sum(min(1.0, max(0, end - start) / max(1, stop - start)) for start, stop in spans)
    samples = [stop - start for start, stop in sorted(spans, key=lambda s: s[1]) if stop <= end]
    return {"ns": samples, "served": {"invocations": done, "wall_ns": end - begin}}


class Meter:
    """A sensor of energy. `read` tells the joules counted so far, or the watts of this moment where
    nothing counts (`how` is `SAMPLED`); a counter starts again from 0 at `wraps` joules.
    """

    def __init__(
        self,
        name: str,
        covers: str,
        read: Callable[[], float | None],
        how: str = COUNTED,
        wraps: float = 0.0,
    ) -> None:
        self.name, self.covers, self.read, self.how, self.wraps = name, covers, read, how, wraps

    def joules(self, before: float | None, wall_ns: int) -> float | None:
        """Return what was used since `before` was read, None if it cannot be read."""
        now = self.read()
        if now is None or before is None:
            return None
        if self.how == SAMPLED:
            return (before + now) / 2 * wall_ns / 1e9
        return now - before + (self.wraps if now < before else 0.0)


def meters(root: str = "/") -> tuple[list[Meter], list[str]]:
    """Return the energy sensors below `root`, and those that are there and cannot be read."""
    found = [*rapl(root), *rails(root), *batteries(root), *gpus()]
    refused = [meter for meter in found if meter.read() is None]
    return [m for m in found if m not in refused], [meter.name for meter in refused]


def rapl(root: str) -> Iterator[Meter]:
    """Yield Linux's powercap zones, Intel's and AMD's: see `ZONES`."""
    for zone in sorted(Path(root).glob("sys/class/powercap/intel-rapl:*")):
        name = "".join(texts("name", str(zone))).strip()
        covers = ZONES.get(name.split("-")[0])
        if covers:
            read = partial(product, [zone / "energy_uj"], 1e-6)
            wraps = product([zone / "max_energy_range_uj"], 1e-6) or 0.0
            yield Meter(f"RAPL {name}", covers, read, wraps=wraps)


def rails(root: str) -> Iterator[Meter]:
    """Yield the supply rails of a Jetson, by its INA3221 monitors."""
    for label in sorted(Path(root).glob("sys/class/hwmon/hwmon*/in[1-3]_label")):
        monitor, number = label.parent, label.name[2]
        if "".join(texts("name", str(monitor))).strip() == "ina3221":
            parts = [monitor / f"in{number}_input", monitor / f"curr{number}_input"]
            rail = label.read_text(encoding="ascii").strip()
            yield Meter(f"INA3221 {rail}", f"rail {rail}", partial(product, parts, 1e-6), SAMPLED)
    pattern = "sys/bus/i2c/drivers/ina3221x/*/iio:device*/rail_name_[0-2]"
    for label in sorted(Path(root).glob(pattern)):
        rail = label.read_text(encoding="ascii").strip()
        part = label.with_name(f"in_power{label.name[-1]}_input")
        yield Meter(f"INA3221 {rail}", f"rail {rail}", partial(product, [part], 1e-3), SAMPLED)


def batteries(root: str) -> Iterator[Meter]:
    """Yield the batteries that the device runs on now."""
    for supply in sorted(Path(root).glob("sys/class/power_supply/*")):
        state = "".join(texts("type", str(supply)) + texts("status", str(supply))).split()
        if state == ["Battery", "Discharging"]:
            parts, unit = [supply / "current_now", supply / "voltage_now"], 1e-12
            if (supply / "power_now").exists():
                parts, unit = [supply / "power_now"], 1e-6
            read = partial(product, parts, unit)
            yield Meter(f"battery {supply.name}", "the whole device", read, SAMPLED)


def gpus() -> Iterator[Meter]:
    """Yield the energy counters of NVIDIA's GPUs (Volta and later), if nvidia-ml-py is there."""
    try:
        nvml: Any = importlib.import_module("pynvml")
        nvml.nvmlInit()
        handles = [nvml.nvmlDeviceGetHandleByIndex(n) for n in range(nvml.nvmlDeviceGetCount())]
    except Exception:  # an optional library may fail in any way of its own
        return
    for number, handle in enumerate(handles):
        name = nvml.nvmlDeviceGetName(handle)
        name = name.decode() if isinstance(name, bytes) else name  # nvidia-ml-py before 12

        def read(handle: Any = handle) -> float | None:
            try:
                return float(nvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1e3
            except nvml.NVMLError:
                return None

        yield Meter(f"NVML GPU {number}", f"the board of GPU {number} ({name})", read)


def product(paths: list[Path], unit: float) -> float | None:
    """Return the product of the whole numbers in some files, without sign, in units of `unit`."""
    value = unit
    for path in paths:
        try:
            value *= abs(int(path.read_text(encoding="ascii")))
        except (OSError, ValueError):
            return None
    return value


def peak_apart(threads: int) -> dict[str, Any]:
    """Look for this machine's peaks in a process of its own, whose BLAS starts no threads."""
    limits = {f"{library}_NUM_THREADS": "1" for library in BLAS_THREADS}
    command = [sys.executable, str(Path(__file__).resolve()), "--peak", str(threads)]
    command += ["--parent", str(os.getpid())]
    pipes: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE}
    done = subprocess.run(command, check=False, env={**os.environ, **limits}, **pipes)
    if done.returncode:
        raise JobError("error", f"the peak test ended with exit code {done.returncode}")
    return dict(json.loads(done.stdout))


def peak(threads: int) -> dict[str, Any]:
    """Return the best rates per second: flops of float32 products, one a thread; a copy's bytes.

    A copy counts its bytes read and its bytes written, as STREAM does. The products are small
    enough that some are never interrupted.
    """
    side, size = 512, max(LEAST_COPY, 2 * largest_cache())
    random = np.random.default_rng(0)
    factors = list(random.random((threads, side, side), dtype=np.float32))
    products = list(np.empty_like(factors))
    sources, targets = (np.array_split(np.ones(size // 4, np.float32), threads) for _ in range(2))
    with ThreadPoolExecutor(threads) as pool:
        product_s, copy_s = best_seconds(
            lambda: list(pool.map(np.matmul, factors, factors, products)),
            lambda: list(pool.map(np.copyto, targets, sources)),
        )
    rates = {"flops": threads * 2 * side**3 / product_s, "bytes": 2 * size / copy_s}
    return {**rates, "method": "numpy matmul / copy"}


def best_seconds(*works: Callable[[], Any]) -> list[float]:
    """Return the least time of each of `works`, which take turns at least five times."""
    samples: list[list[int]] = [[] for _ in works]
    begin = time.perf_counter_ns()
    while len(samples[-1]) < 5 or time.perf_counter_ns() - begin < PEAK_NS:
        for own, work in zip(samples, works):
            start = time.perf_counter_ns()
            work()
            own.append(time.perf_counter_ns() - start)
    return [min(own) / 1e9 for own in samples]


def largest_cache() -> int:
    """Return the bytes of the last-level cache, 0 where the system does not tell."""
    sizes = texts("sys/devices/system/cpu/cpu0/cache/index*/size")
    return 1024 * max((int(text.strip()[:-1]) for text in sizes), default=0)


def numbers(pattern: str, root: str, base: int = 10) -> list[int]:
    """Return the whole numbers that the files of a pattern hold."""
    number = re.compile(r"\s*-?(0x)?[0-9a-f]+\s*" if base == 16 else r"\s*-?\d+\s*")
    return [int(text, base) for text in texts(pattern, root) if number.fullmatch(text)]


def texts(pattern: str, root: str = "/") -> list[str]:
    """Return what the files of a pattern hold; what is empty or cannot be read is left out."""
    found = []
    for path in Path(root).glob(pattern):
        try:
            found.append(path.read_text(encoding="ascii", errors="replace"))
        except OSError:
            continue
    return [text for text in found if text.strip()]


def pages(model: str | None) -> dict[str, int]:
    """Return the bytes of `PAGES`, where the system tells; of the file `model`, if it is mapped."""
    rollup = texts("proc/self/smaps_rollup")
    if not rollup:
        return {}
    maps = "".join(texts("proc/self/smaps")) if model else ""
    own = [part for part in re.split(r"^(?=[0-9a-f]+-)", maps, flags=re.M) if f" {model}\n" in part]
    return {
        "resident": kilobytes("Rss", rollup),
        "private": kilobytes("Private_Clean", rollup) + kilobytes("Private_Dirty", rollup),
        "mapped": kilobytes("Rss", own),
    }


def kilobytes(field: str, listings: list[str]) -> int:
    """Return the sum in bytes of a field of the kernel's listings of memory."""
    found = [n for text in listings for n in re.findall(rf"^{field}:\s+(\d+) kB", text, re.M)]
    return 1024 * sum(map(int, found))


def environment() -> dict[str, str]:
    """Return what samples depend on besides the artifact and the runtime."""
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "system": platform.system(),
        "release": platform.release(),
        "machine": platform.machine(),
    }


def one_line(error: Exception) -> str:
    """Return an exception as one line."""
    return " ".join(str(error).split())[:1000] or type(error).__name__


def instructions(descriptor: int) -> Callable[[], int]:
    """Return a clock of the instructions that an emulator executed: see `devices/counter.c`."""
    import mmap

    page = mmap.mmap(descriptor, mmap.PAGESIZE, prot=mmap.PROT_READ)
    return partial(memoryview(page).cast("Q").__getitem__, 0)


def serve(requests: Any, answers: Any, clock: Callable[[], int] = time.perf_counter_ns) -> None:
    """Answer until `close`, or until the host is gone and with it the pipe's other end."""
    worker = Worker(clock=clock)
    for line in requests:
        try:
            request = dict(json.loads(line))
        except (TypeError, ValueError):
            request = {"op": line.strip()[:80]}
        answers.write(json.dumps(worker.answer(request)) + "\n")
        answers.flush()
        if request.get("op") == "close":
            return


def leased(requests: Any, lease_s: float) -> Iterator[str]:
    """Yield the lines that hold something; end this process where the host is gone (see above).

    A thread waits for the lines, without looking in between: nothing that is timed notices it.
    """
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def read() -> None:
        rest = b""
        while select.select([requests], [], [], lease_s)[0]:
            block = os.read(requests.fileno(), 1 << 16)
            if not block:
                break
            *whole, rest = (rest + block).split(b"\n")
            for line in filter(None, map(bytes.strip, whole)):
                lines.put(line.decode(errors="replace"))
        lines.put(None)
        time.sleep(END_S)
        os.killpg(0, signal.SIGKILL)

    with contextlib.suppress(PermissionError):  # who leads a session leads its group
        os.setpgid(0, 0)
    threading.Thread(target=read, daemon=True).start()
    return iter(lines.get, None)


def hold(lock: str, owner: str) -> int:
    """Take a lock that the workers of one owner share; return its open file.

    It lies among temporary files, if its path is not absolute. The system gives it back when the
    last of them ends, however that comes.
    """
    import fcntl

    file = Path(tempfile.gettempdir(), lock)
    try:
        held = os.open(file, os.O_RDWR)
    except FileNotFoundError:
        held = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
        os.fchmod(held, 0o666)  # other users of this device come, too
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.truncate(held, 0)
        os.pwrite(held, owner.encode(), 0)
    fcntl.flock(held, fcntl.LOCK_SH)  # whoever else has all of it is just writing who it is
    holder = os.pread(held, 1000, 0).decode(errors="replace")
    if holder != owner:
        os.close(held)
        raise JobError("busy", f"{holder} is measuring on it; try again after that")
    return held


def age_ns() -> int | None:
    """Return how long ago the system started this process, None where it does not tell."""
    told = texts("proc/self/stat")
    if not told or not hasattr(time, "CLOCK_BOOTTIME"):
        return None
    started = int(told[0].rpartition(")")[2].split()[19]) * 10**9 // os.sysconf("SC_CLK_TCK")
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) - started


def take_pipes() -> tuple[Any, Any]:
    """Take the protocol's pipes aside: nothing else may read from them or write to them."""
    requests, answers = os.fdopen(os.dup(0), "r"), os.fdopen(os.dup(1), "w")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return requests, answers


def confine(cpus: str | None, limit_bytes: int | None, parent: int | None) -> None:
    """Bind this process to cores and to an address space; have Linux end it with its parent."""
    if cpus:
        allowed = {int(cpu) for cpu in cpus.split(",")}
        for task in Path("/proc/self/task").iterdir():  # numpy has started threads by now
            os.sched_setaffinity(int(task.name), allowed)
    if limit_bytes:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (limit_bytes, limit_bytes))
    if parent and sys.platform == "linux":
        import ctypes

        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
        if os.getppid() != parent:
            sys.exit("the host ended before the worker began")


def main() -> None:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser(description="edgeworthy's worker: runs one artifact")
    parser.add_argument("--cpus", help="cores to run on, as 0,1")
    parser.add_argument("--limit-bytes", type=int, help="address space limit (RLIMIT_AS)")
    parser.add_argument("--parent", type=int, help="the process to end with (Linux)")
    parser.add_argument("--instructions", type=int, help="descriptor of an emulator's count")
    parser.add_argument("--peak", type=int, help="print the peaks with so many threads, and end")
    parser.add_argument("--lease", type=float, help="seconds to live without a line from the host")
    (requests, answers), given = take_pipes(), vars(parser.parse_args())
    threads, lease_s = given.pop("peak"), given.pop("lease")
    counted = given.pop("instructions")
    confine(**given)
    if threads:
        answers.write(json.dumps(peak(threads)) + "\n")
        answers.flush()
        return
    clock = time.perf_counter_ns if counted is None else instructions(counted)
    serve(leased(requests, lease_s) if lease_s else requests, answers, clock)


if __name__ == "__main__":
    main()

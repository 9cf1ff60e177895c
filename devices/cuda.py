"""The worker's adapters for a GPU: torch programs and ONNX files, timed on the device.

Imported by `devices.worker` when one of these runtimes is asked for. Every adapter also runs on the
CPU (``torch-cpu``, ``torch-cpu-compiled-fp16``, ``onnxruntime-cpu``), by the same lines but for the
events and the CUDA graph: so that they can be tried where there is no GPU.

Only one GPU is to be seen: the host has set CUDA_VISIBLE_DEVICES, and NVIDIA_TF32_OVERRIDE=0.
"""
# ruff: noqa: B905 -- zip has no `strict` in Python 3.9

from __future__ import annotations

import importlib
import json
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from devices import nvidia
from devices.worker import JobError, allowed_cores, check_batch, import_first

TORCH = re.compile(r"torch-(cpu|cuda)(?:-(compiled|graph))?(?:-(fp16))?")
ONNX = re.compile(r"onnxruntime-(cpu|cuda|tensorrt)(?:(?<=tensorrt)-(fp16))?")
# Before a CUDA graph is captured, so that cuDNN has chosen its kernels: torch's own advice.
UNCAPTURED_RUNS = 3
KINDS = {
    "GPU allocated": "peak of the bytes that torch's CUDA allocator gave out "
    "(max_memory_allocated), the CUDA context not included",
    "GPU used": "bytes in use on the whole GPU, of all programs, contexts included (NVML's "
    "memory.used)",
}
CUDA_PROVIDER, TENSORRT_PROVIDER = "CUDAExecutionProvider", "TensorrtExecutionProvider"
PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": CUDA_PROVIDER, "tensorrt": TENSORRT_PROVIDER}
MISSING_CUDA = "CUDA cannot be used by this torch: {why}; see 'nvidia-smi' and torch's version"


class Events(Protocol):
    """Tells how long an invocation takes on a device."""

    definition: str

    def time(self, invoke: Callable[[], None]) -> int:
        """Return the nanoseconds of one invocation, which is over on return."""


class CudaEvents:
    """Events in the GPU's own stream, around one invocation at a time.

    The stream is empty when it begins, so what it waits for the processor to launch counts.
    """

    definition = "CUDA events around one invocation on an empty stream"

    def __init__(self, torch: Any) -> None:
        self._start, self._end = (torch.cuda.Event(enable_timing=True) for _ in range(2))

    def time(self, invoke: Callable[[], None]) -> int:
        """Return the nanoseconds between two events; they count in half microseconds or so."""
        self._start.record()
        invoke()
        self._end.record()
        self._end.synchronize()
        return round(float(self._start.elapsed_time(self._end)) * 1e6)


class Clock:
    """The monotonic clock: for a device that has finished when the call returns."""

    definition = "monotonic clock around one invocation"

    def time(self, invoke: Callable[[], None]) -> int:
        """Return the nanoseconds that passed."""
        start = time.perf_counter_ns()
        invoke()
        return time.perf_counter_ns() - start


class Eager:
    """A ``torch.export`` program, operator by operator, in float32 or with all of it in float16.

    Inputs lie on the device before, in place for every invocation, and outputs stay there.
    """

    format = "torch"
    copies = "inputs to the device, invocation, outputs to the host (pageable memory)"
    form = "eager"
    kinds = KINDS

    def __init__(self, device: str, precision: str | None) -> None:
        self._torch, self.version = import_first(("torch",))
        self._device, self.precision = device, precision
        self._cuda = device == "cuda"
        if self._cuda:
            self._check_cuda()
        self._events: Events = CudaEvents(self._torch) if self._cuda else Clock()
        self.timing = self._events.definition
        where = self._torch.cuda.get_device_name() if self._cuda else "CPU"
        self.provider = f"{self.form}, {precision or 'fp32'}, {where}"

    def _check_cuda(self) -> None:
        torch = self._torch
        if not torch.cuda.is_available():
            why = "it is built for the CPU" if torch.version.cuda is None else "no GPU is seen"
            raise JobError("missing-runtime", MISSING_CUDA.format(why=why))
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False

    def load(self, path: str, threads: int | None, contract: dict[str, Any], batch: int) -> None:
        """Open the program, move it to the device, and make it ready for this batch.

        What compiles or captures does so here, by invoking it.
        """
        check_batch(contract, batch)
        torch = self._torch
        if threads:
            torch.set_num_threads(threads)
        self.threads = torch.get_num_threads()
        move = importlib.import_module("torch.export.passes").move_to_device_pass
        program = move(torch.export.load(path), self._device)
        module = program.module(check_guards=False)  # they hold for float32 on the CPU
        if self.precision == "fp16":
            module.half()
        self._inputs = [self._moved(array) for array in blank(contract, batch)]
        with torch.inference_mode():
            self._run = self._prepare(module)
        self.invoke()
        self.get()

    def _moved(self, array: Any) -> Any:
        tensor = self._torch.from_numpy(array).to(self._device)
        half = self.precision == "fp16" and tensor.is_floating_point()
        return tensor.half() if half else tensor

    def _prepare(self, module: Any) -> Callable[..., Any]:
        """Return what is invoked with the inputs and returns the outputs."""
        run: Callable[..., Any] = module
        return run

    def set(self, arrays: list[Any]) -> None:
        """Copy the inputs to where they are read: a CUDA graph reads there for good."""
        for place, array in zip(self._inputs, arrays):
            place.copy_(self._torch.from_numpy(array))

    def _invoke(self) -> None:
        self._outputs = self._run(*self._inputs)

    def invoke(self) -> None:
        """Run once; on a GPU it may not be over yet."""
        with self._torch.inference_mode():
            self._invoke()

    def time(self) -> int:
        """Return the nanoseconds of one run by `timing`."""
        with self._torch.inference_mode():
            return self._events.time(self._invoke)

    def get(self) -> list[Any]:
        """Wait, and copy the outputs out as float32."""
        outputs = self._outputs
        several = outputs if isinstance(outputs, (tuple, list)) else (outputs,)
        return [output.float().cpu().numpy() for output in several]

    def process(self, arrays: list[Any]) -> list[Any]:
        """Run once with inputs and outputs copied; it is over on return."""
        self.set(arrays)
        self.invoke()
        return self.get()

    def held(self) -> dict[str, int]:
        """Return the bytes of `KINDS` by now."""
        allocated = self._torch.cuda.max_memory_allocated() if self._cuda else None
        used = nvidia.memory_used(visible()) if self._cuda else None
        known = {"GPU allocated": allocated, "GPU used": used}
        return {name: size for name, size in known.items() if size is not None}

    def sensors(self) -> dict[str, Any]:
        """Return what the GPU's sensors say now."""
        return dict(nvidia.sensors(visible())) if self._cuda else {}


class Compiled(Eager):
    """A program compiled by ``torch.compile``, which on a CPU needs a C++ compiler."""

    form = "compiled"

    def _prepare(self, module: Any) -> Callable[..., Any]:
        run: Callable[..., Any] = self._torch.compile(module)
        return run


class Graph(Eager):
    """A program captured once as a CUDA graph and replayed: no launches by the processor."""

    form = "CUDA graph"

    def __init__(self, device: str, precision: str | None) -> None:
        if device != "cuda":
            raise JobError("unsupported", "a CUDA graph needs an NVIDIA GPU")
        super().__init__(device, precision)

    def _prepare(self, module: Any) -> Callable[..., Any]:
        cuda = self._torch.cuda
        side = cuda.Stream()
        side.wait_stream(cuda.current_stream())
        with cuda.stream(side):
            for _ in range(UNCAPTURED_RUNS):
                module(*self._inputs)
        cuda.current_stream().wait_stream(side)
        graph = cuda.CUDAGraph()
        with cuda.graph(graph):
            outputs = module(*self._inputs)

        def replay(*_: Any) -> Any:
            graph.replay()
            return outputs

        return replay


class Ort:
    """An ONNX file by ONNX Runtime's CUDA or TensorRT provider, inputs and outputs on the device.

    ONNX Runtime offers Python no events: wall time, until the device has finished.
    """

    format = "onnx"
    copies = "run(), which copies in and out, without IO binding"
    timing = "wall time of run_with_iobinding() and synchronize_outputs(), tensors on the device"
    kinds = KINDS

    def __init__(self, device: str, precision: str | None) -> None:
        self._runtime, self.version = import_first(("onnxruntime",))
        self._wanted, self.precision = PROVIDERS[device], precision
        self._place = "cpu" if device == "cpu" else "cuda"
        self.threads = None
        there = self._runtime.get_available_providers()
        if self._wanted not in there:
            detail = f"this onnxruntime has no {self._wanted} but {', '.join(there)}"
            raise JobError("missing-runtime", f"{detail}: pip install onnxruntime-gpu")

    def load(self, path: str, threads: int | None, contract: dict[str, Any], batch: int) -> None:
        """Open the file and run it once: TensorRT builds its engine by then."""
        check_batch(contract, batch)
        if self._place == "cuda" and hasattr(self._runtime, "preload_dlls"):
            self._runtime.preload_dlls()
        options = self._runtime.SessionOptions()
        options.intra_op_num_threads = threads or allowed_cores()
        providers = self._settings(Path(path))
        self._model = self._runtime.InferenceSession(path, options, providers=providers)
        self._check_provider()
        self._binding = self._model.io_binding()
        self._names = [tensor["name"] for tensor in contract["inputs"]]
        for tensor in contract["outputs"]:
            self._binding.bind_output(tensor["name"], self._place)
        self.set(blank(contract, batch))
        self.invoke()

    def _settings(self, path: Path) -> list[Any]:
        """Return the providers in order: what TensorRT cannot run, CUDA does."""
        cuda = (CUDA_PROVIDER, {"use_tf32": "0"})
        if self._wanted == TENSORRT_PROVIDER:
            manifest = json.loads((path.parent / "manifest.json").read_bytes())
            half, quantized = self.precision == "fp16", manifest["precision"] == "int8"
            return [
                (self._wanted, {"trt_fp16_enable": half, "trt_int8_enable": quantized}),
                cuda,
            ]
        return [cuda] if self._place == "cuda" else [self._wanted]

    def _check_provider(self) -> None:
        """Refuse what ONNX Runtime only warns of: a provider whose libraries cannot be loaded."""
        found = self._model.get_providers()
        if self._wanted not in found:
            detail = f"{self._wanted} could not be used, {found[0]} was; are its libraries here?"
            raise JobError("missing-runtime", detail)
        self.provider = ", ".join([*found, *([self.precision] if self.precision else [])])

    def set(self, arrays: list[Any]) -> None:
        """Copy the inputs to the device."""
        self._arrays = arrays
        for name, array in zip(self._names, arrays):
            value = self._runtime.OrtValue.ortvalue_from_numpy(array, self._place, 0)
            self._binding.bind_ortvalue_input(name, value)
        self._binding.synchronize_inputs()

    def invoke(self) -> None:
        """Run once and wait until it is over."""
        self._model.run_with_iobinding(self._binding)
        self._binding.synchronize_outputs()

    def get(self) -> list[Any]:
        """Copy the outputs out."""
        return list(self._binding.copy_outputs_to_cpu())

    def process(self, arrays: list[Any]) -> list[Any]:
        """Run once as an application does that binds nothing."""
        return list(self._model.run(None, dict(zip(self._names, arrays))))

    def held(self) -> dict[str, int]:
        """Return the bytes of `KINDS` by now; ONNX Runtime's own arena does not tell."""
        used = nvidia.memory_used(visible()) if self._place == "cuda" else None
        return {} if used is None else {"GPU used": used}

    def sensors(self) -> dict[str, Any]:
        """Return what the GPU's sensors say now."""
        return dict(nvidia.sensors(visible())) if self._place == "cuda" else {}


FORMS = {None: Eager, "compiled": Compiled, "graph": Graph}


def start(name: str) -> Any:
    """Import a runtime and return its adapter.

    Raises:
        JobError: there is no such runtime, or it cannot be used here.
    """
    if found := TORCH.fullmatch(name):
        device, form, precision = found.groups()
        return FORMS[form](device, precision)
    if found := ONNX.fullmatch(name):
        return Ort(*found.groups())
    raise JobError("unsupported", f"no runtime '{name}' for a GPU")


def blank(contract: dict[str, Any], batch: int) -> list[Any]:
    """Return inputs of zeros."""
    tensors = contract["inputs"]
    return [np.zeros((batch, *tensor["shape"][1:]), tensor["dtype"]) for tensor in tensors]


def visible() -> str | None:
    """Return the GPU that this process sees, None if all of them."""
    return os.environ.get("CUDA_VISIBLE_DEVICES") or None

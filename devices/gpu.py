"""This machine's NVIDIA GPUs as devices: a worker process that sees one of them.

Whatever lowers or raises clocks (power limit, application clocks, persistence) is read and left as
it is. Which runtimes there are is told from the installed files, without importing them.
"""

import re
from collections.abc import Iterator
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

import msgspec

from devices import facts, nvidia
from devices.device import DeviceError, DeviceInfo, Job
from devices.local import LocalDevice
from devices.session import WorkerSession

NAME = re.compile(r"gpu(?::(\d+))?")
TORCH_FORMS = ("torch-cuda", "torch-cuda-compiled", "torch-cuda-graph")
# Which runtimes run a format, preferred first, and the package and file that must be there.
RUNTIMES: dict[str, dict[str, tuple[str, str]]] = {
    "torch": {
        f"{form}{precision}": ("torch", "lib/libtorch_cuda.so")
        for form in TORCH_FORMS
        for precision in ("", "-fp16")
    },
    "onnx": {
        "onnxruntime-cuda": ("onnxruntime", "capi/libonnxruntime_providers_cuda.so"),
        "onnxruntime-tensorrt": ("onnxruntime", "capi/libonnxruntime_providers_tensorrt.so"),
        "onnxruntime-tensorrt-fp16": ("onnxruntime", "capi/libonnxruntime_providers_tensorrt.so"),
    },
}
HOST_FACTS = ("architecture", "system", "governor", "turbo", "power")
REMEDIES = {
    "torch": "a torch with CUDA is not installed; the CPU build has none",
    "onnxruntime": "an onnxruntime with this provider is not installed: pip install "
    "onnxruntime-gpu, in place of onnxruntime",
}
# torch.compile and TensorRT take minutes for a large network.
COMPILING_S = 600.0
NO_INT8 = (
    "torch has no int8 convolution on CUDA; measure the int8 ONNX file by onnxruntime-tensorrt"
)


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The keys of a ``[devices.NAME]`` table with ``kind = "gpu"``."""

    index: int = 0


class GpuDevice(LocalDevice):
    """One NVIDIA GPU of this machine, by nvidia-smi's index."""

    def __init__(self, name: str = "gpu", index: int = 0) -> None:
        """Describe the device; nothing is asked yet."""
        super().__init__(name)
        self.kind = "gpu"
        self._index = index

    def info(self) -> DeviceInfo:
        """Describe the GPU, and the processor that feeds it.

        Raises:
            DeviceError: there is no such GPU; says what is missing.
        """
        gpu, host = self._gpu, facts.facts()
        named = {
            "processor": gpu.get("name", "unknown NVIDIA GPU"),
            "memory": f"{float(gpu.get('memory.total', 0)) / 1024:.0f} GiB",
            "compute_capability": gpu.get("compute_cap", ""),
            "driver": gpu.get("driver_version", ""),
            "power_limit": f"{gpu['power.limit']} W" if "power.limit" in gpu else "",
            "host": host.get("processor", ""),
            **{name: host.get(name, "") for name in HOST_FACTS},
        }
        found = {name: value for name, value in named.items() if value}
        # Small kernels wait for the processor that launches them: it is part of what is measured.
        whole = ", ".join(found.get(name, "") for name in ("processor", "host", "power_limit"))
        stable = {**host, "processor": whole, "memory": found["memory"]}
        return DeviceInfo(
            name=self.name,
            kind=self.kind,
            fingerprint=facts.fingerprint(stable),
            emulated=False,
            facts=found,
        )

    @cached_property
    def _gpu(self) -> dict[str, str]:
        try:
            found = nvidia.gpus()
        except nvidia.NvidiaError as error:
            raise DeviceError(f"device '{self.name}': no NVIDIA GPU to be seen: {error}") from None
        if self._index >= len(found):
            there = ", ".join(f"{gpu.get('index')} {gpu.get('name')}" for gpu in found)
            raise DeviceError(f"device '{self.name}': no GPU {self._index}; there is: {there}")
        return found[self._index]

    def runtimes(self, format: str) -> list[str]:
        """Return the runtimes able to run `format` on a GPU that are installed here."""
        return [name for name, needed in RUNTIMES.get(format, {}).items() if _has(*needed)]

    def references(self, format: str) -> list[str]:
        """Return nothing: what only proves a file needs no GPU."""
        return []

    def missing(self) -> Iterator[tuple[str, str]]:
        """Yield runtimes that are not here, those with the same reason together, and the reason."""
        needed = [pair for runtimes in RUNTIMES.values() for pair in runtimes.items()]
        for package, reason in REMEDIES.items():
            names = [name for name, where in needed if where[0] == package and not _has(*where)]
            if names:
                yield ", ".join(names), reason
        yield "torch-cuda-int8", NO_INT8

    def open(self, job: Job) -> WorkerSession:
        """Start a worker and load the artifact, which may compile it.

        Raises:
            WorkerError: it could not be started or could not load the artifact.
        """
        longer = max(job.timeout_s, COMPILING_S)
        return super().open(msgspec.structs.replace(job, timeout_s=longer))

    def environment(self) -> dict[str, str]:
        """Return the worker's environment: it sees this GPU alone, and no TF32.

        TF32 would round float32 to 10 bits of mantissa, which the proof of an fp32 file refuses.
        """
        gpu = self._gpu.get("uuid", str(self._index))
        return {
            **super().environment(),
            "CUDA_VISIBLE_DEVICES": gpu,
            "NVIDIA_TF32_OVERRIDE": "0",
        }


def named(name: str) -> GpuDevice | None:
    """Return the device ``gpu`` or ``gpu:N``, None if the name is another."""
    found = NAME.fullmatch(name)
    return GpuDevice(name, int(found[1] or 0)) if found else None


def make(name: str, settings: Settings) -> GpuDevice:
    """Return the device that a ``[devices.NAME]`` table describes."""
    return GpuDevice(name, settings.index)


def _has(package: str, file: str) -> bool:
    spec = find_spec(package)
    return (
        spec is not None and spec.origin is not None and (Path(spec.origin).parent / file).is_file()
    )

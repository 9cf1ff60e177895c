"""The GPU as a device: what is there, what is missing, and the worker's adapters.

The adapters run on the CPU by the same lines; what only a GPU has is skipped by name without one.
"""

import base64
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.matrix import Choice, Effort
from bench.run import run_matrix
from devices import cuda, gpu, registry
from devices.device import DeviceError, Job, WorkerError
from devices.local import LocalDevice
from devices.worker import JobError, Worker
from tests import tiny
from tests.bench.running import Collector, cells
from tests.bench.running import measure as measured
from tests.conftest import Cli
from tests.devices.conftest import expect_the_logits
from tests.devices.fake_nvidia_smi import TELLS, install


def has_cuda() -> bool:
    """Ask torch, unless it is a build without CUDA: importing it takes seconds."""
    if not gpu.GpuDevice().runtimes("torch"):
        return False
    import torch

    return bool(torch.cuda.is_available())


needs_gpu = pytest.mark.skipif(not has_cuda(), reason="needs an NVIDIA GPU")
needs_compiler = pytest.mark.skipif(
    shutil.which("c++") is None and shutil.which("g++") is None,
    reason="torch.compile on the CPU needs a C++ compiler",
)


class CpuForms(LocalDevice):
    """The CPU with the GPU's runtimes, each of which computes there."""

    def runtimes(self, format: str) -> list[str]:
        return {
            "torch": ["torch-cpu", "torch-cpu-fp16"],
            "onnx": ["onnxruntime-cpu"],
        }.get(format, [])


class TestTheDevice:
    @pytest.fixture(autouse=True)
    def two_gpus(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        second = {**TELLS, "index": "1", "uuid": "GPU-7e2d", "name": "NVIDIA A2"}
        install(tmp_path, TELLS, second)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)

    def test_it_is_described_by_what_nvidia_smi_tells(self) -> None:
        info = registry.find("gpu").info()
        assert (info.name, info.kind, info.emulated) == ("gpu", "gpu", False)
        assert info.facts["processor"] == "NVIDIA T1000, 8GB"
        assert info.facts["memory"] == "8 GiB"
        assert info.facts["driver"] == "580.65.06"
        assert info.facts["power_limit"] == "50.00 W"

    def test_a_further_gpu_is_found_by_its_number_and_is_another_device(self) -> None:
        one, other = registry.find("gpu").info(), registry.find("gpu:1").info()
        assert other.facts["processor"] == "NVIDIA A2"
        assert one.fingerprint != other.fingerprint
        assert registry.find("gpu:0").info().fingerprint == one.fingerprint

    def test_a_table_names_one(self) -> None:
        (entry,) = registry.parse('[devices.big]\nkind = "gpu"\nindex = 1', "t").values()
        assert (entry.device.name, entry.device.info().facts["processor"]) == ("big", "NVIDIA A2")

    def test_a_number_too_high_names_those_that_are_there(self) -> None:
        with pytest.raises(DeviceError, match=r"no GPU 2; there is: 0 NVIDIA T1000.*1 NVIDIA A2"):
            registry.find("gpu:2").info()

    def test_a_lower_power_limit_is_another_device(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = registry.find("gpu").info().fingerprint
        install(tmp_path, {**TELLS, "power.limit": "30.00"})
        assert registry.find("gpu").info().fingerprint != before

    def test_its_worker_sees_this_gpu_alone_and_rounds_nothing_to_tf32(self) -> None:
        environment = gpu.GpuDevice("gpu:1", 1).environment()
        assert environment["CUDA_VISIBLE_DEVICES"] == "GPU-7e2d"
        assert environment["NVIDIA_TF32_OVERRIDE"] == "0"

    def test_list_shows_it(self, cli: Cli, tmp_path: Path) -> None:
        done = cli("devices", "list", "--json", cwd=tmp_path)
        (row,) = [row for row in json.loads(done.stdout) if row["name"] == "gpu"]
        assert (row["name"], row["state"], row["memory"]) == ("gpu", "ready", "8 GiB")


class TestWithoutOne:
    @pytest.fixture
    def path(self, tmp_path: Path) -> dict[str, str]:
        """An environment whose PATH leads to Python alone."""
        (tmp_path / "python").symlink_to(sys.executable)
        return {"PATH": str(tmp_path)}

    def test_list_says_in_a_line_what_is_missing(
        self, cli: Cli, tmp_path: Path, path: dict[str, str]
    ) -> None:
        done = cli("devices", "list", cwd=tmp_path, env=path)
        (line,) = [line for line in done.stdout.splitlines() if line.startswith("gpu:")]
        assert "unavailable: device 'gpu': no NVIDIA GPU to be seen: no nvidia-smi" in line

    def test_check_and_run_end_with_3(self, cli: Cli, tmp_path: Path, path: dict[str, str]) -> None:
        tiny.tiny_onnx(tmp_path / "artifacts")
        for command in (("devices", "check", "gpu"), ("bench", "run", "--device", "gpu")):
            done = cli(*command, cwd=tmp_path, env=path)
            assert done.returncode == 3
            assert "no NVIDIA GPU to be seen" in done.stdout + done.stderr
            assert "Traceback" not in done.stderr

    def test_every_runtime_that_is_not_installed_is_named_with_its_reason(self) -> None:
        device = gpu.GpuDevice()
        there = {name for kind in gpu.RUNTIMES for name in device.runtimes(kind)}
        missing = {name: reason for names, reason in device.missing() for name in names.split(", ")}
        every = {name for runtimes in gpu.RUNTIMES.values() for name in runtimes}
        assert there | missing.keys() == every | {"torch-cuda-int8"}
        assert not there & missing.keys()
        assert "int8" in missing["torch-cuda-int8"]

    @pytest.mark.skipif(has_cuda(), reason="needs a torch without CUDA")
    def test_a_torch_without_cuda_is_a_missing_runtime(self, torch_program: Path) -> None:
        with pytest.raises(WorkerError, match="CUDA cannot be used by this torch") as caught:
            LocalDevice().open(Job(artifact=torch_program, runtime="torch-cuda"))
        assert caught.value.cause == "missing-runtime"

    def test_an_onnxruntime_without_the_provider_is_a_missing_runtime(self, onnx: Path) -> None:
        with pytest.raises(WorkerError, match="pip install onnxruntime-gpu") as caught:
            LocalDevice().open(Job(artifact=onnx, runtime="onnxruntime-tensorrt"))
        assert caught.value.cause == "missing-runtime"

    @pytest.mark.parametrize(
        "name", ["torch-cuda-int8", "torch-tensorrt", "onnxruntime-cuda-fp16", "torch-tpu"]
    )
    def test_a_form_that_does_not_exist_is_refused_by_name(self, name: str) -> None:
        with pytest.raises(JobError, match=f"no runtime '{name}'"):
            cuda.start(name)

    def test_a_cuda_graph_needs_a_gpu(self) -> None:
        with pytest.raises(JobError, match="needs an NVIDIA GPU"):
            cuda.start("torch-cpu-graph")


def answers(artifact: Path, runtime: str, batch: int, *requests: dict[str, Any]) -> Any:
    """Return what a worker in this process answers, the loading first."""
    worker = Worker()
    load = {"op": "load", "artifact": str(artifact), "runtime": runtime, "batch": batch}
    return [worker.answer(request) for request in (load, *requests)]


def as_array(data: dict[str, Any]) -> Any:
    return np.frombuffer(base64.b64decode(data["data"]), data["dtype"]).reshape(data["shape"])


class TestTheAdaptersOnTheCpu:
    @pytest.mark.parametrize("runtime", ["torch-cpu", "torch-cpu-fp16", "onnxruntime-cpu"])
    @pytest.mark.parametrize("batch", [1, 8, 32])
    def test_a_file_computes_the_same_in_every_batch(
        self, torch_program: Path, onnx: Path, runtime: str, batch: int
    ) -> None:
        artifact = torch_program if runtime.startswith("torch") else onnx
        requests = ({"op": "verify"}, {"op": "measure", "runs": 3}, {"op": "memory"})
        ready, outputs, samples, memory = answers(artifact, runtime, batch, *requests)
        half, right = runtime.endswith("fp16"), tiny.forward(tiny.images())
        found = as_array(outputs["outputs"]["logits"])
        np.testing.assert_allclose(found, right, atol=2e-2 if half else 1e-4)
        assert half == bool(np.abs(found - right).max() > 1e-5)
        assert ready["precision"] == ("fp16" if half else None)
        assert len(samples["ns"]) == 3
        assert {kind["name"] for kind in memory["series"]} == {"resident", "private", "mapped"}

    @needs_compiler
    @pytest.mark.slow
    @pytest.mark.parametrize("runtime", ["torch-cpu-compiled", "torch-cpu-compiled-fp16"])
    def test_a_compiled_program_computes_the_same(
        self, torch_program: Path, open_session: Callable, runtime: str
    ) -> None:
        session = open_session(torch_program, runtime, batch=8, threads=1)
        half, right = runtime.endswith("fp16"), tiny.forward(tiny.images())
        np.testing.assert_allclose(session.verify()["logits"], right, atol=2e-2 if half else 1e-4)
        assert session.ready.provider == f"compiled, {'fp16' if half else 'fp32'}, CPU"
        assert len(session.measure(3)) == len(session.measure(3, copies=True)) == 3

    def test_a_batch_that_a_program_is_not_made_for_is_refused(self, tmp_path: Path) -> None:
        fixed = tiny.tiny_onnx(tmp_path, dynamic_batch=False)
        (refused,) = answers(fixed, "onnxruntime-cpu", 8)
        assert (refused["cause"], refused["event"]) == ("unsupported", "error")
        assert "export it with --batch 8" in refused["detail"]

    def test_several_streams_are_refused_where_the_device_keeps_the_time(
        self, torch_program: Path
    ) -> None:
        _, refused = answers(torch_program, "torch-cpu", 1, {"op": "streams", "count": 2})
        assert (refused["event"], refused["cause"]) == ("error", "unsupported")

    def test_an_onnx_file_runs_with_its_tensors_bound(
        self, onnx: Path, open_session: Callable
    ) -> None:
        session = open_session(onnx, "onnxruntime-cpu", threads=1)
        expect_the_logits(session)
        assert "synchronize_outputs" in session.ready.timing
        assert min(session.measure(3) + session.measure(3, copies=True)) > 0

    def test_new_inputs_reach_the_place_that_is_read(
        self, torch_program: Path, open_session: Callable, tmp_path: Path
    ) -> None:
        session = open_session(torch_program, "torch-cpu", threads=1)
        images = tiny.images()
        np.save(tmp_path / "images.npy", images)
        expected = np.argsort(-tiny.forward(images), axis=1, kind="stable")[:, :1]
        assert session.predict(tmp_path / "images.npy", 1) == expected.tolist()

    @pytest.mark.slow
    def test_a_half_precision_run_is_held_to_the_tolerance_of_half_precision(
        self, torch_program: Path
    ) -> None:
        root, brief = torch_program.parent.parent, Effort(max_seconds=0.5, precision_target=0.5)
        limits = {}
        for runtime in ("torch-cpu", "torch-cpu-fp16"):
            choice = Choice(runtime=runtime)
            record = measured(root, CpuForms(), choice=choice, effort=brief)["tiny"]
            assert record.proof.verified is True, record.proof.reason
            limits[runtime] = record.proof.tolerance.psnr_db
            assert record.settings.timing == "monotonic clock around one invocation"
            assert record.end_to_end.definition.startswith("inputs to the device")
        assert limits["torch-cpu"] > limits["torch-cpu-fp16"]


@needs_gpu
class TestOnAGpu:
    @pytest.mark.parametrize("runtime", list(gpu.RUNTIMES["torch"]))
    @pytest.mark.parametrize("batch", [1, 8, 32])
    def test_a_program_is_right_and_timed_by_events(
        self, torch_program: Path, open_session: Callable, runtime: str, batch: int
    ) -> None:
        device = gpu.GpuDevice()
        session = open_session(torch_program, runtime, batch=batch, device=device)
        half = runtime.endswith("fp16")
        found, right = session.verify()["logits"], tiny.forward(tiny.images())
        np.testing.assert_allclose(found, right, atol=2e-2 if half else 1e-4)
        assert "CUDA events" in session.ready.timing
        assert min(session.measure(20)) > 0
        assert np.median(session.measure(20, copies=True)) > np.median(session.measure(20))

    def test_its_sensors_and_memory_are_read(
        self, torch_program: Path, open_session: Callable
    ) -> None:
        session = open_session(torch_program, "torch-cuda", device=gpu.GpuDevice())
        session.measure(10)
        assert session.sensors().frequency_mhz > 0
        series = {kind.name: kind for kind in session.memory().series}
        assert series["GPU allocated"].after_run > 0
        assert series["GPU used"].after_run >= series["GPU allocated"].after_run

    @pytest.mark.parametrize("runtime", list(gpu.RUNTIMES["onnx"]))
    def test_an_onnx_file_is_right(self, onnx: Path, open_session: Callable, runtime: str) -> None:
        if runtime not in gpu.GpuDevice().runtimes("onnx"):
            pytest.skip(f"{runtime} is not installed")
        session = open_session(onnx, runtime, batch=8, device=gpu.GpuDevice())
        found, right = session.verify()["logits"], tiny.forward(tiny.images())
        np.testing.assert_allclose(found, right, atol=2e-2 if "fp16" in runtime else 1e-4)

    def test_a_whole_run_is_proved(self, torch_program: Path) -> None:
        collector = Collector()
        made = cells(torch_program.parent.parent, gpu.GpuDevice(), effort=Effort(max_seconds=1))
        run_matrix(made, collector)
        (record,) = collector.records.values()
        assert record.proof.verified is True
        assert record.surroundings.after.power_w > 0

"""Whole ONNX files: their sizes, their bytes, and the runtimes that take them."""

import json
import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch

from devices.local import WORKER
from export import artifact
from export.onnx_graph import opset
from tests.conftest import Cli

PRECISIONS = ("fp32", "fp16", "int8", "int8-weights", "int4-weights")
NETWORK = "lenet5@fashion-mnist"


@pytest.fixture(scope="module")
def export(cli: Cli, sample: Path):
    """Export lenet5 to ONNX with further options; its artifacts by precision."""

    def _export(out: Path, *options: str, seed: str = "0") -> dict[str, Path]:
        arguments = ["--model", NETWORK, "--format", "onnx", "--data", sample, "--out", out]
        made = cli("export", *arguments, *options, env={"PYTHONHASHSEED": seed})
        assert made.returncode == 0, made.stdout + made.stderr
        return {p.name.removeprefix("onnx-"): p for p in (out / NETWORK).iterdir()}

    return _export


@pytest.fixture(scope="module")
def files(export, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return export(tmp_path_factory.mktemp("files"), "--precision", ",".join(PRECISIONS))


@pytest.mark.parametrize("precision", PRECISIONS)
def test_each_file_is_proved_by_the_specification_too(files, precision: str) -> None:
    proof = artifact.load(files[precision]).proof
    assert proof.verified is True
    [other] = [other for other in proof.also if other.runtime == "onnx-reference"]
    assert (other.verified, other.inputs) == (True, 32)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_opset_is_as_old_as_the_operators_allow_and_is_stated(files, precision: str) -> None:
    wanted = {"int8": 19, "int4-weights": 21}.get(precision, 18)
    model = onnx.load(str(files[precision] / "model.onnx"))
    assert opset(model) == wanted
    assert artifact.load(files[precision]).quantization.recipe["opset"] == wanted


def test_the_same_inputs_give_the_same_bytes(export, files, tmp_path: Path) -> None:
    again = export(tmp_path, "--precision", ",".join(PRECISIONS), seed="1234")
    for precision in PRECISIONS:
        first, second = (artifact.digest(d[precision] / "model.onnx") for d in (files, again))
        assert first == second, precision


def test_a_layer_that_was_named_stays_float(export, tmp_path: Path) -> None:
    options = ("--precision", "int8", "--keep-float", "features.0", "--calibration-method")
    made = export(tmp_path, *options, "entropy")["int8"]
    manifest = artifact.load(made)
    assert manifest.quantization.kept_float == ("features.0",)
    assert manifest.quantization.recipe["calibrate_method"] == "entropy"
    stored = {t.name: t for t in onnx.load(str(made / "model.onnx")).graph.initializer}
    assert stored["features.0.weight"].data_type == onnx.TensorProto.FLOAT
    assert stored["features.3.weight"].data_type == onnx.TensorProto.INT8


def _weights(path: Path, name: str) -> Path:
    """Write weights whose batch norms shift, as trained ones do: every layer then has a bias."""
    from safetensors.torch import save_file

    from models import checkpoint

    torch.manual_seed(0)
    state = checkpoint.build(name, weights=None, seed=0).module.state_dict()
    for key, value in state.items():
        if key.endswith(("bias", "running_mean")):
            value.normal_(0, 0.3)
    save_file({key: value.contiguous() for key, value in state.items()}, str(path))
    return path


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mobilenet_v1_1.0_224", "mobilenet_v2_1.0_224"])
def test_a_mobilenet_is_little_more_than_its_parameters(cli: Cli, tmp_path: Path, name) -> None:
    weights = _weights(tmp_path / "weights.safetensors", name)
    options = ["--model", name, "--weights", weights, "--format", "onnx", "--precision", "all"]
    made = cli("export", *options, "--calibration", "random", "--images", 2, "--out", tmp_path)
    assert made.returncode == 0, made.stdout + made.stderr
    sizes = {p.parent.name: p.stat().st_size for p in tmp_path.glob(f"{name}/*/model.onnx")}
    graph = onnx.load(str(tmp_path / name / "onnx-fp32" / "model.onnx")).graph
    tensors = [(len(t.dims), len(t.raw_data) // 4) for t in graph.initializer if t.dims]
    kernels = sum(count for rank, count in tensors if rank > 1)
    biases = sum(count for rank, count in tensors if rank == 1)
    assert biases > 0
    assert sizes["onnx-fp32"] <= 1.01 * 4 * (kernels + biases)
    assert sizes["onnx-fp16"] <= 1.01 * 2 * (kernels + biases)
    assert sizes["onnx-int8"] <= 1.05 * (kernels + 4 * biases)


def _minors_back() -> list[str]:
    """Return the newest patch of the present minor version of ONNX Runtime and of the two before,
    as pip knows them.
    """
    asked = [sys.executable, "-m", "pip", "index", "versions", "onnxruntime"]
    answer = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=120)
    listed = [line for line in answer.stdout.splitlines() if line.startswith("Available versions:")]
    if not listed:
        return []
    newest: dict[str, str] = {}
    for version in listed[0].partition(":")[2].replace(" ", "").split(","):
        newest.setdefault(version.rpartition(".")[0], version)
    return list(newest.values())[:3]


def _environment(directory: Path, version: str) -> Path:
    """Make an environment with this ONNX Runtime and what the worker needs; skip without one."""
    venv.create(directory, with_pip=False)
    python = directory / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q"]
    done = subprocess.run(
        [*pip, f"onnxruntime=={version}"], capture_output=True, text=True, check=False, timeout=300
    )
    if done.returncode:
        pytest.skip(f"pip could not install onnxruntime {version}: {done.stderr[-200:]}")
    return python


def _ask(python: Path, made: Path) -> list[dict[str, Any]]:
    requests = [{"op": "load", "artifact": str(made), "runtime": "onnxruntime"}, {"op": "verify"}]
    lines = "".join(json.dumps(request) + "\n" for request in [*requests, {"op": "close"}])
    done = subprocess.run(
        [str(python), str(WORKER)],
        input=lines,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("back", range(3), ids=["newest", "one minor back", "two minors back"])
def test_a_file_runs_in_older_runtimes(files, tmp_path: Path, back: int) -> None:
    versions = _minors_back()
    if len(versions) <= back:
        pytest.skip("pip serves no versions of onnxruntime here")
    python = _environment(tmp_path / "environment", versions[back])
    for precision in PRECISIONS:
        answers = _ask(python, files[precision])
        assert [a["event"] for a in answers] == ["ready", "outputs", "closed"], (precision, answers)
        assert versions[back] in answers[0]["runtime_version"]

"""TFLite as a user exports it: layers kept float, every way to calibrate, the same bytes twice."""

import subprocess
import sys
from pathlib import Path

import pytest

from devices.local import LocalDevice
from devices.workers import Workers
from export import artifact, cli_prove
from export.artifact import Manifest
from export.inspect_tflite import read
from tests.conftest import SAMPLE, Cli

NET = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.grouped = nn.Conv2d(8, 8, 3, groups=2)
        self.wide = nn.ConvTranspose2d(8, 6, 2, stride=2)
        self.dead = nn.Conv2d(6, 6, 1)
        nn.init.constant_(self.dead.bias, -100.0)
        self.fc = nn.Linear(6, 5)

    def forward(self, x):
        x = torch.relu(self.grouped(torch.relu(self.first(x))))
        x = torch.relu(self.wide(x))
        return self.fc((x + torch.relu(self.dead(x))).mean((2, 3)))
"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, cli: Cli) -> Path:
    directory = tmp_path_factory.mktemp("tflite")
    (directory / "net.py").write_text(NET)
    export(cli, directory / "net.py", directory / "out", "--precision", "fp32,fp16,int8")
    return directory


def export(cli: Cli, net: Path, out: Path, *options: str, seed: int = 0) -> None:
    model = ["--model", f"{net}:Net", "--input", "1x3x12x12", "--format", "tflite"]
    drawn = ["--calibration", "random", "--images", "16", "--out", out]
    result = cli("export", *model, *drawn, *options, env={"PYTHONHASHSEED": str(seed)})
    assert result.returncode == 0, result.stdout + result.stderr
    assert "not portable" not in result.stdout


def manifest(out: Path, variant: str) -> Manifest:
    return artifact.load(out / "net-Net" / variant)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_every_file_runs_with_and_without_xnnpack(exported: Path, precision: str) -> None:
    # One layer of this network is always zero, which an integer scale of its own could not hold.
    proof = manifest(exported / "out", f"tflite-{precision}").proof
    assert proof.verified is True
    assert [(other.runtime, other.verified) for other in proof.also] == [("litert-builtin", True)]


def test_the_same_inputs_give_the_same_bytes(exported: Path, cli: Cli) -> None:
    again = exported / "again"
    export(cli, exported / "net.py", again, "--precision", "fp32,fp16,int8", seed=4711)
    for variant in ("tflite-fp32", "tflite-fp16", "tflite-int8"):
        first, second = manifest(exported / "out", variant), manifest(again, variant)
        assert [f.sha256 for f in first.files if f.path == "model.tflite"] == [
            f.sha256 for f in second.files if f.path == "model.tflite"
        ]


def test_layers_kept_float_are_float_and_the_others_are_not(exported: Path, cli: Cli) -> None:
    out = exported / "kept"
    layers = ["--keep-float", "grouped,wide"]
    export(cli, exported / "net.py", out, "--precision", "int8,int4-weights", *layers)
    assert manifest(out, "tflite-int8").quantization.kept_float == ("grouped", "wide")
    assert computed_in(out, "tflite-int8") == ["int8", "float32", "float32", "int8", "int8"]
    assert manifest(out, "tflite-int4-weights").quantization.kept_float == ("grouped", "wide")


def computed_in(out: Path, variant: str) -> list[str]:
    kinds = {"CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED"}
    operators = read(out / "net-Net" / variant / "model.tflite").operators
    return [operator.dtype for operator in operators if operator.kind in kinds]


def test_four_bits_are_half_of_eight(exported: Path, cli: Cli) -> None:
    out = exported / "weights"
    trained = ["--model", "lenet5@fashion-mnist", "--format", "tflite", "--data", SAMPLE]
    result = cli("export", *trained, "--precision", "int8-weights,int4-weights", "--out", out)
    assert result.returncode == 0, result.stdout + result.stderr
    eight, four = (
        artifact.load(out / "lenet5@fashion-mnist" / f"tflite-{name}-weights")
        for name in ("int8", "int4")
    )
    parameters = eight.network.parameters
    assert eight.size_bytes - four.size_bytes > 0.45 * parameters
    assert four.proof.outputs[0].psnr_db > 25


@pytest.mark.parametrize("method", ["percentile", "entropy"])
def test_a_method_of_calibration_is_applied_and_recorded(
    exported: Path, cli: Cli, method: str
) -> None:
    out = exported / method
    export(
        cli, exported / "net.py", out, "--precision", "int8", "--calibration-method", method,
        "--percentile", "95",
    )  # fmt: skip
    found = manifest(out, "tflite-int8").quantization.calibration
    assert found is not None
    assert found.method == method
    usual = manifest(exported / "out", "tflite-int8")
    assert artifact.digest(out / "net-Net" / "tflite-int8" / "model.tflite") not in {
        file.sha256 for file in usual.files
    }


@pytest.mark.slow
def test_the_files_run_on_the_last_tflite_runtime(exported: Path, tmp_path: Path) -> None:
    if sys.version_info >= (3, 12):
        pytest.skip("tflite-runtime 2.14 ends with Python 3.11")
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "old")], check=True)
    python = tmp_path / "old" / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "-q", "tflite-runtime==2.14.0", "numpy<2"]
    if (pip := subprocess.run(install, capture_output=True, text=True, check=False)).returncode:
        pytest.skip(f"pip cannot install tflite-runtime 2.14: {pip.stderr.strip()[-200:]}")
    workers = Workers(LocalDevice("old", python=str(python)))
    for variant in ("tflite-fp32", "tflite-fp16", "tflite-int8"):
        found = manifest(exported / "out", variant)
        directory = exported / "out" / "net-Net" / variant
        for runtime in ("litert", "litert-builtin"):
            with workers:
                proof, _ = cli_prove.run(workers, runtime, directory, found)
            assert proof.verified is True, f"{variant} with {runtime}: {proof.reason}"
            assert proof.runtime_version == "tflite_runtime 2.14.0"

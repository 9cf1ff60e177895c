"""Export as a user runs it: their own networks, and everything that can be wrong."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch

from export import artifact
from tests.conftest import ROOT, Cli

NETS = """
import torch
from torch import nn
import models.blocks  # the user's own package, not ours

def plain():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(),
                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5))

class Raises(nn.Module):
    def forward(self, x):
        raise ValueError("wrong size\\nand more")

def raises():
    return Raises()

def number():
    return 3
"""


@pytest.fixture
def net(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "__init__.py").write_text("")
    (tmp_path / "models" / "blocks.py").write_text("")
    path = tmp_path / "net.py"
    path.write_text(NETS)
    return path


def refused(result: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    said = [line for line in (result.stdout + result.stderr).splitlines() if "error:" in line]
    assert result.returncode == code, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    assert len(said) == 1, said
    for word in words:
        assert word in said[0]


def test_a_network_of_ones_own_is_captured_beside_its_own_packages(net: Path, cli: Cli) -> None:
    arguments = ["--model", f"{net}:plain", "--input", "1x3x12x12", "--format", "onnx,tflite,torch"]
    out = net.parent / "out"
    result = cli("export", *arguments, "--out", out)
    assert result.returncode == 0, result.stdout + result.stderr
    for variant in ("onnx-fp32", "tflite-fp32", "torch-fp32"):
        assert artifact.load(out / "net-plain" / variant).proof.verified is True
    assert sorted(p.name for p in out.iterdir()) == ["net-plain"]


def test_a_saved_program_exports_at_its_own_batch(tmp_path: Path, cli: Cli) -> None:
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 3)).eval()
    program = torch.export.export(network, (torch.zeros(2, 3, 2, 2),))
    torch.export.save(program, tmp_path / "own.pt2")
    arguments = ["--model", tmp_path / "own.pt2", "--format", "onnx", "--out", tmp_path / "out"]
    refused(cli("export", *arguments), 2, "written for batch 2", "--batch 2")
    result = cli("export", *arguments, "--batch", 2)
    assert result.returncode == 0, result.stdout + result.stderr
    assert artifact.load(tmp_path / "out" / "own" / "onnx-fp32-b2").proof.verified is True


@pytest.mark.parametrize(
    ("factory", "words"),
    [
        ("raises", ("forward raised on input 1x3x8x8", "wrong size", "net.py:")),
        ("number", ("returned a int", "nn.Module")),
        ("absent", ("no 'absent'",)),
    ],
)
def test_a_network_that_cannot_be_captured_costs_one_line(
    net: Path, cli: Cli, factory: str, words: tuple[str, ...]
) -> None:
    out = net.parent / "out"
    model = ["--model", f"{net}:{factory}", "--input", "1x3x8x8"]
    refused(cli("export", *model, "--format", "onnx", "--out", out), 2, *words)
    assert list(out.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--model", "mobilnet"], ["did you mean 'mobilenet'"]),
        (["--model", "lenet5", "--format", "tflight"], ["did you mean 'tflite'"]),
        (["--model", "lenet5", "--precision", "int7"], ["did you mean 'int8'"]),
        (["--model", "lenet5", "--precision", ""], ["--format and --precision", "at least one"]),
        (["--model", ","], ["--model names nothing"]),
        ([], ["--model", "export --help"]),
        (["--model", "lenet5", "--precision", "int8"], ["--data DIR", "--calibration random"]),
        (["--model", "lenet5", "--data", "nowhere"], ["nowhere", "fashion-mnist"]),
        (["--model", "lenet5", "--weights", "no.pth"], ["no.pth"]),
        (["--model", "absent.py:net", "--input", "1x3x8x8"], ["absent.py"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_mistyped_is_refused_before_anything_starts(
    tmp_path: Path, cli: Cli, arguments: list[str], words: list[str]
) -> None:
    refused(cli("export", *arguments, cwd=tmp_path), 2, *words)
    assert list(tmp_path.iterdir()) == []


def test_an_output_directory_that_cannot_be_made_is_refused(tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "file").write_text("")
    result = cli("export", "--model", "lenet5", "--out", tmp_path / "file" / "out")
    refused(result, 2, "cannot write to", "--out DIR")


def test_pickled_weights_are_refused(tmp_path: Path, cli: Cli) -> None:
    class Harm:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "harmed"),))

    torch.save({"state_dict": Harm()}, tmp_path / "evil.pth")
    arguments = ["--model", "lenet5", "--weights", tmp_path / "evil.pth", "--format", "onnx"]
    refused(cli("export", *arguments, "--out", tmp_path / "out"), 2, "refused", "evil.pth")
    assert not (tmp_path / "harmed").exists()


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, cli: Cli) -> None:
    out = tmp_path / "out"
    arguments = ["export", "--model", "lenet5", "--format", "onnx", "--out", str(out)]
    assert cli(*arguments).returncode == 0
    before = artifact.load(out / "lenet5" / "onnx-fp32")
    # A limit on file size makes every larger write fail, as a full disk would.
    limited = ["bash", "-c", 'ulimit -f 100; exec "$@"', "-"]
    command = [*limited, sys.executable, str(ROOT / "edgeworthy.py"), *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode != 0
    assert "Traceback" not in result.stderr
    assert artifact.load(out / "lenet5" / "onnx-fp32") == before
    assert not list(out.glob(".staging*"))


def test_an_interrupt_keeps_what_is_finished_and_leaves_nothing_else(tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, str(ROOT / "edgeworthy.py"), "export", "--model", "lenet5,resnet18"]
    process = subprocess.Popen(
        [*command, "--format", "onnx,tflite", "--jobs", "1", "--out", str(out)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not list(out.glob("*/*/manifest.json")) and time.monotonic() < deadline:
        if any("staging" not in str(p) for p in out.glob("*/*/manifest.json")):
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted; what was finished is in" in stderr
    assert "Traceback" not in stderr
    assert not list(out.glob(".staging*"))
    assert all(artifact.load(path) for path in artifact.find(out))


@pytest.mark.parametrize("kill", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_export_takes_its_processes_along(tmp_path: Path, cli: Cli, kill: int) -> None:
    out = tmp_path / "out"
    command = [sys.executable, str(ROOT / "edgeworthy.py"), "export", "--model", "resnet18"]
    process = psutil.Popen(
        [*command, "--format", "onnx,tflite", "--out", str(out)], stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while not process.children() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(2)  # its child has begun to import by then
    children = process.children(recursive=True)
    process.send_signal(kill)
    assert process.wait(30) == (143 if kill == signal.SIGTERM else -kill)
    _, alive = psutil.wait_procs(children, timeout=10)
    assert children
    assert not alive
    if kill == signal.SIGKILL:  # then the next export tidies up
        cli("export", "--model", "lenet5", "--format", "torch", "--out", out)
    assert not list(out.glob(".staging*"))


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_disk_without_room_is_named(tmp_path: Path, cli: Cli) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("no right to mount here")
    try:
        result = cli("export", "--model", "lenet5", "--format", "onnx", "--out", disk)
        refused(result, 2, "No space left on device")
        assert list(disk.iterdir()) == []
    finally:
        # Lazily: a process that was killed a moment ago may still be letting go of it.
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_a_failed_proof_exits_1_and_keeps_the_evidence(net: Path, cli: Cli) -> None:
    # Weights beyond the range of half precision: the float file is right and the fp16 file is not.
    source = net.read_text() + (
        "\ndef huge():\n    net = plain()\n"
        "    nn.init.constant_(net[0].weight, 3e6)\n"
        "    net.add_module('last', nn.Linear(5, 5))\n    return net\n"
    )
    net.write_text(source)
    out = net.parent / "out"
    model = ["--model", f"{net}:huge", "--input", "1x3x12x12", "--format", "onnx"]
    result = cli("export", *model, "--precision", "fp32,fp16", "--out", out)
    assert result.returncode == 1, result.stdout + result.stderr
    assert artifact.load(out / "net-huge" / "onnx-fp32").proof.verified is True
    assert not (out / "net-huge" / "onnx-fp16").exists()
    assert (out / "net-huge" / "onnx-fp16.failed").is_dir()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["diagnos", "x"], ["no command 'diagnos'", "edgeworthy export diagnose"]),
        (["lenet5"], ["no command 'lenet5'", "--model lenet5"]),
        (["--format", "onnx", "diagnose", "x"], ["write --format after 'diagnose'"]),
        ([], ["--model"]),
    ],
    ids=["misspelt", "network", "option before", "nothing"],
)
def test_exporting_needs_no_word_and_a_wrong_one_is_told(
    cli: Cli, arguments: list[str], words: list[str]
) -> None:
    refused(cli("export", *arguments), 2, *words)

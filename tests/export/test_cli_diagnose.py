"""Diagnose as a user runs it."""

import json
import math
import shutil
from pathlib import Path

import pytest

from export import artifact
from tests.conftest import Cli
from tests.tiny import tiny_onnx, tiny_tflite, tiny_torch


def test_the_float_artifact_beside_is_what_a_file_is_compared_with(
    cli: Cli, tmp_path: Path
) -> None:
    path = tiny_onnx(tmp_path)
    beside = tiny_torch(tmp_path)
    result = cli("export", "diagnose", path, "--json")
    assert result.returncode == 0, result.stderr
    told = json.loads(result.stdout)
    assert told["artifact"] == "tiny/onnx-fp32"
    assert told["reference"] == str(beside)
    assert told["inputs"] == 4
    assert [(row["kind"], row["causes"]) for row in told["layers"]] == [
        (row["kind"], []) for row in told["layers"]
    ]
    assert {row["layer"] for row in told["layers"]} == {"0", "2", "4"}
    assert all(row["aligned"] and row["own_snr_db"] > 90 for row in told["layers"])


def test_the_table_fits_a_terminal_and_a_picture_lies_where_asked(cli: Cli, tmp_path: Path) -> None:
    path = tiny_onnx(tmp_path)
    tiny_torch(tmp_path)
    for name, first in (("chart.svg", b"<svg"), ("chart.png", b"\x89PNG")):
        result = cli("export", "diagnose", path, "--chart", tmp_path / name)
        assert result.returncode == 0, result.stderr
        assert (tmp_path / name).read_bytes().startswith(first)
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["layer", "kind", "own", "at", "output", "so", "far", "cause"]
    assert "no weak layer" in result.stdout
    assert max(map(len, lines)) <= 80 + len(str(tmp_path))  # a path is not broken


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--chart", "chart.jpg"], ["chart.jpg", ".svg or .png"]),
        (["--model", "lenet5"], ["not the network", "golden outputs differ"]),
        (["--model", "lenet55"], ["lenet55", "lenet5"]),
        (["--model", "gone.pt2"], ["no file gone.pt2"]),
        (["--weights", "gone.pth"], ["gone.pth"]),
        (["--data", "no-such-data"], ["no-such-data"]),
        ([], ["where is the float network", "--model FILE.py:FACTORY", "--format torch"]),
    ],
    ids=["picture", "another network", "misspelt", "no file", "no weights", "no data", "nothing"],
)
def test_what_is_wrong_is_said_in_one_line(
    cli: Cli, tmp_path: Path, options: list[str], words: list[str]
) -> None:
    result = cli("export", "diagnose", tiny_onnx(tmp_path), *options)
    assert result.returncode == 2, result.stdout + result.stderr
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert all(word in line for word in words), line


def test_what_is_no_artifact_is_said_in_one_line(cli: Cli, tmp_path: Path) -> None:
    path = tiny_onnx(tmp_path)
    (path / "model.onnx").write_bytes(b"nonsense")
    changed = cli("export", "diagnose", path)
    nowhere = cli("export", "diagnose", tmp_path / "nowhere")
    itself = cli("export", "diagnose", tiny_torch(tmp_path))
    for result, word in ((changed, "bytes"), (nowhere, "not an artifact"), (itself, "itself")):
        assert result.returncode == 2, result.stdout + result.stderr
        assert word in result.stderr
        assert len(result.stderr.splitlines()) == 1


def test_one_that_failed_its_proof_is_found_beside_its_place(cli: Cli, tmp_path: Path) -> None:
    path = tiny_onnx(tmp_path)
    failed = path.with_name(path.name + artifact.FAILED)
    path.rename(failed)
    tiny_torch(tmp_path)
    asked = cli("export", "diagnose", path)
    assert asked.returncode == 2
    assert str(failed) in asked.stderr
    assert cli("export", "diagnose", failed).returncode == 0


@pytest.mark.slow
def test_tflite_layers_are_those_of_the_network(cli: Cli, tmp_path: Path) -> None:
    path = tiny_tflite(tmp_path)
    tiny_torch(tmp_path)
    told = json.loads(cli("export", "diagnose", path, "--json").stdout)
    assert {row["layer"] for row in told["layers"] if row["aligned"]} == {"0", "2", "4"}
    assert told["output_snr_db"] > 90


@pytest.mark.slow
@pytest.mark.parametrize(
    "variant",
    ["onnx-fp16", "onnx-int8", "tflite-fp16", "tflite-int8", "coreml-fp16", "coreml-int8"],
)
@pytest.mark.parametrize("network", ["lenet5", "mobilenet_v1_0.25_64"])
def test_trained_networks_are_sound_in_every_layer(
    cli: Cli, trained: Path, tmp_path: Path, network: str, variant: str
) -> None:
    name = f"{network}@fashion-mnist"
    shutil.copytree(trained / name / variant, tmp_path / name / variant)  # no torch-fp32 beside
    result = cli("export", "diagnose", tmp_path / name / variant, "--json", "--all")
    assert result.returncode == 0, result.stderr
    told = json.loads(result.stdout)
    assert told["reference"] == f"the zoo's {name}"
    assert all(row["aligned"] and not row["causes"] for row in told["layers"])
    # What the layers do one by one explains the whole, as errors of different layers hardly agree.
    parts = sum(10 ** (-row["at_output_snr_db"] / 10) for row in told["layers"])
    assert -10 * math.log10(parts) == pytest.approx(told["output_snr_db"], abs=5)

"""``edgeworthy models`` as a user types it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_list_shows_networks_and_trained_weights(cli):
    result = cli("models", "list")
    assert result.returncode == 0
    lines = result.stdout.splitlines()
    assert lines[0].split()[:3] == ["model", "input", "classes"]
    row = next(line for line in lines if line.startswith("mobilenet_v1_0.25_64@fashion-mnist"))
    assert "1x64x64" in row
    assert "92.75 % fashion-mnist" in row
    assert result.stderr == ""


def test_list_takes_patterns_and_gives_json(cli):
    result = cli("models", "list", "resnet*,lenet", "--json")
    rows = json.loads(result.stdout)
    assert [row["name"] for row in rows] == ["resnet18", "resnet50", "lenet5"]
    assert rows[1]["published"]["top1"] == 76.13
    assert rows[1]["input"] == [3, 224, 224]


def test_show_prints_layers_and_totals(cli):
    result = cli("models", "show", "lenet5")
    assert result.returncode == 0
    lines = {line.split()[0]: line for line in result.stdout.splitlines()}
    assert "48,120" in lines["classifier.0"]
    assert "78.0 %" in lines["classifier.0"]
    assert lines["MACs"].split() == ["MACs", "416,520"]
    assert lines["parameters"].split() == ["parameters", "61,706"]


def test_show_gives_json(cli):
    figures = json.loads(cli("models", "show", "lenet5", "--json").stdout)
    assert figures["parameters"] == 61_706
    assert figures["layers"][1]["output_shape"] == [1, 6, 28, 28]


@pytest.mark.parametrize(
    "arguments", [("show", "mobilnet"), ("list", "mobilnet"), ("train", "mobilnet")]
)
def test_a_misspelt_model_costs_one_line_and_exit_2(cli, arguments):
    result = cli("models", *arguments)
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr == (
        "error: no model named 'mobilnet'; did you mean 'mobilenet'?; "
        "list them with 'edgeworthy models list'\n"
    )


def test_help_does_not_import_torch():
    code = (
        "import sys; sys.argv = ['edgeworthy', 'models', 'train', '--help']\n"
        "import edgeworthy\n"
        "try: edgeworthy.main()\n"
        "except SystemExit: print('torch' in sys.modules, 'numpy' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.stdout.endswith("False False\n"), result.stderr

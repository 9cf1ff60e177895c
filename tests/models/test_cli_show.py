"""``edgeworthy models show`` as a user types it."""

import csv
import io
import json

import pytest

NET = """
import torch

def small():
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8), torch.nn.ReLU(), torch.nn.Flatten(),
        torch.nn.Linear(8 * 6 * 6, 10),
    )

def broken():
    raise RuntimeError("no such luck")
"""


@pytest.fixture
def net(tmp_path):
    path = tmp_path / "net.py"
    path.write_text(NET)
    return path


def test_vgg16_at_80_columns(cli):
    result = cli("models", "show", "vgg16", env={"COLUMNS": "80"})
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    by_name = {line.split()[0]: line for line in lines if line}
    assert by_name["features.0"].split()[:6] == [
        "features.0",
        "conv",
        "3x3",
        "64x224x224",
        "1.79",
        "k",
    ]
    assert "█" in by_name["classifier.0"]
    assert by_name["parameters"].split() == ["parameters", "138", "M", "138,357,544"]
    assert "memory, sum           61.0 MB" in result.stdout
    assert "memory, peak          25.7 MB" in result.stdout
    assert "most parameters in classifier.0 (74.3 %), the first fully-connected layer" in lines


@pytest.mark.parametrize(
    "name", [pytest.param("resnet50", marks=pytest.mark.slow), "mobilenet", "lenet5"]
)
def test_every_network_fits_80_columns_with_its_names_whole(cli, name):
    result = cli("models", "show", name)
    assert max(map(len, result.stdout.splitlines())) <= 80
    data = json.loads(cli("models", "show", name, "--json").stdout)
    assert data["by"] == "layer"
    for row in data["rows"]:
        assert f"\n{row['name']} " in result.stdout


def test_a_terminal_without_unicode_gets_plain_bars(cli):
    result = cli("models", "show", "lenet5", env={"PYTHONIOENCODING": "ascii"})
    assert result.returncode == 0
    assert "#" in result.stdout
    assert result.stdout.isascii()


def test_wide_adds_intensity_weights_and_field(cli):
    lines = cli("models", "show", "lenet5", "--wide").stdout.splitlines()
    assert {"weights", "MACs/B", "field"} < set(lines[0].split())
    fields = {line.split()[0]: line.split()[-1] for line in lines[1:9]}
    assert fields["features.3"] == "14"
    assert fields["classifier.0"] == "all"


def test_json_holds_figures_in_full(cli):
    data = json.loads(cli("models", "show", "lenet5", "--all", "--json").stdout)
    assert data["parameters"] == 61_706
    assert data["macs"] == 416_520
    assert data["weight_bytes"] == 4 * 61_706
    assert data["rows"][1]["output_shape"] == [1, 6, 28, 28]
    assert data["rows"][1]["receptive_field"] == [5, 5]
    assert sum(row["parameters"] for row in data["rows"]) == 61_706
    assert len(data["remarks"]) == 3


def test_csv_by_stage(cli):
    result = cli("models", "show", "mobilenet", "--by", "stage", "--csv")
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [row["name"] for row in rows][1:3] == ["features.0-1", "features.2-3"]
    assert rows[1]["output_shape"] == "1x64x112x112"
    assert sum(int(row["macs"]) for row in rows) == 568_740_352


def test_diff_puts_two_networks_side_by_side(cli):
    result = cli("models", "show", "resnet50", "--diff", "vgg16")
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].split() == ["A:", "resnet50", "B:", "vgg16", "B/A"]
    assert lines[1].split() == ["parameters", "25.6", "M", "138", "M", "5.41x"]
    data = json.loads(cli("models", "show", "resnet50", "--diff", "vgg16", "--json").stdout)
    stages = {tuple(stage["resolution"]): stage for stage in data["stages"]}
    assert stages[(224, 224)]["macs_a"] == 0
    assert sum(stage["parameters_a"] for stage in stages.values()) == 25_557_032
    assert sum(stage["parameters_b"] for stage in stages.values()) == 138_357_544


def test_a_network_of_ones_own(cli, net):
    result = cli("models", "show", f"{net}:small", "--input", "1x3x8x8")
    assert result.returncode == 0, result.stderr
    assert "conv 3x3" in result.stdout
    assert "3,130" in result.stdout
    assert "the only fully-connected layer" in result.stdout


def test_two_of_ones_own_share_the_input(cli, net):
    own = f"{net}:small"
    result = cli("models", "show", own, "--input", "1x3x8x8", "--diff", own, "--json")
    assert [row["ratio"] for row in json.loads(result.stdout)["totals"]] == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["vgg17"], "did you mean 'vgg19'?"),
        (["lenet5", "--diff", "lenett"], "did you mean 'lenet'?"),
        (["net.py:small"], "add --input 1x3x224x224"),
        (["net.py:smal", "--input", "1x3x8x8"], "net.py has no 'smal' to call"),
        (["net.py:broken", "--input", "1x3x8x8"], "no such luck"),
        (["net.py:small", "--input", "1x3x9x9"], "the network's forward raised on input 1x3x9x9"),
        (["net.pt2"], "no file net.pt2"),
        (["lenet5", "--input", "1x1x28x28"], "--input is for a network of your own"),
        (["lenet5", "--csv", "--json"], "--csv and --json exclude each other"),
        (["lenet5", "--by", "stage", "--all"], "leave --by out"),
        (["lenet5", "--by", "stage", "--diff", "lenet5"], "leave --by and --all out"),
        (["artifacts/lenet5/onnx-fp32"], "artifacts/lenet5/onnx-fp32 is not an artifact"),
    ],
)
def test_a_mistake_costs_one_line_and_exit_2(cli, net, arguments, words):
    result = cli("models", "show", *arguments, cwd=net.parent)
    assert result.returncode == 2
    assert result.stdout == ""
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert [path.name for path in net.parent.iterdir() if path.suffix] == ["net.py"]

"""``edgeworthy models`` as a user types it."""

import json
import os
import signal
import subprocess
import sys
import time
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
    result = cli("models", "list", "resnet?[80],lenet", "--json")
    rows = json.loads(result.stdout)
    assert [row["name"] for row in rows] == ["resnet18", "resnet50", "resnet20", "lenet5"]
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


def test_train_writes_weights_that_can_be_used(cli, sample, tmp_path):
    result = cli("models", "train", "lenet5", "--data", sample, "--epochs", 2, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    name = "lenet5@fashion-mnist-sample.safetensors"
    assert result.stdout.startswith(f"{name}\t")
    assert "% top-1 on fashion-mnist-sample" in result.stdout
    assert "epoch 2/2: loss" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_train_twice_gives_the_same_file(cli, sample, tmp_path):
    for number in (1, 2):
        out = tmp_path / f"{number}.safetensors"
        cli("models", "train", "lenet5", "--data", sample, "--epochs", 1, "--seed", 3, "--out", out)
    first, second = (path.read_bytes() for path in sorted(tmp_path.iterdir()))
    assert first == second


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--out", "there.safetensors"], "there.safetensors exists; give --force to replace it"),
        (["--out", "w.pth"], "must end in .safetensors"),
        (["--out", "no/such/w.safetensors"], "make it, or give another --out"),
        (["--data", "nowhere"], "no data set and no folder is called 'nowhere'"),
        (["--dataset", "fashion-mist"], "did you mean 'fashion-mnist'?"),
    ],
)
def test_train_refuses_before_it_starts(cli, tmp_path, arguments, words):
    (tmp_path / "there.safetensors").write_bytes(b"precious")
    result = cli("models", "train", "lenet5", *arguments, cwd=tmp_path)
    assert result.returncode == 2
    assert words in result.stderr
    assert result.stderr.count("\n") == 1
    assert (tmp_path / "there.safetensors").read_bytes() == b"precious"


def test_train_replaces_when_told_to(cli, sample, tmp_path):
    out = tmp_path / "w.safetensors"
    out.write_bytes(b"old")
    result = cli(
        "models", "train", "lenet5", "--data", sample, "--epochs", 1, "--out", out, "--force"
    )
    assert result.returncode == 0
    assert out.stat().st_size > 200_000


def test_a_trained_name_is_not_trained_again(cli):
    result = cli("models", "train", "lenet5@fashion-mnist")
    assert result.returncode == 2
    assert "is trained already; train 'lenet5'" in result.stderr


@pytest.mark.parametrize("option", [("--epochs", "0"), ("--batch-size", "1"), ("--lr", "0")])
def test_settings_out_of_range_are_wrong_usage(cli, option):
    assert cli("models", "train", "lenet5", *option).returncode == 2


def test_an_interrupt_leaves_one_line_and_no_file(sample, tmp_path):
    command = [sys.executable, str(ROOT / "edgeworthy.py"), "models", "train", "lenet5"]
    with subprocess.Popen(
        [*command, "--data", str(sample), "--epochs", "100000"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    ) as process:
        assert process.stderr.readline().startswith("epoch 1/")
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read().splitlines()
    assert process.returncode == 130
    assert rest[-1] == "interrupted: lenet5@fashion-mnist-sample.safetensors was not written"
    assert all(line.startswith("epoch ") for line in rest[:-1])
    assert not list(tmp_path.iterdir())


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

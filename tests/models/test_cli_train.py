"""``edgeworthy models train`` as a user types it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


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

"""``edgeworthy models train`` as a user types it."""

import os
import pickle
import re
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
    assert re.search(r"% top-1, [\d.]+ % top-5 on fashion-mnist-sample\n$", result.stdout)
    assert "epoch 2/2: loss" in result.stderr
    made = sorted(path.name for path in tmp_path.iterdir())
    assert made == [name.replace("safetensors", end) for end in ("csv", "safetensors", "svg")]


def test_train_twice_gives_the_same_file(cli, sample, tmp_path):
    for number in (1, 2):
        out = tmp_path / f"{number}.safetensors"
        cli("models", "train", "lenet5", "--data", sample, "--epochs", 1, "--seed", 3, "--out", out)
    first, second = (path.read_bytes() for path in sorted(tmp_path.glob("*.safetensors")))
    assert first == second


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--out", "there.safetensors"], "there.safetensors exists; give --force to replace it"),
        (["--out", "log.safetensors"], "log.csv exists; give --force to replace it"),
        (["--out", "cut.safetensors"], "cut.partial is of an interrupted training; give --resume"),
        (["--resume", "--out", "cut.safetensors"], "cut.partial is damaged"),
        (["--body-lr-factor", "0.1"], "--body-lr-factor is for going on from weights"),
        (["--quantize-aware"], "--quantize-aware is for going on from weights"),
        (["--from", "pickled.pth"], "refused: pickled.pth contains pickled objects"),
        (["--from", "mobilenet_v1_0.25_64@fashion-mnist"], "does not fit this network"),
        (["--from", "lenet5@fashion-mnist", "--lr", "1"], "with --from give --head-lr"),
        (
            ["--from", "lenet5@fashion-mnist", "--freeze", "features", "--body-lr-factor", "1"],
            "a frozen body does not learn",
        ),
        (["--out", "w.pth"], "must end in .safetensors"),
        (["--out", "no/such/w.safetensors"], "make it, or give another --out"),
        (["--data", "nowhere"], "no data set and no folder is called 'nowhere'"),
        (["--dataset", "fashion-mist"], "did you mean 'fashion-mnist'?"),
    ],
)
def test_train_refuses_before_it_starts(cli, tmp_path, arguments, words):
    for name in ("there.safetensors", "log.csv", "cut.partial"):
        (tmp_path / name).write_bytes(b"precious")
    (tmp_path / "pickled.pth").write_bytes(pickle.dumps(Path()))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    result = cli("models", "train", "lenet5", *arguments, cwd=tmp_path)
    assert result.returncode == 2
    assert words in result.stderr
    assert result.stderr.count("\n") == 1
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


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


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("alphago", "'alphago' takes no images"),
        ("lenet5+lenet5", "is an ensemble; train its members"),
    ],
)
def test_what_cannot_be_trained_is_refused_in_one_line(cli, tmp_path, name, words):
    result = cli("models", "train", name, cwd=tmp_path)
    assert result.returncode == 2
    assert words in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "option",
    [("--epochs", "0"), ("--batch-size", "1"), ("--lr", "0"), ("--lr", "nan"), ("--lr", "inf")],
)
def test_settings_out_of_range_are_wrong_usage(cli, option):
    assert cli("models", "train", "lenet5", *option).returncode == 2


def interrupted(arguments, cwd, after):
    """Start a training, send Ctrl-C when the line `after` has come, return the lines from there."""
    command = [sys.executable, str(ROOT / "edgeworthy.py"), "models", "train", *map(str, arguments)]
    with subprocess.Popen(
        command,
        cwd=cwd,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    ) as process:
        while not (line := process.stderr.readline()).startswith(after):
            assert line, "the training ended too early"
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read().splitlines()
    assert process.returncode == 130
    assert all(line.startswith("epoch ") for line in rest[:-1])
    return rest


def test_an_interrupt_leaves_one_line_and_the_state(sample, tmp_path):
    rest = interrupted(["lenet5", "--data", sample, "--epochs", 100000], tmp_path, "epoch 1/")
    name = "lenet5@fashion-mnist-sample"
    assert rest[-1] == (
        f"interrupted: {name}.safetensors was not written; "
        f"go on with --resume (state in {name}.partial)"
    )
    assert [path.name for path in tmp_path.iterdir()] == [f"{name}.partial"]


def test_a_resumed_training_gives_the_same_file(cli, sample, tmp_path):
    base = ["mobilenet_v1_0.25_32", "--data", sample, "--epochs", 12, "--patience", 12]
    whole, parted = tmp_path / "whole.safetensors", tmp_path / "parted.safetensors"
    assert cli("models", "train", *base, "--out", whole).returncode == 0
    interrupted([*base, "--out", parted], tmp_path, "epoch 2/")
    other = cli("models", "train", *base, "--seed", 1, "--out", parted, "--resume")
    assert other.returncode == 2
    assert "is of a training with seed 0, not 1" in other.stderr
    result = cli("models", "train", *base, "--out", parted, "--resume")
    assert result.returncode == 0, result.stderr
    assert "epoch 1/12" not in result.stderr
    assert parted.read_bytes() == whole.read_bytes()
    assert not list(tmp_path.glob("*.partial"))


def test_transfer_tells_of_the_new_head_and_keeps_it(cli, tmp_path):
    from PIL import Image

    for split in ("train", "test"):
        for shade, label in ((40, "dark"), (210, "light")):
            folder = tmp_path / "shades" / split / label
            folder.mkdir(parents=True)
            for n in range(8):
                Image.new("RGB", (40, 30), (shade + n, shade, shade)).save(folder / f"{n}.png")
    arguments = ["--from", "lenet5@fashion-mnist", "--freeze", "features", "--epochs", 2]
    result = cli("models", "train", "lenet5", "--data", "shades", *arguments, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    note = "note: the classes of shades are others: the network gets a new head\n"
    assert result.stderr.startswith(note)
    assert re.fullmatch(r"lenet5@shades.safetensors\t[\d.]+ % top-1 on shades\n", result.stdout)

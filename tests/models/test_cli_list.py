"""``edgeworthy models list`` as a user types it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def listed(cli, *arguments):
    return json.loads(cli("models", "list", *arguments, "--json").stdout)


def test_networks_and_those_with_weights_fit_100_columns(cli):
    result = cli("models", "list")
    assert result.returncode == 0
    assert result.stderr == ""
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 100
    by_name = {line.split()[0]: line for line in lines if line}
    assert by_name["resnet50"].split()[1:9] == [
        "25.6",
        "M",
        "4.09",
        "G",
        "76.13",
        "%",
        "cloud",
        "3x224x224",
    ]
    ours = by_name["mobilenet_v1_0.25_64@fashion-mnist"]
    assert ours.split()[-1] == "fashion-mnist"
    assert "92.75 %" in ours
    assert "at most 10 M parameters and 1 GMACs" in result.stdout


def test_patterns_and_json(cli):
    rows = listed(cli, "resnet50,lenet")
    assert [row["name"] for row in rows] == ["resnet50", "lenet5"]
    assert rows[0]["published"]["top1"] == 76.13
    assert rows[0]["input"] == [3, 224, 224]
    assert rows[0]["parameters"] == 25_557_032


def test_accuracy_on_another_data_set_is_marked(cli):
    out = cli("models", "list", "resnet20,resnet18").stdout
    assert "91.25 % *" in out
    assert "69.76 % *" not in out
    assert out.endswith("* on CIFAR-10, the others on ImageNet.\n")


def test_limits_and_purpose(cli):
    small = listed(cli, "--max-params", "5M", "--max-macs", "0.3G")
    assert "mobilenet_v1_1.0_192" not in {row["name"] for row in small}
    assert "mobilenet_v1_1.0_160" in {row["name"] for row in small}
    assert all(row["parameters"] <= 5e6 and row["macs"] <= 3e8 for row in small)
    cloud = {row["name"] for row in listed(cli, "--for", "cloud")}
    edge = {row["name"] for row in listed(cli, "--for", "edge")}
    assert {"vgg16", "resnet50"} <= cloud
    assert {"lenet5", "mobilenet_v1_1.0_224"} <= edge
    assert cloud | edge == {row["name"] for row in listed(cli)}


def test_sorting_puts_what_is_not_known_last(cli):
    rows = listed(cli, "mobilenet*", "vgg16", "--sort", "top1")
    known = [row["top1"] for row in rows if row["top1"] is not None]
    assert known == sorted(known)
    assert [row["top1"] for row in rows[: len(known)]] == known
    macs = [row["macs"] for row in listed(cli, "--sort", "macs")]
    assert macs == sorted(macs)


def test_nothing_within_the_limits_is_said_so(cli):
    result = cli("models", "list", "vgg16", "--max-params", "0")
    assert result.returncode == 0
    assert result.stdout == ""
    assert result.stderr == "no network is within these limits\n"


def test_a_width_that_is_not_listed_is_counted_and_said_so(cli):
    result = cli("models", "list", "mobilenet_v1_0.3_96")
    assert "609 k" in result.stdout
    assert result.stderr.startswith("counting 1 not in the catalogue")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["mobilnet"], "did you mean 'mobilenet'?"),
        (["--max-params", "5q"], "write it like 5M"),
        (["--sort", "colour"], "'colour' is not one of"),
    ],
)
def test_a_mistake_costs_exit_2(cli, arguments, words):
    result = cli("models", "list", *arguments)
    assert result.returncode == 2
    assert words in result.stderr


def test_listing_needs_no_torch():
    code = (
        "import sys; sys.argv = ['edgeworthy', 'models', 'list']\n"
        "import edgeworthy\n"
        "try: edgeworthy.main()\n"
        "except SystemExit: print('torch' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.stdout.endswith("False\n"), result.stderr

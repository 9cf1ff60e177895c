"""``edgeworthy models explain`` as a user types it."""

import json

import pytest


@pytest.mark.parametrize("block", ["depthwise", "bottleneck", "stack3x3", "inception"])
def test_every_block_fits_80_columns(cli, block):
    result = cli("models", "explain", block, "--no-measure")
    assert result.returncode == 0, result.stderr
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert "latency not measured: --no-measure" in result.stdout


def test_the_counts_are_those_of_the_formula(cli):
    data = json.loads(cli("models", "explain", "depthwise", "--no-measure", "--json").stdout)
    assert data["predicted_ratio"] == pytest.approx(1 / 512 + 1 / 9)
    assert data["ratio"]["macs"] == pytest.approx(data["predicted_ratio"])
    assert [form["macs"] for form in data["forms"]] == [462_422_016, 52_283_392]
    assert data["latency"] is None


def test_an_unknown_block_is_wrong_usage(cli):
    result = cli("models", "explain", "attention")
    assert result.returncode == 2
    assert "'depthwise', 'bottleneck'" in result.stderr


@pytest.mark.slow
def test_both_forms_are_measured_by_the_worker(cli, tmp_path):
    result = cli("models", "explain", "bottleneck", "--json", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    latency = json.loads(result.stdout)["latency"]
    assert latency["plain_ns"] > 0
    assert latency["low"] <= latency["ratio"] <= latency["high"]
    assert latency["runtime"].startswith("onnxruntime")
    assert not list(tmp_path.iterdir())

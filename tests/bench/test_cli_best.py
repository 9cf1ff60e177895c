"""``bench run --best`` as a user starts it."""

import json
import shutil
import signal
import subprocess

import numpy as np
import pytest
from PIL import Image

from bench.cli_best import all_cores
from bench.matrix import Target
from devices.device import DeviceInfo
from tests.bench.running import two_precisions
from tests.bench.test_cli_run import bench_run, command, records

QUICK = ("--max-seconds", "1", "--precision-target", "50%", "--processes", "1")
# Whether a shared machine was quiet enough for the figures to be valid is not what is tested.
FOUND = {0, 3}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    where = tmp_path_factory.mktemp("best")
    two_precisions(where / "artifacts")
    return where


@pytest.fixture
def here(made, tmp_path):
    shutil.copytree(made / "artifacts", tmp_path / "artifacts")
    return tmp_path


def refused(where, *arguments):
    code, out, err = bench_run(where, *arguments)
    assert (code, out) == (2, "")
    return err


def test_it_says_what_is_best_what_was_won_and_what_fell_out(here):
    code, out, err = bench_run(here, "--best", "--model", "tiny", "--threads", "1,2", *QUICK)
    assert code in FOUND
    assert out.startswith("tiny on cpu: onnx-fp")
    assert "Measured in full, side by side" in out
    assert "the defaults" in out
    assert "rung 1: 4 candidates" in err
    assert "in full: " in err
    rungs = [record.rung for record in records(here)]
    assert rungs.count(1) == 4
    assert rungs.count(None) >= 2
    tables = out[out.index("Measured in full") : out.index("notes")]
    assert max(map(len, tables.splitlines())) <= 120


def test_json_is_all_there_is_on_stdout(here):
    code, out, _ = bench_run(
        here, "--best", "--artifact", "tiny/onnx-fp32", "--threads", "1", "--json", *QUICK
    )
    assert code in FOUND
    found = json.loads(out)
    assert found["is_default"]
    assert found["best"]["variant"] == "onnx-fp32"
    assert found["dropped"] == []


def test_nothing_meets_an_impossible_memory(here):
    code, out, err = bench_run(here, "--best", "--model", "tiny", "--max-memory", "1MB", *QUICK)
    assert code == 1
    assert "no choice" in out
    assert "error: nothing meets the demands; nearest is onnx-fp" in err


def write_images(where, classes):
    for label in range(classes):
        folder = where / "data" / f"class{label}"
        folder.mkdir(parents=True)
        pixels = np.random.default_rng(label).integers(0, 256, (8, 8), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "0.png")


def test_nothing_meets_an_impossible_accuracy(here):
    write_images(here, classes=10)
    demand = ("--data", "data", "--min-accuracy", "99.9%")
    code, _, err = bench_run(here, "--best", "--model", "tiny", "--threads", "1", *demand, *QUICK)
    assert code == 1
    assert "below 99.90 %" in err


def test_ctrl_c_ends_with_a_line_and_keeps_what_was_measured(here):
    search = command("--best", "--model", "tiny", "--max-seconds", "30")
    with subprocess.Popen(search, cwd=here, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        lines = iter(running.stderr.readline, "")
        assert any(line.startswith("rung 1: ") for line in lines)
        running.send_signal(signal.SIGINT)
        assert list(lines)[-1] == "interrupted; a search begins again from its first rung\n"
    assert running.returncode == 130


class TestRefused:
    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (("--model", "tiny"), "--model belongs to --best; add --best"),
            (("--max-memory", "5MB"), "--max-memory belongs to --best"),
            (("--best",), "--best needs the network: --model NAME"),
            (("--best", "--model", "tiny", "--resume"), "--resume and --best do not go together"),
            (("--best", "--model", "tiny", "--sustained", "5s"), "--sustained and --best"),
            (("--best", "--model", "tiny", "--streams", "2"), "--streams and --best"),
            (("--best", "--model", "tiny", "--batch", "1,2"), "one batch size"),
            (("--best", "--model", "tiny", "--min-accuracy", "92%"), "add --data DIR"),
            (("--best", "--model", "tiny", "--max-memory", "5"), "--max-memory '5' has no unit"),
            (("--best", "--model", "tiin"), "did you mean 'tiny'"),
        ],
    )
    def test_options_that_do_not_go_together(self, here, arguments, says):
        assert says in refused(here, *arguments)

    def test_images_that_fit_no_file(self, here):
        write_images(here, classes=3)
        demand = ("--data", "data", "--min-accuracy", "92%")
        assert "--data cannot test tiny" in refused(here, "--best", "--model", "tiny", *demand)


@pytest.mark.parametrize(
    ("facts", "threads"),
    [
        ({"cores": "4", "cpus": "all"}, (1, 4)),
        ({"cores": "1", "cpus": "all"}, (1,)),
        ({"cores": "8", "cpus": "0,2,3"}, (1, 3)),
        ({"cores": "8", "cpus": "0,1, 1.5 of their time"}, (1, 2)),
        ({}, (1,)),
    ],
)
def test_threads_are_one_and_all_cores_that_may_be_used(facts, threads):
    info = DeviceInfo(name="d", kind="k", fingerprint="f", emulated=False, facts=facts)
    assert all_cores(Target(None, info)) == threads

"""``edgeworthy devices`` as typed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from devices import lock, quarantine
from devices.local import LocalDevice
from tests import tiny

ROOT = Path(__file__).parents[2]


@pytest.fixture
def devices(tmp_path):
    """Run ``edgeworthy devices ...`` in an empty directory."""

    def run(*arguments):
        environment = {**os.environ, "XDG_CONFIG_HOME": str(tmp_path), "HOME": str(tmp_path)}
        command = [sys.executable, str(ROOT / "edgeworthy.py"), "devices", *arguments]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert "Traceback" not in done.stderr
        return done

    return run


def test_list_as_json(devices):
    cpu, *_ = json.loads(devices("list", "--json").stdout)
    assert (cpu["name"], cpu["kind"], cpu["state"]) == ("cpu", "local", "ready")
    assert "onnxruntime" in cpu["runtimes"]
    assert cpu["processor"]
    assert cpu["fingerprint"]


def test_list_as_a_table(devices):
    header, row = devices("list").stdout.splitlines()[:2]
    assert header.split() == ["name", "kind", "state", "processor", "cores", "memory", "runtimes"]
    assert row.split()[:3] == ["cpu", "local", "ready"]


def test_add_then_list(devices):
    core = min(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    done = devices("add", "one", "--cpus", f"{core}-{core}", "--label", "bound")
    assert (done.returncode, done.stdout) == (0, "")
    assert "edgeworthy devices check one" in done.stderr
    names = [row["name"] for row in json.loads(devices("list", "--json").stdout)]
    assert names[:2] == ["cpu", "gpu"]
    assert names[-1] == "one"


def test_the_kind_is_the_name_where_none_is_given(devices):
    assert devices("add", "--kind", "ssh", "--host", "pi@board.invalid").returncode == 0
    row = json.loads(devices("list", "--json").stdout)[-1]
    assert (row["name"], row["kind"], row["state"]) == ("ssh", "ssh", "offline")
    assert "board.invalid" in row["reason"]


def test_add_then_remove(devices, tmp_path):
    devices("add", "one", "--cpus", "0")
    done = devices("remove", "one")
    assert (done.returncode, done.stdout) == (0, "")
    assert "removed 'one' from devices.toml" in done.stderr
    assert (tmp_path / "devices.toml").read_text() == ""


@pytest.fixture
def busy(tmp_path, monkeypatch):
    """This machine is at work for somebody else."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with lock.held(LocalDevice(), 0.0, print):
        yield


def test_who_has_a_device_is_listed_and_it_is_not_checked_meanwhile(busy, devices):
    row = json.loads(devices("list", "--json").stdout)[0]
    assert (row["name"], row["state"]) == ("cpu", "busy")
    assert f"process {os.getpid()}, since" in row["reason"]
    done = devices("check", "cpu")
    assert (done.returncode, done.stdout) == (3, "")
    assert "error: device 'cpu' is busy: " in done.stderr


def test_a_check_that_passes_takes_a_device_back(devices, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    quarantine.put(LocalDevice(), "the link broke")
    row = json.loads(devices("list", "--json").stdout)[0]
    assert (row["state"], "the link broke" in row["reason"]) == ("quarantined", True)
    assert "device 'cpu' is no longer set aside" in devices("check", "cpu").stderr
    assert json.loads(devices("list", "--json").stdout)[0]["state"] == "ready"


def test_check_runs_each_runtime_on_an_artifact(devices, tmp_path):
    tiny.tiny_onnx(tmp_path / "artifacts")
    done = devices("check", "cpu")
    assert done.returncode == 0
    assert "✓ onnxruntime: the worker starts and loads onnxruntime" in done.stdout
    assert "✓ onnxruntime runs onnx: tiny/onnx-fp32" in done.stdout
    assert "- litert runs tflite: not tried, there is no such artifact" in done.stdout


def test_check_shows_what_does_not_run(devices, tmp_path):
    artifact = tiny.tiny_onnx(tmp_path / "artifacts")
    (artifact / "model.onnx").write_bytes(b"cut")
    done = devices("check", "cpu", "--json")
    assert done.returncode == 3
    [bad] = [step for step in json.loads(done.stdout) if step["ok"] is False]
    assert "does not match the sha256" in bad["detail"]


def test_an_unusable_device_is_listed_with_its_reason_and_fails_its_check(devices):
    devices("add", "big", "--cpus", "4095")
    [*_, row] = json.loads(devices("list", "--json").stdout)
    assert row["state"] == "unavailable"
    assert row["reason"].startswith("device 'big': core 4095 is not there")
    assert "big: unavailable: device 'big': core 4095" in devices("list").stdout
    done = devices("check", "big")
    assert done.returncode == 3
    assert done.stdout.startswith("✗ device: device 'big': ")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["check", "pixel"], 3, "error: no device named 'pixel', nor with such a label, model or"),
        (["add", "cpu"], 2, "the name 'cpu' is the machine itself"),
        (["add", "x", "--cpus", "a-b"], 2, "--cpus a-b: expected numbers, as 0-1 or 0,2"),
        (["add", "x", "--cpus", "3-1"], 2, "--cpus 3-1: expected numbers, as 0-1 or 0,2"),
        (["add", "x", "--kind", "locla"], 2, "no kind 'locla' (did you mean 'local'?)"),
        (["add", "x", "--kind", "ssh"], 2, "kind ssh needs --host VALUE"),
        (["add", "x", "--cpsu", "0"], 2, "no option '--cpsu' for kind local (did you mean"),
        (["remove", "x"], 2, "no device 'x' in devices.toml; there is: nothing"),
    ],
)
def test_a_mistake_is_one_line(devices, arguments, code, message):
    done = devices(*arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_help_imports_no_runtime():
    program = (
        "import sys, devices.cli; from click.testing import CliRunner; "
        "assert CliRunner().invoke(devices.cli.command, ['--help']).exit_code == 0; "
        "print([n for n in ('torch', 'numpy', 'onnxruntime', 'rich') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"

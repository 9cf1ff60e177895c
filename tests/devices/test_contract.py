"""What every kind of device does alike. A kind whose host is not there is skipped by its name."""

import re
import sys
import types
from pathlib import Path

import msgspec
import numpy as np
import pytest

from bench.matrix import Choice, Effort, describe, plan, select
from bench.record import Record
from bench.run import run_matrix
from devices import registry
from devices.device import Job, WorkerError
from devices.local import LocalDevice
from devices.remote import OwnRuntimes, RemoteDevice
from devices.ssh import SshTransport
from tests import sshd, tiny
from tests.bench.running import Collector
from tests.devices import exactly, shell

ROOT = Path(__file__).parents[2]
# What is measured wherever the worker runs; a count of instructions is of no time.
MEASURED = ("load_ns", "first_ns", "cold", "warm_up", "rounds", "usage", "memory", "environment")


@pytest.fixture
def local(tmp_path):
    return LocalDevice("contract")


@pytest.fixture
def behind_a_shell(tmp_path):
    return shell.device(tmp_path / "home", "contract")


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """The kind that docs/devices.md writes, as it stands there, on this machine."""
    text = (ROOT / "docs" / "devices.md").read_text()
    (source,) = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    module = types.ModuleType("toy")
    exec(compile(source, "docs/devices.md", "exec"), module.__dict__)
    monkeypatch.setitem(registry.KINDS, "behind", registry.Kind(module.Settings, module.make))
    monkeypatch.chdir(tmp_path)
    table = f'kind = "behind"\nenter = ["nice"]\npython = "{sys.executable}"\n'
    Path(registry.FILE).write_text(f"[devices.contract]\n{table}")
    device = registry.find("contract")
    device.lock = str(tmp_path / "lock")
    return device


@pytest.fixture
def ssh(tmp_path, tmp_path_factory):
    with sshd.board(tmp_path_factory.mktemp("sshd")) as running:
        way = SshTransport("board", config=str(running.config))
        runtimes = OwnRuntimes((sys.executable,))
        where = {"cache": str(tmp_path / "cache"), "lock": str(tmp_path / "lock")}
        yield RemoteDevice("contract", "ssh", way, provisioner=runtimes, **where)


@pytest.fixture
def emulated_board(board):
    return made("ssh", host="board", config=str(board.ssh_config))


@pytest.fixture
def emulated_phone(phone):
    return made("android", address=phone.serial)


@pytest.fixture
def arm64_exact():
    exactly.set_up()
    return made("arm64-exact")


def made(kind, **keys):
    known = registry.KINDS[kind]
    return known.make("contract", known.settings(**keys))


@pytest.fixture(
    params=[
        "local",
        "behind_a_shell",
        "toy",
        pytest.param("ssh", marks=sshd.needs_sshd),
        pytest.param("emulated_board", marks=[pytest.mark.hosts, pytest.mark.slow]),
        pytest.param("emulated_phone", marks=[pytest.mark.hosts, pytest.mark.slow]),
        pytest.param(
            "arm64_exact", marks=[pytest.mark.hosts, pytest.mark.slow, exactly.needs_exact]
        ),
    ]
)
def device(request):
    found = request.getfixturevalue(request.param)
    yield found
    getattr(found, "close", int)()


@pytest.fixture(scope="session")
def artifacts(tmp_path_factory):
    root = tmp_path_factory.mktemp("contract")
    tiny.tiny_tflite(root)
    return root


@pytest.fixture
def artifact(artifacts):
    return artifacts / "tiny" / "tflite-fp32"


@pytest.fixture
def job(device, artifact):
    return Job(artifact=artifact, runtime=device.runtimes("tflite")[0], threads=1)


def test_it_says_what_it_is_and_the_same_again(device):
    info = device.info()
    assert (info.name, info.kind) == ("contract", device.kind)
    assert info.facts["architecture"]
    assert re.fullmatch(r"[0-9a-f]{12}", info.fingerprint)
    assert device.info() == info


def test_it_has_a_runtime_that_starts(device):
    assert "litert" in device.runtimes("tflite")
    assert re.match(r"\w+ \d", device.probe("litert"))


def test_it_computes_what_the_original_does(device, job):
    session = device.open(job)
    found = session.verify()["logits"]
    session.close()
    np.testing.assert_allclose(found, tiny.forward(tiny.images()), atol=1e-4)


def test_it_measures_what_a_record_holds(device, artifacts):
    collector = Collector()
    effort = Effort(max_seconds=0.3, processes=1)
    run_matrix(plan(select(artifacts, []), describe([device]), Choice(), effort), collector)
    record = collector.records["tiny"]
    assert record.failure is None
    assert record.proof.verified is True
    missing = [name for name in MEASURED if not getattr(record, name)]
    assert missing == (["usage"] if record.device.counts else [])
    assert min(ns for samples in record.rounds for ns in samples) > 0
    assert msgspec.json.decode(msgspec.json.encode(record), type=Record) == record


def test_workers_are_open_side_by_side(device, job):
    one, other = device.open(job), device.open(job)
    assert len(one.measure(3)) == len(other.measure(4)) - 1 == 3
    one.close()
    assert len(other.measure(2)) == 2
    other.close()
    other.close()


def test_what_it_lacks_is_one_line(device, artifact):
    with pytest.raises(WorkerError) as caught:
        device.open(Job(artifact=artifact, runtime="nosuch"))
    assert "\n" not in str(caught.value)
    assert "nosuch" in caught.value.detail


def test_a_damaged_file_is_refused_in_one_line(device, artifact, tmp_path):
    copy = tmp_path / "damaged"
    copy.mkdir()
    for file in artifact.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    (copy / "model.tflite").write_bytes(b"cut")
    with pytest.raises(WorkerError) as caught:
        device.open(Job(artifact=copy, runtime=device.runtimes("tflite")[0]))
    assert (caught.value.stage, caught.value.cause) == ("load", "error")
    assert "\n" not in str(caught.value)


# Runs the worker under a clock of the day that jumps to and fro at every look.
JUMPING = """
import itertools, runpy, sys, time
jumps = itertools.cycle([0.0, 2e9, 1e9])
time.time = lambda: next(jumps)
time.time_ns = lambda: int(1e9 * next(jumps))
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_a_clock_that_is_set_meanwhile_changes_no_sample(job, artifact, tmp_path):
    python = tmp_path / "python"
    (tmp_path / "jumping.py").write_text(JUMPING)
    python.write_text(f'#!/bin/sh\nshift\nexec {sys.executable} -u {tmp_path}/jumping.py "$@"\n')
    python.chmod(0o755)
    session = LocalDevice("contract", python=str(python)).open(
        Job(artifact=artifact, runtime="litert")
    )
    samples = session.measure(50)
    session.close()
    assert all(0 < ns < 10**9 for ns in samples)

"""An emulated ARM board without any runtime: what is sent to it, and what may happen to it."""

import json
import os
import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from bench.record_file import read
from devices.device import Job, TransportError, WorkerError
from devices.remote import RemoteDevice
from devices.ssh import SshTransport
from devices.wheels import Wheels
from tests.devices.conftest import expect_the_logits
from tests.hosts.host import MEMORY
from tests.tiny import tiny_onnx, tiny_tflite

pytestmark = [pytest.mark.hosts, pytest.mark.slow]
WORKERS = "/devices/worker.py"


@pytest.fixture
def device(board):
    """The board, given up after nine seconds without a sign of life."""
    transport = SshTransport("board", config=str(board.ssh_config), alive_s=3)
    runtimes = Wheels(("python3",))
    made = RemoteDevice("arm", "ssh", transport, ".cache/edgeworthy", runtimes, lease_s=15)
    yield made
    made.close()


@pytest.fixture
def here(board, tmp_path):
    """A directory in which the device `arm` is the board."""
    entry = f'[devices.arm]\nkind = "ssh"\nhost = "board"\nconfig = "{board.ssh_config}"\n'
    (tmp_path / "devices.toml").write_text(entry)
    return tmp_path


def workers(board):
    return [line for line in board.processes().values() if WORKERS in line]


def until(happened, what, seconds=90):
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, what
        time.sleep(0.1)


def test_it_is_an_emulated_arm_and_says_so(device):
    info = device.info()
    assert info.emulated
    assert info.facts["processor"].endswith("x Cortex-A72")
    assert (info.facts["architecture"], info.facts["emulator"]) == ("aarch64", "qemu-user")


@pytest.mark.parametrize(("format", "runtime"), [("tflite", "litert"), ("onnx", "onnxruntime")])
def test_the_runtimes_that_are_sent_compute_right(device, tmp_path, format, runtime):
    artifact = {"tflite": tiny_tflite, "onnx": tiny_onnx}[format](tmp_path)
    assert device.runtimes(format) == [runtime]
    session = device.open(Job(artifact=artifact, runtime=runtime))
    try:
        expect_the_logits(session)
        assert session.ready.environment["machine"] == "aarch64"
        assert len(session.measure(2)) == 2
    finally:
        session.close()


def test_networks_in_floats_and_in_integers_are_proved_there(cli, trained, here):
    chosen = ("--artifact", "mobilenet*/tflite-fp32", "--artifact", "mobilenet*/tflite-int8")
    quick = ("--max-seconds", "1", "--precision-target", "50%", "--processes", "1")
    where = ("--artifacts-dir", trained, "--device", "arm")
    done = cli("bench", "run", *where, *chosen, *quick, cwd=here)
    assert done.returncode == 3, done.stderr  # emulated times count for nothing
    found = list(read(here / "results" / "records.jsonl"))
    assert {r.manifest.precision for r in found} == {"fp32", "int8"}
    for record in found:
        assert record.failure is None
        assert record.proof.verified
        assert record.device.emulated


def test_a_reboot_is_the_transports_fault_and_it_is_measured_again(board, device, tmp_path):
    job = Job(artifact=tiny_onnx(tmp_path), runtime="onnxruntime", timeout_s=90)
    session = device.open(job)
    with ThreadPoolExecutor(1) as beside:
        measured = beside.submit(session.measure, 10**8)
        time.sleep(1)
        board.reboot()
        with pytest.raises(WorkerError) as caught:
            measured.result()
    assert (caught.value.stage, caught.value.cause) == ("measure", "transport")
    assert workers(board) == []
    again = device.open(job)
    expect_the_logits(again)
    again.close()


def test_a_cable_that_is_pulled_leaves_no_worker_once_its_lease_is_over(board, device, tmp_path):
    session = device.open(Job(artifact=tiny_onnx(tmp_path), runtime="onnxruntime"))
    board.link.stop()
    with pytest.raises(WorkerError) as caught:
        session.measure(1)
    assert caught.value.cause == "transport"
    until(lambda: not workers(board), "a worker outlived its lease")
    with pytest.raises(TransportError, match="did not finish within 2 s"):
        device.transport.run("true", 2)
    board.link.resume()


def test_a_full_disk_costs_one_line_and_leaves_no_half_file(board, device, tmp_path):
    artifact = tiny_onnx(tmp_path)
    with board.small_disk("/home/pi", 4_000_000):
        with pytest.raises(WorkerError) as caught:
            device.open(Job(artifact=artifact, runtime="onnxruntime"))
        assert "No space left on device; make room" in caught.value.detail
        assert "\n" not in caught.value.detail
        assert device.transport.run("find . -name '*.part*'").out == ""


@pytest.mark.skipif(not os.access(MEMORY, os.W_OK), reason="needs control groups of version 1")
def test_memory_that_runs_out_there_ends_one_measurement_only(cli, board, device, here):
    tiny_onnx(here / "artifacts")
    quick = ("--max-seconds", "0.2", "--precision-target", "50%", "--processes", "1")
    with board.little_memory(600_000_000):
        done = cli("bench", "run", "--device", "arm", "--batch", f"4,{10**6}", *quick, cwd=here)
        assert workers(board) == []
    assert done.returncode == 3
    small, big = read(here / "results" / "records.jsonl")
    assert small.failure is None
    assert small.proof.verified
    assert big.failure.cause == "out-of-memory"
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("[2/2]")]
    assert "was killed by SIGKILL; the kernel counts an out-of-memory kill" in line
    assert device.transport.run("find . -name '*.part*'").out == ""


def test_a_cache_that_was_cleared_is_sent_anew_within_one_process(board, device, tmp_path):
    job = Job(artifact=tiny_onnx(tmp_path), runtime="onnxruntime")
    device.open(job).close()
    device.transport.run(f"rm -rf {device.store.root} /tmp/*")
    session = device.open(job)
    expect_the_logits(session)
    session.close()


def test_what_an_old_cache_has_lost_is_noticed_by_a_check(cli, board, device, here):
    device.probe("onnxruntime")
    wheels = f"{device.store.root}/packages"
    device.transport.run(f"find {wheels} -name 'multiarray.py' -delete")
    done = cli("devices", "check", "arm", "--json", cwd=here)
    assert done.returncode == 0, done.stdout
    assert device.transport.run(f"find {wheels} -name 'multiarray.py' | wc -l").out.strip() != "0"


def test_what_is_sent_over_a_slow_link_is_told(cli, board, device, here):
    device.transport.run(f"rm -rf {device.store.root}")
    board.link.use("4g")
    done = cli("devices", "check", "arm", cwd=here)
    assert done.returncode == 0, done.stdout
    told = [line for line in done.stderr.splitlines() if line.startswith("sending ")]
    assert [re.sub(r"[0-9.]+", "N", line) for line in told] == [
        f"sending {name} N (N MB) to board" for name in ("ai_edge_litert", "numpy", "onnxruntime")
    ]
    again = cli("devices", "check", "arm", cwd=here)
    assert again.stderr == ""


def test_a_slow_link_takes_longer_and_changes_no_time_that_was_measured(board, device, tmp_path):
    artifact = tiny_onnx(tmp_path)
    device.probe("onnxruntime")
    board.link.use("3g")
    session = device.open(Job(artifact=artifact, runtime="onnxruntime"))
    try:
        expect_the_logits(session)
        begin = time.perf_counter_ns()
        samples = session.measure(1)
        assert samples[0] < time.perf_counter_ns() - begin - 100_000_000
    finally:
        session.close()


def test_a_check_goes_through_every_step(cli, here):
    done = cli("devices", "check", "arm", "--json", cwd=here)
    assert done.returncode == 0, done.stdout + done.stderr
    steps = {step["what"]: step["ok"] for step in json.loads(done.stdout)}
    assert all(steps[what] for what in ("connection", "cache", "litert", "onnxruntime"))

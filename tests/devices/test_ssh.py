"""A board over SSH: a real OpenSSH server on this machine, and what may go wrong with it."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from devices.device import DeviceError, Job, TransportError, UnauthorisedError, WorkerError
from devices.local import LocalDevice
from devices.remote import OwnRuntimes, RemoteDevice
from devices.ssh import Settings, SshTransport, make, steps
from tests import tiny
from tests.devices.conftest import expect_the_logits
from tests.sshd import board as running_board
from tests.sshd import free_port, needs_sshd, with_signal

ROOT = Path(__file__).parents[2]
pytestmark = needs_sshd


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    with running_board(tmp_path_factory.mktemp("sshd")) as running:
        yield running


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def device(board, cache):
    """The board, with the runtimes of this environment."""
    with opened(board, cache) as made:
        yield made


@contextmanager
def opened(board, cache, **settings):
    transport = SshTransport("board", config=str(board.config), alive_s=1)
    runtimes = OwnRuntimes((sys.executable,))
    made = RemoteDevice("pi", "ssh", transport, str(cache), runtimes, **settings)
    try:
        yield made
    finally:
        made.close()


@contextmanager
def session(device, artifact, runtime="onnxruntime", **settings):
    made = device.open(Job(artifact=artifact, runtime=runtime, **settings))
    try:
        yield made
    finally:
        made.close()


def until(happened, what):
    end = time.monotonic() + 30
    while not happened():
        assert time.monotonic() < end, what
        time.sleep(0.05)


def test_it_is_what_it_says_of_itself(device):
    here, there = LocalDevice().info(), device.info()
    assert (there.name, there.kind, there.emulated) == ("pi", "ssh", False)
    assert there.facts == here.facts
    assert there.fingerprint == here.fingerprint


def test_cores_it_is_bound_to_are_among_its_facts(board, cache, onnx):
    core = min(os.sched_getaffinity(0))
    with opened(board, cache, cpus=[core]) as bound:
        assert bound.info().facts["cpus"] == str(core)
        with session(bound, onnx) as loaded:
            assert len(loaded.measure(3)) == 3
            (worker,) = [w for w in board.workers(cache) if "--cpus" in w.cmdline()][1:]
            assert worker.cpu_affinity() == [core]


@pytest.mark.parametrize(("format", "runtime"), [("onnx", "onnxruntime"), ("tflite", "litert")])
def test_what_it_computes_is_right(device, onnx, tflite, format, runtime):
    assert device.runtimes(format) == [runtime]
    assert device.references(format) == []
    assert device.probe(runtime)
    with session(device, {"onnx": onnx, "tflite": tflite}[format], runtime) as loaded:
        expect_the_logits(loaded)
        assert loaded.ready.runtime == runtime
        assert 0 < loaded.ready.start_ns < 60e9
        assert len(loaded.measure(5)) == 5
        assert loaded.memory().after_run


def test_images_are_sent_to_be_classified(device, onnx, tmp_path):
    np.save(tmp_path / "images.npy", tiny.images())
    with session(device, onnx) as loaded:
        best = tiny.forward(tiny.images()).argmax(axis=1)
        assert [row[0] for row in loaded.predict(tmp_path / "images.npy")] == best.tolist()


def test_an_artifact_is_sent_once_and_mended_where_it_was_damaged(board, device, cache, onnx):
    with session(device, onnx):
        pass
    (sent,) = (cache / "artifacts").iterdir()
    model = sent / "model.onnx"
    before = model.stat()
    with opened(board, cache) as again, session(again, onnx):
        assert model.stat().st_ino == before.st_ino
    model.write_bytes(b"cut short")
    with opened(board, cache) as again, session(again, onnx) as loaded:
        expect_the_logits(loaded)
    assert model.stat().st_size == before.st_size
    assert [p.name for p in cache.rglob("*.part*")] == []


def trouble(transport):
    with pytest.raises(DeviceError) as caught:
        transport.run("true", 20)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(transport.address)
    return caught.value


def test_an_unknown_host_key_is_not_accepted(board):
    config = board.write_config("unknown", UserKnownHostsFile="/dev/null")
    error = trouble(SshTransport("board", config=str(config)))
    assert isinstance(error, UnauthorisedError)
    assert "its host key is not known here: connect once with 'ssh -F " in str(error)


def test_a_changed_host_key_is_named(board):
    known = board.know(board.place / "other.pub", "others")
    config = board.write_config("changed", UserKnownHostsFile=known)
    error = trouble(SshTransport("board", config=str(config)))
    assert isinstance(error, UnauthorisedError)
    assert "its host key is not the one known here" in str(error)
    assert re.search(r"remove the old key \(line 1 of .*/\w+\)", str(error))


def test_a_key_that_it_does_not_know_is_named(board):
    config = board.write_config("denied", IdentityFile=board.place / "other")
    error = trouble(SshTransport("board", config=str(config)))
    assert isinstance(error, UnauthorisedError)
    assert re.search(r"'ssh -F \S+ board' must work without a password", str(error))


@pytest.mark.parametrize(
    ("host", "told"),
    [("127.0.0.1", "no SSH server answers"), ("no-such-board.invalid", "there is no such name")],
)
def test_a_machine_that_cannot_be_reached_says_why(host, told):
    error = trouble(SshTransport(host, port=free_port()))
    assert isinstance(error, TransportError)
    assert told in str(error)


def test_a_machine_that_takes_the_call_and_says_nothing_is_given_up():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        transport = SshTransport("127.0.0.1", port=silent.getsockname()[1])
        with pytest.raises(TransportError, match="did not finish within 1 s"):
            transport.run("true", 1)


def test_a_host_is_never_taken_for_an_option():
    import msgspec

    with pytest.raises(msgspec.ValidationError, match="host"):
        msgspec.convert({"host": "-oProxyCommand=touch /x"}, Settings)


def test_words_for_the_shell_arrive_as_they_are(board):
    text = """it's "$HOME" `id` \\ * ;\n & end"""
    transport = SshTransport("board", config=str(board.config))
    import shlex

    assert transport.run(f"printf %s {shlex.quote(text)}").out == text
    assert transport.run("echo gone >&2; exit 7")[::2] == (7, "gone\n")


@pytest.mark.parametrize(
    ("python", "told"),
    [
        ("/opt/none/python3", "there is no /opt/none/python3; install Python 3.9 or newer there"),
        ("false", "false does not work there: exit code 1"),
        ("echo", "echo is no Python there: it answered '-c import sys"),
    ],
)
def test_a_python_that_is_not_there_is_named(board, cache, python, told):
    settings = Settings(host="board", config=str(board.config), python=python, cache=str(cache))
    with pytest.raises(DeviceError, match=f"device 'pi': {told}"):
        make("pi", settings).info()


def test_an_old_python_is_refused(board, cache, tmp_path):
    old = tmp_path / "python3.8"
    pretence = "import sys; sys.version_info = (3, 8, 10); sys.argv.pop(1); exec(sys.argv.pop(1))"
    old.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{pretence}" "$@"\n')
    old.chmod(0o755)
    settings = Settings(host="board", config=str(board.config), python=str(old), cache=str(cache))
    with pytest.raises(DeviceError, match=r"python3.8 there is older than 3.9; install a newer"):
        make("pi", settings).info()


def test_a_worker_that_is_killed_there_is_told_by_its_signal(board, device, cache, onnx):
    with session(device, onnx) as loaded:
        for worker in board.workers(cache):
            with_signal(worker, signal.SIGKILL)
        with pytest.raises(WorkerError, match="the worker was killed by SIGKILL") as caught:
            loaded.measure(1)
        assert caught.value.cause == "died"
    with session(device, onnx) as loaded:
        expect_the_logits(loaded)


MEMORY = Path("/sys/fs/cgroup/memory")


@pytest.mark.skipif(not os.access(MEMORY, os.W_OK), reason="limiting memory needs root, cgroup 1")
def test_memory_that_runs_out_there_is_told(board, device, cache, onnx):
    limit = MEMORY / f"edgeworthy-{os.getpid()}"
    with session(device, onnx) as loaded:
        limit.mkdir()
        (limit / "memory.limit_in_bytes").write_text("20000000")
        for worker in board.workers(cache):
            (limit / "cgroup.procs").write_text(str(worker.pid))
        with pytest.raises(WorkerError) as caught:
            loaded.streams(1000)
        assert caught.value.cause == "out-of-memory"
        assert "the kernel counts an out-of-memory kill" in caught.value.detail
    device.close()
    until(lambda: not (limit / "cgroup.procs").read_text(), "a worker is left")
    limit.rmdir()


def test_a_connection_that_is_cut_is_the_transports_fault(board, device, onnx):
    with session(device, onnx) as loaded:
        for server in board.servers():
            with_signal(server, signal.SIGKILL)
        with pytest.raises(WorkerError) as caught:
            loaded.measure(1)
        assert (caught.value.stage, caught.value.cause) == ("measure", "transport")
    with session(device, onnx) as loaded:
        expect_the_logits(loaded)


def test_a_link_that_is_dead_ends_the_request_and_later_the_worker(board, device, cache, onnx):
    with session(device, onnx, timeout_s=20) as loaded:
        servers = board.servers()
        for server in servers:
            with_signal(server, signal.SIGSTOP)
        try:
            with pytest.raises(WorkerError) as caught:
                loaded.measure(1)
            assert caught.value.cause in ("transport", "hung")
        finally:
            for server in servers:
                with_signal(server, signal.SIGCONT)
    device.close()
    until(lambda: not board.workers(cache), "a worker outlived its connection")


HOST = """
import sys
from pathlib import Path
from devices.device import Job
from devices.remote import OwnRuntimes, RemoteDevice
from devices.ssh import SshTransport

artifact, config, cache, runs = sys.argv[1:]
transport = SshTransport("board", config=config)
device = RemoteDevice("pi", "ssh", transport, cache, OwnRuntimes((sys.executable,)))
session = device.open(Job(artifact=Path(artifact), runtime="onnxruntime", threads=1))
print("loaded", flush=True)
session.measure(int(runs))
sys.stdin.read()
"""


@contextmanager
def host(board, artifact, cache, runs):
    """Another process that has the board."""
    arguments = [artifact, board.config, cache, runs]
    with subprocess.Popen(
        [sys.executable, "-c", HOST, *map(str, arguments)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout.readline() == b"loaded\n"
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("runs", [10**8, 1], ids=["busy", "idle"])
def test_nothing_is_left_there_when_the_host_is_killed(board, cache, onnx, runs):
    with host(board, onnx, cache, runs) as process:
        assert len(board.workers(cache)) == 2
        process.kill()
    until(lambda: not board.workers(cache), "a worker outlived its host")


def test_the_worker_ends_when_no_sign_of_its_host_comes_any_more(board, cache, onnx):
    with opened(board, cache, lease_s=2) as device, session(device, onnx) as loaded:
        time.sleep(4)
        assert len(loaded.measure(1)) == 1  # as long as there are signs it lives on
        device.transport.run("true")
        loaded._child._closed.set()
        device._keeper._closed.set()
        until(lambda: not board.workers(cache), "a worker outlived its lease")


def test_a_second_host_is_told_who_measures(board, device, cache, onnx, tmp_path):
    with host(board, onnx, tmp_path / "theirs", 1) as other:
        with pytest.raises(WorkerError) as caught:
            device.open(Job(artifact=onnx, runtime="onnxruntime"))
        assert caught.value.cause == "busy"
        assert f"(process {other.pid}) is measuring on it" in caught.value.detail
    until(lambda: not board.workers(tmp_path / "theirs"), "its workers are left")
    with session(device, onnx) as loaded:
        expect_the_logits(loaded)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_full_disk_there_costs_one_line_and_leaves_no_half_file(board, cache, onnx):
    cache.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=80k", "tmpfs", cache], check=True)
    try:
        with opened(board, cache) as device:
            (cache / "fill").write_bytes(bytes(70_000))
            with pytest.raises(WorkerError) as caught:
                device.open(Job(artifact=onnx, runtime="onnxruntime"))
            assert "No space left on device; make room" in caught.value.detail
            assert "\n" not in caught.value.detail
            assert list(cache.rglob("*.part*")) == []
            (cache / "fill").unlink()
    finally:
        subprocess.run(["umount", cache], check=True)


def test_a_check_tells_the_size_of_what_was_sent(device, onnx):
    with session(device, onnx):
        pass
    told = {step.what: step for step in steps(device)}
    assert all(step.ok for step in told.values())
    assert "board lets this host in" in told["connection"].detail
    assert re.search(r"clear it with: ssh -F \S+ board rm -r", told["cache"].detail)

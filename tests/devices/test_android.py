"""A phone behind Android's own adbd: what it measures, and what may happen to it meanwhile."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from bench.record_file import read
from devices import android
from devices.android import CACHE, AndroidDevice, Settings
from devices.device import DeviceError, Job, TransportError, UnauthorisedError, WorkerError
from devices.remote import RemoteSession
from tests.conftest import ROOT, Cli
from tests.devices.conftest import expect_the_logits
from tests.hosts.phone import Phone
from tests.hosts.system_files import TENSOR
from tests.hosts.system_files import cores as emulated_cores
from tests.test_docs import blocks
from tests.tiny import tiny_tflite

pytestmark = [pytest.mark.hosts, pytest.mark.slow]
PAGE = ROOT / "docs" / "phones.md"
MANY = 10**7  # invocations: hours
WORKER = rf"^{CACHE}/bundles/.*/devices/worker\.py"


@pytest.fixture
def device(phone: Phone) -> Iterator[AndroidDevice]:
    made = AndroidDevice("pixel", Settings(address=phone.serial))
    yield made
    made.close()


@pytest.fixture
def session(device: AndroidDevice, tflite: Path) -> Iterator[RemoteSession]:
    opened = device.open(Job(artifact=tflite, runtime="litert", timeout_s=60))
    yield opened
    opened.close()


def workers(phone: Phone) -> list[str]:
    return [line for line in phone.processes().values() if re.search(WORKER, line)]


def until(happened: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.05)


class Running:
    """A measurement that will not end by itself, from another thread."""

    def __init__(self, session: RemoteSession) -> None:
        self._pool = ThreadPoolExecutor()
        self._future: Future[list[int]] = self._pool.submit(session.measure, MANY)
        time.sleep(0.3)
        assert not self._future.done()

    def error(self) -> WorkerError:
        """Return what it ends with."""
        with self._pool, pytest.raises(WorkerError) as caught:
            self._future.result()
        assert "\n" not in str(caught.value)
        return caught.value


def test_a_phone_is_described_before_anything_is_sent_there(phone: Phone) -> None:
    with phone.small_disk("/data/local/tmp", 1_000_000):
        device = AndroidDevice("pixel", Settings(address=phone.serial))
        info = device.info()
        assert device.runtimes("tflite") == ["litert"]
        assert device.runtimes("coreml") == []
        assert device.transport.run("ls /data/local/tmp").out == ""
    assert info.emulated
    assert info.facts["model"] == "Pixel 6 Pro (emulated)"
    assert "Cortex-A76" in info.facts["processor"]
    assert not {"battery", "thermal", "screen"} & {*info.facts}  # it has no dumpsys


def test_the_worker_on_a_phone_computes_right(session: RemoteSession) -> None:
    expect_the_logits(session)
    assert session.ready.environment["machine"] == "aarch64"
    assert len(session.measure(3)) == 3


def test_it_runs_on_the_big_cores_if_so_wished(phone: Phone, tflite: Path) -> None:
    fastest = max(core.capacity for core in emulated_cores(TENSOR))
    big = [n for n, core in enumerate(emulated_cores(TENSOR)) if core.capacity == fastest]
    device = AndroidDevice("pixel", Settings(address=phone.serial, cores="big"))
    assert device.info().facts["cpus"] == ",".join(map(str, big))
    session = device.open(Job(artifact=tflite, runtime="litert"))
    pids = [pid for pid, line in phone.processes().items() if re.search(WORKER, line)]
    assert {tuple(os.sched_getaffinity(pid)) for pid in pids} == {tuple(big)}
    session.close()
    device.close()


def test_every_phone_is_found_with_its_state(phone: Phone) -> None:
    phone.adb("connect", phone.serial)
    (found,) = android.discover()
    assert (found.state, found.reason) == ("ready", "")
    assert found.device is not None
    assert found.device.info().facts["product"] == "raven_emulated"


def test_a_phone_that_was_not_unlocked_is_listed_with_what_to_tap(cli: Cli, phone: Phone) -> None:
    phone.adb("disconnect")
    phone.revoke()
    phone.adb("connect", phone.serial)
    until(lambda: "unauthorized" in phone.adb("devices").stdout)
    (found,) = android.discover()
    assert (found.state, found.device) == ("unauthorised", None)
    listing = cli("devices", "list")
    assert "unauthorised" in listing.stdout
    assert "tap 'Allow'" in listing.stdout + listing.stderr
    phone.adb("disconnect")
    with pytest.raises(UnauthorisedError):
        AndroidDevice("pixel", Settings(address=phone.serial)).info()


def test_a_worker_that_is_killed_ends_one_measurement_only(
    phone: Phone, device: AndroidDevice, session: RemoteSession, tflite: Path
) -> None:
    running = Running(session)
    phone.kill(WORKER)
    error = running.error()
    assert (error.stage, error.cause) == ("measure", "died")
    assert "SIGKILL" in error.detail
    again = device.open(Job(artifact=tflite, runtime="litert"))
    expect_the_logits(again)
    again.close()


@pytest.mark.parametrize("happening", ["reboot", "adbd killed"])
def test_a_phone_that_goes_away_is_the_transports_fault(
    phone: Phone, device: AndroidDevice, session: RemoteSession, tflite: Path, happening: str
) -> None:
    running = Running(session)
    phone.reboot() if happening == "reboot" else phone.kill("adbd")
    assert running.error().cause == "transport"
    until(lambda: not workers(phone))
    back = device.open(Job(artifact=tflite, runtime="litert"))
    expect_the_logits(back)
    back.close()


def test_a_link_that_is_cut_ends_in_time_and_leaves_nothing_running(
    phone: Phone, device: AndroidDevice, tflite: Path
) -> None:
    session = device.open(Job(artifact=tflite, runtime="litert", timeout_s=20))
    session._timeout_s = 3  # starting takes longer than that under emulation
    running = Running(session)
    phone.link.stop()
    assert running.error().cause == "transport"
    device.close()
    with pytest.raises(TransportError):
        device.transport.run("true", timeout_s=1)
    phone.link.resume()
    until(lambda: not workers(phone))


HOST = """
import sys, threading
from devices.android import AndroidDevice, Settings
from devices.device import Job
from pathlib import Path
device = AndroidDevice("pixel", Settings(address=sys.argv[1]))
session = device.open(Job(artifact=Path(sys.argv[2]), runtime="litert"))
print("open", flush=True)
session.measure(10**7)
"""


@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGINT])
def test_a_host_that_ends_leaves_nothing_running(
    phone: Phone, tflite: Path, kind: signal.Signals
) -> None:
    command = [sys.executable, "-c", HOST, phone.serial, str(tflite)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, cwd=ROOT, **pipes) as host:
        assert host.stdout
        assert host.stdout.readline() == b"open\n"
        assert workers(phone)
        host.send_signal(kind)
        host.wait(timeout=30)
    until(lambda: not workers(phone))


def test_a_bundle_that_was_cleared_is_sent_anew(device: AndroidDevice, tflite: Path) -> None:
    job = Job(artifact=tflite, runtime="litert", timeout_s=60)
    device.open(job).close()
    device.transport.run(f"rm -r {CACHE}")
    session = device.open(job)
    assert isinstance(session, RemoteSession)
    expect_the_logits(session)
    session.close()


def test_a_full_disk_is_named_and_nothing_is_left_on_it(phone: Phone) -> None:
    with phone.small_disk("/data/local/tmp", 30_000_000):
        device = AndroidDevice("pixel", Settings(address=phone.serial))
        with pytest.raises(DeviceError, match="No space left"):
            device.place_python()
        assert device.transport.run(f"du -sk {CACHE} | cut -f1").out.strip() in ("", "0")


def test_networks_are_proved_there_and_said_to_be_emulated(
    cli: Cli, phone: Phone, tflite: Path, tmp_path: Path
) -> None:
    (tmp_path / "devices.toml").write_text(
        f'[devices.test]\nkind = "android"\naddress = "{phone.serial}"\ncores = "big"\n'
    )
    done = cli(
        "bench", "run", "--device", "pixel 6", "--artifact", tflite, "--max-seconds", "0.3",
        "--processes", "1", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 3, done.stderr
    assert "emulated: right answers" in done.stdout


@pytest.mark.docs
def test_the_commands_of_the_page_work(cli: Cli, phone: Phone, tmp_path: Path) -> None:
    phone.adb("connect", phone.serial)
    tiny_tflite(tmp_path / "artifacts", name="lenet5")
    commands = [
        line for block in blocks("sh", PAGE.read_text()) for line in block.splitlines() if line
    ]
    assert len(commands) >= 4
    for command in commands:
        noun, *words = shlex.split(command)
        done = cli(*([noun] if noun == "bench" else []), *words, cwd=tmp_path)
        # 3: what an emulator took is no time
        assert done.returncode == (3 if noun == "bench" else 0), f"{command}\n{done.stderr}"
    (record,) = read(tmp_path / "results/records.jsonl")
    assert record.proof.verified
    assert record.device.emulated

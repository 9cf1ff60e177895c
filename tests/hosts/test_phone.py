"""The emulated phone is a phone: Android's own adbd, a shell, and nothing else."""

import subprocess

import pytest

from tests.hosts.phone import Phone

pytestmark = pytest.mark.hosts


@pytest.fixture(autouse=True)
def connected(phone: Phone) -> None:
    phone.adb("connect", phone.serial)


def shell(phone: Phone, command: str) -> str:
    done = phone.adb("-s", phone.serial, "shell", command)
    return done.stdout.strip()


def test_adb_tells_what_it_is(phone: Phone) -> None:
    line = next(x for x in phone.adb("devices", "-l").stdout.splitlines() if phone.serial in x)
    assert line.split()[1] == "device"
    assert "model:Pixel_6_Pro" in line


def test_its_user_is_shell_on_an_arm(phone: Phone) -> None:
    assert shell(phone, "id -u; uname -m").split() == ["2000", "aarch64"]
    assert shell(phone, "getprop ro.product.device") == "raven"
    assert "[ro.build.version.sdk]: [34]" in shell(phone, "getprop")


def test_nothing_is_there_that_a_program_could_lean_on(phone: Phone) -> None:
    """Not Debian's loader, nor a library where another loader looks."""
    assert shell(phone, "ls /lib /usr /lib64 2>&1; ls /system/lib64 | grep -c libc.so.6")
    missing = shell(phone, "ls /lib/ld-linux-aarch64.so.1 2>&1")
    assert "No such file" in missing
    for absent in ("dumpsys", "pm", "logcat", "python3"):
        assert "not found" in shell(phone, f"{absent} 2>&1")


def test_exit_codes_and_both_outputs_arrive(phone: Phone) -> None:
    done = phone.adb("-s", phone.serial, "shell", "echo out; echo err >&2; exit 7")
    assert (done.returncode, done.stdout.strip(), done.stderr.strip()) == (7, "out", "err")


def test_a_shell_that_dies_looks_like_one_that_ended_well(phone: Phone) -> None:
    """adb's worst manner, which `devices.adb` has to handle, is there in the test host."""
    command = ["adb", "-s", phone.serial, "shell", "echo begun; sleep 100"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as running:
        assert running.stdout
        assert running.stdout.readline().strip() == b"begun"
        phone.reboot()
        assert running.wait(timeout=30) == 0

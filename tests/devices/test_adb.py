"""adb's listing read, and its manners handled on Android's own adbd."""

import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from devices.adb import REMEDIES, AdbTransport, Listed, listed, parse, remedy
from devices.device import ConfigError, DeviceError, TransportError, UnauthorisedError
from tests.hosts.phone import Phone

# As adb 34 and 29 print it; the second is a USB device without udev rules.
LISTING = """* daemon not running; starting now at tcp:5037
* daemon started successfully
List of devices attached
1A051FDEE005QY         device usb:1-2 product:oriole model:Pixel_6 device:oriole transport_id:3
0123456789             no permissions (missing udev rules? user is in the plugdev group); see [http://developer.android.com/tools/device.html] usb:1-4 transport_id:1
emulator-5554          offline transport_id:2
192.168.1.7:5555       unauthorized transport_id:9
(no serial number)     recovery usb:1-3

"""  # noqa: E501


def test_every_device_is_listed_in_whatever_state() -> None:
    assert parse(LISTING) == [
        Listed("1A051FDEE005QY", "device", "Pixel_6", "oriole"),
        Listed("0123456789", "no permissions", "", ""),
        Listed("emulator-5554", "offline", "", ""),
        Listed("192.168.1.7:5555", "unauthorized", "", ""),
        Listed("(no serial number)", "recovery", "", ""),
    ]


@pytest.mark.parametrize("state", [*REMEDIES, "recovery", "sideload", "bootloader"])
def test_every_state_has_a_remedy_of_one_line(state: str) -> None:
    why = remedy("serial", state)
    assert "\n" not in why.text
    assert len(why.text) > 40
    assert issubclass(why.error, DeviceError)


def test_without_adb_the_message_says_how_to_get_it() -> None:
    with pytest.raises(DeviceError, match="apt install adb"):
        listed("adb-that-is-not-here")


@pytest.fixture
def transport(phone: Phone) -> AdbTransport:
    return AdbTransport(network=phone.serial)


@pytest.fixture
def scratch(transport: AdbTransport) -> Iterator[str]:
    yield "/data/local/tmp/a directory"
    transport.run("rm -rf '/data/local/tmp/a directory'")


@pytest.mark.hosts
class TestOnAPhone:
    def test_a_command_tells_its_code_and_both_outputs(self, transport: AdbTransport) -> None:
        ran = transport.run("echo out; printf 'no newline'; echo err >&2; exit 3")
        assert (ran.code, ran.out, ran.err.strip()) == (3, "out\nno newline", "err")

    def test_standard_input_reaches_a_program_there(self, transport: AdbTransport) -> None:
        done = subprocess.run(
            transport.argv("cat; echo $?"), input=b"\x00line\xff\n", capture_output=True, check=True
        )
        assert done.stdout == b"\x00line\xff\n0\n"

    def test_a_phone_in_the_network_is_connected_to(
        self, phone: Phone, transport: AdbTransport
    ) -> None:
        phone.adb("disconnect")
        assert transport.state() == "absent"
        assert transport.run("id -u").out.strip() == "2000"
        assert [one.model for one in listed()] == ["Pixel_6_Pro__emulated_"]

    def test_the_only_phone_need_not_be_named(self, phone: Phone, transport: AdbTransport) -> None:
        transport.connect()
        assert AdbTransport().serial == phone.serial

    def test_no_phone_at_all_says_what_to_do(self, phone: Phone) -> None:
        phone.adb("disconnect")
        with pytest.raises(TransportError, match="USB debugging"):
            AdbTransport().run("true")

    def test_several_phones_have_to_be_named(
        self, phone: Phone, transport: AdbTransport, tmp_path: Path
    ) -> None:
        transport.connect()
        second = Phone(tmp_path)
        second.start()
        try:
            phone.adb("connect", second.serial)
            with pytest.raises(ConfigError, match="serial = "):
                AdbTransport().run("true")
        finally:
            phone.adb("disconnect", second.serial)
            second.remove()

    def test_files_arrive_whole(
        self, transport: AdbTransport, scratch: str, tmp_path: Path
    ) -> None:
        first, second = tmp_path / "first file", tmp_path / "second"
        first.write_bytes(bytes(range(256)) * 5000)
        second.write_bytes(b"")
        transport.put({f"{scratch}/a/it's": first, f"{scratch}/b": second})
        found = transport.run(f"cd '{scratch}' && wc -c < \"a/it's\" && ls a b").out.split()
        assert found == ["1280000", "b", "a:", "it's"]

    def test_a_full_disk_is_named_and_keeps_nothing(
        self, phone: Phone, transport: AdbTransport, tmp_path: Path
    ) -> None:
        big = tmp_path / "big"
        big.write_bytes(bytes(3_000_000))
        with phone.small_disk("/data/local/tmp", 1_000_000):
            with pytest.raises(DeviceError, match=r"No space left.*make room"):
                transport.put({"/data/local/tmp/big": big})
            assert transport.run("ls /data/local/tmp").out == ""

    def test_a_directory_that_is_not_ours_is_named(
        self, transport: AdbTransport, tmp_path: Path
    ) -> None:
        (tmp_path / "file").write_text("text")
        with pytest.raises(DeviceError, match=r"cannot write /system/new there: .*Read-only"):
            transport.put({"/system/new/file": tmp_path / "file"})

    def test_a_phone_that_dies_in_a_command_is_not_taken_for_its_end(
        self, phone: Phone, transport: AdbTransport
    ) -> None:
        transport.connect()
        with ThreadPoolExecutor() as pool:
            running = pool.submit(transport.run, "echo begun > /data/local/tmp/begun; sleep 20")
            while "begun" not in phone.disk("local/tmp"):
                time.sleep(0.01)
            phone.reboot()
            with pytest.raises(TransportError):
                running.result()

    def test_after_a_reboot_it_is_connected_to_anew(
        self, phone: Phone, transport: AdbTransport
    ) -> None:
        transport.connect()
        phone.reboot()
        assert transport.run("echo back").out.strip() == "back"

    def test_adbd_killed_and_started_again_is_connected_to_anew(
        self, phone: Phone, transport: AdbTransport
    ) -> None:
        transport.connect()
        assert phone.kill("adbd") >= 1
        assert transport.run("echo back").out.strip() == "back"

    def test_a_dead_link_ends_in_time_with_what_to_try(
        self, phone: Phone, transport: AdbTransport
    ) -> None:
        transport.connect()
        phone.link.stop()
        with pytest.raises(TransportError, match="did not end within 1 s"):
            transport.run("true", timeout_s=1)

    def test_a_phone_that_does_not_answer_is_named(
        self, phone: Phone, transport: AdbTransport
    ) -> None:
        phone.adb("disconnect")
        phone.link.stop()
        with pytest.raises(TransportError, match=phone.serial):
            transport.run("true")

    def test_a_phone_that_does_not_know_this_computer_says_where_to_tap(
        self, phone: Phone, transport: AdbTransport
    ) -> None:
        phone.adb("disconnect")
        phone.revoke()
        with pytest.raises(UnauthorisedError, match="tap 'Allow'"):
            transport.run("true")
        phone.authorise()
        phone.adb("disconnect")
        assert transport.run("echo let in").out.strip() == "let in"

    def test_a_slow_link_is_only_slow(
        self, phone: Phone, transport: AdbTransport, scratch: str, tmp_path: Path
    ) -> None:
        (tmp_path / "file").write_bytes(bytes(100_000))
        phone.link.use("4g")
        transport.put({f"{scratch}/file": tmp_path / "file"})
        assert transport.run(f"wc -c < '{scratch}/file'").out.strip() == "100000"

"""What an Android phone's shell prints, read."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from devices.device import DeviceError
from devices.phone_facts import COMMANDS, cores, facts
from devices.transport import Ran

# Of a Pixel 6, shortened to what is read and some lines around it.
PIXEL = {
    "properties": """[ro.build.fingerprint]: [google/oriole/oriole:14/UQ1A.240205.002/1:user/keys]
[ro.build.version.release]: [14]
[ro.product.manufacturer]: [Google]
[ro.product.model]: [Pixel 6]
[ro.product.name]: [oriole]
[ro.soc.model]: [GS101]
[sys.boot.reason]: []
""",
    "cpuinfo": "".join(
        f"processor\t: {n}\nCPU implementer\t: 0x41\nCPU part\t: {part}\n\n"
        for n, part in enumerate(["0xd05"] * 4 + ["0xd0b"] * 2 + ["0xd44"] * 2)
    ),
    "kernel": "aarch64\n5.10.189-android13-4-00001-gd8\n",
    "meminfo": "MemTotal:        7831236 kB\nMemFree:          223344 kB\n",
    "cores": "".join(f"/sys/devices/system/cpu/cpu{n}\n" for n in range(8)),
    "governors": "sched_pixel\n" * 8,
    "program": "/system/bin/toybox\n",
    "battery": """Current Battery Service state:
  AC powered: false
  USB powered: true
  Wireless powered: false
  level: 87
  scale: 100
  temperature: 274
""",
    "thermal": "IsStatusOverride: false\nThermal Status: 1\nCached temperatures:\n",
    "power": "Power Manager State:\n  mWakefulness=Asleep\n  mIsPowered=true\n",
}
NOTHING = dict.fromkeys(COMMANDS, "")


def test_a_phone_is_what_its_shell_says() -> None:
    assert facts(PIXEL, None) == {
        "processor": "Pixel 6, GS101, 4 x Cortex-A55 + 2 x Cortex-A76 + 2 x Cortex-X1",
        "architecture": "aarch64",
        "system": "Android",
        "release": "5.10.189-android13-4-00001-gd8",
        "android": "14",
        "build": "google/oriole/oriole:14/UQ1A.240205.002/1:user/keys",
        "model": "Pixel 6",
        "product": "oriole",
        "cores": "8",
        "logical_cores": "8",
        "memory": "7 GiB",
        "cpus": "all",
        "governor": "sched_pixel",
        "power": "mains",
        "battery": "87 %",
        "thermal": "light",
        "screen": "off",
    }


def test_the_cores_that_are_chosen_are_a_fact() -> None:
    assert facts(PIXEL, (6, 7))["cpus"] == "6,7"


def test_without_its_cable_it_runs_on_its_battery() -> None:
    unplugged = PIXEL["battery"].replace("USB powered: true", "USB powered: false")
    assert facts(PIXEL | {"battery": unplugged}, None)["power"] == "battery"


def test_what_is_not_told_is_left_out() -> None:
    assert facts(NOTHING, None) == {"system": "Android", "cpus": "all"}


def test_an_emulator_shows_itself() -> None:
    emulated = facts(PIXEL | {"program": "/usr/bin/qemu-aarch64-static\n"}, None)
    assert emulated["emulator"] == "qemu-user"


class Shell:
    """A transport whose phone has the files that it is given."""

    address = "shell"

    def __init__(self, files: Mapping[str, str]) -> None:
        self._files = files

    def run(self, command: str, timeout_s: float = 30.0) -> Ran:
        pattern = command.split()[3]
        lines = [f"{p}:{text}\n" for p, text in self._files.items() if Path(p).match(pattern)]
        return Ran(0 if lines else 2, "".join(lines), "")

    def argv(self, command: str) -> list[str]:
        raise NotImplementedError

    def put(self, files: Mapping[str, Path], timeout_s: float = 600.0) -> None:
        raise NotImplementedError


def told(file: str, values: list[int]) -> Shell:
    return Shell({f"/sys/devices/system/cpu/cpu{n}/{file}": str(v) for n, v in enumerate(values)})


@pytest.mark.parametrize("file", ["cpu_capacity", "cpufreq/cpuinfo_max_freq"])
def test_big_cores_are_the_fastest_and_little_ones_the_slowest(file: str) -> None:
    phone = told(file, [160] * 4 + [498] * 2 + [1024] * 2)
    assert cores("big", phone) == (6, 7)
    assert cores("little", phone) == (0, 1, 2, 3)


def test_where_cores_are_alike_all_are_big() -> None:
    assert cores("big", told("cpu_capacity", [1024] * 4)) == (0, 1, 2, 3)


def test_a_phone_that_does_not_tell_asks_for_their_numbers() -> None:
    with pytest.raises(DeviceError, match=r"cores = \[4, 5, 6, 7\]"):
        cores("little", Shell({}))

"""What an Android phone is, by what its own shell tells: nothing is sent there for that."""

import re
from collections.abc import Sequence
from typing import Literal

from devices.device import DeviceError
from devices.facts import arm_cores
from devices.transport import Transport

SPLIT = "::edgeworthy::next"
CPUS = "/sys/devices/system/cpu/cpu[0-9]*"
COMMANDS = {
    "properties": "getprop",
    "cpuinfo": "cat /proc/cpuinfo",
    "kernel": "uname -m; uname -r",
    "meminfo": "cat /proc/meminfo",
    "cores": f"ls -d {CPUS}",
    "governors": f"cat {CPUS}/cpufreq/scaling_governor",
    "program": "readlink /proc/thread-self/exe",  # qemu-user shows itself here
    "battery": "dumpsys battery",
    "thermal": "dumpsys thermalservice",
    "power": "dumpsys power",
}
# dumpsys thermalservice's numbers: ThrottlingSeverity of Android's thermal HAL.
THERMAL = ("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")
# What cores differ in, the better told first: the kernel's own capacity, or the highest clock.
SPEEDS = ("cpu_capacity", "cpufreq/cpuinfo_max_freq")


def survey(transport: Transport, cpus: Sequence[int] | None) -> dict[str, str]:
    """Return what a phone tells of itself, by `devices.facts`' names and some of its own.

    Raises:
        DeviceError: it cannot be reached, or not be used.
    """
    script = f"; echo {SPLIT}; ".join(f"{{ {c}; }} 2>/dev/null" for c in COMMANDS.values())
    said = transport.run(script).out.split(SPLIT)
    return facts(dict(zip(COMMANDS, said, strict=True)), cpus)


def facts(said: dict[str, str], cpus: Sequence[int] | None) -> dict[str, str]:
    """Return facts from what `COMMANDS` printed, each empty where there is no such command.

    `battery` is its charge, `thermal` how far the system throttles for heat, `screen` on or off:
    what they were when the phone was asked.
    """
    own = dict(re.findall(r"^\[(.+?)\]: \[(.*)\]\r?$", said["properties"], re.MULTILINE))
    model = own.get("ro.product.model", "")
    chip = own.get("ro.soc.model", "")
    machine, release = [*said["kernel"].split(), "", ""][:2]
    count = str(len(said["cores"].split()) or "")
    found = {
        "processor": ", ".join(filter(None, (model, chip, arm_cores(said["cpuinfo"])))),
        "architecture": machine,
        "system": "Android",
        "release": release,
        "android": own.get("ro.build.version.release", ""),
        "build": own.get("ro.build.fingerprint", ""),
        "model": model,
        "product": own.get("ro.product.name", ""),
        "cores": count,
        "logical_cores": count,
        "memory": _gibibytes(said["meminfo"]),
        "cpus": ",".join(map(str, cpus)) if cpus else "all",
        "governor": ", ".join(sorted({*said["governors"].split()})),
        "emulator": "qemu-user" if "/qemu-" in said["program"] else "",
        **_condition(said),
    }
    return {name: text for name, text in found.items() if text}


def _gibibytes(meminfo: str) -> str:
    kilobytes = _field(r"^MemTotal:\s*(\d+) kB", meminfo)
    return f"{int(kilobytes) / 2**20:.0f} GiB" if kilobytes else ""


def _condition(said: dict[str, str]) -> dict[str, str]:
    """Return what changes from hour to hour, where Android's services tell."""
    level, status = (
        _field(r"^\s*level: (\d+)", said["battery"]),
        _field(r"Thermal Status: (\d+)", said["thermal"]),
    )
    wakefulness = _field(r"mWakefulness=(\w+)", said["power"])
    plugged = re.search(r"^\s*(AC|USB|Wireless|Dock) powered: true", said["battery"], re.MULTILINE)
    return {
        "power": ("mains" if plugged else "battery") if level else "",
        "battery": f"{level} %" if level else "",
        "thermal": THERMAL[min(int(status), len(THERMAL) - 1)] if status else "",
        "screen": ("on" if wakefulness == "Awake" else "off") if wakefulness else "",
    }


def _field(pattern: str, text: str) -> str:
    found = re.search(pattern, text, re.MULTILINE)
    return found[1] if found else ""


def cores(wanted: Literal["big", "little"], transport: Transport) -> tuple[int, ...]:
    """Return the fastest cores of a phone, or the slowest; all of them where they are alike.

    Raises:
        DeviceError: it does not tell how fast they are.
    """
    for file in SPEEDS:
        said = transport.run(f"grep -H . {CPUS}/{file} 2>/dev/null").out
        pairs = re.findall(r"/cpu(\d+)/\S+:(\d+)\r?$", said, re.MULTILINE)
        speeds = {int(core): int(speed) for core, speed in pairs}
        if speeds:
            bound = max(speeds.values()) if wanted == "big" else min(speeds.values())
            return tuple(sorted(core for core, speed in speeds.items() if speed == bound))
    raise DeviceError(
        f"the phone does not tell which cores are its {wanted} ones: give their numbers in "
        "devices.toml, as cores = [4, 5, 6, 7]"
    )

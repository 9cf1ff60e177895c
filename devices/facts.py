"""What this machine is. Runs ON devices, too: standard library only, Python 3.9, on its own.

As a program it prints the facts as JSON; an argument names the cores that workers will run on, as
0,1.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import struct
import subprocess
import sys
from pathlib import Path

# What two runs must share to be compared. Not the kernel's release or Python's version: updates
# change them every few weeks, and the records carry them. Nor what a switch changes: the
# frequency governor, turbo, the power supply; these are conditions of their own.
STABLE = ("processor", "architecture", "system", "cores", "logical_cores", "memory", "cpus")
# Arm's part numbers (implementer 0x41) in /proc/cpuinfo, which has no names: MIDR_EL1 of each
# core's reference manual, as in Linux's arch/arm64/include/asm/cputype.h.
ARM_PARTS = {
    "0xd03": "Cortex-A53", "0xd04": "Cortex-A35", "0xd05": "Cortex-A55", "0xd07": "Cortex-A57",
    "0xd08": "Cortex-A72", "0xd09": "Cortex-A73", "0xd0a": "Cortex-A75", "0xd0b": "Cortex-A76",
    "0xd0c": "Neoverse-N1", "0xd0d": "Cortex-A77", "0xd40": "Neoverse-V1", "0xd41": "Cortex-A78",
    "0xd42": "Cortex-A78AE", "0xd44": "Cortex-X1", "0xd46": "Cortex-A510", "0xd47": "Cortex-A710",
    "0xd48": "Cortex-X2", "0xd49": "Neoverse-N2", "0xd4b": "Cortex-A78C", "0xd4d": "Cortex-A715",
    "0xd4e": "Cortex-X3", "0xd4f": "Neoverse-V2", "0xd80": "Cortex-A520", "0xd81": "Cortex-A720",
    "0xd82": "Cortex-X4",
}  # fmt: skip


def facts(cpus: tuple[int, ...] | None = None) -> dict[str, str]:
    """Return what can be read about this machine; a fact that cannot be read is left out.

    Args:
        cpus: the cores that a worker is restricted to, None for those this process may use.
    """
    found = {
        "processor": _processor(),
        "architecture": _architecture(),
        "system": platform.system(),
        "release": platform.release(),
        "libc": " ".join(platform.libc_ver()).strip(),
        "python": platform.python_version(),
        "cores": _physical_cores(),
        "logical_cores": str(os.cpu_count() or ""),
        "memory": _memory(),
        "cpus": _restriction(cpus),
        **switches(),
        "hypervisor": _hypervisor(),
        "emulator": _emulator(),
    }
    return {name: value for name, value in found.items() if value}


def fingerprint(found: dict[str, str]) -> str:
    """Return a short hash over the facts that must agree for two runs to be comparable."""
    text = "\n".join(f"{name}={found.get(name, '')}" for name in STABLE)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _processor() -> str:
    """Return the processor's model; for a board also the board's."""
    cpuinfo = _read("/proc/cpuinfo")
    model = _field(cpuinfo, "model name") or _sysctl("machdep.cpu.brand_string")
    board = _read("/sys/firmware/devicetree/base/model").strip("\0")
    return ", ".join(filter(None, (board, model or arm_cores(cpuinfo)))) or platform.processor()


def arm_cores(cpuinfo: str) -> str:
    """Return the kinds of core that an ARM's /proc/cpuinfo lists, as ``4 x Cortex-A72``."""
    found = re.findall(r"^CPU implementer\s*:\s*(\S+)$|^CPU part\s*:\s*(\S+)$", cpuinfo, re.M)
    makers, parts = [m for m, _ in found if m], [part for _, part in found if part]
    names = [
        ARM_PARTS.get(part, part) if maker == "0x41" else f"implementer {maker} part {part}"
        for maker, part in zip(makers, parts)  # noqa: B905 -- Python 3.9 has no `strict`
    ]
    return " + ".join(f"{names.count(name)} x {name}" for name in dict.fromkeys(names))


def _architecture() -> str:
    """Return the processor's architecture, and whether programs here are the 32-bit ones of it."""
    machine, bits = platform.machine(), 8 * struct.calcsize("P")
    return f"{machine}, 32-bit" if bits == 32 and machine.endswith("64") else machine


def _emulator() -> str:
    """Return what runs this program if it is not the processor: qemu-user does not hide here."""
    try:
        program = Path("/proc/thread-self/exe").readlink()
    except OSError:
        return ""
    return "qemu-user" if program.name.startswith("qemu-") else ""


def _physical_cores() -> str:
    siblings = Path("/sys/devices/system/cpu").glob("cpu[0-9]*/topology/thread_siblings_list")
    cores = {_read(str(path)) for path in siblings}
    return str(len(cores)) if cores else _sysctl("hw.physicalcpu")


def _memory() -> str:
    """Return the memory in whole GiB: what the kernel keeps for itself varies a little."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return f"{total / 2**30:.0f} GiB"


def _restriction(cpus: tuple[int, ...] | None) -> str:
    """Return the cores that may be used where they are not all, and a container's quota."""
    if cpus is None and hasattr(os, "sched_getaffinity"):
        allowed = os.sched_getaffinity(0)
        cpus = tuple(sorted(allowed)) if len(allowed) < (os.cpu_count() or 0) else None
    cores = ",".join(map(str, cpus)) if cpus else "all"
    quota, _, period = _read("/sys/fs/cgroup/cpu.max").partition(" ")
    return f"{cores}, {int(quota) / int(period):g} of their time" if quota.isdigit() else cores


def switches(root: str = "/") -> dict[str, str]:
    """Return the settings below `root` that change a machine's clocks, empty where it has none.

    `governor`: of the frequency, several where clusters of cores differ; `turbo`: on or off,
    whether clocks above the nominal are allowed; `power`: mains or battery, of a machine that has
    one.
    """
    cpus = f"{root}sys/devices/system/cpu"
    policies = Path(cpus).glob("cpu[0-9]*/cpufreq/scaling_governor")
    intel, others = _read(f"{cpus}/intel_pstate/no_turbo"), _read(f"{cpus}/cpufreq/boost")
    turbo = {"0": "on", "1": "off"}.get(intel) or {"0": "off", "1": "on"}.get(others, "")
    return {
        "governor": ", ".join(sorted({_read(str(path)) for path in policies} - {""})),
        "turbo": turbo,
        "power": _mac_power() if platform.system() == "Darwin" else _power(root),
    }


def _power(root: str) -> str:
    supplies = [str(path) for path in Path(f"{root}sys/class/power_supply").glob("*")]
    batteries = [path for path in supplies if _read(f"{path}/type") == "Battery"]
    own = [path for path in batteries if not _is_accessory(path)]
    if not own:
        return ""
    used = any(_read(f"{path}/status") == "Discharging" for path in own)
    return "battery" if used else "mains"


def _is_accessory(supply: str) -> bool:
    """Tell a mouse's battery from the machine's."""
    return _read(f"{supply}/scope") == "Device"


def _mac_power() -> str:
    done = subprocess.run(["pmset", "-g", "batt"], capture_output=True, text=True, check=False)
    found = re.search(r"drawing from '(AC|Battery) Power'", done.stdout)
    words = {"AC": "mains", "Battery": "battery"}
    return words[found.group(1)] if found and "InternalBattery" in done.stdout else ""


def _hypervisor() -> str:
    if not re.search(r"^flags\s*:.*\bhypervisor\b", _read("/proc/cpuinfo"), re.MULTILINE):
        return ""
    return _read("/sys/class/dmi/id/sys_vendor") or "yes"


def _field(text: str, name: str) -> str:
    found = re.search(rf"^{name}\s*:\s*(.+)$", text, re.MULTILINE)
    return found.group(1).strip() if found else ""


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _sysctl(name: str) -> str:
    if platform.system() != "Darwin":
        return ""
    done = subprocess.run(["sysctl", "-n", name], capture_output=True, text=True, check=False)
    return done.stdout.strip()


if __name__ == "__main__":
    _cores = [int(cpu) for cpu in "".join(sys.argv[1:]).split(",") if cpu]
    sys.stdout.write(json.dumps(facts(tuple(_cores) or None)) + "\n")

"""What this machine is. Standard library only and on its own, so that it can also run elsewhere."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import subprocess
from pathlib import Path

# What two runs must share to be compared. Not the kernel's release or Python's version: updates
# change them every few weeks, and the records carry them. Nor what a switch changes: the
# frequency governor, turbo, the power supply; these are conditions of their own.
STABLE = ("processor", "architecture", "system", "cores", "logical_cores", "memory", "cpus")


def facts(cpus: tuple[int, ...] | None = None) -> dict[str, str]:
    """Return what can be read about this machine; a fact that cannot be read is left out.

    Args:
        cpus: the cores that a worker is restricted to, None for those this process may use.
    """
    found = {
        "processor": _processor(),
        "architecture": platform.machine(),
        "system": platform.system(),
        "release": platform.release(),
        "python": platform.python_version(),
        "cores": _physical_cores(),
        "logical_cores": str(os.cpu_count() or ""),
        "memory": _memory(),
        "cpus": _restriction(cpus),
        **switches(),
        "hypervisor": _hypervisor(),
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
    if not model and (part := _field(cpuinfo, "CPU part")):
        model = f"implementer {_field(cpuinfo, 'CPU implementer')} part {part}"
    board = _read("/proc/device-tree/model").strip("\0")
    return ", ".join(filter(None, (board, model))) or platform.processor()


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

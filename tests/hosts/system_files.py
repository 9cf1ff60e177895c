"""What an ARM kernel tells of its machine in /proc and /sys, for emulated hosts.

QEMU runs the programs, yet the kernel's files are this machine's: TFLite, ONNX Runtime and our own
worker would read an x86 processor's.
"""

import os
from pathlib import Path
from typing import NamedTuple


class Core(NamedTuple):
    """A kind of core: ARM's part number, its clocks in kHz, and its capacity of at most 1024."""

    part: int
    least_khz: int
    most_khz: int
    capacity: int


class Chip(NamedTuple):
    """A processor: the first half of its cores are little ones, where there are such."""

    features: str
    big: Core
    little: Core
    zone: str
    millidegrees: int


BCM2711 = Chip(
    features="fp asimd evtstrm crc32 cpuid",
    big=Core(0xD08, 600_000, 1_500_000, 1024),
    little=Core(0xD08, 600_000, 1_500_000, 1024),
    zone="cpu-thermal",
    millidegrees=48_212,
)
TENSOR = Chip(
    features="fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm "
    "lrcpc dcpop asimddp",
    big=Core(0xD0B, 500_000, 2_802_000, 1024),
    little=Core(0xD05, 300_000, 1_803_000, 250),
    zone="BIG",
    millidegrees=41_300,
)


def cores(chip: Chip) -> list[Core]:
    """Return the emulated machine's cores, as many as this machine has."""
    count = os.cpu_count() or 1
    return [chip.little] * (count // 2) + [chip.big] * (count - count // 2)


def cpuinfo(chip: Chip, board: str = "") -> str:
    """Return the text of /proc/cpuinfo, with the board's name if it has one."""
    blocks = [
        f"processor\t: {number}\nBogoMIPS\t: 108.00\nFeatures\t: {chip.features}\n"
        "CPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x0\n"
        f"CPU part\t: 0x{core.part:03x}\nCPU revision\t: 3\n"
        for number, core in enumerate(cores(chip))
    ]
    return "\n".join([*blocks, f"Model\t\t: {board}\n"] if board else blocks)


def write_sysfs(root: Path, chip: Chip, board: str = "") -> None:
    """Write the files of /sys that say what cores there are, how fast and how warm."""
    found = cores(chip)
    everyone = f"0-{len(found) - 1}" if len(found) > 1 else "0"
    cpus = "devices/system/cpu"
    files = {f"{cpus}/{name}": everyone for name in ("possible", "present", "online")}
    for number, core in enumerate(found):
        own = f"{cpus}/cpu{number}"
        files |= {
            f"{own}/cpu_capacity": str(core.capacity),
            f"{own}/cpufreq/cpuinfo_max_freq": str(core.most_khz),
            f"{own}/cpufreq/cpuinfo_min_freq": str(core.least_khz),
            f"{own}/cpufreq/scaling_cur_freq": str(core.most_khz),
            f"{own}/cpufreq/scaling_governor": "ondemand",
            f"{own}/topology/core_id": str(number),
            f"{own}/topology/physical_package_id": "0",
            f"{own}/topology/thread_siblings_list": str(number),
        }
    zone = "class/thermal/thermal_zone0"
    files |= {f"{zone}/type": chip.zone, f"{zone}/temp": str(chip.millidegrees)}
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{text}\n")
    if board:
        model = root / "firmware/devicetree/base/model"
        model.parent.mkdir(parents=True)
        model.write_text(f"{board}\0")

"""An Android phone over adb: its CPU runs the same worker as every device.

The phone needs nothing but USB debugging: a bundle with a Python of its own and the runtimes
(`devices.bundle`) is pushed to /data/local/tmp once. Programs started there by adb run as the user
`shell`, outside any application's sandbox.
"""

import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from devices import bundle
from devices.adb import READY, AdbTransport, Listed, listed, remedy
from devices.device import DeviceError, Step
from devices.discovery import Found
from devices.local import RUNTIMES
from devices.remote import RemoteDevice, Transport
from devices.store import UNPACKING_S, Store, cannot_write

CACHE = "/data/local/tmp/edgeworthy"
LOCK = f"{CACHE}.lock"
FORMATS = ("tflite", "onnx")  # whose runtimes the bundle has
SPLIT = "::edgeworthy::next"
PROPERTIES = (
    "ro.product.manufacturer", "ro.product.model", "ro.soc.model", "ro.product.cpu.abi",
    "ro.build.version.release",
)  # fmt: skip
# dumpsys thermalservice: ThrottlingSeverity of Android's IThermal.
THERMAL = ("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")
# What cores differ in, the better told first: the kernel's own capacity, or the highest clock.
SPEEDS = ("cpu_capacity", "cpufreq/cpuinfo_max_freq")

Cores = Literal["big", "little"] | Annotated[tuple[int, ...], msgspec.Meta(min_length=1)]
Word = Annotated[str, msgspec.Meta(min_length=1)]


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The keys of a ``[devices.NAME]`` table with ``kind = "android"``."""

    serial: Word | None = None
    address: Word | None = None
    cores: Cores | None = None
    emulated: bool | None = None


class BundleProvisioner:
    """A `devices.remote.Provisioner`: the bundle, from which everything on the device comes."""

    def python(self, store: Store) -> Sequence[str]:
        """Return the words that start the bundle's Python; it is sent if need be, and made first.

        Raises:
            DeviceError: it cannot be made here, or not be put there.
        """
        made = bundle.make(_silent)
        root = f"{store.root}/bundles/{made.digest[:16]}"
        self._place(made.path, root, store.transport)
        variables = [f"{name}={value}" for name, value in bundle.environment(root).items()]
        return ["env", *variables, *bundle.command(root)]

    def _place(self, source: Path, root: str, transport: Transport) -> None:
        if transport.run(f"cd {shlex.quote(root)} && touch .").code == 0:
            return
        with tempfile.TemporaryDirectory() as scratch:
            name = Path(scratch) / "bundle"
            archive = Path(shutil.make_archive(str(name), "tar", source))
            transport.put({f"{root}.tar": archive})
        where, part, packed = (shlex.quote(root + suffix) for suffix in ("", ".part", ".tar"))
        unpack = f"rm -rf {part} && mkdir {part} && tar -xf {packed} -C {part} && sync"
        ran = transport.run(f"{unpack} && mv {part} {where}", UNPACKING_S)
        transport.run(f"rm -rf {packed} {part}")
        if ran.code:
            raise DeviceError(cannot_write(root, " ".join(ran.err.split())[-200:]))

    def runtimes(self, format: str, found: Mapping[str, str], store: Store) -> list[str]:
        """Return the bundle's runtimes for a format."""
        return list(RUNTIMES[format]) if format in FORMATS else []

    def environment(
        self, runtime: str, found: Mapping[str, str], store: Store
    ) -> Mapping[str, str]:
        """Return nothing: the bundle's Python finds all that is in it."""
        return {}


class AndroidDevice(RemoteDevice):
    """A phone, bound to its big or little cores if so wished."""

    transport: AdbTransport

    def __init__(self, name: str, settings: Settings, adb: str = "adb") -> None:
        """Describe the phone; nothing is started."""
        transport = AdbTransport(settings.serial, network=settings.address, adb=adb)
        self._cores = settings.cores
        cpus = settings.cores if isinstance(settings.cores, tuple) else None
        super().__init__(
            name, "android", transport, CACHE, BundleProvisioner(),
            cpus=cpus, emulated=settings.emulated, lock=LOCK,
        )  # fmt: skip

    def _survey(self) -> dict[str, str]:
        """Return what the bundle's Python finds, and what only Android knows of itself."""
        if isinstance(self._cores, str):
            self.cpus = cores(self._cores, self.transport)
        told = _told(self.transport)
        return merged(super()._survey(), *told)


def cores(wanted: Literal["big", "little"], transport: Transport) -> tuple[int, ...]:
    """Return the fastest cores of a device, or the slowest; all of them where they are alike.

    Raises:
        DeviceError: it does not tell how fast they are.
    """
    for file in SPEEDS:
        look = f"grep -H . /sys/devices/system/cpu/cpu[0-9]*/{file}"
        lines = re.findall(r"/cpu(\d+)/\S+:(\d+)$", transport.run(look).out, re.MULTILINE)
        speeds = {int(core): int(speed) for core, speed in lines}
        if speeds:
            bound = max(speeds.values()) if wanted == "big" else min(speeds.values())
            return tuple(sorted(core for core, speed in speeds.items() if speed == bound))
    raise DeviceError(
        f"this device does not tell its {wanted} cores: give their numbers in devices.toml, as "
        "cores = [4, 5, 6, 7]"
    )


def _told(transport: Transport) -> list[str]:
    """Return what Android's own commands print, each empty where it is not there."""
    commands = ["getprop", *(f"dumpsys {part}" for part in ("battery", "thermalservice", "power"))]
    script = f"; echo {SPLIT}; ".join(f"{command} 2>/dev/null" for command in commands)
    return transport.run(script).out.split(SPLIT)


def merged(
    found: dict[str, str], properties: str, battery: str, thermal: str, power: str
) -> dict[str, str]:
    """Add what Android tells of itself to a worker's facts; what it does not tell is left out.

    Args:
        found: see `devices.facts`.
        properties: what `getprop` prints.
        battery: of `dumpsys battery`; empty where there is none, as all that follow.
        thermal: of `dumpsys thermalservice`.
        power: of `dumpsys power`.
    """
    own = dict(re.findall(r"^\[(.+?)\]: \[(.*)\]\r?$", properties, re.MULTILINE))
    maker, model, chip, abi, release = (own.get(name, "") for name in PROPERTIES)
    status = _field(r"Thermal Status: (\d+)", thermal)
    awake = _field(r"mWakefulness=(\w+)", power)
    added = {
        "processor": ", ".join(filter(None, (f"{maker} {model}", chip, found.get("processor")))),
        "android": f"{release} ({abi})" if release else "",
        "power": _supply(battery),
        "battery": f"{level} %" if (level := _field(r"^\s*level: (\d+)", battery)) else "",
        "thermal": THERMAL[min(int(status), len(THERMAL) - 1)] if status else "",
        "screen": {"": "", "Awake": "on"}.get(awake, "off"),
    }
    return found | {name: text for name, text in added.items() if text}


def _supply(battery: str) -> str:
    plugged = re.search(r"^\s*(?:AC|USB|Wireless|Dock) powered: true", battery, re.MULTILINE)
    return ("mains" if plugged else "battery") if battery.strip() else ""


def _field(pattern: str, text: str) -> str:
    found = re.search(pattern, text, re.MULTILINE)
    return found[1] if found else ""


def _silent(step: str) -> None:
    """Take a step's name and do nothing with it."""


def make(name: str, settings: Settings) -> AndroidDevice:
    """Return the device that a ``[devices.NAME]`` table describes."""
    return AndroidDevice(name, settings)


def discover() -> Iterable[Found]:
    """Yield every phone that adb sees, in whatever state; nothing where there is no adb."""
    if shutil.which("adb") is None:
        return
    for one in listed():
        yield _found(one)


def _found(one: Listed) -> Found:
    labels = tuple(filter(None, (one.model, one.product)))
    if one.state == READY:
        device = AndroidDevice(one.serial, Settings(serial=one.serial))
        return Found(one.serial, "android", "ready", "", labels, device)
    why = remedy(one.serial, one.state)
    return Found(one.serial, "android", why.error.state, why.text, labels, None)


def steps(device: AndroidDevice) -> Iterator[Step]:
    """Yield the steps of a check from adb's program to a Python that runs on the phone."""
    try:
        version = subprocess.run(["adb", "version"], capture_output=True, text=True, check=True)
        yield Step(True, "adb", version.stdout.splitlines()[0])
        yield Step(True, "phone", f"{device.transport.serial} accepts this computer")
        yield Step(True, "bundle", " ".join(device.python()))
    except (OSError, DeviceError) as error:
        yield Step(False, "adb", str(error))

"""An Android phone over adb: its CPU runs the same worker as every device.

The phone needs nothing but USB debugging: a bundle with a Python of its own and the runtimes
(`devices.bundle`) is pushed to /data/local/tmp once. Programs started there by adb run as the user
`shell`, outside any application's sandbox.
"""

import shlex
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from devices import bundle, phone_facts, scratch, sending
from devices.adb import ABSENT, NO_ADB, READY, AdbTransport, Listed, listed, remedy
from devices.benchmark_model import FLAGS, BenchmarkModelSession, place
from devices.device import DeviceError, Job, Session, Step
from devices.discovery import Found
from devices.local import RUNTIMES
from devices.remote import RemoteDevice, as_worker_error
from devices.store import UNPACKING_S, Store, cannot_write
from devices.transport import Transport

CACHE = "/data/local/tmp/edgeworthy"
LOCK = f"{CACHE}.lock"
FORMATS = ("tflite", "onnx")  # whose runtimes the bundle has
Cores = Literal["big", "little"] | Annotated[tuple[int, ...], msgspec.Meta(min_length=1)]
Word = Annotated[str, msgspec.Meta(min_length=1)]


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The keys of a ``[devices.NAME]`` table with ``kind = "android"``."""

    serial: Word | None = None
    address: Word | None = None
    cores: Cores | None = None
    emulated: bool | None = None
    benchmark_model: Word | None = None


class BundleProvisioner:
    """A `devices.remote.Provisioner`: the bundle, from which everything on the device comes."""

    def python(self, store: Store) -> Sequence[str]:
        """Return the words that start the bundle's Python; it is sent if need be, and made first.

        Raises:
            DeviceError: it cannot be made here, or not be put there.
        """
        made = bundle.make(sending.note)
        root = f"{store.root}/bundles/{made.digest[:16]}"
        count = sum(path.is_file() and path.suffix != ".pyc" for path in made.path.rglob("*"))
        store.unpacked(root, count, partial(_place, made.path, root, store.transport))
        variables = [f"{name}={value}" for name, value in bundle.environment(root).items()]
        return ["env", *variables, *bundle.command(root)]

    def runtimes(self, format: str, found: Mapping[str, str], store: Store) -> list[str]:
        """Return the bundle's runtimes for a format."""
        return list(RUNTIMES[format]) if format in FORMATS else []

    def environment(
        self, runtime: str, found: Mapping[str, str], store: Store
    ) -> Mapping[str, str]:
        """Return nothing: the bundle's Python finds all that is in it."""
        return {}


def _place(source: Path, root: str, transport: Transport) -> None:
    """Put a bundle there, whole or not at all."""
    where, part, packed = (shlex.quote(root + suffix) for suffix in ("", ".part", ".tar"))
    with scratch.directory() as work:
        archive = shutil.make_archive(f"{work}/bundle", "tar", source)
        transport.put({f"{root}.tar": Path(archive)})
    unpack = f"rm -rf {part} && mkdir {part} && tar -xf {packed} -C {part} && sync"
    ran = transport.run(f"{unpack} && mv {part} {where}", UNPACKING_S)
    transport.run(f"rm -rf {packed} {part}")
    if ran.code:
        raise DeviceError(cannot_write(root, " ".join(ran.err.split())[-200:]))


class AndroidDevice(RemoteDevice):
    """A phone, bound to its big or little cores if so wished."""

    transport: AdbTransport

    def __init__(self, name: str, settings: Settings, adb: str = "adb") -> None:
        """Describe the phone; nothing is started."""
        transport = AdbTransport(settings.serial, network=settings.address, adb=adb)
        self._cores, program = settings.cores, settings.benchmark_model
        self._benchmark_model = None if program is None else Path(program).expanduser()
        cpus = settings.cores if isinstance(settings.cores, tuple) else None
        super().__init__(
            name, "android", transport, CACHE, BundleProvisioner(),
            cpus=cpus, emulated=settings.emulated, lock=LOCK,
        )  # fmt: skip

    def _survey(self) -> dict[str, str]:
        """Return what its shell tells: to look at a phone, no Python need be sent there."""
        if isinstance(self._cores, str):
            self.cpus = phone_facts.cores(self._cores, self.transport)
        return phone_facts.survey(self.transport, self.cpus)

    def runtimes(self, format: str) -> list[str]:
        """Return the bundle's runtimes for `format`, and the user's benchmark_model if it is named.

        Raises:
            DeviceError: the phone cannot be reached, or cannot be used.
        """
        own = FLAGS if self._benchmark_model and format == "tflite" else ()
        return [*super().runtimes(format), *own]

    def probe(self, runtime: str) -> str:
        """Start a worker, import `runtime` in it, and return its version; see `RemoteDevice`."""
        if not self._benchmark_model or runtime not in FLAGS:
            return super().probe(runtime)
        try:
            return place(self._benchmark_model, self.store)
        except DeviceError as error:
            raise as_worker_error("start", error) from None

    def open(self, job: Job) -> Session:
        """Send the artifact if need be, and load it; see `RemoteDevice`."""
        if not self._benchmark_model or job.runtime not in FLAGS:
            return super().open(job)
        artifact = self.send(job)
        try:
            return BenchmarkModelSession(self._benchmark_model, self.store, job, artifact)
        except DeviceError as error:
            raise as_worker_error("load", error) from None

    def place_python(self) -> None:
        """Send the bundle, if it is not there.

        Raises:
            DeviceError: it cannot be made here, or not be put there.
        """
        self._provisioner.python(self.store)


def make(name: str, settings: Settings) -> AndroidDevice:
    """Return the device that a ``[devices.NAME]`` table describes."""
    return AndroidDevice(name, settings)


def discover() -> Iterable[Found]:
    """Yield every phone that adb sees, in whatever state; nothing where there is no adb."""
    if shutil.which("adb") is None:
        return
    for one in listed():
        yield _found(one)


def prepare(settings: Settings, tell: bundle.Tell) -> None:  # noqa: ARG001 -- every kind's
    """Make the bundle, if it is not there yet: about a minute.

    Raises:
        DeviceError: it cannot be made here; says why and what to do.
    """
    made = bundle.make(tell)
    tell(f"what a phone needs is in {made.path}")


def absence() -> str:
    """Say why there is no phone and what to do."""
    if shutil.which("adb") is None:
        return f"no phone: {NO_ADB}"
    return f"no phone: {remedy('', ABSENT).text}"


def _found(one: Listed) -> Found:
    labels = tuple(filter(None, (one.model, one.product)))
    if one.state == READY:
        device = AndroidDevice(one.serial, Settings(serial=one.serial))
        return Found(one.serial, "android", "ready", "", labels, device)
    why = remedy(one.serial, one.state)
    return Found(one.serial, "android", why.error.state, why.text, labels, None)


def steps(device: AndroidDevice) -> Iterator[Step]:
    """Yield what can be told of a phone besides its runtimes.

    Raises:
        DeviceError: it cannot be used.
    """
    version = subprocess.run(["adb", "version"], capture_output=True, text=True, check=False)
    yield Step(True, "adb", version.stdout.partition("\n")[0])
    serial, store = device.transport.serial, device.store
    device.transport.run("true")
    yield Step(True, "phone", f"{serial} accepts this computer")
    device.place_python()
    room = store.room()
    clear = f"clear it with: adb -s {shlex.quote(serial)} shell rm -r {store.root}"
    held = f"{store.root} holds {room.used / 1e6:.0f} MB, {room.free / 1e6:.0f} MB free; {clear}"
    yield Step(True, "bundle", held)

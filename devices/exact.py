"""An ARM clock that is the same in every run: instructions counted under qemu's user emulation.

The worker runs on the bundle's Python (see `devices.bundle`) as a program of 64-bit ARM, and its
clock is the count that `counter.c` keeps: a nanosecond for each instruction executed. Everything
that a program could see of this machine and of this moment is the same each time: paths, by a
directory that qemu puts over the root; processor, cores and sensors, by files there; environment
and hash seed. Addresses are by themselves: qemu does not shuffle those of the program.
"""

import hashlib
import shutil
import tempfile
import threading
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from devices import bundle, counter, scratch
from devices.bundle import RUNTIMES, Bundle, Tell
from devices.counter import Emulator
from devices.device import (
    ConfigError,
    DeviceError,
    DeviceInfo,
    Job,
    Limits,
    Memory,
    Meters,
    Sensors,
    WorkerError,
)
from devices.local import LocalDevice
from devices.process import Child
from devices.session import WorkerSession

KIND = "arm64-exact"
WORKER = Path(__file__).with_name("worker.py")
PROBE_TIMEOUT_S = 300.0
# How many times as long as others a request may take: emulation is slow.
SLOWER = 20
# Behind it the count lies; above all that Python opens by itself.
DESCRIPTOR = 200
# What the kernel calls itself: the emulator would tell this machine's.
RELEASE = "6.1.0"
NO_MEMORY = "not told: the process holds the emulator, too"

V8_0 = "fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid"
V8_2 = f"{V8_0} atomics fphp asimdhp asimdrdm lrcpc dcpop asimddp"
# Part numbers by ARM, and what the kernel says that they can do: a runtime chooses kernels by that.
CPUS = {
    "cortex-a53": ("0xd03", V8_0),
    "cortex-a72": ("0xd08", V8_0),
    "cortex-a76": ("0xd0b", V8_2),
    "neoverse-n1": ("0xd0c", V8_2),
}
# Files over those of this machine, which would tell of it.
HIDDEN = ("proc/meminfo", "proc/stat", "proc/self/smaps_rollup", "proc/self/status")
ONE_CORE = ("kernel_max", "online", "possible", "present")


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The keys of a ``[devices.NAME]`` table with ``kind = "arm64-exact"``."""

    cpu: str = "cortex-a72"


class Parts(NamedTuple):
    """All that is needed; `bytecode` is that of the modules in the bundle."""

    emulator: Emulator
    plugin: Path
    bundle: Bundle
    bytecode: Path


class ExactDevice:
    """A processor of ARM, emulated, whose clock counts instructions.

    It needs this machine to itself only for the sake of what else is measured here.
    """

    machine = LocalDevice.machine
    limits = Limits()

    def __init__(self, name: str = KIND, cpu: str = "cortex-a72") -> None:
        """Describe the device; nothing is started.

        Args:
            name: what records call it.
            cpu: which processor the emulator is.
        """
        self.name, self.kind, self.cpu = name, KIND, cpu

    def info(self) -> DeviceInfo:
        """Describe the device.

        Raises:
            DeviceError: it was not set up, or a tool that it needs is missing.
        """
        found = parts()
        facts = {
            "processor": f"{self.cpu}, emulated",
            "architecture": "aarch64",
            "system": "Linux",
            "logical_cores": "1",
            "emulator": f"{counter.PROGRAM} {found.emulator.version}",
            "bundle": found.bundle.digest[:12],
        }
        release = ".".join(found.emulator.version.split(".")[:2])
        same = f"{KIND} {self.cpu} {release} {found.bundle.digest}"
        return DeviceInfo(
            name=self.name,
            kind=self.kind,
            fingerprint=hashlib.sha256(same.encode()).hexdigest()[:12],
            emulated=True,
            counts="instructions",
            facts=facts,
        )

    def runtimes(self, format: str) -> list[str]:
        """Return the runtimes of the bundle that run `format`."""
        return RUNTIMES.get(format, [])

    def probe(self, runtime: str) -> str:
        """Start a worker, import `runtime` in it, and return the runtime's version.

        Raises:
            WorkerError: it could not be started, or has no such runtime.
        """
        root = _laid_out(self.cpu, self._parts())
        try:
            child = self._start(root)
            try:
                answer = child.request("probe", PROBE_TIMEOUT_S, runtime=runtime)
                return str(answer.get("runtime_version"))
            finally:
                child.close()
        finally:
            scratch.remove(root)

    def open(self, job: Job) -> "ExactSession":
        """Start a worker and load the artifact.

        Raises:
            WorkerError: it could not be started or could not load the artifact.
        """
        found = self._parts()
        root = _laid_out(self.cpu, found, job.artifact)
        try:
            child = self._start(root, every_thread=job.threads != 1)
            job = replace(job, timeout_s=SLOWER * job.timeout_s)
            return ExactSession(child, job, root, self._timing(found.emulator))
        except BaseException:
            scratch.remove(root)
            raise

    def _timing(self, emulator: Emulator) -> str:
        by = f"{self.cpu} by {counter.PROGRAM} {emulator.version}"
        return f"1 ns for each of the instructions executed, {by}"

    def _parts(self) -> Parts:
        try:
            return parts()
        except DeviceError as error:
            raise WorkerError("start", "error", str(error)) from None

    def _start(self, root: Path, *, every_thread: bool = False) -> Child:
        worker = ["/worker.py", "--instructions", str(DESCRIPTOR)]
        command = _emulated(root, self.cpu, worker, every_thread=every_thread)
        return Child(command, _environment())


class ExactSession(WorkerSession):
    """A loaded artifact whose times are counts: what this machine does is none of its figures."""

    def __init__(self, child: Child, job: Job, root: Path, timing: str) -> None:
        """Load the artifact that lies below `root`, which is removed in the end.

        Raises:
            WorkerError: it could not be loaded.
        """
        self._root, self._timing = root, timing
        super().__init__(child, job, "/artifact")

    def load(self, job: Job, artifact: str) -> None:
        """Load an artifact; what starting a process takes, and copies, are not counted."""
        super().load(job, artifact)
        self.ready = replace(self.ready, start_ns=None, copies=None, timing=self._timing)

    def streams(self, count: int) -> None:
        """Refuse: what several threads execute depends on how they take turns.

        Raises:
            WorkerError: always.
        """
        detail = "one stream after another is counted; measure several on hardware"
        raise WorkerError("streams", "unsupported", detail)

    def sensors(self) -> Sensors:
        """Return nothing: an emulated processor has no sensors."""
        return Sensors()

    def meters(self) -> Meters:
        """Return no meters: what this machine uses is the emulator's energy."""
        return Meters()

    def memory(self) -> Memory:
        """Return no figures: they would be those of the emulator."""
        return Memory(definition=NO_MEMORY, before_load=None, after_load=None, after_run=None)

    def close(self) -> None:
        """End the worker. Never raises; safe to call twice."""
        super().close()
        scratch.remove(self._root)


def make(name: str, settings: Settings) -> ExactDevice:
    """Return the device that a ``[devices.NAME]`` table describes.

    Raises:
        ConfigError: its processor is none whose answers were verified.
    """
    if settings.cpu not in CPUS:
        close = get_close_matches(settings.cpu, CPUS, n=1)
        near = f" (did you mean '{close[0]}'?)" if close else ""
        raise ConfigError(
            f"device '{name}': no cpu '{settings.cpu}'{near}; there is: {', '.join(CPUS)}"
        )
    return ExactDevice(name, settings.cpu)


def parts() -> Parts:
    """Return what the device is made of.

    Raises:
        DeviceError: a program is not installed, or the rest was not made yet.
    """
    emulator = counter.emulator()
    plugin, made = counter.plugin(emulator), bundle.cached()
    if made is None or not plugin.is_file() or not _bytecode(made).is_dir():
        raise DeviceError(
            f"{KIND} is not set up here: type 'edgeworthy devices add NAME --kind {KIND}', "
            "which takes about a minute"
        )
    return Parts(emulator, plugin, made, _bytecode(made))


def prepare(settings: Settings, tell: Tell) -> None:
    """Make what the device needs and is not there yet: about a minute the first time.

    Args:
        settings: of the device.
        tell: is told every step, in a few words.

    Raises:
        ConfigError: there is no such processor.
        DeviceError: a program or a package is missing, or what was made does not work.
    """
    device = make(KIND, settings)
    emulator = counter.emulator()
    plugin = counter.compile_plugin(emulator)
    made = bundle.make(tell)
    found = Parts(emulator, plugin, made, _bytecode(made))
    if not found.bytecode.is_dir():
        tell("compiling its Python modules")
        _compile_modules(found, settings.cpu)
    for runtime in (name for names in RUNTIMES.values() for name in names):
        try:
            version = device.probe(runtime)
        except WorkerError as error:
            raise DeviceError(
                f"{runtime} does not start under {counter.PROGRAM}: {error}"
            ) from None
        tell(f"{version} starts on {settings.cpu}")


def _bytecode(of: Bundle) -> Path:
    return counter.cache() / f"bytecode-{of.digest[:16]}"


def _compile_modules(found: Parts, cpu: str) -> None:
    """Have the bundle's Python keep what it compiles while it imports the runtimes."""
    try:
        with scratch.directory(counter.cache()) as work:
            made = work / "bytecode"
            made.mkdir()
            _import_runtimes(found, cpu, made)
            made.rename(found.bytecode)
    except OSError as error:
        if found.bytecode.is_dir():  # another process was quicker
            return
        raise DeviceError(f"cannot write to {counter.cache()}: {error.strerror or error}") from None
    except WorkerError as error:
        raise DeviceError(f"the bundle does not run under {counter.PROGRAM}: {error}") from None


def _import_runtimes(found: Parts, cpu: str, made: Path) -> None:
    root = _laid_out(cpu, found)
    kept = {"PYTHONPYCACHEPREFIX": str(made), "PYTHONDONTWRITEBYTECODE": ""}
    try:
        child = Child(_emulated(root, cpu, ["/worker.py"]), {**_environment(), **kept})
        try:
            for runtime in (name for names in RUNTIMES.values() for name in names):
                child.request("probe", PROBE_TIMEOUT_S, runtime=runtime)
        finally:
            child.close()
    finally:
        scratch.remove(root)


def _laid_out(cpu: str, found: Parts, artifact: Path | None = None) -> Path:
    """Make the directory that the emulator puts over the root of this machine's files.

    Raises:
        WorkerError: there is no room for it.
    """
    root = None
    try:
        root = scratch.make()
        (root / "bundle").symlink_to(found.bundle.path)
        (root / "bytecode").symlink_to(found.bytecode)
        (root / "counter.so").symlink_to(found.plugin)
        shutil.copy(WORKER, root)
        if artifact is not None:
            shutil.copytree(artifact, root / "artifact")
        for name, text in _machine(cpu):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text, encoding="ascii")
    except OSError as error:
        if root is not None:
            scratch.remove(root)
        detail = f"cannot copy it to {tempfile.gettempdir()}: {error.strerror or error}"
        raise WorkerError("start", "error", f"{detail}; set TMPDIR to a place with room") from None
    return root


def _machine(cpu: str) -> Iterator[tuple[str, str]]:
    """Yield the files by which a program knows the machine: one core of a processor."""
    part, features = CPUS[cpu]
    described = {
        "processor": "0",
        "BogoMIPS": "100.00",
        "Features": features,
        "CPU implementer": "0x41",
        "CPU architecture": "8",
        "CPU variant": "0x0",
        "CPU part": part,
        "CPU revision": "0",
    }
    yield "proc/cpuinfo", "".join(f"{name}\t: {value}\n" for name, value in described.items())
    yield from ((name, "") for name in HIDDEN)
    yield from ((f"sys/devices/system/cpu/{name}", "0\n") for name in ONE_CORE)


def _emulated(root: Path, cpu: str, program: list[str], *, every_thread: bool = False) -> list[str]:
    """Return the command that runs a program of the bundle's Python; it ends with this process.

    The words that the program could find on its stack are always the same.
    """
    env = counter.tool("env")
    command = [env, f"--chdir={root}", "LD_PRELOAD=./counter.so"]
    if threading.current_thread() is threading.main_thread():
        command[:0] = [counter.tool("setpriv"), "--pdeathsig", "KILL"]
    command += [counter.emulator().program, "-U", "LD_PRELOAD"]
    plugin = f"./counter.so,fd={DESCRIPTOR}" + (",all=on" if every_thread else "")
    command += ["-plugin", plugin, "-L", ".", "-cpu", cpu, "-r", RELEASE, "-0", "python3"]
    loader, *rest = bundle.command("/bundle")
    return [*command, loader.removeprefix("/"), *rest, *program]


def _environment() -> dict[str, str]:
    return {
        **bundle.environment("/bundle"),
        "LC_ALL": "C",
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "PYTHONPYCACHEPREFIX": "/bytecode",
        "PYTHONSAFEPATH": "1",
        "PYTHONUTF8": "1",
    }

"""What a device is: the protocol every kind follows, and the errors that may come of it."""

from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

import msgspec

# What `Device.runtimes` is asked for: see `export.artifact`.
FORMATS = ("tflite", "onnx", "coreml", "torch")


class DeviceError(Exception):
    """A device is unknown or unavailable; the message says what there is and what to do.

    Attributes:
        state: what `devices list` calls a device that answers so.
    """

    exit_code: ClassVar[int] = 3
    state: ClassVar[str] = "unavailable"


class ConfigError(DeviceError):
    """A devices.toml, or what was asked for, is wrong; the message names the file and the key."""

    exit_code: ClassVar[int] = 2


class TransportError(DeviceError):
    """The way to a device failed, and not the device itself: it may be tried again."""

    state: ClassVar[str] = "offline"


class UnauthorisedError(DeviceError):
    """A device is there and does not let this host in; the message says what to do on it."""

    state: ClassVar[str] = "unauthorised"


# The cause of a `WorkerError` that is the link's fault, and not the worker's.
TRANSPORT = "transport"


class WorkerError(Exception):
    """A worker could not do what was asked. It ends one measurement, never the run.

    Attributes:
        stage: what was being done: start, load, verify, measure, streams, predict or memory.
        cause: died, hung, out-of-memory, transport, busy, unauthorised, missing-runtime,
            missing-model, unsupported, or error.
        detail: one line for a person, with what to do where that is known.
    """

    def __init__(self, stage: str, cause: str, detail: str) -> None:
        super().__init__(f"{stage}: {cause}: {detail}")
        self.stage, self.cause, self.detail = stage, cause, detail


class DeviceInfo(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was measured on.

    `fingerprint` is a hash of the facts that must agree for two runs to be comparable: processor,
    cores, memory, system, architecture, restriction to cores. `counts` says what its nanoseconds
    stand for where they are no time.
    """

    name: str
    kind: str
    fingerprint: str
    emulated: bool
    facts: dict[str, str]
    counts: Literal["instructions"] | None = None


class Step(NamedTuple):
    """One step of a device's check: `ok` None where it could not be made."""

    ok: bool | None
    what: str
    detail: str


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a device must be for anything to be timed on it: the table `limits` of its entry.

    Attributes:
        max_temperature_c: of the hottest of its sensors, before each worker is timed.
        min_battery_percent: of the charge that is left, when a command begins.
    """

    max_temperature_c: float | None = None
    min_battery_percent: float | None = None


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One artifact under one setting. `threads` None leaves the runtime its own choice."""

    artifact: Path
    runtime: str
    threads: int | None = None
    batch: int = 1
    timeout_s: float = 120.0


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """What the worker said after loading. Times in nanoseconds.

    `start_ns` is from starting the process to its first answer (interpreter and numpy), `import_ns`
    the runtime's import; None where that is unknown. `threads` is what the runtime reports to use,
    None where it cannot be asked. A `reference` interprets the file on the host: it shows whether
    the file is right, and is never timed. `copies` says how an invocation runs with its inputs
    handed over and its outputs fetched, None where that cannot be told from the invocation alone.
    `timing` says how an invocation is timed, None for the worker's clock around it; `precision` is
    what an fp32 file is computed in, None for its own; `unproved` why its outputs cannot be seen,
    None where they can.
    """

    start_ns: int | None = None
    import_ns: int | None = None
    load_ns: int
    runtime: str
    runtime_version: str
    provider: str
    threads: int | None
    environment: dict[str, str]
    reference: bool = False
    copies: str | None = None
    timing: str | None = None
    precision: str | None = None
    unproved: str | None = None


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """What a reference saw go wrong in an operator's numbers for a golden input, by its row.

    `kind` is overflow, underflow or saturation, `share` that of the values concerned; see
    `devices.mil.numerics.Alarm`.
    """

    row: int
    kind: str
    operator: str
    share: float


class Usage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one request to measure took, in nanoseconds; None where the system does not tell.

    Attributes:
        wall_ns: from its beginning to its end.
        cpu_ns: processor time of the worker's threads together.
        waited_ns: time that they were ready to run and had no core.
        involuntary: how often they lost a core before they were done.
        busy_ns: processor time of all programs, the worker and the kernel included, on all cores.
        idle_ns: time that cores had nothing to do.
        stolen_ns: time that a hypervisor gave this machine's cores to others.
    """

    wall_ns: int
    cpu_ns: int
    waited_ns: int | None = None
    involuntary: int
    busy_ns: int | None = None
    idle_ns: int | None = None
    stolen_ns: int | None = None


class Served(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What streams did together while all of them were at work.

    Attributes:
        invocations: those that ended in this time, and of the others the share that lies in it.
        wall_ns: from the first one's beginning to the end of the last that was asked for.
    """

    invocations: float
    wall_ns: int


class Meter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A sensor of energy: `covers` says whose, `definition` how it is read."""

    name: str
    covers: str
    definition: str


class Meters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The energy sensors of a device, and the names of those that are there and refuse."""

    meters: tuple[Meter, ...] = ()
    unreadable: tuple[str, ...] = ()


class Spent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The joules of each meter during one request to measure, in which so many invocations were
    made; None where a meter could not be read.
    """

    joules: tuple[float | None, ...]
    invocations: int


class Idle(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The joules of each meter while the worker did nothing for `wall_ns` nanoseconds."""

    joules: tuple[float | None, ...]
    wall_ns: int


class Sensors(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a device's sensors say at one moment; None where there is no such sensor.

    Attributes:
        frequency_mhz: of the fastest core that the worker may use: the one that is at work.
        temperature_c: the highest of all thermal zones.
        throttle_events: how often heat has lowered a clock since the start (Intel's counters).
        throttle_flags: Raspberry Pi's bits: 0 under-voltage, 1 capped, 2 throttled, 3 soft limit
            of temperature, all now; 16 to 19 the same since the start.
        cooling: how far Linux's thermal framework lowers a core's clock now: the highest state of
            its cooling devices, 0 not at all (boards and phones).
        current_events: how often a Jetson lowered its clocks for a current too high or a voltage
            too low, since the start.
        load: the system's load average over one minute, the worker included.
        power_w: what a GPU draws; its clocks and temperature are then those above.
        memory_clock_mhz: of a GPU's memory.
        throttle_reasons: bits of what lowers a GPU's clocks now (NVML's clocks event reasons).
        throttled_us: how long heat or power have lowered them since the driver was loaded.
    """

    frequency_mhz: float | None = None
    temperature_c: float | None = None
    throttle_events: int | None = None
    throttle_flags: int | None = None
    cooling: int | None = None
    current_events: int | None = None
    load: float | None = None
    power_w: float | None = None
    memory_clock_mhz: float | None = None
    throttle_reasons: int | None = None
    throttled_us: int | None = None


class MemorySeries(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bytes of one kind of memory at three moments of the worker's life."""

    name: str
    definition: str
    before_load: int | None
    after_load: int | None
    after_run: int | None


class Memory(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The peak in bytes by a named definition, at three moments of the worker's life; `series` are
    other kinds of memory, where the device tells of them.
    """

    definition: str
    before_load: int | None
    after_load: int | None
    after_run: int | None
    series: tuple[MemorySeries, ...] = ()


class OperatorTimes(msgspec.Struct, frozen=True, kw_only=True):
    """One operator as a runtime's profiler saw it, an entry a run, in nanoseconds.

    `starts_ns` count from the start of the first run. `activation_bytes` are what it read and wrote
    besides weights, None where the runtime does not tell.
    """

    name: str
    kind: str
    activation_bytes: int | None = None
    starts_ns: tuple[int, ...]
    ns: tuple[int, ...]


class Peak(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The most that a device was seen to do per second: floating-point operations in float32, and
    bytes moved to and from memory; `method` names how that was found.
    """

    flops: float
    bytes: float
    method: str


class Link(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The network between a client and a server, as it was asked for: rates in Mbit/s (None: no
    limit), the round trip in milliseconds, the share of packets lost. `shaped_by` names what made
    it so.
    """

    name: str
    down_mbit: float | None
    up_mbit: float | None
    rtt_ms: float
    loss: float
    shaped_by: str


class Stages(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the time of a round's requests went, in nanoseconds, one entry a request.

    Attributes:
        encode: making the payload out of the input tensor.
        upload_download: what is neither this nor the server's: both ways of the network, and the
            server's reading and writing.
        queue: waiting in the server; None where it does not tell.
        compute: the server's inference; None where it does not tell.
    """

    encode: tuple[int, ...]
    upload_download: tuple[int, ...]
    queue: tuple[int, ...] | None = None
    compute: tuple[int, ...] | None = None


class Cloud(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A server as the device: the `rounds` of a record are end to end then, as its client sees it.

    `request_bytes` and `response_bytes` are those of one inference's messages, without the headers
    of HTTP. `link` is None for the network as it is; `stages` has an entry a round. `images_agreed`
    of `images_decided` golden inputs got the same class as an image and as a tensor of its pixels:
    of those with a clear one, see `devices.picture.agreement`; None where no images are sent.
    """

    url: str
    protocol: Literal["http", "grpc"]
    server: str
    payload: Literal["tensor", "jpeg", "png"]
    request_bytes: int
    response_bytes: int
    link: Link | None = None
    stages: tuple[Stages, ...] = ()
    images_agreed: int | None = None
    images_decided: int | None = None


class Session(Protocol):
    """A loaded artifact on a device: one worker process. Every call may raise `WorkerError`."""

    ready: Ready
    alarms: tuple[Alarm, ...]
    usage: Usage | None
    served: Served | None
    spent: Spent | None
    cloud: Cloud | None

    def verify(self, rows: int | None = None) -> dict[str, Any]:
        """Run all golden inputs, or the first `rows`; return the outputs by name, float32 arrays,
        one row an input.

        What went wrong in the numbers on the way is in `alarms` then, where the runtime can tell.
        """

    def measure(self, runs: int, *, copies: bool = False) -> list[int]:
        """Run one golden input `runs` times; return each invocation's time in nanoseconds.

        With `copies` the inputs are handed over and the outputs fetched each time, too, as
        `ready.copies` says. What that took is in `usage` then, where the device can tell, and in
        `spent` once `meters` was asked. After `streams` the runs are those of all streams together,
        at least five a stream, and what was done in all is in `served`. A server's `cloud` holds
        the stages of these runs.
        """

    def streams(self, count: int) -> None:
        """Load the artifact until it is there `count` times: `measure` then invokes all at once."""

    def meters(self) -> Meters:
        """Return the device's energy sensors, which `measure` reads from now on."""

    def idle(self, seconds: float) -> Idle:
        """Return what the energy sensors count while nothing is done for so long."""

    def sensors(self) -> Sensors:
        """Read the device's sensors; not while anything is timed."""

    def predict(self, images: Path, top: int = 5) -> list[list[int]]:
        """Classify images; return the `top` best classes of each, best first.

        `images` is a `.npy` file: float32 (N, ...), in the artifact's layout.
        """

    def memory(self) -> Memory:
        """Return the worker's memory figures so far."""

    def profile(self, runs: int) -> tuple[OperatorTimes, ...]:
        """Run one golden input `runs` times under the runtime's profiler, which slows it."""

    def peak(self, threads: int) -> Peak:
        """Find what the device can do with so many threads; takes seconds."""

    def close(self) -> None:
        """End the worker. Never raises; safe to call twice."""


class Device(Protocol):
    """Somewhere that artifacts can be measured."""

    name: str
    kind: str
    limits: Limits

    def info(self) -> DeviceInfo:
        """Describe the device as it is now.

        Raises:
            DeviceError: it is not there, or cannot be used as configured.
        """

    def runtimes(self, format: str) -> list[str]:
        """Return the runtimes able to run `format` that are installed here, preferred first."""

    def probe(self, runtime: str) -> str:
        """Start a worker, import `runtime` in it, and return the runtime's version.

        Raises:
            WorkerError: it could not be started, or has no such runtime.
        """

    def open(self, job: Job) -> Session:
        """Start a worker and load the artifact.

        Raises:
            WorkerError: it could not be started or could not load the artifact.
        """

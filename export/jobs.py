"""What the steps of an export tell each other: plain data, in files and events. No torch."""

from pathlib import Path
from typing import TypeVar

import msgspec

from export.artifact import (
    Calibration,
    Check,
    Constants,
    Contract,
    GoldenRow,
    Network,
    Quantization,
)
from export.computation import Computation
from export.layers import WeightedLayer
from export.ranges import Method
from export.source import Source
from models.preprocess import Preprocessing

T = TypeVar("T")
PROGRAM = "program.pt2"
PROGRAM_INFO = "program.json"


class ProgramJob(msgspec.Struct, frozen=True, kw_only=True):
    """The program step's task. `calibration` None: no precision asked for needs it; `bake` has
    the words of ``--bake``.
    """

    source: Source
    directory: Path
    batch: int
    data: str | None
    calibration: str | None
    images: int
    method: Method = "min-max"
    preprocessing: Preprocessing | None = None
    bake: tuple[str, ...] = ()


class Port(msgspec.Struct, frozen=True, kw_only=True):
    """An input or output of the program: its name and its shape at the batch of the job."""

    name: str
    shape: tuple[int, ...]


class ProgramInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What the converters and the manifest need to know of the program."""

    network: Network
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    dynamic_batch: bool
    preprocessing: Preprocessing | None
    postprocessing: str
    classes: tuple[str, ...] | None
    golden: tuple[GoldenRow, ...]
    calibration: Calibration | None
    layers: tuple[WeightedLayer, ...]


class VariantJob(msgspec.Struct, frozen=True, kw_only=True):
    """A variant by its names, and the directory to fill."""

    precision: str
    io: str
    directory: Path


class Quantizing(msgspec.Struct, frozen=True, kw_only=True):
    """How an int8 file is made: the rule that sets activation ranges (`export.ranges`), the share
    of values that "percentile" keeps, and the layers that stay float, by their names.
    """

    method: Method = "min-max"
    percentile: float = 99.99
    keep_float: tuple[str, ...] = ()


class CoremlInterface(msgspec.Struct, frozen=True, kw_only=True):
    """How an app calls a Core ML file: it gives a picture instead of prepared numbers; it takes a
    class's name with all probabilities instead of scores.
    """

    image: bool = False
    classes: bool = False


class ConvertJob(msgspec.Struct, frozen=True, kw_only=True):
    """The conversion step's task. `directory` holds the program step's files; `scratch` is the
    format's own.
    """

    format: str
    directory: Path
    scratch: Path
    variants: tuple[VariantJob, ...]
    quantizing: Quantizing = Quantizing()
    coreml: CoremlInterface = CoremlInterface()


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A line from a step: stage (what it does now), made, failed, or end.

    `variant` is the name of the variant's directory; a network's own step leaves it empty.
    """

    event: str
    variant: str = ""
    stage: str = ""
    error: str = ""
    exit_code: int = 1
    contract: Contract | None = None
    quantization: Quantization | None = None
    checks: tuple[Check, ...] = ()
    computation: Computation | None = None
    tools: dict[str, str] = {}
    constants: Constants | None = None


def unwritable(problem: OSError, variant: str = "") -> Event:
    """Return the event of a step that could not write: the disk is full, or may not be written."""
    reason = problem.strerror or problem
    return Event(event="failed", variant=variant, error=f"cannot write: {reason}", exit_code=2)


def encode(job: ProgramJob | ConvertJob) -> bytes:
    """Return a job as JSON, paths as text."""
    return msgspec.json.encode(job, enc_hook=str)


def decode(data: bytes, job_type: type[T]) -> T:
    """Read a job that `encode` wrote."""
    return msgspec.json.decode(data, type=job_type, dec_hook=lambda kind, value: kind(value))

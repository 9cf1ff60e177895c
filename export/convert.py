"""One format of one network, in a process of its own: all precisions from one float conversion.

Runs as ``python -m export.convert job.json``. Each variant gets a directory with its model file and
golden data in the file's own layout, and an event with its contract and recipe.
"""

import importlib
import io
import sys
import traceback
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import msgspec
import numpy as np

from export import arithmetic, embed
from export.artifact import GOLDEN, MODEL_FILES, Check, Constants, Contract, Quantization, Tensor
from export.capture import blame
from export.child import steps
from export.computation import Computation
from export.interface import layout as layout  # noqa: PLC0414  for the converters
from export.jobs import PROGRAM_INFO, ConvertJob, Event, ProgramInfo, VariantJob, unwritable
from export.precision import PRECISIONS, Precision

Array = np.ndarray[Any, Any]


class Interface(msgspec.Struct, frozen=True, kw_only=True):
    """The file's inputs and outputs, in the order of the program's."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


class Wrapped(msgspec.Struct, frozen=True, kw_only=True):
    """A file that also prepares its input or ends its output: the program as the file has it.

    `golden` holds the golden data ``in.NAME`` and ``out.NAME``, under the program's names.
    """

    info: ProgramInfo
    golden: dict[str, Any]


class Variant(msgspec.Struct, frozen=True, kw_only=True):
    """What a converter says of a file it wrote.

    `checks` is what it held the file to itself. `wrapped`: the file does more than the network.
    """

    interface: Interface
    quantization: Quantization
    dynamic_batch: bool
    checks: tuple[Check, ...] = ()
    wrapped: Wrapped | None = None


class Converter(Protocol):
    """One format. Made once a process, so that the float conversion is made once."""

    TOOLS: tuple[str, ...]

    def __init__(self, job: ConvertJob, info: ProgramInfo) -> None:
        """Take the program; convert nothing yet."""

    def write(self, precision: Precision, io: str, target: Path) -> Variant:
        """Write the model to `target`, in a precision that the format supports."""


CONVERTERS = {
    "onnx": "export.to_onnx",
    "tflite": "export.to_tflite",
    "coreml": "export.to_coreml",
    "torch": "export.to_torch",
}
# What a converter imports where it finds it, and our conversions have no use for: half of
# coremltools' start.
UNUSED = {"coreml": ("sklearn", "torchao", "transformers")}


def plain(name: str, shape: tuple[int, ...]) -> Tensor:
    """Return a float32 tensor in torch's layout."""
    return Tensor(name=name, shape=shape, dtype="float32", layout=layout(len(shape), False))


def calibration_inputs(job: ConvertJob, info: ProgramInfo) -> list[dict[str, Array]]:
    """Return the calibration inputs one by one, at the program's batch, in torch's layout."""
    with np.load(job.directory / "calibration.npz", allow_pickle=False) as arrays:
        named = {port.name: arrays[port.name] for port in info.inputs}
    batch = info.inputs[0].shape[0]
    count = len(next(iter(named.values())))
    return [
        {
            name: np.resize(array[i : i + batch], (batch, *array.shape[1:]))
            for name, array in named.items()
        }
        for i in range(0, count, batch)
    ]


def golden_data(job: ConvertJob) -> dict[str, Array]:
    """Return the golden data of the program step, ``in.NAME`` and ``out.NAME``."""
    with np.load(job.directory / "golden.npz", allow_pickle=False) as arrays:
        return dict(arrays)


class Golden:
    """Golden data for a format's files, compressed once for all that name and lay it out alike."""

    def __init__(self, job: ConvertJob, info: ProgramInfo) -> None:
        """Take the program; read nothing yet."""
        self.info, self._job = info, job
        self._packed: dict[tuple[Any, ...], bytes] = {}

    def write(self, made: Variant, target: Path) -> None:
        """Write the golden data under a file's own names and in its own layout."""
        inputs = zip(self.info.inputs, made.interface.inputs, strict=True)
        outputs = zip(self.info.outputs, made.interface.outputs, strict=True)
        pairs = [("in", p.name, t) for p, t in inputs] + [("out", p.name, t) for p, t in outputs]
        alike = (made.wrapped is None, *((side, t.name, t.layout) for side, _, t in pairs))
        if alike not in self._packed:
            golden = made.wrapped.golden if made.wrapped else golden_data(self._job)
            found: dict[str, Any] = {
                f"{side}.{t.name}": _relaid(golden[f"{side}.{name}"], t) for side, name, t in pairs
            }
            packed = io.BytesIO()
            np.savez_compressed(packed, **found)
            self._packed[alike] = packed.getvalue()
        (target / GOLDEN).write_bytes(self._packed[alike])


def _relaid(array: Array, tensor: Tensor) -> Array:
    if tensor.layout != "NHWC":
        return array
    return np.ascontiguousarray(array.transpose(0, 2, 3, 1))


def perform(job: ConvertJob, send: Callable[[Event], None]) -> None:
    """Write every variant, one failing leaving the others whole."""
    info = msgspec.json.decode((job.directory / PROGRAM_INFO).read_bytes(), type=ProgramInfo)
    module = importlib.import_module(CONVERTERS[job.format])
    converter: Converter = module.Converter(job, info)
    golden = Golden(job, info)
    tools = {name: version(name) for name in ("torch", *converter.TOOLS)}
    for variant in job.variants:
        name = variant.directory.name
        send(Event(event="stage", variant=name, stage="converting"))
        try:
            made, contract = _write(job, converter, golden, variant, tools)
            counted = _computation(job, variant)
            constants = _compared(job, variant, made.quantization.weights)
        except OSError as error:
            send(unwritable(error, name))
            continue
        except Exception as error:
            traceback.print_exc()
            code = getattr(error, "exit_code", None)
            said = str(error) if code else blame(error)
            send(Event(event="failed", variant=name, error=said, exit_code=code or 1))
            continue
        send(
            Event(
                event="made",
                variant=name,
                contract=contract,
                quantization=made.quantization,
                checks=made.checks,
                computation=counted,
                tools=tools,
                constants=constants,
            )
        )


def _compared(job: ConvertJob, variant: VariantJob, weights: str) -> Constants | None:
    """Compare the file's weights with the program's, where the format can be read so far."""
    if job.format != "coreml":
        return None
    from export import constants

    made = variant.directory
    return constants.check(made / MODEL_FILES[job.format], job.directory, made / GOLDEN, weights)


def _write(
    job: ConvertJob,
    converter: Converter,
    golden: Golden,
    variant: VariantJob,
    tools: dict[str, str],
) -> tuple[Variant, Contract]:
    variant.directory.mkdir(parents=True)
    target = variant.directory / MODEL_FILES[job.format]
    made = converter.write(PRECISIONS[variant.precision], variant.io, target)
    golden.write(made, variant.directory)
    info = made.wrapped.info if made.wrapped else golden.info
    contract = Contract(
        inputs=made.interface.inputs,
        outputs=made.interface.outputs,
        dynamic_batch=made.dynamic_batch,
        preprocessing=info.preprocessing,
        postprocessing=info.postprocessing,
        classes=info.classes,
    )
    described = embed.described(
        info.network.name, variant.precision, contract, made.quantization, tools
    )
    embed.write(target, job.format, described)
    return made, contract


def _computation(job: ConvertJob, variant: VariantJob) -> Computation | None:
    """Count what was written, where its format can be read back."""
    if job.format not in embed.FORMATS:
        return None
    return arithmetic.computation(variant.directory / MODEL_FILES[job.format], job.format)


def _start(format: str) -> None:
    """Import a format's converter, without what it has no use for."""
    sys.modules.update(dict.fromkeys(UNUSED.get(format, ())))  # type: ignore[arg-type]
    importlib.import_module(CONVERTERS[format])


if __name__ == "__main__":
    for _format in sys.argv[1:]:  # what is known before the job
        _start(_format)
    for _job, _send in steps(ConvertJob):
        _start(_job.format)
        perform(_job, _send)

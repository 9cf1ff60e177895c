"""From what the user named to `program.pt2`, its golden data and its figures: once a network.

Runs as a process (``python -m export.program job.json``); every converter starts from its files.
"""

import hashlib
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import torch
from torch.export import ExportedProgram

from export import bake, calibration, capture, guard
from export.artifact import Calibration, Network, Weights
from export.child import steps
from export.drift import first_norm
from export.fold import fold
from export.jobs import PROGRAM, PROGRAM_INFO, Event, Port, ProgramInfo, ProgramJob, unwritable
from export.layers import WeightedLayer
from export.precision import ExportError
from export.source import Source
from models.family import Output
from models.operators import kind_of, storage_of
from models.preprocess import Preprocessing

WEIGHTED = {"bmm", "conv", "conv_transpose2d", "depthwise conv", "linear", "matmul", "mm"}
Array = npt.NDArray[Any]
# Statistics of ImageNet's training images, with which most published networks were trained.
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
GREY = ((0.5,), (0.5,))
POSTPROCESSING: dict[Output | None, str] = {
    "logits": "none in the file; the largest logit is the answer, softmax gives probabilities",
    "probabilities": "softmax is in the file; the largest probability is the answer",
    "maps": "none in the file; the maps are for a network's next layer",
    None: "none in the file",
}


@dataclass(frozen=True, kw_only=True)
class Made:
    """A program and what only its origin knows."""

    program: ExportedProgram
    weights: Weights
    settings: dict[str, Any] = field(default_factory=dict)
    preprocessing: Preprocessing | None = None
    classes: tuple[str, ...] | None = None
    output: Output | None = None


def load(path: Path) -> ExportedProgram:
    """Read a `.pt2` file.

    Raises:
        ExportError: it is damaged or something else.
    """
    try:
        with warnings.catch_warnings():  # torch's own, of its own format
            warnings.simplefilter("ignore", FutureWarning)
            return torch.export.load(path)
    except Exception as error:
        raise ExportError(
            f"{path} is not a program that this torch can load ({capture.blame(error)}); "
            "write it with torch.export.save, by torch 2.13 or older"
        ) from None


def folded(path: Path) -> ExportedProgram:
    """Read a `.pt2` file for a converter: as `load` does, with batch norms folded."""
    program = load(path)
    fold(program)
    return program


@lru_cache(maxsize=1)
def shared(path: Path) -> ExportedProgram:
    """Return what `folded` does, read once a process; nobody may change it."""
    return folded(path)


def input_shapes(program: ExportedProgram, batch: int) -> tuple[list[tuple[int, ...]], bool]:
    """Return the input shapes at `batch`, and whether the batch is dynamic.

    Raises:
        ExportError: an input is not float32, has another dynamic size, or the batch is fixed.
    """
    placeholders = {n.name: n.meta["val"] for n in program.graph.nodes if n.op == "placeholder"}
    values = [placeholders[name] for name in program.graph_signature.user_inputs]
    sizes = [
        _size(name, v) for name, v in zip(program.graph_signature.user_inputs, values, strict=True)
    ]
    dynamic = all(size[0] is None for size in sizes)
    fixed = next((size[0] for size in sizes if size[0] is not None), batch)
    if fixed != batch:
        raise ExportError(
            f"the network is written for batch {fixed}; export it with --batch {fixed}"
        )
    return [(batch, *(int(s) for s in size[1:] if s is not None)) for size in sizes], dynamic


def _size(name: str, value: Any) -> list[int | None]:
    if not isinstance(value, torch.Tensor) or value.dtype != torch.float32 or value.ndim < 2:
        shown = getattr(value, "dtype", type(value).__name__)
        raise ExportError(f"input '{name}' is {shown}; float32 tensors with a batch are expected")
    size: list[int | None] = [int(s) if isinstance(s, int) else None for s in value.shape]
    if None in size[1:]:
        raise ExportError(f"input '{name}' is dynamic beyond its batch; export it with fixed sizes")
    return size


def run_rows(program: ExportedProgram, rows: Sequence[Array], batch: int) -> list[Array]:
    """Return the program's outputs for every row of the inputs, ``(rows, ...)`` float32 each.

    Raises:
        ExportError: an output is not a float tensor with a batch.
    """
    module = program.module()
    collected: list[list[Array]] = []
    with torch.no_grad():
        for row in range(len(rows[0])):
            inputs = [torch.from_numpy(np.repeat(a[row : row + 1], batch, 0)) for a in rows]
            result = module(*inputs)
            flat = torch.utils._pytree.tree_leaves(result)
            if not all(isinstance(t, torch.Tensor) and t.is_floating_point() for t in flat):
                raise ExportError("an output is not a float tensor; return float tensors only")
            collected.append([t[:1].float().numpy() for t in flat])
    return [np.concatenate(column) for column in zip(*collected, strict=True)]


def make(source: Source, directory: Path) -> Made:
    """Build or read the program.

    Raises:
        ExportError, models.registry.ModelError, export.capture.CaptureError: with the reason.
    """
    if source.kind != "zoo":
        return _foreign(source, directory)
    from models import checkpoint

    assert source.network is not None
    built = checkpoint.build(source.network, weights=source.weights, seed=source.seed)
    program = capture.capture(built.module, [(1, built.channels, *built.spec.size)])
    known = {name: getattr(built.weights, name) for name in Weights.__struct_fields__}
    return Made(
        program=program,
        weights=Weights(**known),
        settings=dict(built.spec.settings) | {"classes": built.classes, "channels": built.channels},
        preprocessing=built.preprocessing,
        classes=built.class_names,
        output=built.spec.output,
    )


def _foreign(source: Source, directory: Path) -> Made:
    captured = directory / "captured.pt2"
    path = captured if source.kind == "python" else source.path
    assert path is not None
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    program = load(path)
    captured.unlink(missing_ok=True)
    shapes = [
        n.meta["val"].shape
        for n in program.graph.nodes
        if n.name in program.graph_signature.user_inputs
    ]
    guessed = _guess(tuple(shapes[0])) if len(shapes) == 1 else None
    weights = Weights(origin="program", sha256=sha256 if source.kind == "pt2" else None)
    return Made(program=program, weights=weights, preprocessing=guessed)


def _guess(shape: tuple[Any, ...]) -> Preprocessing | None:
    """Return ImageNet's preprocessing for an image-like input: the usual, and overridable."""
    if len(shape) != 4 or shape[1] not in (1, 3):
        return None
    mean, std = IMAGENET if shape[1] == 3 else GREY
    size = (int(shape[2]), int(shape[3]))
    resize = round(min(size) * 256 / 224) if shape[1] == 3 else None
    return Preprocessing(channels=shape[1], size=size, mean=mean, std=std, resize=resize)


def prepare(job: ProgramJob, send: Callable[[Event], None]) -> ProgramInfo:
    """Write program, golden and calibration data, and return the figures."""
    send(Event(event="stage", stage="building"))
    made = make(job.source, job.directory)
    preprocessing = job.preprocessing or made.preprocessing
    shapes, dynamic = input_shapes(made.program, job.batch)
    network, layers = _network(job.source.name, made), weighted_layers(made.program)
    meaning = made.output or _guess_output(made.program)
    baked = bake.choose(made.program, job.bake, preprocessing, meaning)
    if baked:
        bake.bake(made.program, baked)
        network = msgspec.structs.replace(network, baked=baked)
        meaning = "probabilities" if baked.softmax else meaning
    inside = baked.preprocessing if baked else None
    send(Event(event="stage", stage="running the original"))
    prepared, golden = calibration.golden(job.data, preprocessing, shapes, job.source.seed)
    rows = [bake.pixels(array, inside) for array in prepared]
    results = run_rows(made.program, rows, job.batch)
    inputs = _ports(_input_names(made.program), shapes)
    told = results[0].shape[1] if len(results) == 1 and results[0].ndim == 2 else None
    names, sizes = _output_names(results, meaning), [(job.batch, *r.shape[1:]) for r in results]
    outputs = _ports(names, sizes)
    arrays: dict[str, Any] = {f"in.{p.name}": a for p, a in zip(inputs, rows, strict=True)}
    arrays |= {f"out.{p.name}": a for p, a in zip(outputs, results, strict=True)}
    np.savez(job.directory / "golden.npz", **arrays)
    capture.save(made.program, job.directory / PROGRAM)
    return ProgramInfo(
        network=network,
        inputs=inputs,
        outputs=outputs,
        dynamic_batch=dynamic,
        preprocessing=bake.of_pixels(inside) if inside else preprocessing,
        postprocessing=POSTPROCESSING[meaning],
        classes=made.classes,
        golden=golden,
        calibration=_calibrate(
            job,
            preprocessing,
            inputs,
            _guard(made.program, None if dynamic else job.batch, told, preprocessing, inside),
            inside,
        ),
        layers=layers,
    )


def _calibrate(
    job: ProgramJob,
    preprocessing: Preprocessing | None,
    inputs: Sequence[Port],
    guarding: calibration.Guard,
    inside: Preprocessing | None,
) -> Calibration | None:
    if job.calibration is None:
        return None
    arrays, described = calibration.calibrate(
        None if job.calibration == "random" else job.data,
        preprocessing,
        [p.shape for p in inputs],
        count=job.images,
        seed=job.source.seed,
        method=job.method,
        guard=guarding,
    )
    named: dict[str, Any] = {
        p.name: bake.pixels(a, inside) for p, a in zip(inputs, arrays, strict=True)
    }
    np.savez(job.directory / "calibration.npz", **named)
    return described


def _guard(
    program: ExportedProgram,
    batch: int | None,
    classes: int | None,
    given: Preprocessing | None,
    inside: Preprocessing | None,
) -> calibration.Guard:
    """Return the guard of images prepared as `given`; `inside` is what the program does itself."""

    def check(images: Array, labels: Array, source: str) -> tuple[str, ...]:
        drift = first_norm(program, bake.pixels(images, inside), batch)
        pixels = bake.pixels(images, given) if given else None
        return guard.check(images, labels, source, classes=classes, drift=drift, pixels=pixels)

    return check


def weighted_layers(program: ExportedProgram) -> tuple[WeightedLayer, ...]:
    """Return the layers that have weights of their own, in the program's order."""
    found = []
    for node in program.graph.nodes:
        parameter = _weight(program, node)
        if parameter is None:
            continue
        module, _, _ = parameter.rpartition(".")
        found.append(
            WeightedLayer(
                name=module or node.name,
                node=node.name,
                kind=kind_of(node),
                weight=parameter,
                weight_shape=tuple(program.state_dict[parameter].shape),
            )
        )
    return tuple(found)


def _weight(program: ExportedProgram, node: torch.fx.Node) -> str | None:
    """Return the name of the weight that a convolution or matrix product takes, through views."""
    if node.op != "call_function" or kind_of(node) not in WEIGHTED:
        return None
    parameters = program.graph_signature.inputs_to_parameters
    operands = [storage_of(argument).name for argument in node.all_input_nodes]
    weights = [parameters[name] for name in operands if name in parameters]
    return next((name for name in weights if program.state_dict[name].ndim > 1), None)


def _network(name: str, made: Made) -> Network:
    from models.analysis import analyse

    found = analyse(made.program)
    return Network(
        name=name,
        settings=made.settings,
        weights=made.weights,
        parameters=found.parameters,
        macs=found.macs,
        peak_activation_bytes=found.peak_activation_bytes,
        total_activation_bytes=found.total_activation_bytes,
    )


def _ports(names: Sequence[str], shapes: Sequence[tuple[int, ...]]) -> tuple[Port, ...]:
    return tuple(Port(name=n, shape=tuple(s)) for n, s in zip(names, shapes, strict=True))


def _input_names(program: ExportedProgram) -> list[str]:
    names = list(program.graph_signature.user_inputs)
    return ["image"] if len(names) == 1 else names


def _guess_output(program: ExportedProgram) -> Output | None:
    """Take a single row of numbers for an image as the scores of classes."""
    names = program.graph_signature.user_outputs
    values = [n.meta["val"] for n in program.graph.nodes if n.name in names]
    return "logits" if len(names) == len(values) == 1 and values[0].ndim == 2 else None


def _output_names(results: Sequence[Array], meaning: Output | None) -> list[str]:
    if len(results) == 1:
        return [meaning or "output"]
    return [f"output_{i}" for i in range(len(results))]


def perform(job: ProgramJob, send: Callable[[Event], None]) -> None:
    """Do the whole step, and write its figures; what is the user's to mend becomes an event."""
    torch.set_num_threads(1)
    try:
        info = prepare(job, send)
        (job.directory / PROGRAM_INFO).write_bytes(msgspec.json.encode(info))
    except OSError as error:
        send(unwritable(error))
    except Exception as error:
        if not hasattr(error, "exit_code"):
            raise
        send(Event(event="failed", error=str(error), exit_code=error.exit_code))


if __name__ == "__main__":
    for _job, _send in steps(ProgramJob):
        perform(_job, _send)

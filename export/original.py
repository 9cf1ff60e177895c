"""The float network that an artifact was made from: found again, and proved to be that.

Tried in this order: what the user names; the torch artifact beside (``MODEL/torch-fp32``); the
zoo's network of that name, with its own weights or the random ones of the manifest's seed.
Whichever it is has to give the golden outputs, at float32's tolerance, so that no other network is
taken for it.
"""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch.export import ExportedProgram

from export import artifact, program, source, verify
from export.artifact import MODEL_FILES, ArtifactError, Manifest, Tensor
from export.bake import bake
from export.capturing import capture_file
from export.child import Children
from export.precision import PRECISIONS, ExportError
from models.family import ModelError

Array = npt.NDArray[Any]
PROOF_ROWS = 8


@dataclass(frozen=True)
class Original:
    """The float program, and in words where it is from."""

    program: ExportedProgram
    origin: str


def find(
    directory: Path, manifest: Manifest, model: str | None = None, weights: Path | None = None
) -> Original:
    """Return an artifact's float network; `model` and `weights` are as for an export.

    Raises:
        ArtifactError: there is none, or none that gives the golden outputs.
        models.registry.ModelError: no network or weights of that name.
        export.capture.CaptureError: the user's network cannot become a program.
    """
    tried = []
    for origin, load in _candidates(directory, manifest, model, weights):
        made = load()
        if _is_it(made, directory, manifest):
            return Original(made, origin)
        tried.append(origin)
    if tried:
        raise ExportError(
            f"{' and '.join(tried)}: not the network that {directory} was made from (its golden "
            "outputs differ); name that with --model, and its weights with --weights"
        )
    raise ExportError(
        f"where is the float network of {directory}? name it with --model FILE.py:FACTORY or "
        "--model FILE.pt2 (of the zoo: --model NAME --weights FILE), or export it beside with "
        "--format torch"
    )


Candidate = tuple[str, Callable[[], ExportedProgram]]


def _candidates(
    directory: Path, manifest: Manifest, model: str | None, weights: Path | None
) -> Iterator[Candidate]:
    if model is not None or weights is not None:
        name = model or manifest.network.name
        yield f"--model {name}", lambda: _named(name, weights, manifest)
        return
    for beside in sorted(directory.absolute().parent.glob("torch-fp32*")):
        if not beside.name.endswith(artifact.FAILED):
            yield str(beside), partial(_artifact, beside, manifest)
    stated = manifest.network.weights
    if stated.origin in {"random", "trained"} and _in_zoo(manifest.network.name):
        seeded = f", seed {stated.seed}" if stated.origin == "random" else ""
        origin = f"the zoo's {manifest.network.name}{seeded}"
        yield origin, lambda: _named(manifest.network.name, None, manifest)


def _in_zoo(name: str) -> bool:
    from models import registry

    try:
        registry.resolve(name)
    except ModelError:
        return False
    return True


def _artifact(directory: Path, of: Manifest) -> ExportedProgram:
    """Return the program of an artifact, with what `of` has baked in where it has nothing."""
    manifest = artifact.load(directory)
    found = program.load(directory / MODEL_FILES[manifest.format])
    return found if manifest.network.baked else _baked(found, of)


def _baked(found: ExportedProgram, manifest: Manifest) -> ExportedProgram:
    if manifest.network.baked and _fits(found, manifest):
        bake(found, manifest.network.baked)
    return found


def _fits(found: ExportedProgram, manifest: Manifest) -> bool:
    """Tell whether a program has the artifact's inputs, and as many outputs."""
    wanted = [channel_first(tensor) for tensor in manifest.contract.inputs]
    try:
        shapes, _ = program.input_shapes(found, wanted[0][0])
    except ArtifactError:
        return False
    outputs = found.graph_signature.user_outputs
    return shapes == wanted and len(outputs) == len(manifest.contract.outputs)


def _named(name: str, weights: Path | None, manifest: Manifest) -> ExportedProgram:
    python = name.partition(":")[0].endswith(".py")
    shapes = ["x".join(map(str, channel_first(t))) for t in manifest.contract.inputs]
    found = source.find(
        [name],
        weights=weights,
        shapes=shapes if python else [],
        seed=manifest.network.weights.seed or 0,
        name=None,
    )
    if len(found) != 1:
        raise ExportError(f"--model {name} names {len(found)} networks; name one")
    with tempfile.TemporaryDirectory() as scratch:
        if python:
            target = Path(scratch) / "captured.pt2"
            capture_file(Children(), found[0], target, Path(scratch) / "capture.log")
        return _baked(program.make(found[0], Path(scratch)).program, manifest)


def channel_first(tensor: Tensor) -> tuple[int, ...]:
    """Return a tensor's shape in torch's layout."""
    if tensor.layout != "NHWC":
        return tensor.shape
    batch, height, width, channels = tensor.shape
    return batch, channels, height, width


def relaid(array: Array, tensor: Tensor) -> Array:
    """Return an array of a file's layout in torch's."""
    return np.moveaxis(array, 3, 1) if tensor.layout == "NHWC" else array


def _is_it(made: ExportedProgram, directory: Path, manifest: Manifest) -> bool:
    """Tell whether a program gives the golden outputs."""
    contract = manifest.contract
    inputs, outputs = verify.golden(directory, manifest)
    rows = [relaid(inputs[t.name][:PROOF_ROWS], t) for t in contract.inputs]
    wanted = [relaid(outputs[t.name][:PROOF_ROWS], t) for t in contract.outputs]
    try:
        program.input_shapes(made, contract.inputs[0].shape[0])
        got = program.run_rows(made, rows, contract.inputs[0].shape[0])
    except (ArtifactError, RuntimeError, AssertionError, TypeError):  # another network's shapes
        return False
    tolerance = PRECISIONS["fp32"].tolerance
    return [a.shape for a in got] == [a.shape for a in wanted] and all(
        verify.compare("", a, b, tolerance).psnr_db >= tolerance.psnr_db
        for a, b in zip(wanted, got, strict=True)
    )

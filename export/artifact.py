"""The artifact: a directory with a model file, `manifest.json` and `golden.npz`.

Everything that measures or judges an exported network reads it through this module, which needs
neither torch nor a converter. A directory appears under its final name only when it is whole.
"""

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import msgspec

from export.computation import Computation
from export.computation import doubts as doubts  # noqa: PLC0414  said of manifests
from models.preprocess import Preprocessing as Preprocessing  # noqa: PLC0414  part of a manifest

SCHEMA = 1
MANIFEST = "manifest.json"
GOLDEN = "golden.npz"
# What is left of an export that failed lies beside the artifact's place under this ending.
FAILED = ".failed"
STAGING = ".staging-"
MODEL_FILES = {
    "onnx": "model.onnx",
    "tflite": "model.tflite",
    "coreml": "model.mlpackage",
    "torch": "model.pt2",
}


class ArtifactError(Exception):
    """A directory cannot be used as an artifact; the message says why and what to do."""

    exit_code: ClassVar[int] = 2


class _Data(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Immutable data that is checked when read."""


class Tensor(_Data, frozen=True, kw_only=True):
    """One input or output as a client of the file sees it.

    `shape` is that of batch `shape[0]`; `scale` and `zero_point` are set when `dtype` is an
    integer: real value = scale * (stored value - zero_point).
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    layout: str
    scale: float | None = None
    zero_point: int | None = None


class Contract(_Data, frozen=True, kw_only=True):
    """What an application must know to call the model: a change here breaks applications."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    dynamic_batch: bool
    preprocessing: Preprocessing | None
    postprocessing: str
    classes: tuple[str, ...] | None = None


class Weights(_Data, frozen=True, kw_only=True):
    """Where the parameters' values come from. `origin` is random, file or trained (committed)."""

    origin: Literal["random", "file", "trained", "program"]
    sha256: str | None = None
    seed: int | None = None
    dataset: str | None = None
    top1: float | None = None


class Baked(_Data, frozen=True, kw_only=True):
    """What was made part of the network before it was converted: the normalisation of
    `preprocessing`, where that is given, and a softmax.
    """

    preprocessing: Preprocessing | None = None
    softmax: bool = False

    @property
    def words(self) -> tuple[str, ...]:
        """The words of ``--bake`` that ask for it."""
        parts = {"preprocess": self.preprocessing is not None, "softmax": self.softmax}
        return tuple(word for word, there in parts.items() if there)


class Network(_Data, frozen=True, kw_only=True):
    """The network that was exported and the figures that hold in every format.

    `macs` counts multiply-accumulates of one image; the activation figures are bytes of one image
    in float32: the largest sum of tensors alive at once, and the sum of all layers' outputs. They
    leave out what was `baked` into every file around the network.
    """

    name: str
    settings: dict[str, Any]
    weights: Weights
    parameters: int
    macs: int
    peak_activation_bytes: int
    total_activation_bytes: int
    baked: Baked | None = None


class Calibration(_Data, frozen=True, kw_only=True):
    """The images that set the activation ranges. `source` "random" means no images at all.

    `doubts` are what speaks against them, each a sentence for the user (see `export.guard`).
    """

    source: str
    images: int
    fingerprint: str
    method: str
    doubts: tuple[str, ...] = ()


class Quantization(_Data, frozen=True, kw_only=True):
    """The recipe as data: which numbers are stored how, and the tool's own recipe verbatim.

    `kept_float` names the layers that stay float in an int8 file.
    """

    weights: str
    activations: str
    granularity: str | None = None
    io: str = "float32"
    calibration: Calibration | None = None
    kept_float: tuple[str, ...] = ()
    recipe: dict[str, Any] = {}


class File(_Data, frozen=True, kw_only=True):
    """One file of the artifact, by its path inside the directory."""

    path: str
    bytes: int
    sha256: str


class Tolerance(_Data, frozen=True, kw_only=True):
    """The limits a proof applied, all of which must hold (see `export.verify`)."""

    psnr_db: float
    cosine: float
    top1: float


class OutputError(_Data, frozen=True, kw_only=True):
    """How far one output is from the float original over the golden inputs compared.

    `cosine` is of the outputs less the original's mean over the inputs, so that a file which
    ignores its input cannot look right; None where the original hardly varies itself (random
    weights), less than twice the noise that the tolerance permits. `top1` is the share of equal
    best answers among the `decided` inputs, whose best answer leads by more than that.
    """

    name: str
    max_abs_error: float
    psnr_db: float
    cosine: float | None
    top1: float | None
    decided: int
    inputs: int


class OtherProof(_Data, frozen=True, kw_only=True):
    """What a further runtime made of the same file, on the first `inputs` golden inputs.

    `psnr_db` is the worst output's; `verified` None: it was not run, for the reason given.
    """

    runtime: str
    runtime_version: str | None = None
    verified: bool | None
    inputs: int = 0
    reason: str | None = None
    psnr_db: float | None = None


class Alarm(_Data, frozen=True, kw_only=True):
    """What went wrong in an operator's numbers: the largest share of values that one input lost.

    `kind` is overflow (of float16), underflow (to its subnormal numbers or zero), or saturation
    (values that a quantize operator clipped); `operator` is the name of its first output.
    """

    kind: str
    operator: str
    share: float


class Check(_Data, frozen=True, kw_only=True):
    """Something else that a file was held to when it was made, and what came out, in words."""

    name: str
    passed: bool
    detail: str


class Constants(_Data, frozen=True, kw_only=True):
    """The file's weights and biases against the network's, number by number.

    `worst` is the largest difference, that of `where`, as a multiple of what rounding allows.
    `structure_db` is the PSNR of the file with the network's weights in it and nothing rounded:
    whether all but the weights is right.
    """

    layers: int
    numbers: int
    worst: float
    where: str
    structure_db: float = 0.0


class Proof(_Data, frozen=True, kw_only=True):
    """What running the artifact on its golden inputs showed; `verified` None: it was not run.

    The verdict is that of `runtime`, the one an application would use. `also` tells where else the
    file runs; a refusal there is no refutation, and is reported beside it.
    `emulated`: a reference interpreter on the host ran it, no device's own runtime; then `alarms`
    holds what it saw go wrong in the numbers. `constants` None: the weights were not compared.
    """

    verified: bool | None
    reason: str | None = None
    runtime: str | None = None
    runtime_version: str | None = None
    tolerance: Tolerance | None = None
    outputs: tuple[OutputError, ...] = ()
    emulated: bool = False
    alarms: tuple[Alarm, ...] = ()
    checks: tuple[Check, ...] = ()
    also: tuple[OtherProof, ...] = ()
    constants: Constants | None = None


class GoldenRow(_Data, frozen=True, kw_only=True):
    """What golden input number i is: an `image`, `noise` or `zeros`, times `amplitude`, or `given`
    with a file that was not exported here. Where normalisation is in the file, it is what the
    network gets behind that, as far as pixels can be.
    """

    kind: Literal["image", "noise", "zeros", "given"]
    amplitude: float


class Retained(_Data, frozen=True, kw_only=True):
    """Top-1 of a file and of its float network on the same images; `budget` is in points."""

    dataset: str
    images: int
    top1: float
    float_top1: float
    budget: float

    @property
    def drop(self) -> float:
        """The points (of 100) that the file lost."""
        return round(100 * (self.float_top1 - self.top1), 6)


class Manifest(_Data, frozen=True, kw_only=True, dict=True):
    """All that is known of an artifact. `size_bytes` counts the model's own files only; no
    `golden` row: what the file should answer is not known.
    """

    schema: int
    created: str
    network: Network
    format: Literal["onnx", "tflite", "coreml", "torch"]
    precision: Literal["fp32", "fp16", "int8", "int8-weights", "int4-weights"]
    quantization: Quantization
    contract: Contract
    size_bytes: int
    files: tuple[File, ...]
    golden: tuple[GoldenRow, ...]
    tools: dict[str, str]
    proof: Proof
    computation: Computation | None = None
    retained: Retained | None = None

    @cached_property
    def key(self) -> str:
        """``model/format-precision``: the artifact's directory below the output directory."""
        return f"{self.network.name}/{self.variant}"

    @cached_property
    def variant(self) -> str:
        """``format-precision``, with what else tells two files apart (see `variant_name`)."""
        batch = self.contract.inputs[0].shape[0]
        baked = self.network.baked.words if self.network.baked else ()
        return variant_name(self.format, self.precision, batch, self.quantization.io, baked)

    @cached_property
    def model_sha256(self) -> str:
        """The hash of what would be shipped: of the one file, or of all names and hashes."""
        files = [file for file in self.files if file.path != GOLDEN]
        if len(files) == 1:
            return files[0].sha256
        listing = "".join(f"{f.sha256}  {f.path}\n" for f in sorted(files, key=lambda f: f.path))
        return hashlib.sha256(listing.encode()).hexdigest()


def variant_name(
    format: str, precision: str, batch: int, io: str, baked: tuple[str, ...] = ()
) -> str:
    """Return an artifact's directory name: ``-b8`` for batch 8, ``-io-int8`` for integer I/O,
    ``-preprocess`` and ``-softmax`` for what is baked in.
    """
    batched = f"-b{batch}" if batch != 1 else ""
    interface = f"-io-{io}" if io != "float32" else ""
    around = "".join(f"-{word}" for word in baked)
    return f"{format}-{precision}{batched}{interface}{around}"


def digest(path: Path) -> str:
    """Return the sha256 of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def list_files(directory: Path) -> tuple[File, ...]:
    """Describe every file below `directory` but the manifest, sorted by path."""
    found = sorted(p for p in directory.rglob("*") if p.is_file() and p != directory / MANIFEST)
    return tuple(
        File(path=p.relative_to(directory).as_posix(), bytes=p.stat().st_size, sha256=digest(p))
        for p in found
    )


def model_bytes(files: tuple[File, ...]) -> int:
    """Return the size of what would be shipped: every file but the golden data."""
    return sum(file.bytes for file in files if file.path != GOLDEN)


def read_manifest(directory: Path) -> Manifest:
    """Read and validate ``directory/manifest.json``.

    Raises:
        ArtifactError: no artifact there, a newer schema, or contents that do not fit it.
    """
    path = directory / MANIFEST
    try:
        raw = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise ArtifactError(
            f"{directory} is not an artifact: it has no {MANIFEST}; "
            "make one with 'edgeworthy export --model NAME --format FORMAT'"
        ) from None
    except OSError as error:
        raise ArtifactError(f"cannot read {path}: {error.strerror}") from None
    return _decode(raw, path)


def _decode(raw: bytes, path: Path) -> Manifest:
    try:
        schema = msgspec.json.decode(raw, type=dict[str, Any]).get("schema")
        if isinstance(schema, int) and schema > SCHEMA:
            raise ArtifactError(
                f"{path} has schema {schema}, written by a newer edgeworthy; this one reads up to "
                f"{SCHEMA}: upgrade edgeworthy or export again"
            )
        return msgspec.json.decode(raw, type=Manifest)
    except msgspec.MsgspecError as error:
        raise ArtifactError(f"{path} is not a valid manifest: {error}; export it again") from None


def check_files(directory: Path, manifest: Manifest) -> None:
    """Compare every file with the size and hash in the manifest.

    Raises:
        ArtifactError: a file is missing, truncated or changed; names the first such file.
    """
    for entry in manifest.files:
        path = directory / entry.path
        if not path.is_file():
            raise ArtifactError(f"{path} is missing; export it again")
        if path.stat().st_size != entry.bytes:
            raise ArtifactError(
                f"{path} has {path.stat().st_size} bytes, its manifest says {entry.bytes}: "
                "it was truncated or replaced; export it again"
            )
        if digest(path) != entry.sha256:
            raise ArtifactError(
                f"{path} does not match the sha256 in its manifest: it was changed after export; "
                "export it again"
            )


def load(directory: Path) -> Manifest:
    """Read the manifest of an artifact and check its files (see `read_manifest`, `check_files`)."""
    manifest = read_manifest(directory)
    check_files(directory, manifest)
    return manifest


def find(root: Path, pattern: str = "*") -> list[Path]:
    """Return the artifacts below `root` whose ``model/variant`` matches a shell pattern, sorted.

    `pattern` may also be the path of one artifact. A pattern without a slash matches the model's
    name or the variant: ``mobilenet*``, ``tflite-int8``, ``mobilenet*/tflite-*``.
    """
    if (Path(pattern) / MANIFEST).is_file():
        return [Path(pattern)]
    return sorted(
        path.parent
        for path in root.glob(f"*/*/{MANIFEST}")
        if not path.parent.name.endswith(FAILED) and matches(_key(path.parent), pattern)
    )


def matches(key: str, pattern: str) -> bool:
    """Tell whether ``model/variant`` fits a pattern as in `find`."""
    if "/" in pattern:
        return fnmatchcase(key, pattern)
    return any(fnmatchcase(part, pattern) for part in (key, *key.split("/")))


def _key(directory: Path) -> str:
    return f"{directory.parent.name}/{directory.name}"


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Write `manifest` as indented JSON into `directory`."""
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
    (directory / MANIFEST).write_bytes(text + b"\n")


@contextmanager
def staging(root: Path) -> Iterator[Path]:
    """Give a scratch directory on the file system of `root`; it is gone afterwards.

    Raises:
        ArtifactError: `root` cannot be written to.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        _sweep(root)
        scratch = Path(tempfile.mkdtemp(prefix=STAGING, dir=root))
        lock = _lock(scratch)
    except OSError as error:
        raise ArtifactError(
            f"cannot write to {root}: {error.strerror}; choose another with --out DIR"
        ) from None
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        os.close(lock)


def _sweep(root: Path) -> None:
    """Remove the scratch directories of processes that were killed: nobody holds their lock."""
    for scratch in root.glob(f"{STAGING}*"):
        with suppress(OSError):
            lock = _lock(scratch)
            shutil.rmtree(scratch, ignore_errors=True)
            os.close(lock)


def _lock(directory: Path) -> int:
    """Lock a directory until the descriptor returned is closed; BlockingIOError if it is locked."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def failed(final: Path) -> Path:
    """Return where the evidence of an artifact that failed lies, beside its place."""
    return final.with_name(final.name + FAILED)


def publish(whole: Path, final: Path) -> None:
    """Move a finished directory to its final name, replacing what was there in one step.

    A reader sees the old directory or the new one, but for the instant between two renames; if the
    second fails, the old one is put back.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    old = whole.with_name(whole.name + ".old")
    if final.exists():
        final.rename(old)
    try:
        whole.rename(final)
    except OSError:
        if old.exists():
            old.rename(final)
        raise
    shutil.rmtree(old, ignore_errors=True)

"""Precisions as data: how weights and activations are stored, and how close a file must stay."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from export.artifact import ArtifactError, Tolerance, variant_name


class ExportError(ArtifactError):
    """An export was asked for that cannot be made; the message says what can."""


@dataclass(frozen=True)
class Precision:
    """One way of storing a network. `tolerance` is what every proof at this precision applies."""

    name: str
    weights: str
    activations: str
    tolerance: Tolerance

    @property
    def calibrated(self) -> bool:
        """Whether activation ranges must be known beforehand, from images."""
        return self.activations == "int8"

    @property
    def integer(self) -> bool:
        """Whether weights are stored as integers."""
        return self.weights.startswith("int")


# The limits follow from the number formats: float32 differs only by the order of additions; half
# precision has 11 bits and int8 has 8, of which a stack of layers leaves fewer. What honest files
# reach on trained networks is 20 dB and more above each limit in float, 5 dB and more in int8.
# Core ML's noise floor by the reference interpreter, 28 networks of the zoo with random weights
# (tests/export/noise_floor.py): fp32 137 dB and more, fp16 72 to 94, int8-weights 50 to 68; trained
# on Fashion-MNIST fp16 70 and 75, int8-weights 48 and 54. What such limits let through below the
# floor is caught by `export.constants`.
PRECISIONS = {
    p.name: p
    for p in (
        Precision("fp32", "float32", "float32", Tolerance(psnr_db=80, cosine=0.9999, top1=1.0)),
        Precision("fp16", "float16", "float16", Tolerance(psnr_db=40, cosine=0.999, top1=1.0)),
        Precision("int8", "int8", "int8", Tolerance(psnr_db=20, cosine=0.95, top1=0.9)),
        Precision("int8-weights", "int8", "float", Tolerance(psnr_db=25, cosine=0.98, top1=0.9)),
        Precision("int4-weights", "int4", "float", Tolerance(psnr_db=15, cosine=0.9, top1=0.8)),
    )
}

FORMATS = {
    "onnx": ("fp32", "fp16", "int8", "int8-weights", "int4-weights"),
    "tflite": ("fp32", "fp16", "int8", "int8-weights", "int4-weights"),
    "coreml": ("fp32", "fp16", "int8", "int8-weights", "int4-weights"),
    "torch": ("fp32",),
}
# `all`: what goes to a device. The torch program is the reference, made when asked for by name.
SHIPPED = ("onnx", "tflite", "coreml")
# What can be made part of a network before it is converted.
BAKES = ("preprocess", "softmax")


@dataclass(frozen=True)
class Variant:
    """One file to make: a format at a precision, its interface's number type, and its batch."""

    format: str
    precision: Precision
    io: str = "float32"
    batch: int = 1
    baked: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The artifact's directory: ``tflite-int8``, ``onnx-fp32-b8``, ``tflite-int8-io-int8``."""
        return variant_name(self.format, self.precision.name, self.batch, self.io, self.baked)


def to_bake(asked: list[str]) -> tuple[str, ...]:
    """Return what is to be made part of the network, each once and in the order of its running.

    Raises:
        ExportError: an unknown name (near misses are listed).
    """
    found = _expand("step to bake", asked, list(BAKES), list(BAKES))
    return tuple(word for word in BAKES if word in found)


def plan(
    formats: list[str],
    precisions: list[str],
    io: str = "float32",
    batch: int = 1,
    baked: tuple[str, ...] = (),
) -> list[Variant]:
    """Return the variants for the formats and precisions asked for, each once.

    Raises:
        ExportError: an unknown name (near misses are listed) or a pair that cannot be made.
    """
    if not formats or not precisions:
        raise ExportError("--format and --precision each name at least one, or 'all'")
    chosen = _expand("format", formats, list(FORMATS), list(SHIPPED))
    wanted = _expand("precision", precisions, list(PRECISIONS), ["fp32", "fp16", "int8"])
    variants = [replace(_variant(f, p, io, batch), baked=baked) for f in chosen for p in wanted]
    if io != "float32" and not any(v.io == io for v in variants):
        raise ExportError("--io int8 applies to tflite at int8 only; add --precision int8")
    return list(dict.fromkeys(variants))


def _variant(format: str, precision: str, io: str, batch: int) -> Variant:
    if precision not in FORMATS[format]:
        raise ExportError(
            f"{format} cannot be made at {precision}; it can at {', '.join(FORMATS[format])}"
        )
    integer = format == "tflite" and precision == "int8"
    return Variant(format, PRECISIONS[precision], io if integer else "float32", batch)


def _expand(kind: str, asked: list[str], known: list[str], everything: list[str]) -> list[str]:
    found: list[str] = []
    for name in asked:
        if name in (*known, "all"):
            found += everything if name == "all" else [name]
            continue
        near = difflib.get_close_matches(name, known, 1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        raise ExportError(f"no {kind} '{name}'{hint} (there are {', '.join(known)}, and all)")
    return found


def require_images(calibrated: bool, calibration: str, data: str | None) -> None:
    """Refuse a static int8 export that has nothing to take activation ranges from.

    Raises:
        ExportError: with the two ways out.
    """
    if calibrated and calibration == "data" and data is None:
        raise ExportError(
            "int8 needs images to set its activation ranges: add --data DIR (a folder of images "
            "by class, or fashion-mnist), or --calibration random to measure size and speed only"
        )


def require_integers(variants: Sequence[Variant], kept: Sequence[str]) -> None:
    """Refuse layers to keep in float where all files are float anyway.

    Raises:
        ExportError: with the precisions that can.
    """
    if kept and not any(variant.precision.integer for variant in variants):
        known = ", ".join(p.name for p in PRECISIONS.values() if p.integer)
        raise ExportError(
            f"--keep-float {','.join(kept)} changes nothing in float files: add --precision with "
            f"one of {known}, or leave it out"
        )

"""Reads the operators of a Core ML program, by coremltools' protobuf schema alone."""

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from devices.mil import schema
from devices.mil.tensors import tensor_type
from export.artifact import Contract, Tensor
from export.embed import KEY
from export.inspection import Bytes, Graph, Operator, Value, merged, tensor_bytes
from export.interface import Picture, bare, layout

# What operators call the tensor that they compute on.
DATA = {"x", "input", "data"}
MODEL = Path("Data/com.apple.CoreML/model.mlmodel")
WEIGHTS = Path("Data/com.apple.CoreML/weights/weight.bin")
# What a description in the blob file begins with: the entry's sentinel, type, bytes and place.
ENTRY = struct.Struct("<IIQQ")
SENTINEL = 0xDEADBEEF

# Colours of a picture in words, and PIL's mode of what an application gives.
COLOURS = {
    "GRAYSCALE": ("greyscale", "L"),
    "GRAYSCALE_FLOAT16": ("greyscale in float16", "F"),
    "RGB": ("RGB", "RGB"),
    "BGR": ("BGR", "RGB"),
}
LABELS = {"stringType": "string", "int64Type": "int64"}
# Types that are packed: bits of a value.
BITS = {"int4": 4, "uint1": 1, "uint2": 2, "uint3": 3, "uint4": 4, "uint6": 6}
ITEM_BYTES = {"bool": 1, "int8": 1, "uint8": 1, "int16": 2, "uint16": 2, "float16": 2, "float64": 8}


def read(path: Path) -> Graph:
    """Read a package's main function.

    Raises:
        ImportError: coremltools is not installed.
        ValueError: it is not an ML program, or its blob file is damaged.
    """
    main, block = schema.main_function(specification(path))
    stored = [o for o in block.operations if is_stored(o)]
    blob_sizes(path, [value for o in stored for _, value in stored_values(o)])
    typed = [*main.inputs, *(output for o in block.operations for output in o.outputs)]
    return Graph(
        operators=tuple(_operator(o) for o in block.operations if not is_stored(o)),
        inputs=frozenset(i.name for i in main.inputs),
        outputs=frozenset(block.outputs),
        constants={o.outputs[0].name: _stored_bytes(o) for o in stored},
        values={t.name: Value(*_tensor(t.type)) for t in typed},
    )


def blob_sizes(path: Path, values: Iterable[Any]) -> dict[int, int]:
    """Return the bytes of the entries of a package's blob file that constants are in, by offset.

    Raises:
        ValueError: the blob file is cut short or damaged.
    """
    wanted = {
        int(v.blobFileValue.offset) for v in values if v.WhichOneof("value") == "blobFileValue"
    }
    if not wanted:
        return {}
    with (path / WEIGHTS).open("rb") as blob:
        end = blob.seek(0, 2)
        found = {}
        for offset in sorted(wanted):
            blob.seek(offset)
            description = blob.read(ENTRY.size)
            if len(description) < ENTRY.size:
                raise ValueError("its blob file is cut short")
            sentinel, _, size, place = ENTRY.unpack(description)
            if sentinel != SENTINEL or place + size > end:
                raise ValueError("its blob file is damaged")
            found[offset] = int(size)
    return found


def embedded(path: Path) -> str | None:
    """Return the text that `export.embed` put into a package; None if there is none."""
    metadata = specification(path).description.metadata.userDefined
    return str(metadata[KEY]) if KEY in metadata else None


def interface(path: Path) -> Contract:
    """Read what an application sees of a package: arrays, a picture, the scores of classes.

    A picture is an array of values from 0 to 255 here, and a classifier's label is left out: see
    `pictures` and `labels`.

    Raises:
        ImportError: coremltools is not installed.
        ValueError: it is not an ML program, or has another type.
    """
    spec = specification(path)
    outputs = [o for o in spec.description.output if o.type.WhichOneof("Type") not in LABELS]
    return bare(
        inputs=[_port(f, spec) for f in spec.description.input],
        outputs=[_port(f, spec) for f in outputs],
        dynamic_batch=False,
    )


def pictures(path: Path) -> dict[str, Picture]:
    """Return the inputs and outputs of a package that are pictures, by name."""
    described = specification(path).description
    features = (*described.input, *described.output)
    return {f.name: _picture(f.type.imageType) for f in features if f.type.HasField("imageType")}


def _picture(image: Any) -> Picture:
    colours, mode = COLOURS[image.ColorSpace.Name(image.colorSpace)]
    return Picture(colours=colours, mode=mode, height=int(image.height), width=int(image.width))


def labels(path: Path) -> dict[str, str]:
    """Return the types of a package's outputs that are labels, by name."""
    kinds = {o.name: o.type.WhichOneof("Type") for o in specification(path).description.output}
    return {name: LABELS[kind] for name, kind in kinds.items() if kind in LABELS}


def _port(feature: Any, spec: Any) -> Tensor:
    kind = feature.type.WhichOneof("Type")
    if kind == "imageType":
        image = feature.type.imageType
        grey = image.ColorSpace.Name(image.colorSpace).startswith("GRAYSCALE")
        size = (1, 1 if grey else 3, int(image.height), int(image.width))
        return Tensor(name=feature.name, shape=size, dtype="float32", layout="NCHW")
    if kind == "dictionaryType":
        scores = _scores(spec)
        return Tensor(name=feature.name, shape=scores, dtype="float32", layout="NC")
    if kind != "multiArrayType":
        raise ValueError(f"'{feature.name}' is of {kind}, not an array")
    array = feature.type.multiArrayType
    shape = tuple(map(int, array.shape))
    dtype = array.ArrayDataType.Name(array.dataType).lower().replace("double", "float64")
    return Tensor(name=feature.name, shape=shape, dtype=dtype, layout=layout(len(shape), False))


def _scores(spec: Any) -> tuple[int, ...]:
    """Return the shape of what a classifier's label is chosen from."""
    main = spec.mlProgram.functions["main"]
    operations = main.block_specializations[main.opset].operations
    classify = next(o for o in operations if o.type == "classify")
    name = classify.inputs["probabilities"].arguments[0].name
    made = next(o for o in operations if o.outputs[0].name == name)
    return _tensor(made.outputs[0].type)[0]


def specification(path: Path) -> Any:
    """Return a package's protobuf message.

    Raises:
        ImportError: coremltools is not installed.
        ValueError: it is not an ML program.
    """
    return schema.read(path)[0]


def is_stored(operation: Any) -> bool:
    """Tell constants, and what unpacks compressed ones when the file is loaded."""
    return str(operation.type) == "const" or str(operation.type).startswith("constexpr_")


def stored_values(operation: Any) -> Iterator[tuple[str, Any]]:
    """Yield what a constant holds, by name: older operators have attributes, newer ones inputs."""
    for name, value in operation.attributes.items():
        if name != "name":
            yield name, value
    for name, argument in operation.inputs.items():
        yield from ((name, a.value) for a in argument.arguments if a.HasField("value"))


def _stored_bytes(operation: Any) -> Bytes:
    """Return the bytes of a constant as the file holds it."""
    kinds = [value.type for _, value in stored_values(operation)]
    return merged({_tensor(kind)[1]: _type_bytes(kind)} for kind in kinds)


def _operator(operation: Any) -> Operator:
    kind = operation.outputs[0].type
    shape, dtype = _tensor(kind)
    # The map has no order of its own: what is computed on comes first, as in other formats.
    arguments = sorted(operation.inputs, key=lambda name: (name not in DATA, name))
    named = [bound.name for name in arguments for bound in operation.inputs[name].arguments]
    return Operator(
        kind=operation.type,
        inputs=tuple(filter(None, named)),
        outputs=tuple(o.name for o in operation.outputs),
        output_shape=shape,
        dtype=dtype,
        output_bytes=_type_bytes(kind),
        name=operation.outputs[0].name,
    )


def _tensor(kind: Any) -> tuple[tuple[int, ...], str]:
    shape, dtype = tensor_type(kind)
    return tuple(max(size, 1) for size in shape), dtype


def _type_bytes(kind: Any) -> int:
    shape, dtype = _tensor(kind)
    if dtype in BITS:
        return -(-tensor_bytes(shape, BITS[dtype]) // 8)
    return tensor_bytes(shape, 0 if dtype == "string" else ITEM_BYTES.get(dtype, 4))

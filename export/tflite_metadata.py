"""TFLite's model metadata, the flatbuffer that its tools read from the entry TFLITE_METADATA.

Written after metadata_schema.fbs 1.0.0 of TFLite Support; the packages that can write it are no
longer kept, or bring a whole framework along. The numbers below are the schema's field and
enumeration numbers.
"""

from flatbuffers import Builder

from export import flat
from export.artifact import Contract, Tensor
from export.embed import Embedded
from models.preprocess import Preprocessing

IDENTIFIER = b"M001"
LABELS = "labels.txt"
AXIS_LABELS = 2
COLOURS = {3: 1, 1: 2}
FEATURE, IMAGE = 1, 2
NORMALIZATION = 1
PARSER = "1.0.0"


def model_metadata(embedded: Embedded) -> bytes:
    """Return the flatbuffer for one subgraph."""
    b, contract = Builder(1024), embedded.contract
    inputs = flat.vector(b, [_input(b, t, contract, i) for i, t in enumerate(contract.inputs)])
    outputs = flat.vector(b, [_output(b, t, contract, i) for i, t in enumerate(contract.outputs)])
    subgraph = flat.table(b, {2: inputs, 3: outputs})
    name, described = b.CreateString(embedded.network), b.CreateString(contract.postprocessing)
    root = {0: name, 1: described, 3: flat.vector(b, [subgraph]), 7: b.CreateString(PARSER)}
    b.Finish(flat.table(b, root), IDENTIFIER)
    return bytes(b.Output())


def _input(b: Builder, tensor: Tensor, contract: Contract, number: int) -> int:
    steps = contract.preprocessing if number == 0 and tensor.layout in {"NHWC", "NCHW"} else None
    fields = {0: b.CreateString(tensor.name), 3: _content(b, steps)}
    if steps:
        fields[4] = flat.vector(b, [_normalization(b, steps)])
    return flat.table(b, fields)


def _output(b: Builder, tensor: Tensor, contract: Contract, number: int) -> int:
    fields = {0: b.CreateString(tensor.name), 3: _content(b, None)}
    if contract.classes and number == 0:
        labels = b.CreateString(LABELS)
        fields[6] = flat.vector(b, [flat.tagged(b, {0: labels}, (2, AXIS_LABELS))])
    return flat.table(b, fields)


def _content(b: Builder, steps: Preprocessing | None) -> int:
    """Write what a tensor is: an image, or features."""
    if steps is None:
        return flat.tagged(b, {1: flat.table(b, {})}, (0, FEATURE))
    b.StartObject(2)
    b.PrependUint32Slot(0, steps.size[1], 0)
    b.PrependUint32Slot(1, steps.size[0], 0)
    size = b.EndObject()
    image = flat.tagged(b, {1: size}, (0, COLOURS[steps.channels]))
    return flat.tagged(b, {1: image}, (0, IMAGE))


def _normalization(b: Builder, steps: Preprocessing) -> int:
    """Write ``(x - mean) / std`` for pixels from 0 to 255."""
    mean, std = (flat.floats(b, [255 * v for v in values]) for values in (steps.mean, steps.std))
    return flat.tagged(b, {1: flat.table(b, {0: mean, 1: std})}, (0, NORMALIZATION))

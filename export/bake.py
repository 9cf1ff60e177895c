"""Normalisation and softmax made part of a program, so that every format carries them.

The operators are put into the program's own graph: its layers keep their names. The scale is not
folded into the first convolution, exact as that would be: divided by 255 and the deviation, many a
weight is no normal float16 any more. The mean cannot be, as that convolution pads with zeros.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, InputSpec, TensorArgument
from torch.fx import Node

from export.artifact import Baked
from export.precision import ExportError
from models.family import Output
from models.operators import kind_of, storage_of
from models.preprocess import Preprocessing

aten = torch.ops.aten
Array = npt.NDArray[Any]


def choose(
    program: ExportedProgram,
    words: tuple[str, ...],
    preprocessing: Preprocessing | None,
    meaning: Output | None,
) -> Baked | None:
    """Return what is to be made part of a program; None: nothing.

    Args:
        program: the network.
        words: "preprocess", "softmax", or both.
        preprocessing: how an image becomes its input, where that is known.
        meaning: what its output is, where that is known.

    Raises:
        ExportError: it takes several inputs or none that is an image, or gives no scores.
    """
    if not words:
        return None
    if "preprocess" in words:
        _require_image(program, preprocessing)
    if "softmax" in words:
        _require_scores(program, meaning)
    return Baked(
        preprocessing=preprocessing if "preprocess" in words else None, softmax="softmax" in words
    )


def _require_image(program: ExportedProgram, preprocessing: Preprocessing | None) -> None:
    count = len(program.graph_signature.user_inputs)
    if count != 1:
        raise ExportError(
            f"--bake preprocess needs one image input, and the network has {count} inputs: "
            "leave it out"
        )
    if preprocessing is None:
        raise ExportError(
            "--bake preprocess needs known preprocessing: give --mean and --std with --input "
            "1xCxHxW, or leave it out"
        )


def _require_scores(program: ExportedProgram, meaning: Output | None) -> None:
    outputs = program.graph_signature.user_outputs
    ends = [n for n in program.graph.nodes if n.name in outputs]
    if meaning == "probabilities" or any(_is_softmax(node) for node in ends):
        raise ExportError(
            "--bake softmax: the network's output is probabilities already; leave it out"
        )
    if meaning != "logits":
        several = f"{len(outputs)} outputs" if len(outputs) != 1 else "another output"
        shown = "feature maps" if meaning == "maps" else several
        raise ExportError(
            f"--bake softmax needs one output of scores (N, classes), and the network gives "
            f"{shown}; leave it out"
        )


def _is_softmax(node: Node) -> bool:
    node = storage_of(node)
    return node.op == "call_function" and kind_of(node) in {"softmax", "_softmax"}


def bake(program: ExportedProgram, baked: Baked) -> None:
    """Put the operators into a program, in place, around those that it has.

    What normalises is ``(image - 255 mean) / (255 deviation)``, of pixels from 0 to 255.
    """
    if baked.preprocessing is not None:
        _normalise(program, baked.preprocessing)
    if baked.softmax:
        (name,) = program.graph_signature.user_outputs
        scores = next(n for n in program.graph.nodes if n.name == name)
        with program.graph.inserting_after(scores):
            _replace(program, scores, [_call(program, aten.softmax.int, scores, 1)])
    program.graph_module.recompile()


def _normalise(program: ExportedProgram, given: Preprocessing) -> None:
    (name,) = program.graph_signature.user_inputs
    image = next(n for n in program.graph.nodes if n.name == name)
    centre, gain = 255 * np.array(given.mean), 1 / (255 * np.array(given.std))
    operands = [_buffer(program, k, v, image) for k, v in (("mean", centre), ("gain", gain))]
    last = next(n for n in reversed(program.graph.nodes) if n.op == "placeholder")
    with program.graph.inserting_after(last):
        centred = _call(program, aten.sub.Tensor, image, operands[0])
    with program.graph.inserting_after(centred):
        prepared = _call(program, aten.mul.Tensor, centred, operands[1])
    _replace(program, image, [prepared, centred])


def _buffer(program: ExportedProgram, key: str, values: Array, image: Node) -> Node:
    """Add a constant of one number a channel, before the inputs as an `ExportedProgram` wants it.

    Its path gives the operator that reads it the name of a layer, "preprocess".
    """
    path = f"preprocess.{key}"
    tensor = torch.tensor(values, dtype=torch.float32).reshape(1, -1, 1, 1)
    first = next(n for n in program.graph.nodes if n.name == _user_inputs(program)[0])
    with program.graph.inserting_before(first):
        node: Node = program.graph.placeholder(f"b_preprocess_{key}")
    node.meta["val"] = image.meta["val"].fake_mode.from_tensor(tensor)
    spec = InputSpec(InputKind.BUFFER, TensorArgument(name=node.name), path, persistent=True)
    specs = program.graph_signature.input_specs
    place = next(i for i, s in enumerate(specs) if s.kind == InputKind.USER_INPUT)
    specs.insert(place, spec)
    program.state_dict[path] = tensor
    return node


def _user_inputs(program: ExportedProgram) -> tuple[str, ...]:
    return tuple(str(name) for name in program.graph_signature.user_inputs)


def _call(program: ExportedProgram, operator: Any, *operands: Any) -> Node:
    node: Node = program.graph.call_function(operator, operands)
    values = [o.meta["val"] if isinstance(o, Node) else o for o in operands]
    node.meta["val"] = operator(*values)
    return node


def _replace(program: ExportedProgram, old: Node, new: list[Node]) -> None:
    """Let all readers of `old` but those that make up the new one read ``new[0]``."""
    old.replace_all_uses_with(new[0], delete_user_cb=lambda reader: reader not in new)
    for spec in program.graph_signature.output_specs:
        if isinstance(spec.arg, TensorArgument) and spec.arg.name == old.name:
            spec.arg = TensorArgument(name=new[0].name)


def pixels(prepared: Array, preprocessing: Preprocessing | None) -> Array:
    """Return prepared images ``(N, C, H, W)`` as pixels from 0 to 255, float32, not rounded.

    What no pixel stands for is clipped; without preprocessing they are returned as they are.
    """
    if preprocessing is None:
        return prepared
    mean, std = (np.reshape(v, (1, -1, 1, 1)) for v in (preprocessing.mean, preprocessing.std))
    return np.asarray(np.clip((prepared * std + mean) * 255, 0, 255), np.float32)


def of_pixels(given: Preprocessing) -> Preprocessing:
    """Return the preprocessing that is left where normalisation is in the file: of the size."""
    return Preprocessing(
        channels=given.channels,
        size=given.size,
        resize=given.resize,
        mean=(0.0,) * given.channels,
        std=(1 / 255,) * given.channels,
    )

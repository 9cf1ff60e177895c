"""Which values the tensors of an ONNX file take: one run over the calibration inputs."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime

from export.ranges import Ranges

Array = npt.NDArray[Any]


def observe(
    model: onnx.ModelProto,
    names: Iterable[str],
    inputs: Iterable[dict[str, Array]],
    ranges: Ranges,
) -> None:
    """Show `ranges` every value of the float tensors `names`, one batch of `inputs` at a time.

    The graph is run as it is written, on one thread: the same ranges on every machine of a kind.
    """
    fed = {value.name for value in model.graph.input}
    wanted = list(dict.fromkeys(names))
    inner = [name for name in wanted if name not in fed]
    session = _session(model, inner)
    for batch in inputs:
        for name in set(wanted) & fed:
            ranges.observe(name, batch[name])
        for name, values in zip(inner, session.run(inner, batch), strict=True):
            if values.dtype == np.float32:
                ranges.observe(name, values)


def _session(model: onnx.ModelProto, names: list[str]) -> Any:
    opened = onnx.ModelProto()
    opened.CopyFrom(model)
    present = {value.name for value in model.graph.output}
    opened.graph.output.extend(
        onnx.ValueInfoProto(name=name) for name in names if name not in present
    )
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(
        opened.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )

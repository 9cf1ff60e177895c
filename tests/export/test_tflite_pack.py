"""A packed TFLite file is smaller, and computes the same to the bit."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from ai_edge_quantizer import quantizer

from export import tflite_pack
from export.ranges import Ranges
from export.tflite_ranges import activation_ranges
from export.tflite_recipe import recipe
from tests import tiny


@pytest.fixture(scope="module", params=["float", "int8"])
def original(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("pack") / "float.tflite"
    path.write_bytes(tiny.tflite_bytes())
    return path.read_bytes() if request.param == "float" else quantized(path)


def quantized(path: Path) -> bytes:
    inputs = [{"args_0": image} for image in images()]
    ranges = activation_ranges(path, inputs, Ranges("min-max"))
    with tiny.quiet():
        tool = quantizer.Quantizer(str(path))
        tool.load_quantization_recipe(recipe("int8", io="float32").get_quantization_recipe())
        return bytes(tool.quantize(ranges, enable_progress_report=False).quantized_model)


def images() -> Iterator[Any]:
    return (np.moveaxis(image, 0, -1)[np.newaxis] for image in tiny.images())


def packed(data: bytes) -> bytes:
    return tflite_pack.pack(tflite_pack.read(data))


def outputs(data: bytes, kernels: OpResolverType) -> list[Any]:
    runner = Interpreter(
        model_content=data, experimental_op_resolver_type=kernels
    ).get_signature_runner()
    return [next(iter(runner(args_0=image).values())) for image in images()]


@pytest.mark.parametrize(
    "kernels",
    [
        OpResolverType.AUTO,
        OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        OpResolverType.BUILTIN_REF,
    ],
    ids=["XNNPACK", "built-in kernels", "reference kernels"],
)
def test_every_kind_of_kernel_gives_the_same_bits(original: bytes, kernels: Any) -> None:
    np.testing.assert_array_equal(
        outputs(packed(original), kernels), outputs(original, kernels), strict=True
    )


def test_the_file_is_smaller_and_packing_again_changes_nothing(original: bytes) -> None:
    assert len(packed(original)) < len(original)
    assert packed(packed(original)) == packed(original)


def test_weights_are_aligned_as_the_schema_demands(original: bytes) -> None:
    data = packed(original)
    whole = np.frombuffer(data, np.uint8).ctypes.data
    model = schema.Model.GetRootAs(data, 0)
    buffers = [model.Buffers(i) for i in range(model.BuffersLength())]
    starts = [b.DataAsNumpy().ctypes.data - whole for b in buffers if not b.DataIsNone()]
    assert starts
    assert all(start % 16 == 0 for start in starts)


def test_equal_vectors_and_equal_constants_are_written_once(original: bytes) -> None:
    model = tflite_pack.read(original)
    graph = model.subgraphs[0]
    size = len(packed(original))
    large = np.arange(4000, dtype=np.uint8)
    for _ in range(2):
        copy = schema.TensorT()
        copy.name, copy.shape, copy.buffer = b"more", [1000], len(model.buffers)
        scales = schema.QuantizationParametersT()
        scales.scale, scales.zeroPoint = np.ones(1000, np.float32), np.zeros(1000, np.int64)
        copy.quantization = scales
        buffer = schema.BufferT()
        buffer.data = large.copy()
        model.buffers.append(buffer)
        graph.tensors.append(copy)
    once = large.nbytes + 1000 * (4 + 8)
    assert once < len(tflite_pack.pack(model)) - size < once + 300


def test_what_no_runtime_reads_is_left_out(original: bytes) -> None:
    model = tflite_pack.read(original)
    unused = schema.OperatorCodeT()
    unused.builtinCode = schema.BuiltinOperator.LSTM
    model.operatorCodes.insert(0, unused)
    for operator in model.subgraphs[0].operators:
        operator.opcodeIndex += 1
    model.description = b"made by a test"
    assert tflite_pack.pack(model) == packed(original)

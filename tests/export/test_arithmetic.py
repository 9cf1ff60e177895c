"""Which numbers operators compute in: small graphs of each pattern, and published MACs."""

import dataclasses
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from export.arithmetic import Flow, computation, count
from export.artifact import MODEL_FILES, read_manifest
from export.inspection import Graph, Operator, Value, read

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
MOBILENET = "mobilenet_v1_0.25_64@fashion-mnist"


def operator(kind, inputs, output, dtype="float32", shape=(1, 4, 6, 6)):
    return Operator(
        kind=kind,
        inputs=tuple(inputs),
        outputs=(output,),
        output_shape=shape,
        dtype=dtype,
        output_bytes=0,
        name=f"the {output}",
    )


def paired(*, weights="int8", answers=True, between=None):
    """A convolution between conversions, as ONNX and Core ML write integer arithmetic."""
    last = between or "conv"
    operators = [
        operator("QuantizeLinear", ["image", "s"], "image_q", "int8"),
        operator("DequantizeLinear", ["image_q", "s"], "image_dq"),
        operator("DequantizeLinear", ["kernel", "s"], "kernel_dq"),
        operator("Conv", ["image_dq", "kernel_dq"], "conv"),
    ]
    if between:
        operators.append(operator(between, ["conv"], between))
    if answers:
        operators.append(operator("QuantizeLinear", [last, "s"], "end", "int8"))
    values = {o.outputs[0]: Value(o.output_shape, o.dtype) for o in operators}
    values |= {"image": Value((1, 1, 8, 8), "float32"), "kernel": Value((4, 1, 3, 3), weights)}
    return Graph(
        operators=tuple(operators),
        inputs=frozenset({"image"}),
        outputs=frozenset({"end" if answers else last}),
        constants={"kernel": {weights: 36}, "s": {"float32": 4}},
        values=values,
    )


class TestPairs:
    def test_between_conversions_it_computes_in_integers(self):
        found = count(paired(), "onnx")
        assert (found.linear, found.operators) == ({"int8": 1}, {"int8": 1})
        assert found.weight_bytes == {"float32": 4, "int8": 36}
        assert found.in_float == ()

    def test_the_sign_of_an_integer_is_left_out(self):
        values = {**paired().values, "image_q": Value((1, 1, 8, 8), "uint8")}
        assert count(dataclasses.replace(paired(), values=values), "onnx").linear == {"int8": 1}

    @pytest.mark.parametrize("kind", ["Relu", "Clip"])
    def test_a_clipping_in_between_is_fused(self, kind):
        assert count(paired(between=kind), "onnx").linear == {"int8": 1}

    def test_another_activation_in_between_is_not(self):
        found = count(paired(between="HardSwish"), "onnx")
        assert found.linear == {"float32": 1}
        assert found.in_float == ("the conv (Conv)",)

    def test_in_core_ml_any_activation_in_between_is(self):
        assert count(paired(between="sigmoid"), "coreml").linear == {"int8": 1}

    def test_without_a_quantized_answer_it_computes_in_float(self):
        assert count(paired(answers=False), "onnx").linear == {"float32": 1}

    def test_float_weights_make_it_float(self):
        assert count(paired(weights="float32"), "onnx").linear == {"float32": 1}

    def test_a_matrix_product_may_answer_in_float(self):
        graph = paired(answers=False)
        changed = tuple(
            operator("Gemm", o.inputs, "conv", shape=(1, 4)) if o.kind == "Conv" else o
            for o in graph.operators
        )
        product = Graph(changed, graph.inputs, graph.outputs, graph.constants, graph.values)
        assert count(product, "onnx").linear == {"int8": 1}

    def test_in_tflite_the_same_pattern_is_float(self):
        """Its runtime does not fuse conversions: an integer operator takes integers."""
        assert count(paired(), "tflite").linear == {"float32": 1}


class TestExported:
    @pytest.mark.parametrize(
        ("variant", "dtype"),
        [
            ("onnx-fp32", "float32"),
            ("onnx-fp16", "float16"),
            ("onnx-int8", "int8"),
            ("tflite-fp16", "float32"),
            ("tflite-int8", "int8"),
            ("coreml-fp16", "float16"),
            ("coreml-int8", "int8"),
        ],
    )
    def test_all_of_a_mobilenet_computes_in_one_type(self, trained, variant, dtype):
        """13 blocks of two convolutions, one before them and one linear layer after."""
        directory = trained / MOBILENET / variant
        manifest = read_manifest(directory)
        assert manifest.computation.linear == {dtype: 28}
        path = directory / MODEL_FILES[manifest.format]
        assert computation(path, manifest.format) == manifest.computation

    @pytest.mark.parametrize("variant", ["onnx-int8", "tflite-int8", "coreml-int8"])
    def test_a_file_multiplies_as_often_as_the_network(self, trained, variant):
        directory = trained / MOBILENET / variant
        manifest = read_manifest(directory)
        graph = read(directory / MODEL_FILES[manifest.format], manifest.format)
        flow = Flow(graph, manifest.format)
        assert sum(map(flow.macs, flow.computing)) == manifest.network.macs


@pytest.mark.parametrize(
    ("name", "gmacs"),
    [("resnet50", 4.09), ("vgg19", 19.63), ("squeezenet", 0.349), ("densenet121", 2.834)],
)
def test_macs_of_published_networks(name, gmacs):
    """The figures that torchvision states, and for SqueezeNet 1.1's paper."""
    flow = Flow(read(LIGHT / f"light_{name}.onnx", "onnx"), "onnx")
    assert sum(map(flow.macs, flow.computing)) / 1e9 == pytest.approx(gmacs, rel=2e-3)


def test_operators_in_no_order_are_understood(tmp_path):
    """Converters append what they insert; runtimes sort, and shapes are inferred in order only."""
    nodes = [
        helper.make_node("Relu", ["half"], ["answer"]),
        helper.make_node("Cast", ["image"], ["half"], to=TensorProto.FLOAT16),
    ]
    ports = [
        helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 4]),
        helper.make_tensor_value_info("answer", TensorProto.FLOAT16, [1, 4]),
    ]
    path = tmp_path / "model.onnx"
    onnx.save(helper.make_model(helper.make_graph(nodes, "g", ports[:1], ports[1:])), str(path))
    assert computation(path, "onnx").operators == {"float16": 1}

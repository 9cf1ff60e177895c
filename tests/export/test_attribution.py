"""Which layer an operator is, and its work: small ONNX files, and the committed networks."""

from dataclasses import dataclass

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from devices.device import Job
from devices.local import LocalDevice
from export import artifact, program
from export.artifact import MODEL_FILES
from export.attribution import Work, attribute
from models.analysis import analyse
from tests import tiny

MOBILENET = "mobilenet_v1_0.25_64@fashion-mnist"
CONV_MACS, LINEAR_MACS = 6 * 6 * 4 * 9, 4 * tiny.CLASSES


@dataclass(frozen=True)
class Timed:
    name: str
    kind: str
    activation_bytes: int | None = 0


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The tiny network, its nodes and weights named as torch's exporter names them."""
    directory = tiny.tiny_onnx(tmp_path_factory.mktemp("tiny"))
    path = directory / MODEL_FILES["onnx"]
    model = onnx.load(path)
    names = {"kernel": "head.0.weight", "shift": "head.0.bias", "matrix": "4.weight"}
    for node in model.graph.node:
        node.name = f"node_{node.output[0]}"
        for place, name in enumerate(node.input):
            node.input[place] = names.get(name, name)
    for tensor in model.graph.initializer:
        tensor.name = names.get(tensor.name, tensor.name)
    onnx.save(model, path)
    return directory


def work(directory, *operators):
    return attribute(directory, artifact.read_manifest(directory), operators)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("node_conv", "Conv"),
        ("node_conv_token_12", "Conv"),
        ("fused node_conv", "FusedConv"),
        ("relu_nchwc", "Conv"),
        ("InsertedPrecisionFreeCast_relu_nchwc", "Conv"),
    ],
)
def test_an_operator_that_replaces_a_layer_is_that_layer(saved, name, kind):
    weights = 4 * (4 * 9 + 4)
    assert work(saved, Timed(name, kind, 500)) == [
        Work("head.0", "full convolution", CONV_MACS, 500 + weights)
    ]


def test_a_product_is_linear_and_reads_its_weights(saved):
    weights = 4 * (tiny.CLASSES * 4 + tiny.CLASSES)
    assert work(saved, Timed("node_logits", "Gemm", 56)) == [
        Work("4", "linear", LINEAR_MACS, 56 + weights)
    ]


def test_a_layer_without_weights_goes_by_its_node(saved):
    assert work(saved, Timed("node_pool", "GlobalAveragePool", 80)) == [
        Work("pool", "other", 0, 80)
    ]


def test_what_runs_as_a_convolution_of_its_own_is_not_the_one_before_it(saved):
    (found,) = work(saved, Timed("relu_bn_nchwc", "Conv", 80))
    assert found == Work("relu", "other", 0, 80)


def test_what_the_runtime_adds_is_no_layer(saved):
    assert work(saved, Timed("ReorderOutput_token_3", "ReorderOutput", 64)) == [
        Work("", "other", 0, 64)
    ]


def test_nodes_without_names_are_found_by_kind_and_place(tmp_path):
    directory = tiny.tiny_onnx(tmp_path)
    found = work(directory, Timed("Conv_0", "Conv"), Timed("Gemm_4", "Gemm"))
    assert [w.macs for w in found] == [CONV_MACS, LINEAR_MACS]
    assert [w.layer for w in found] == ["conv", "logits"]


@pytest.mark.parametrize(
    ("groups", "kernel", "kind", "macs"),
    [
        (8, 3, "depthwise", 9),
        (1, 1, "pointwise", 8),
        (1, 3, "full convolution", 72),
        (2, 1, "pointwise", 4),
    ],
)
def test_convolutions_are_told_apart(tmp_path, groups, kernel, kind, macs):
    directory = tiny.tiny_onnx(tmp_path)
    shape = (8, 8 // groups, kernel, kernel)
    weight = numpy_helper.from_array(np.ones(shape, np.float32), "block.weight")
    pads = [kernel // 2] * 4
    node = helper.make_node("Conv", ["x", "block.weight"], ["y"], name="n", group=groups, pads=pads)
    ports = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 8, 5, 5]) for n in "xy"]
    graph = helper.make_graph([node], "one", ports[:1], ports[1:], [weight])
    onnx.save(helper.make_model(graph), directory / MODEL_FILES["onnx"])
    (found,) = work(directory, Timed("n", "Conv"))
    assert (found.layer, found.kind, found.macs) == ("block", kind, macs * 8 * 25)


def profiled(directory, runtime):
    """What a real runtime calls its operators, and the work of each."""
    session = LocalDevice().open(Job(artifact=directory, runtime=runtime, threads=1))
    try:
        found = session.profile(1)
    finally:
        session.close()
    return found, work(directory, *found)


@pytest.mark.slow
@pytest.mark.parametrize("network", ["lenet5@fashion-mnist", MOBILENET])
@pytest.mark.parametrize("variant", ["onnx-fp32", "onnx-fp16", "onnx-int8"])
def test_every_layer_with_macs_is_found_with_those_of_the_analysis(trained, network, variant):
    analysis = analyse(program.load(trained / network / "torch-fp32" / MODEL_FILES["torch"]))
    _, works = profiled(trained / network / variant, "onnxruntime")
    assert {w.layer: w.macs for w in works if w.macs} == {
        layer.name: layer.macs for layer in analysis.layers if layer.macs
    }
    depthwise = {layer.name for layer in analysis.layers if layer.kind == "depthwise conv"}
    assert {w.layer for w in works if w.kind == "depthwise"} == depthwise


@pytest.mark.slow
def test_integer_layers_move_a_quarter_of_the_floats(trained):
    moved = {}
    for precision in ("fp32", "int8"):
        _, works = profiled(trained / MOBILENET / f"onnx-{precision}", "onnxruntime")
        moved[precision] = {w.layer: w.bytes for w in works if w.kind == "pointwise"}
    shares = [moved["int8"][layer] / moved["fp32"][layer] for layer in moved["fp32"]]
    assert all(0.2 < share < 0.35 for share in shares)


@pytest.mark.slow
def test_a_torch_program_has_the_figures_of_the_analysis(trained):
    directory = trained / MOBILENET / "torch-fp32"
    operators, works = profiled(directory, "torch")
    layers = analyse(program.load(directory / MODEL_FILES["torch"])).layers[1:]
    found = [(w.layer, w.macs, w.bytes) for w in works if w.bytes]
    assert found == [(layer.name, layer.macs, layer.bytes_moved) for layer in layers]
    views = {o.name for o, w in zip(operators, works, strict=True) if not w.bytes}
    assert views == {"flatten"}

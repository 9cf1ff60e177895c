"""The plain graph, and where a layer is in it."""

import numpy as np
import onnx
import pytest
import torch

from export.layers import WeightedLayer
from export.onnx_graph import align, attributes, opset, tidied
from tests.export import onnx_graphs


@pytest.fixture(scope="module")
def mixed() -> onnx.ModelProto:
    return onnx_graphs.export(onnx_graphs.Mixed(), 1, 3, 16, 16)


def layer(name: str, *shape: int) -> WeightedLayer:
    return WeightedLayer(
        name=name, node=name, kind="conv", weight=f"{name}.weight", weight_shape=shape
    )


def test_a_mean_over_the_image_is_a_pooling_and_means_the_same(mixed) -> None:
    kinds = [node.op_type for node in mixed.graph.node]
    assert kinds.count("GlobalAveragePool") == 2
    assert "ReduceMean" not in kinds
    torch.manual_seed(0)
    image = np.random.default_rng(0).normal(size=(1, 3, 16, 16)).astype(np.float32)
    network = onnx_graphs.Mixed().eval()
    model = onnx_graphs.export(network, 1, 3, 16, 16)
    right = network(torch.from_numpy(image)).detach().numpy()
    np.testing.assert_allclose(onnx_graphs.run(model, image), right, atol=1e-5)


def test_bounds_of_a_clip_are_plain_constants(mixed) -> None:
    [clip] = [node for node in mixed.graph.node if node.op_type == "Clip"]
    known = {tensor.name for tensor in mixed.graph.initializer}
    assert set(clip.input[1:]) <= known


def test_nothing_is_said_that_goes_without_saying(mixed) -> None:
    squeeze = next(n for n in mixed.graph.node if n.input[1:2] == ["squeeze.weight"])
    assert set(attributes(squeeze)) == {"kernel_shape"}
    gemm = next(n for n in mixed.graph.node if n.op_type == "Gemm")
    assert attributes(gemm) == {"transB": 1}
    assert not mixed.graph.value_info
    assert not any(n.metadata_props or n.doc_string for n in mixed.graph.node)


def test_the_file_s_version_is_the_oldest_that_its_opset_allows(mixed) -> None:
    assert (opset(mixed), mixed.ir_version) == (18, 8)


def test_nodes_come_after_what_they_read(mixed) -> None:
    shuffled = onnx_graphs.copied(mixed)
    nodes = list(reversed(mixed.graph.node))
    del shuffled.graph.node[:]
    shuffled.graph.node.extend(nodes)
    with pytest.raises(onnx.checker.ValidationError):
        onnx.checker.check_model(shuffled)
    onnx.checker.check_model(tidied(shuffled))


def test_layers_are_found_by_their_weight_s_name_in_any_order(mixed) -> None:
    layers = [layer("right", 32, 16, 3, 3), layer("stem", 16, 3, 3, 3)]
    assert [node.input[1] for _, node in align(mixed, layers)] == ["right.weight", "stem.weight"]


def test_a_weight_that_lost_its_name_is_found_by_its_shape(mixed) -> None:
    renamed = onnx_graphs.copied(mixed)
    for names in (n.input for n in renamed.graph.node):
        names[:] = ["folded_7" if name == "classifier.weight" else name for name in names]
    next(t for t in renamed.graph.initializer if t.name == "classifier.weight").name = "folded_7"
    [(_, node)] = align(renamed, [layer("classifier", 10, 64)])
    assert node.op_type == "Gemm"


def test_a_layer_that_is_not_there_is_an_error(mixed) -> None:
    with pytest.raises(RuntimeError, match="left no operator for layer middle"):
        align(mixed, [layer("middle", 7, 7, 3, 3)])

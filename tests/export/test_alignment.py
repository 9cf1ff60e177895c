"""Operators of a file find the layers that they are."""

from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import nn

from export import trace_onnx
from export.alignment import align
from export.causes import SOUND_DB
from export.reference import Reference
from export.trace import Trace
from tests.export import weak


def traced(path: Path) -> Trace:
    return trace_onnx.read(path, ["image"], ["logits"])


def test_layers_of_one_shape_are_told_apart_by_their_weights(tmp_path: Path) -> None:
    torch.manual_seed(0)
    convs = [nn.Conv2d(4, 4, 1) for _ in range(3)]
    stem, head = nn.Conv2d(1, 4, 1), nn.Linear(4, 10)
    module = nn.Sequential(stem, *convs, nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)
    module = module.eval().requires_grad_(False)
    swapped = nn.Sequential(stem, convs[2], convs[1], convs[0], *module[4:])
    pairs = align(
        weak.reference(module).layers, traced(weak.write_onnx(swapped, tmp_path / "a.onnx"))
    )
    steps = {p.layer.name: p.step.output for p in pairs if p.step}
    assert [steps[name] for name in ("0", "1", "2", "3")] == ["t0", "t3", "t2", "t1"]


def test_destroyed_weights_are_aligned_by_their_place(tmp_path: Path) -> None:
    module = weak.network()
    other = weak.broken(lambda net: net[4].weight.normal_())
    pairs = align(
        weak.reference(module).layers, traced(weak.write_onnx(other, tmp_path / "a.onnx"))
    )
    assert all(pair.step for pair in pairs)


def test_an_activation_left_to_the_quantized_range_is_part_of_its_layer(tmp_path: Path) -> None:
    module = weak.network()
    path = weak.int8(module, tmp_path, calibrated_on=weak.images())
    assert "Relu" not in {node.op_type for node in onnx.load(str(path)).graph.node}
    pairs = {p.layer.name: p for p in align(weak.reference(module).layers, traced(path))}
    assert pairs["input_1"].grid is not None
    assert pairs[weak.FIRST].layer.bounds == (0.0, np.inf)
    assert pairs[weak.FIRST].tensor.endswith("DequantizeLinear_Output")
    assert pairs[weak.LAST].tensor == "logits"


def test_a_file_without_the_activation_is_compared_before_it(tmp_path: Path) -> None:
    module = weak.network()
    plain = nn.Sequential(*(m for m in module if not isinstance(m, nn.ReLU)))
    pairs = align(
        weak.reference(module).layers, traced(weak.write_onnx(plain, tmp_path / "a.onnx"))
    )
    assert pairs[0].layer.name == weak.FIRST
    assert pairs[0].layer.bounds is None
    assert pairs[0].layer.end is pairs[0].layer.norm


def test_a_layer_that_the_file_has_not_is_listed_without_a_place(tmp_path: Path) -> None:
    """The pool is written as two operators that no network has."""
    path = weak.write_onnx(weak.network(), tmp_path / "a.onnx")
    model = onnx.load(str(path))
    pool = next(n for n in model.graph.node if n.op_type == "GlobalAveragePool")
    position = list(model.graph.node).index(pool)
    del model.graph.node[position]
    axes = numpy_helper.from_array(np.array([2, 3]), "axes")
    size = numpy_helper.from_array(np.float32(weak.SIZE**2), "size")
    model.graph.initializer.extend([axes, size])
    model.graph.node.insert(
        position, helper.make_node("ReduceSum", [pool.input[0], "axes"], ["sum"], keepdims=1)
    )
    model.graph.node.insert(
        position + 1, helper.make_node("Div", ["sum", "size"], [pool.output[0]])
    )
    onnx.save(model, str(path))
    diagnosis = weak.diagnose(weak.network(), path, weak.images())
    missing = [f for f in diagnosis.layers if f.tally is None]
    assert [f.pair.layer.kind for f in missing] == ["adaptive_avg_pool2d"]
    assert diagnosis.ranked[-1] is missing[0]


class Branches(nn.Module):
    """Two pools of the same shape behind different layers, and a shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(1, 2, 1), nn.Conv2d(1, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return maps."""
        a, b = self.a(x), self.b(x)
        return nn.functional.max_pool2d(a, 2, 2) + nn.functional.max_pool2d(b, 2, 2)


def test_layers_without_weights_are_told_apart_by_what_feeds_them(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = Branches().eval().requires_grad_(False)
    reference: Reference = weak.reference(module)
    stored = {k: p.numpy() for k, p in module.named_parameters()}
    nodes = [  # the other way round
        helper.make_node("Conv", ["image", "b.weight", "b.bias"], ["conv_b"]),
        helper.make_node("Conv", ["image", "a.weight", "a.bias"], ["conv_a"]),
        helper.make_node("MaxPool", ["conv_b"], ["pool_b"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("MaxPool", ["conv_a"], ["pool_a"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Add", ["pool_b", "pool_a"], ["logits"]),
    ]
    shape = [1, 1, weak.SIZE, weak.SIZE]
    half = weak.SIZE // 2
    graph = helper.make_graph(
        nodes,
        "branches",
        [helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, [1, 2, half, half])],
        [numpy_helper.from_array(value, key) for key, value in stored.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, str(tmp_path / "a.onnx"))
    pairs = {p.layer.name: p for p in align(reference.layers, traced(tmp_path / "a.onnx"))}
    pools = [p.tensor for n, p in pairs.items() if p.layer.kind == "max_pool2d"]
    assert pools == ["pool_a", "pool_b"]
    diagnosis = weak.diagnose(module, tmp_path / "a.onnx", weak.images())
    assert diagnosis.output_db is not None
    assert diagnosis.output_db > SOUND_DB["fp32"]

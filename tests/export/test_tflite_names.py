"""Layers are found again in a TFLite file by their weights, and give its tensors their names."""

from typing import Any

import numpy as np
import pytest

from export import tflite_pack
from export.layers import WeightedLayer
from export.tflite_names import align, name_interface, rename
from tests import tiny


@pytest.fixture
def model() -> Any:
    return tflite_pack.read(tiny.tflite_bytes())


def layer(name: str, weight: np.ndarray[Any, Any]) -> WeightedLayer:
    return WeightedLayer(
        name=name, node=name, kind="conv", weight=f"{name}.weight", weight_shape=weight.shape
    )


def found(model: Any, **weights: np.ndarray[Any, Any]) -> list[str]:
    layers = [layer(name, weight) for name, weight in weights.items()]
    parameters = {f"{name}.weight": weight for name, weight in weights.items()}
    return [found.name for found in align(model, layers, parameters).values()]


def test_a_layer_is_found_though_each_of_its_channels_was_scaled(model: Any) -> None:
    w = tiny.weights()
    folded = w["kernel"] * np.reshape([0.5, -3, 1e-4, 2], (4, 1, 1, 1))
    assert found(model, conv=folded, fc=w["matrix"]) == ["conv", "fc"]


def test_a_matrix_is_found_whichever_way_round_it_is(model: Any) -> None:
    w = tiny.weights()
    assert found(model, conv=w["kernel"], product=w["matrix"].T) == ["conv", "product"]


def test_of_layers_with_the_same_shape_the_values_decide(model: Any) -> None:
    w = tiny.weights()
    other = np.random.default_rng(3).normal(size=w["kernel"].shape).astype(np.float32)
    assert found(model, other=other, conv=w["kernel"], fc=w["matrix"]) == ["conv", "fc"]


def test_a_layer_with_other_weights_is_not_found(model: Any) -> None:
    assert found(model, conv=tiny.weights()["kernel"][:, :, ::-1]) == []


def test_tensors_have_the_layers_names_each_once_and_the_interface_its_own(model: Any) -> None:
    w = tiny.weights()
    layers = [layer("features.0", w["kernel"]), layer("classifier", w["matrix"])]
    parameters = {"features.0.weight": w["kernel"], "classifier.weight": w["matrix"]}
    made = rename(model, align(model, layers, parameters))
    signature = model.signatureDefs[0]
    [port] = signature.outputs
    assert made == {"features.0": ("features.0",), "classifier": (port.name.decode(),)}
    names = [tensor.name.decode() for tensor in model.subgraphs[0].tensors]
    assert len({*names}) == len(names)
    assert {"features.0.weight", "features.0.bias", "features.0", "classifier.weight"} < {*names}
    assert signature.inputs[0].name.decode() in names
    assert not any("tiny" in name or ";" in name for name in names)


def test_the_interface_takes_its_names_back_from_within(model: Any) -> None:
    rename(model, {})
    [port] = model.signatureDefs[0].outputs
    outer, inner = model.subgraphs[0].tensors[port.tensorIndex], model.subgraphs[0].tensors[1]
    outer.name, inner.name = b"moved", port.name
    name_interface(model)
    assert (outer.name, inner.name) == (port.name, port.name + b"_quantized")

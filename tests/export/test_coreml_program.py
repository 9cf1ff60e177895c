"""From torch to MIL once; layers found again, and named."""

import pytest
import torch
from torch import nn

from export.coreml_program import FLOAT, from_torch, lower, name_layers, reload, weighted
from export.jobs import Port
from export.layers import WeightedLayer
from export.precision import ExportError
from export.program import weighted_layers
from tests.tiny import quiet

SHAPE = (1, 1, 8, 8)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU6())
        self.again = nn.Conv2d(4, 4, 1)
        self.head = nn.Linear(4, 3)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        features = self.again(self.again(self.stem(image)))
        logits: torch.Tensor = self.head(features.mean((2, 3)))
        return logits


@pytest.fixture(scope="module")
def made():
    program = torch.export.export(Net().eval(), (torch.zeros(SHAPE),))
    layers = weighted_layers(program)
    ports = [Port(name="image", shape=SHAPE)], [Port(name="logits", shape=(1, 3))]
    with quiet():
        mil = from_torch(program.run_decompositions({}), *ports)
    return mil, layers


def kinds(mil) -> list[str]:
    return [op.op_type for op in mil.functions["main"].operations if op.op_type != "const"]


def test_relu6_is_one_operator_again(made) -> None:
    mil, _ = made
    assert kinds(mil) == ["conv", "relu6", "conv", "conv", "reduce_mean", "linear"]


def test_layers_are_found_in_order_one_that_runs_twice_with_both_operators(made) -> None:
    mil, layers = made
    found = weighted(mil, layers)
    assert {name: len(ops) for name, ops in found.items()} == {"stem.0": 1, "again": 2, "head": 1}


def test_layers_of_another_network_are_refused(made) -> None:
    mil, layers = made
    other = WeightedLayer(name="x", node="x", kind="conv", weight="w", weight_shape=(4, 9, 3, 3))
    with pytest.raises(ExportError, match="--keep-float cannot find them"):
        weighted(mil, (other, *layers[1:]))
    with pytest.raises(ExportError, match="4 operators with weights and the network 3 layers"):
        weighted(mil, layers[1:])


def test_operators_bear_their_layers_names_and_outputs_their_own(made) -> None:
    mil, layers = made
    name_layers(mil, layers)
    with quiet():
        again = reload(lower(mil, FLOAT), FLOAT)
    names = [op.outputs[0].name for op in again.functions["main"].operations]
    assert {"stem_0", "again", "logits"} <= set(names)
    assert len(names) == len(set(names))

"""Shapes, parameters, multiply-accumulates and activation memory, counted from a program.

The rules, the same for every network, for one image in float32:

* MACs are those of convolutions and matrix products; one multiply-accumulate is 1. Biases, norms,
  activations, pools and additions are left out, as the papers do.
* Parameters are what training would change: batch norm's running statistics are not among them.
* Memory is counted as `models.memory` says, receptive fields as `models.receptive` does.
* The bytes moved are what an operator reads and writes if it touches each value once: its inputs,
  its weights, its output. Arithmetic intensity is MACs per byte moved.
"""

import torch
from torch.export import ExportedProgram
from torch.fx import Node

from models.checkpoint import create
from models.family import Spec
from models.layer import Analysis, Layer
from models.macs import macs_of
from models.memory import FLOAT32, Memory
from models.operators import elements, is_view, kind_of, module_of, shape_of
from models.receptive import Window, receptive_fields, window_of

Parameters = dict[str, tuple[str, int]]


def analyse(program: ExportedProgram) -> Analysis:
    """Count a program by the rules above; a dynamic dimension counts as 1, a fixed one as it is."""
    count = _Count(program)
    layers = tuple(count.layers().values())
    return Analysis(
        layers=layers,
        parameters=sum(number for _, number in count.parameters.values()),
        macs=sum(layer.macs for layer in layers),
        total_activation_bytes=sum(layer.activation_bytes for layer in layers),
        peak_activation_bytes=count.memory.peak(),
    )


def layers_by_node(program: ExportedProgram) -> dict[str, Layer]:
    """Count a program as `analyse` does; return its layers by the names of their nodes."""
    return _Count(program).layers()


def analyse_network(spec: Spec) -> Analysis:
    """Count a network of the zoo without a single weight: its tensors have shapes only."""
    with torch.device("meta"):
        module = create(spec).eval()
    image = torch.empty(1, spec.channels, *spec.size, device="meta")
    return analyse(torch.export.export(module, (image,)))


class _Count:
    """The layers of one program, described in its order."""

    def __init__(self, program: ExportedProgram) -> None:
        self._inputs = set(program.graph_signature.user_inputs)
        self.parameters: Parameters = {
            placeholder: (name, program.state_dict[name].numel())
            for placeholder, name in program.graph_signature.inputs_to_parameters.items()
        }
        self._nodes = [node for node in program.graph.nodes if shape_of(node) is not None]
        self.memory = Memory(program, self._nodes)
        self._unseen = dict(self.parameters)
        self._fields = receptive_fields(program)
        self._number: dict[Node, int] = {}

    def layers(self) -> dict[str, Layer]:
        """Describe all layers, by their nodes' names, in the program's order."""
        return {node.name: self._layer(node) for node in self._nodes if self._is_layer(node)}

    def _is_layer(self, node: Node) -> bool:
        """Tell whether `node` is an input or computes something."""
        return node.name in self._inputs or (node.op == "call_function" and not is_view(node))

    def _layer(self, node: Node) -> Layer:
        """Describe one operator, and count its parameters if no other had them before."""
        self._number[node] = len(self._number)
        root = self.memory.root(node)
        roots = [self.memory.root(argument).name for argument in node.all_input_nodes]
        own = [root for root in roots if root in self.parameters]
        count = sum(self._unseen.pop(root, ("", 0))[1] for root in own)
        window = window_of(node) or Window((), (), ())
        return Layer(
            name=self.parameters[own[0]][0].rpartition(".")[0] if own else module_of(node),
            kind="input" if node.op == "placeholder" else kind_of(node),
            output_shape=shape_of(node) or (),
            parameters=count,
            macs=macs_of(node),
            activation_bytes=self.memory.allocated(node),
            weight_bytes=FLOAT32 * count,
            bytes_moved=self._moved(node),
            receptive_field=self._fields.get(node),
            kernel=window.kernel,
            stride=window.stride,
            written_over=self._number[root] if root is not node else None,
        )

    def _moved(self, node: Node) -> int:
        """Return the bytes of the operands and the result; an expanded operand counts once."""
        if node.name in self._inputs:
            return 0
        read = [min(elements(a), elements(self.memory.root(a))) for a in node.all_input_nodes]
        return FLOAT32 * (sum(read) + elements(node))

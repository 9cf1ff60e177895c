"""The float network, layer by layer: the values of every layer, and one layer run on its own.

A layer is an operator with the batch norm after it, which every format folds into it, and with the
clamp (ReLU, ReLU6) after that, which most formats fuse. Other activations, additions,
concatenations and pools are layers themselves, as are the network's inputs; what only moves values
(reshape, dropout) is none.
"""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.export import ExportedProgram
from torch.fx import GraphModule, Interpreter, Node

from export.trace import common
from models.operators import is_view, kind_of, module_of, operator_name, shape_of

Array = npt.NDArray[Any]
Values = dict[Node, Any]
INPUT = "input"
WEIGHTED = {"conv", "linear"}
# Clamps that formats fuse or, in int8, leave to the limits of the quantized range.
BOUNDS = {"relu": (0.0, np.inf), "relu6": (0.0, 6.0)}


@dataclass(frozen=True)
class Layer:
    """A layer of the network: its operator `head` up to `norm` (batch norm) and `end` (clamp).

    `operands` are what it computes with at run time; `weight` (O, I, ...) and `bias` (O,) have the
    batch norm folded in, `factors` (O,) are what the weight was multiplied by. `bounds` are the
    clamp's. `feeds` names the layers with weights that it reads, through others without.
    """

    name: str
    kind: str
    head: Node
    norm: Node
    end: Node
    operands: tuple[Node, ...]
    feeds: frozenset[str]
    weight: Array | None = None
    bias: Array | None = None
    factors: Array | None = None
    bounds: tuple[float, float] | None = None

    @property
    def unclamped(self) -> "Layer":
        """The layer without its clamp."""
        return replace(self, end=self.norm, bounds=None)


class Reference:
    """A float program, run in eager torch on the CPU."""

    def __init__(self, program: ExportedProgram) -> None:
        """Take a program; operators that work in place become ones that do not."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # torch's own, of its tree specs
            module = program.run_decompositions({}).module()
        assert isinstance(module, GraphModule)
        self._module = module
        self._nodes = [n for n in module.graph.nodes if n.target != "_guards_fn"]

    @cached_property
    def inputs(self) -> tuple[Node, ...]:
        """The network's inputs."""
        return tuple(n for n in self._nodes if n.op == "placeholder")

    @cached_property
    def outputs(self) -> tuple[Node, ...]:
        """The nodes that the network returns."""
        return tuple(next(n for n in self._nodes if n.op == "output").all_input_nodes)

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """The layers in the program's order."""
        return tuple(self._layers())

    def _layers(self) -> Iterator[Layer]:
        feeds: dict[Node, frozenset[str]] = {n: frozenset([n.name]) for n in self.inputs}
        for node in self.inputs:
            yield Layer(node.name, INPUT, node, node, node, (node,), feeds[node])
        taken: set[Node] = set()
        names: dict[str, int] = {}
        for node in self._nodes:
            operands = [a for a in node.all_input_nodes if a in feeds]
            if node in feeds or not operands:
                continue
            read = frozenset[str]().union(*(feeds[a] for a in operands))
            if node in taken or is_view(node) or node.op != "call_function" or not shape_of(node):
                feeds[node] = feeds.get(operands[0], read) if node in taken else read
                continue
            layer = self._layer(node, tuple(operands), read, names)
            feeds[node] = frozenset([layer.name]) if layer.weight is not None else read
            taken |= set(self._members(layer)) - {node}
            yield layer

    def _layer(
        self, head: Node, operands: tuple[Node, ...], feeds: frozenset[str], names: dict[str, int]
    ) -> Layer:
        norm = self._norm(head)
        clamp = _only_reader(norm)
        bounds = _bounds(clamp) if clamp else None
        weight, bias, factors = self._weights(head, norm)
        name = self._name(head)
        names[name] = names.get(name, 0) + 1
        return Layer(
            name=f"{name}#{names[name]}" if names[name] > 1 else name,
            kind=kind_of(head),
            head=head,
            norm=norm,
            end=clamp if clamp and bounds else norm,
            operands=operands,
            feeds=feeds,
            weight=weight,
            bias=bias,
            factors=factors,
            bounds=bounds,
        )

    def _name(self, node: Node) -> str:
        """Return the name of the module that has the parameters, as ``models show`` does."""
        own = [str(a.target) for a in node.all_input_nodes if a.op == "get_attr"]
        return (own[0].rpartition(".")[0] if own else module_of(node)) or node.name

    def _norm(self, head: Node) -> Node:
        reader = _only_reader(head)
        if not self._has_weight(head) or reader is None or kind_of(reader) != "batch_norm":
            return head
        picked = _only_reader(reader)
        return picked if picked and operator_name(picked) == "getitem" else reader

    def _has_weight(self, head: Node) -> bool:
        return common(kind_of(head)) in WEIGHTED and any(
            a.op == "get_attr" and self._value(a).ndim > 1 for a in head.all_input_nodes
        )

    def _weights(self, head: Node, norm: Node) -> tuple[Array | None, Array | None, Array | None]:
        """Return the weight and bias with the batch norm folded in, and the factors of that."""
        if not self._has_weight(head):
            return None, None, None
        given = [self._value(a) for a in head.all_input_nodes if a.op == "get_attr"]
        weight = next(a for a in given if a.ndim > 1)
        bias = next((a for a in given if a.ndim == 1), None)
        if operator_name(head) in {"matmul", "mm", "addmm"}:
            weight = weight.T
        if norm is head:
            return weight, bias, np.ones(len(weight), np.float32)
        norm_node = norm.all_input_nodes[0] if operator_name(norm) == "getitem" else norm
        gamma, beta, mean, variance = (self._value(a) for a in norm_node.args[1:5])
        factors = gamma / np.sqrt(variance + float(norm_node.args[-1]))  # type: ignore[arg-type]
        shape = (-1, *(1,) * (weight.ndim - 1))
        shift = beta + factors * ((0 if bias is None else bias) - mean)
        return weight * factors.reshape(shape), shift, factors

    def _value(self, node: Any) -> Array:
        value: Any = self._module
        for part in str(node.target).split("."):
            value = getattr(value, part)
        return np.asarray(value.detach().numpy())

    def _members(self, layer: Layer) -> list[Node]:
        """Return the layer's nodes in order."""
        members = [layer.head]
        while members[-1] is not layer.end:
            members.append(next(iter(members[-1].users)))
        return members

    @cached_property
    def _constants(self) -> Values:
        """The values that no input changes: parameters, and what is made of them (a view)."""
        changing = set(self.inputs).union(*map(self._after, self.inputs))
        return self._completed({}, [n for n in self._nodes if n not in changing])

    def run(self, arrays: Sequence[Array]) -> Values:
        """Return the value of every node, given the inputs' arrays."""
        given = dict(zip(self.inputs, map(_tensor, arrays), strict=True))
        return self._completed(self._constants | given, self._nodes)

    def _completed(self, given: Values, nodes: Sequence[Node]) -> Values:
        """Return `given` with the values of the nodes that it lacks."""
        interpreter = self._interpreter(given)
        with torch.no_grad():
            for node in nodes:
                if node not in interpreter.env and node.op != "output":
                    interpreter.env[node] = interpreter.run_node(node)
        return interpreter.env

    def outputs_with(self, values: Values, node: Node, error: Array) -> list[Array]:
        """Return the outputs where `error` is added to a node's value, all else as in `values`."""
        after = self._after(node)
        given = {n: v for n, v in values.items() if n not in after}
        given[node] = values[node] + _tensor(error)
        completed = self._completed(given, self._nodes)
        return [array(completed, output) for output in self.outputs]

    def _after(self, node: Node) -> set[Node]:
        """Return the nodes whose values depend on that of `node`."""
        found: set[Node] = set()
        for later in self._nodes[self._nodes.index(node) + 1 :]:
            if later.op != "output" and any(a is node or a in found for a in later.all_input_nodes):
                found.add(later)
        return found

    def apply(self, layer: Layer, operands: Sequence[Array], weight: Array | None = None) -> Array:
        """Run one layer on `operands`; `weight`, folded as the layer's own, takes its place."""
        if layer.kind == INPUT:
            return operands[0]
        given = self._constants | dict(zip(layer.operands, map(_tensor, operands), strict=True))
        if weight is not None:
            self._replace_weight(layer, given, weight)
        return array(self._completed(given, self._members(layer)), layer.end)

    def _replace_weight(self, layer: Layer, values: dict[Node, Any], weight: Array) -> None:
        """Undo the folding, as the batch norm is still to come."""
        assert layer.factors is not None
        node = next(
            a for a in layer.head.all_input_nodes if a.op == "get_attr" and values[a].ndim > 1
        )
        shape = (-1, *(1,) * (weight.ndim - 1))
        alive = np.where(layer.factors == 0, 1, layer.factors).reshape(shape)
        plain = torch.from_numpy(np.ascontiguousarray(weight / alive, np.float32))
        turned = operator_name(layer.head) in {"matmul", "mm", "addmm"}
        values[node] = (plain.T if turned else plain).reshape(values[node].shape)

    def _interpreter(self, given: dict[Node, Any]) -> Interpreter:
        interpreter = Interpreter(self._module, garbage_collect_values=False)
        interpreter.env = given
        return interpreter


def array(values: Values, node: Node) -> Array:
    """Return a node's value."""
    return np.asarray(values[node].detach().numpy())


def readers(layer: Layer, layers: Sequence[Layer]) -> list[str]:
    """Return those of the layers, in the program's order, that read a layer and have weights.

    They may read it through layers that have none.
    """
    after = layers[layers.index(layer) + 1 :] if layer in layers else layers
    wanted = {layer.name} if layer.weight is not None else layer.feeds
    return [other.name for other in after if other.weight is not None and wanted <= other.feeds]


def _only_reader(node: Node) -> Node | None:
    readers = list(node.users)
    return readers[0] if len(readers) == 1 and readers[0].op == "call_function" else None


def _bounds(node: Node) -> tuple[float, float] | None:
    """Return the limits of a clamp, None for another operator."""
    kind = kind_of(node)
    if kind in BOUNDS:
        return BOUNDS[kind]
    if kind not in {"hardtanh", "clamp"}:
        return None
    defaults = (-1.0, 1.0) if kind == "hardtanh" else (-np.inf, np.inf)
    limits = (*node.args[1:], *defaults[len(node.args) - 1 :])
    if not all(isinstance(limit, int | float) for limit in limits):
        return None
    return float(limits[0]), float(limits[1])  # type: ignore[arg-type]


def _tensor(array: Array) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, np.float32))

"""What a model file costs, read off its graph alone: parameters, arithmetic, memory."""

from math import prod

from export.arithmetic import Flow
from export.artifact import Network, Weights
from export.inspection import CONVERSIONS, Graph, Operator, plain
from export.weighing import reads


def network(graph: Graph, format: str, name: str) -> Network:
    """Return the figures of a network of which there is nothing but the file."""
    flow = Flow(graph, format)
    sizes = [_activation(operator) for operator in flow.computing]
    return Network(
        name=name,
        settings={},
        weights=Weights(origin="file"),
        parameters=_parameters(graph),
        macs=sum(map(flow.macs, flow.computing)),
        peak_activation_bytes=_peak(graph, flow.computing),
        total_activation_bytes=sum(sizes),
    )


def _parameters(graph: Graph) -> int:
    """Count the numbers that convolutions, matrix products and normalisations read, each once."""
    found = {
        name: prod(graph.values[name].shape)
        for read in reads(graph)
        for name, (kind, _) in read.items()
        if kind in {"weights", "biases"}
    }
    return sum(found.values())


def _activation(operator: Operator) -> int:
    """Return the bytes of an operator's output for one image in float32."""
    return 4 * prod(operator.output_shape[1:])


def _peak(graph: Graph, operators: list[Operator]) -> int:
    """Return the most bytes alive at once, each output from its operator to its last reader."""
    source = _sources(graph)
    reads = [{source.get(name, name) for name in operator.inputs} for operator in operators]
    last = {name: number for number, names in enumerate(reads) for name in names}
    last |= {source.get(name, name): len(operators) for name in graph.outputs}
    alive = {n: 4 * prod(graph.values[n].shape[1:]) for n in graph.inputs if n in last}
    peak = 0
    for number, operator in enumerate(operators):
        alive[operator.outputs[0]] = _activation(operator)
        peak = max(peak, sum(alive.values()))
        alive = {name: size for name, size in alive.items() if last.get(name, -1) > number}
    return peak


def _sources(graph: Graph) -> dict[str, str]:
    """Return for each tensor that conversions made the one that they started from."""
    found: dict[str, str] = {}
    for operator in graph.operators:
        if plain(operator.kind) in CONVERSIONS:
            found[operator.outputs[0]] = found.get(operator.inputs[0], operator.inputs[0])
    return found

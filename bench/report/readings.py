"""What the tables say in sentences, computed from the figures."""

from collections.abc import Iterator

from bench import units
from bench.report.material import Group, Line, Material, input_size
from export.artifact import Manifest

# Compared between networks in this order: the form that every runtime takes comes first.
PREFERRED = ("tflite-fp32", "onnx-fp32", "tflite-int8", "onnx-int8")


def sentences(material: Material) -> Iterator[str]:
    """Yield one sentence a network against the smallest, and one for each int8 file."""
    networks = list(material.networks.values())
    for network in networks[1:]:
        yield _against(network, _smallest(network, networks), material)
    quantized = {key: m for key, m in material.manifests.items() if m.precision == "int8"}
    for group in material.groups:
        yield from _quantized(group, quantized, material)


def _smallest(network: Manifest, networks: list[Manifest]) -> Manifest:
    """Return the smallest other network with the same input, or else the smallest of all."""
    others = [n for n in networks if n.network.name != network.network.name]
    alike = [n for n in others if input_size(n) == input_size(network)]
    return (alike or others)[0]


def _against(big: Manifest, small: Manifest, material: Material) -> str:
    parameters = units.times(big.network.parameters / max(1, small.network.parameters))
    macs = units.times(big.network.macs / max(1, small.network.macs))
    same = input_size(big) == input_size(small)
    inputs = "" if same else f" ({input_size(big)} against {input_size(small)} input)"
    return (
        f"{big.network.name} has {parameters} the parameters and {macs} the MACs of "
        f"{small.network.name}{inputs}; {_time(big, small, material)}"
    )


def _time(big: Manifest, small: Manifest, material: Material) -> str:
    names = big.network.name, small.network.name
    others = [v for v in material.variants if v not in PREFERRED]
    for group in material.having(*names):
        for variant in (*PREFERRED, *others):
            pair = [group.best(name, variant) for name in names]
            if ratio := _ratio(*pair):
                return f"it takes {units.times(ratio)} the time as {variant} on {group.label}"
    return "their times are unmeasured in any common form"


def _ratio(a: Line | None, b: Line | None) -> float | None:
    return a.time / b.time if a and b and a.time and b.time else None


def _quantized(group: Group, quantized: dict[str, Manifest], material: Material) -> Iterator[str]:
    """Set every int8 artifact against the fp32 one of its network and format."""
    for key, manifest in quantized.items():
        name, plain = manifest.network.name, f"{manifest.format}-fp32"
        ratio = _ratio(group.best(name, manifest.variant), group.best(name, plain))
        original = material.manifests.get(f"{name}/{plain}")
        if ratio and original:
            smaller = units.times(manifest.size_bytes / original.size_bytes)
            yield (
                f"{key} takes {units.times(ratio)} the time and {smaller} the bytes of fp32 "
                f"on {group.label}"
            )

"""What an architecture does with its arithmetic: MACs a byte, and the time that a MAC takes.

The bytes are those of float32 with every weight read once and every activation written once and
read once, as in a runtime that fuses norms and activations into the convolution before them. A
network that does few MACs for each byte is held up by memory (the roofline: Williams, Waterman and
Patterson 2009), whatever the arithmetic that it saves.
"""

from collections.abc import Iterator, Sequence

from bench import units
from bench.report.document import EMPTY, Cell, Column, Table, figure, of, word
from bench.report.material import Group, Line, Material
from export.artifact import Manifest, Network

FLOAT32 = 4
# How the zoo calls a network with full convolutions in the place of depthwise-separable ones.
FULL = "_full"
# What sets one network of a family apart from the others: MobileNets, section 3.3 and 3.4.
MULTIPLIERS = ("width", "resolution")
NOTE = (
    "bytes of one inference: float32, every weight read once, every activation written and read "
    "once; GMAC/s and ps/MAC: of the fastest fp32 file there, 1 MAC being 2 operations"
)


def moved_bytes(network: Network) -> int:
    """Return the bytes of one image's inference, by the rule above."""
    return FLOAT32 * network.parameters + 2 * network.total_activation_bytes


def intensity(network: Network) -> float:
    """Return MACs per byte, 0 of a network that moves none."""
    return network.macs / moved_bytes(network) if moved_bytes(network) else 0.0


def designs(material: Material) -> Iterator[Table]:
    """Yield the arithmetic of every network with its time, and each family by its multipliers."""
    yield _arithmetic(material)
    found = families(material).items()
    yield from (_curve(name, some, material) for name, some in found if len(some) > 1)


def families(material: Material) -> dict[str, list[Manifest]]:
    """Return the networks with multipliers by their family's name."""
    found: dict[str, list[Manifest]] = {}
    for manifest in material.networks.values():
        if _is_scaled(manifest.network):
            found.setdefault(_family(manifest.network), []).append(manifest)
    return found


def _arithmetic(material: Material) -> Table:
    titles = ("MACs", "bytes", "MACs/B", "p50", "GMAC/s", "ps/MAC")
    rows = (
        row for manifest in material.networks.values() for row in _costs(manifest.network, material)
    )
    return Table(
        title="What the arithmetic costs (float32)",
        columns=(
            Column("network", right=False),
            Column("where", right=False),
            *map(Column, titles),
        ),
        rows=tuple(rows),
        nested=True,
    )


def _costs(network: Network, material: Material) -> Iterator[tuple[Cell, ...]]:
    """Yield a row for each place where it was measured, or one that says that it was not."""
    own = (
        figure(network.macs, units.count),
        figure(moved_bytes(network), units.size),
        figure(intensity(network), lambda value: f"{value:.3g}"),
    )
    found = _floats(network.name, material)
    for group, line in found:
        rate = _rate(line)
        cells = (
            word(network.name),
            word(f"{line.row.variant}, {group.label}"),
            *own,
            figure(line.time, units.duration),
            figure(rate, lambda value: f"{value:.3g}"),
            figure(1000 / rate if rate else None, lambda value: f"{value:.3g}"),
        )
        yield of(line.row.key, cells)
    if not found:
        yield (word(network.name), word("unmeasured"), *own, *[Cell(EMPTY)] * 3)


def fastest_float(name: str, group: Group, material: Material) -> Line | None:
    """Return the fastest trustworthy float32 line of a network in a group of times."""
    return _fastest(name, group, _float_variants(name, material))


def _fastest(name: str, group: Group, variants: Sequence[str]) -> Line | None:
    lines = [line for v in variants if (line := group.best(name, v)) and not line.row.counts]
    return min(lines, key=lambda line: line.time or 0.0, default=None)


def _float_variants(name: str, material: Material) -> list[str]:
    return [
        m.variant
        for m in material.manifests.values()
        if m.network.name == name and m.precision == "fp32"
    ]


def _floats(name: str, material: Material) -> list[tuple[Group, Line]]:
    """Return the groups of times with a trustworthy float32 line of a network, and the fastest."""
    variants = _float_variants(name, material)
    return [(g, line) for g in material.having(name) if (line := _fastest(name, g, variants))]


def _rate(line: Line) -> float | None:
    """Return 10^9 MACs a second: MACs a nanosecond."""
    return line.row.macs * line.row.batch / line.time if line.time else None


def _is_scaled(network: Network) -> bool:
    return all(isinstance(network.settings.get(name), int | float) for name in MULTIPLIERS)


def _family(network: Network) -> str:
    """Return ``mobilenet_v1`` for ``mobilenet_v1_0.25_64@fashion-mnist``."""
    width, resolution = (network.settings[name] for name in MULTIPLIERS)
    return network.name.partition("@")[0].removesuffix(f"_{width}_{resolution}")


def _curve(family: str, some: list[Manifest], material: Material) -> Table:
    """Return the family's networks by width and resolution, each against the largest."""
    networks = sorted((m.network for m in some), key=lambda n: n.macs, reverse=True)
    group = next((g for g, _ in _floats(networks[0].name, material)), None)
    where = f", on {group.label}" if group else ""
    titles = ("resolution", "MACs", "of the largest", "parameters", "peak", "p50", "of the largest")
    return Table(
        title=f"{family}: width and resolution{where}",
        columns=(Column("width"), *map(Column, titles)),
        rows=tuple(_scaled(n, networks[0], group, material) for n in networks),
    )


def _scaled(
    network: Network, largest: Network, group: Group | None, material: Material
) -> tuple[Cell, ...]:
    lines = [fastest_float(n.name, group, material) if group else None for n in (network, largest)]
    time, most = (line.time if line else None for line in lines)
    cells = (
        *(figure(network.settings[name], lambda value: f"{value:g}") for name in MULTIPLIERS),
        figure(network.macs, units.count),
        figure(network.macs / largest.macs, units.times),
        figure(network.parameters, units.count),
        figure(network.peak_activation_bytes, units.size),
        figure(time, units.duration),
        figure(time / most if time and most else None, units.times),
    )
    return of(lines[0].row.key, cells) if lines[0] else cells


def twins(material: Material) -> Iterator[str]:
    """Yield what depthwise-separable convolutions save against full ones, and what they cost."""
    networks = material.networks
    for name, manifest in networks.items():
        small = networks.get(name.replace(FULL, "", 1))
        if FULL in name and small:
            yield _against(small.network, manifest.network, material)


def _against(small: Network, full: Network, material: Material) -> str:
    macs, parameters, moved = (
        units.times(figure_of(small) / figure_of(full))
        for figure_of in (lambda n: n.macs, lambda n: n.parameters, moved_bytes)
    )
    text = (
        f"{small.name} does {macs} the MACs of {full.name}, with {parameters} the parameters and "
        f"{moved} the bytes moved: {intensity(small):.3g} MACs a byte instead of "
        f"{intensity(full):.3g}"
    )
    others = {id(group): line for group, line in _floats(full.name, material)}
    for group, one in _floats(small.name, material):
        two = others.get(id(group))
        if two and one.time and two.time:
            rates = (_rate(line) for line in (one, two))
            text += (
                f"; on {group.label} it takes {units.times(one.time / two.time)} the time, at "
                "{:.3g} instead of {:.3g} GMAC/s".format(*rates)
            )
    return text

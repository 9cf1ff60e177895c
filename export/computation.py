"""Which numbers a file computes in: data for the manifest, and what is to be said of it."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from export.artifact import Manifest

INTEGER = {"int4", "int8", "int16", "uint4", "uint8"}


class Computation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Operators by the number type they compute in, conversions between types left out.

    `linear` counts convolutions and matrix products alone, where the time goes; `in_float` names
    the first of those that a file with integer weights computes in float, in the file's order.
    `weight_bytes` is what the file stores of constants, by number type.
    """

    operators: dict[str, int]
    linear: dict[str, int]
    weight_bytes: dict[str, int]
    in_float: tuple[str, ...] = ()

    @property
    def linear_in_float(self) -> int:
        """How many convolutions and matrix products compute in another type than integers."""
        return sum(count for dtype, count in self.linear.items() if dtype not in INTEGER)

    def doubt(self, precision: str) -> str | None:
        """Say in words where an ``int8`` file still computes in float; None if it does not."""
        if precision.endswith("-weights"):
            return f"{precision}: only the weights are small, it computes in float by design"
        if precision != "int8" or not self.linear_in_float:
            return None
        every = sum(self.linear.values())
        if self.linear_in_float == every:
            return (
                f"int8 did not happen: none of its {every} convolutions and matrix products "
                "computes in integers"
            )
        more = "" if len(self.in_float) == self.linear_in_float else " and more"
        return (
            f"still runs in float: {self.linear_in_float} of its {every} convolutions and matrix "
            f"products ({', '.join(self.in_float)}{more})"
        )


def doubts(manifests: Iterable["Manifest"]) -> list[str]:
    """Say which files do not pay as their precision promises: in float still, or grown."""
    every = list(manifests)
    floats = {_network(m): m.size_bytes for m in every if m.precision == "fp32"}
    found: dict[str, list[str]] = {}
    for manifest in every:
        whole = floats.get(_network(manifest), manifest.size_bytes)
        if manifest.size_bytes > whole:
            grown = f"grew: {manifest.size_bytes:,} bytes, {whole:,} in fp32"
            found.setdefault(grown, []).append(manifest.key)
        if manifest.computation and (said := manifest.computation.doubt(manifest.precision)):
            found.setdefault(said, []).append(manifest.key)
    return [f"{', '.join(keys)}: {said}" for said, keys in found.items()]


def _network(manifest: "Manifest") -> tuple[str, str, int]:
    """Return what two files of one network share: strays are called alike by chance."""
    return manifest.network.name, manifest.format, manifest.network.macs

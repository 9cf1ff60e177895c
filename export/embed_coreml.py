"""Embeds a contract in a Core ML package's user-defined metadata, and in words for Xcode."""

from pathlib import Path

from export import wording
from export.embed import KEY, Embedded, text
from export.inspect_coreml import MODEL, specification


def write(path: Path, embedded: Embedded) -> None:
    """Add to the package's specification; entries of a map are written in order."""
    spec, contract = specification(path), embedded.contract
    described = spec.description
    described.metadata.shortDescription = f"{embedded.network}, {embedded.precision}"
    described.metadata.userDefined[KEY] = text(embedded)
    if contract.preprocessing:
        described.input[0].shortDescription = wording.preprocessing(contract.preprocessing)
    described.output[0].shortDescription = contract.postprocessing
    (path / MODEL).write_bytes(spec.SerializeToString(deterministic=True))

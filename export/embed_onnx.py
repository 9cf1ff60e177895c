"""Embeds a contract in an ONNX file's ``metadata_props``."""

from pathlib import Path

import onnx

from export.embed import KEY, Embedded, text


def write(path: Path, embedded: Embedded) -> None:
    """Append the entry: a message appended to a message is merged into it, the rest untouched."""
    entry = onnx.StringStringEntryProto(key=KEY, value=text(embedded))
    with path.open("ab") as stream:
        stream.write(onnx.ModelProto(metadata_props=[entry]).SerializeToString())

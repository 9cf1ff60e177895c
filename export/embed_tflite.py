"""Embeds a contract in a TFLite file: TFLite's own model metadata, and ours beside it.

The standard's entry holds what its readers know: the image's colours and size, its normalisation,
and a labels file, which lies in a ZIP archive behind the model. Shape, number type and scale are
the graph's own in this format.
"""

import io
import zipfile
from pathlib import Path

from export.embed import KEY, Embedded, text
from export.tflite_metadata import LABELS, model_metadata
from export.tflite_root import with_metadata

STANDARD = "TFLITE_METADATA"
# The first moment that a ZIP archive can hold: the same labels give the same bytes.
EPOCH = (1980, 1, 1, 0, 0, 0)


def write(path: Path, embedded: Embedded) -> None:
    """Rewrite the file with its metadata in front of the graph, and the labels behind it."""
    entries = {STANDARD: model_metadata(embedded), KEY: text(embedded).encode()}
    labels = _archive(embedded.contract.classes) if embedded.contract.classes else b""
    path.write_bytes(with_metadata(path.read_bytes(), entries) + labels)


def _archive(classes: tuple[str, ...]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(zipfile.ZipInfo(LABELS, EPOCH), "\n".join(classes))
    return stream.getvalue()

"""A file's steps, whatever its format: what holds for all readers."""

import random
from pathlib import Path

import pytest

from export import artifact, trace
from tests import tiny

MADE = {"onnx": tiny.tiny_onnx, "tflite": tiny.tiny_tflite, "coreml": tiny.tiny_coreml}
GRAPHS = {"coreml": "model.mlpackage/Data/com.apple.CoreML/model.mlmodel"}


@pytest.mark.slow
@pytest.mark.parametrize("format", MADE)
def test_a_damaged_file_is_refused_in_one_line_or_read(tmp_path: Path, format: str) -> None:
    made = MADE[format](tmp_path)
    manifest = artifact.load(made)
    path = made / GRAPHS.get(format, f"model.{format}")
    whole = path.read_bytes()
    refused = []
    for seed in range(40):
        chance, data = random.Random(seed), bytearray(whole)
        for _ in range(chance.choice((1, 4, 40))):
            data[chance.randrange(len(data))] = chance.randrange(256)
        path.write_bytes(data)
        try:
            trace.load(made, manifest)
        except artifact.ArtifactError as error:
            refused.append(str(error))
    assert len(refused) > 5
    assert all(line.startswith(f"cannot read {made}") for line in refused)
    assert not any("\n" in line for line in refused)

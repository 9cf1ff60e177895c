"""``export inspect`` on files with flipped bytes, cut short, or with another beginning."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from export import embed
from export.artifact import MODEL_FILES, ArtifactError, read_manifest
from export.cli_inspect import inspect
from tests.tiny import tiny_coreml, tiny_onnx, tiny_tflite

MAKERS = {"onnx": tiny_onnx, "tflite": tiny_tflite, "coreml": tiny_coreml}
PROTOBUF = Path("Data/com.apple.CoreML/model.mlmodel")
MUTATIONS = 30


@pytest.fixture(params=MAKERS)
def whole(request, tmp_path):
    """A model file with a contract inside."""
    directory = MAKERS[request.param](tmp_path)
    manifest = read_manifest(directory)
    path = directory / MODEL_FILES[manifest.format]
    said = embed.Embedded(network="tiny", precision="fp32", contract=manifest.contract)
    embed.write(path, manifest.format, said)
    return path


def mutated(data, rng):
    """Return the bytes with up to 20 flipped, cut short, or with a random beginning."""
    kind = rng.integers(3)
    if kind == 0:
        return data[: rng.integers(1, len(data))]
    changed = bytearray(data)
    places = rng.integers(len(data), size=rng.integers(1, 20)) if kind == 1 else range(16)
    for place in places:
        changed[place] = rng.integers(256)
    return bytes(changed)


def test_a_damaged_file_is_explained_or_refused_in_one_line(whole, tmp_path):
    rng = np.random.default_rng(0)
    damaged = tmp_path / whole.name
    (shutil.copytree if whole.is_dir() else shutil.copyfile)(whole, damaged)
    target = PROTOBUF if whole.is_dir() else Path()
    refused = 0
    for _ in range(MUTATIONS):
        (damaged / target).write_bytes(mutated((whole / target).read_bytes(), rng))
        for options in ([], ["--why"]):
            error = CliRunner().invoke(inspect, [*options, str(damaged)]).exception
            assert error is None or isinstance(error, ArtifactError | SystemExit), repr(error)
            if isinstance(error, ArtifactError):
                assert len(str(error).splitlines()) == 1
                refused += 1
    assert refused > MUTATIONS / 2

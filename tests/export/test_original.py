"""The float network of an artifact is found, and no other is taken for it."""

import shutil
from pathlib import Path

import pytest
import torch

from export import artifact, original
from export.precision import ExportError
from tests.tiny import quiet, tiny_onnx, tiny_torch, torch_module


def test_a_program_of_ones_own_is_proved_by_the_golden_outputs(tmp_path: Path) -> None:
    path = tiny_onnx(tmp_path)
    manifest = artifact.load(path)
    module = torch_module()
    with quiet():
        example = (torch.zeros(1, 1, 8, 8),)
        torch.export.save(torch.export.export(module, example), tmp_path / "right.pt2")
        with torch.no_grad():
            module[0].bias += 0.01
        torch.export.save(torch.export.export(module, example), tmp_path / "wrong.pt2")
        found = original.find(path, manifest, str(tmp_path / "right.pt2"))
        assert found.origin == f"--model {tmp_path / 'right.pt2'}"
        with pytest.raises(ExportError, match="golden outputs differ"):
            original.find(path, manifest, str(tmp_path / "wrong.pt2"))


def test_the_artifact_beside_is_taken_without_a_word(tmp_path: Path) -> None:
    path, beside = tiny_onnx(tmp_path), tiny_torch(tmp_path)
    with quiet():
        assert original.find(path, artifact.load(path)).origin == str(beside)


def test_an_artifact_beside_that_failed_is_not_taken(tmp_path: Path) -> None:
    path, beside = tiny_onnx(tmp_path), tiny_torch(tmp_path)
    shutil.move(beside, beside.with_name(beside.name + artifact.FAILED))
    with pytest.raises(ExportError, match="where is the float network"):
        original.find(path, artifact.load(path))

"""The artifact's directory: read back as written, refused when damaged, whole or not at all."""

import contextlib
import json
import os
from pathlib import Path

import pytest

from export import artifact
from export.artifact import ArtifactError
from tests.tiny import tiny_onnx


@pytest.fixture
def made(tmp_path: Path) -> Path:
    return tiny_onnx(tmp_path / "artifacts")


def edit(directory: Path, **changes: object) -> None:
    path = directory / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_manifest_is_read_back_as_it_was_written(made: Path) -> None:
    manifest = artifact.load(made)
    artifact.write_manifest(made, manifest)
    assert artifact.load(made) == manifest


def test_the_key_is_the_place_of_the_directory(made: Path) -> None:
    assert artifact.load(made).key == f"{made.parent.name}/{made.name}"


def test_size_counts_what_is_shipped_and_not_the_golden_data(made: Path) -> None:
    files = artifact.list_files(made)
    assert artifact.model_bytes(files) == (made / "model.onnx").stat().st_size


def test_a_directory_without_a_manifest_is_refused_with_the_command_that_makes_one(
    tmp_path: Path,
) -> None:
    with pytest.raises(ArtifactError, match=r"not an artifact.*edgeworthy export"):
        artifact.load(tmp_path)


def test_a_newer_schema_says_to_upgrade(made: Path) -> None:
    edit(made, schema=artifact.SCHEMA + 1, something_new=True)
    with pytest.raises(ArtifactError, match="newer edgeworthy"):
        artifact.load(made)


def test_a_wrong_field_is_named(made: Path) -> None:
    edit(made, size_bytes="many")
    with pytest.raises(ArtifactError, match=r"Expected `int`.*size_bytes"):
        artifact.load(made)


def test_a_truncated_manifest_is_refused(made: Path) -> None:
    path = made / "manifest.json"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ArtifactError, match="not a valid manifest"):
        artifact.load(made)


def test_a_truncated_model_is_named_with_both_sizes(made: Path) -> None:
    model = made / "model.onnx"
    whole = model.stat().st_size
    os.truncate(model, whole - 1)
    with pytest.raises(ArtifactError, match=rf"model\.onnx has {whole - 1} bytes.*{whole}"):
        artifact.load(made)


def test_a_changed_byte_is_found_by_its_hash(made: Path) -> None:
    model = made / "model.onnx"
    data = bytearray(model.read_bytes())
    data[len(data) // 2] ^= 1
    model.write_bytes(data)
    with pytest.raises(ArtifactError, match="sha256"):
        artifact.load(made)


def test_a_missing_file_is_named(made: Path) -> None:
    (made / "golden.npz").unlink()
    with pytest.raises(ArtifactError, match=r"golden\.npz is missing"):
        artifact.load(made)


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*", 3),
        ("tiny*", 2),
        ("tiny", 1),
        ("onnx-fp32", 3),
        ("tiny/onnx-*", 1),
        ("*/tflite-*", 0),
        ("other", 1),
    ],
)
def test_a_pattern_fits_the_model_the_variant_or_both(
    tmp_path: Path, pattern: str, found: int
) -> None:
    for name in ("tiny", "tiny2", "other"):
        tiny_onnx(tmp_path, name=name)
    assert len(artifact.find(tmp_path, pattern)) == found


def test_the_path_of_one_artifact_is_a_pattern_too(made: Path) -> None:
    assert artifact.find(Path("nowhere"), str(made)) == [made]


def test_what_is_left_of_a_failed_export_is_not_found(made: Path) -> None:
    made.rename(made.with_name(made.name + artifact.FAILED))
    assert artifact.find(made.parent.parent) == []


def test_staging_is_gone_afterwards_even_after_an_error(tmp_path: Path) -> None:
    with contextlib.suppress(RuntimeError), artifact.staging(tmp_path / "out") as scratch:
        (scratch / "half").write_text("written")
        raise RuntimeError
    assert list((tmp_path / "out").iterdir()) == []


def test_publishing_replaces_the_old_directory_whole(tmp_path: Path) -> None:
    final = tmp_path / "out" / "model" / "variant"
    for text in ("old", "new"):
        with artifact.staging(tmp_path / "out") as scratch:
            whole = scratch / "whole"
            whole.mkdir()
            (whole / text).write_text(text)
            artifact.publish(whole, final)
    assert [path.name for path in final.iterdir()] == ["new"]


def test_a_place_that_cannot_be_written_is_said_with_the_option_to_change_it(
    tmp_path: Path,
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with (
        pytest.raises(ArtifactError, match=r"cannot write to .*--out DIR"),
        artifact.staging(blocked / "out"),
    ):
        pass

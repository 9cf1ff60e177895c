"""The proof of an export: one runtime decides, the others show where else the file runs."""

from pathlib import Path

from export import artifact
from export.cli_prove import prove
from tests import tiny


def test_a_tflite_file_is_proved_with_xnnpack_and_by_the_interpreters_own_kernels(
    tmp_path: Path,
) -> None:
    made = tiny.tiny_tflite(tmp_path)
    proof, outputs = prove(made, artifact.load(made))
    assert proof.verified is True
    assert proof.runtime == "litert"
    assert outputs is not None
    [other] = proof.also
    assert (other.runtime, other.verified, other.reason) == ("litert-builtin", True, None)
    assert other.psnr_db is not None
    assert other.psnr_db > 80


def test_a_file_that_no_runtime_opens_says_so_for_each(tmp_path: Path) -> None:
    made = tiny.tiny_tflite(tmp_path)
    (made / "model.tflite").write_bytes(b"\0" * 64)
    proof, outputs = prove(made, artifact.read_manifest(made))
    assert (proof.verified, outputs) == (False, None)
    assert [(other.verified, other.psnr_db) for other in proof.also] == [(False, None)]
    assert "could not run it" in str(proof.also[0].reason)

"""The proof: honest files pass, wrong ones fail, and what was not compared is not claimed."""

import msgspec
import numpy as np
import pytest

from devices.device import Alarm
from export import artifact, verify
from export.artifact import Calibration, Constants, GoldenRow, Manifest, Tolerance
from export.precision import PRECISIONS
from tests.tiny import tiny_onnx

Array = np.ndarray
LIMITS = Tolerance(psnr_db=40, cosine=0.99, top1=1.0)


@pytest.fixture
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return artifact.load(tiny_onnx(tmp_path_factory.mktemp("proof")))


def outputs(manifest: Manifest, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal((len(manifest.golden), 10), dtype=np.float32)


def proof_of(manifest: Manifest, expected: Array, got: Array) -> artifact.Proof:
    return verify.prove(manifest, {"logits": expected}, {"logits": got})


def test_equal_outputs_are_proved_and_called_exact(manifest: Manifest) -> None:
    right = outputs(manifest)
    proof = proof_of(manifest, right, right.copy())
    assert proof.verified is True
    assert proof.outputs[0].psnr_db == verify.EXACT_DB
    assert proof.tolerance == PRECISIONS["fp32"].tolerance


def test_a_constant_reference_proves_nothing_but_can_refute(manifest: Manifest) -> None:
    constant = np.full_like(outputs(manifest), 0.001)
    proof = proof_of(manifest, constant, constant.copy())
    assert (proof.verified, proof.reason) == (None, verify.CONSTANT)
    assert proof_of(manifest, constant, constant * 2).verified is False


def test_one_element_that_differs_makes_a_reference(manifest: Manifest) -> None:
    right = np.full_like(outputs(manifest), 0.001)
    right[-1, -1] = 0.002
    assert proof_of(manifest, right, right.copy()).verified is True


def test_psnr_is_of_the_peak_over_the_root_mean_square_error() -> None:
    expected = np.array([[0.0, 10.0], [5.0, 0.0]])
    error = verify.compare("y", expected, expected + 0.1, LIMITS)
    assert error.psnr_db == pytest.approx(20 * np.log10(10 / 0.1), abs=0.01)
    assert error.max_abs_error == pytest.approx(0.1)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda y: y[::-1],
        lambda y: y * 1.01,
        lambda y: y + 0.01,
        lambda y: np.roll(y, 1, axis=1),
        lambda y: np.repeat(y.mean(axis=0, keepdims=True), len(y), axis=0),
        lambda y: np.where(np.arange(len(y))[:, None] == 3, 0, y),
        lambda y: np.where(y > 1, np.nan, y),
        lambda y: y[:, :9],
    ],
    ids=[
        "rows swapped",
        "1 % scale",
        "bias lost",
        "classes shifted",
        "input ignored",
        "one row lost",
        "not finite",
        "a class missing",
    ],
)
def test_a_wrong_answer_is_refuted_with_a_reason(manifest: Manifest, spoil) -> None:
    right = outputs(manifest)
    proof = proof_of(manifest, right, np.ascontiguousarray(spoil(right)))
    assert proof.verified is False
    assert proof.reason


def test_a_missing_output_is_refuted(manifest: Manifest) -> None:
    proof = verify.prove(manifest, {"logits": outputs(manifest)}, {})
    assert (proof.verified, proof.reason) == (False, "the artifact gives no output 'logits'")


def test_a_file_that_ignores_its_input_fails_although_its_mean_is_right() -> None:
    rng = np.random.default_rng(1)
    expected = 10 + rng.standard_normal((8, 10))
    flat = np.repeat(expected.mean(axis=0, keepdims=True), 8, axis=0)
    limits = Tolerance(psnr_db=40, cosine=0.9, top1=0.0)
    assert verify.compare("y", expected, flat, limits).cosine == pytest.approx(0.0, abs=1e-6)


def test_where_the_original_hardly_varies_no_cosine_is_claimed() -> None:
    expected = 100 + 1e-3 * np.random.default_rng(1).standard_normal((8, 10))
    assert verify.compare("y", expected, expected + 1e-4, LIMITS).cosine is None


def test_only_decided_inputs_count_for_the_best_answer() -> None:
    expected = np.array([[0.0, 10.0], [5.0, 5.01]])
    got = np.array([[0.0, 10.0], [5.01, 5.0]])
    error = verify.compare("y", expected, got, LIMITS)
    assert (error.top1, error.decided, error.inputs) == (1.0, 1, 2)


def test_integer_activations_are_compared_inside_the_calibrated_range_only(
    manifest: Manifest,
) -> None:
    kinds = [("image", 1.0), ("image", 0.5), ("noise", 1.0), ("noise", 2.0), ("zeros", 1.0)]
    rows = tuple(GoldenRow(kind=k, amplitude=a) for k, a in kinds)  # type: ignore[arg-type]

    def compared(source: str | None) -> list[int]:
        calibration = source and Calibration(source=source, images=1, fingerprint="", method="")
        quantization = msgspec.structs.replace(
            manifest.quantization, calibration=calibration or None
        )
        return verify.comparable_rows(
            msgspec.structs.replace(manifest, golden=rows, quantization=quantization)
        )

    assert compared("fashion-mnist (train)") == [0]
    assert compared("random") == [2]
    assert compared(None) == [0, 1, 2, 3, 4]


def test_golden_data_that_do_not_fit_the_manifest_are_refused(tmp_path, manifest: Manifest) -> None:
    np.savez(tmp_path / "golden.npz", something=np.zeros(3))
    with pytest.raises(artifact.ArtifactError, match=r"golden\.npz"):
        verify.golden(tmp_path, manifest)


def alarm(row: int, kind: str = "overflow", share: float = 0.5) -> Alarm:
    return Alarm(row=row, kind=kind, operator="conv_1", share=share)


def test_an_overflow_refutes_a_file_whose_outputs_are_right(manifest: Manifest) -> None:
    right = {"logits": outputs(manifest)}
    proof = verify.prove(manifest, right, right, [alarm(1, share=0.1), alarm(0)])
    assert proof.verified is False
    assert proof.reason == "'conv_1' overflows: 0.5 of its values are no finite numbers"
    assert [a.share for a in proof.alarms] == [0.5]


def test_other_alarms_are_told_and_refute_nothing(manifest: Manifest) -> None:
    right = {"logits": outputs(manifest)}
    proof = verify.prove(manifest, right, right, [alarm(0, "underflow"), alarm(0, "saturation")])
    assert proof.verified is True
    assert {a.kind for a in proof.alarms} == {"underflow", "saturation"}


@pytest.mark.parametrize(
    ("worst", "structure", "verified", "words"),
    [
        (0.99, 80.0, True, ""),
        (13.0, 80.0, False, "'head.weight' is off by 13 times what rounding allows"),
        (0.5, 30.0, False, "something other than a weight is wrong"),
    ],
)
def test_weights_and_structure_count_beside_the_outputs(
    manifest: Manifest, worst: float, structure: float, verified: bool, words: str
) -> None:
    right = outputs(manifest)
    found = Constants(layers=1, numbers=9, worst=worst, where="head.weight", structure_db=structure)
    proof = verify.judged(proof_of(manifest, right, right), found)
    assert proof.verified is verified
    assert words in (proof.reason or "")
    assert proof.constants == found

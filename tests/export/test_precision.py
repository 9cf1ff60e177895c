"""Which files can be made, and what a wrong name is told."""

import pytest

from export.precision import (
    FORMATS,
    PRECISIONS,
    ExportError,
    plan,
    require_images,
    require_integers,
)


def names(*arguments: object) -> list[str]:
    return [variant.name for variant in plan(*arguments)]  # type: ignore[arg-type]


def test_all_is_the_three_formats_that_ship_at_three_precisions() -> None:
    assert len(names(["all"], ["all"])) == 9


def test_int8_and_int8_weights_are_two_files() -> None:
    asked = ["int8", "int8-weights"]
    assert names(["coreml"], asked) == ["coreml-int8", "coreml-int8-weights"]


def test_a_variant_asked_for_twice_is_made_once() -> None:
    assert names(["coreml", "all"], ["int8"]).count("coreml-int8") == 1


def test_the_name_tells_batch_and_interface_apart() -> None:
    assert names(["tflite"], ["int8"], "int8", 4) == ["tflite-int8-b4-io-int8"]


def test_an_integer_interface_applies_to_int8_only() -> None:
    assert names(["tflite"], ["fp32", "int8"], "int8") == ["tflite-fp32", "tflite-int8-io-int8"]
    with pytest.raises(ExportError, match="--precision int8"):
        plan(["onnx"], ["fp32"], "int8")


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_has_the_float_original_to_compare_with(format: str) -> None:
    assert "fp32" in FORMATS[format]
    assert set(FORMATS[format]) <= set(PRECISIONS)


def test_fewer_bits_never_promise_more() -> None:
    limits = [PRECISIONS[name].tolerance.psnr_db for name in ("fp32", "fp16", "int8")]
    assert limits == sorted(limits, reverse=True)


def test_a_near_miss_is_suggested() -> None:
    with pytest.raises(ExportError, match=r"no format 'tflight'; did you mean 'tflite'\?"):
        plan(["tflight"], ["fp32"])
    with pytest.raises(ExportError, match=r"no precision 'int7'; did you mean 'int8'\?"):
        plan(["tflite"], ["int7"])


def test_what_a_format_cannot_do_is_said_with_what_it_can() -> None:
    with pytest.raises(ExportError, match="torch cannot be made at int8; it can at fp32"):
        plan(["torch"], ["int8"])


def test_static_int8_without_images_is_refused_with_both_remedies() -> None:
    with pytest.raises(ExportError, match=r"--data DIR.*--calibration random"):
        require_images(True, "data", None)
    require_images(True, "random", None)
    require_images(True, "data", "fashion-mnist")
    require_images(False, "data", None)


def test_layers_are_kept_float_only_where_others_are_not() -> None:
    with pytest.raises(ExportError, match=r"--keep-float conv1 changes .* int8, int8-weights, int"):
        require_integers(plan(["onnx"], ["fp32", "fp16"]), ("conv1",))
    require_integers(plan(["onnx"], ["fp32", "int4-weights"]), ("conv1",))
    require_integers(plan(["onnx"], ["fp32"]), ())

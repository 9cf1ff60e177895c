"""A saved package as a program: what it says of itself, what a run gives, and every refusal."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from devices import mil
from devices.mil import MilError, UnknownError
from devices.mil.schema import _schema
from tests.devices.mil import packages
from tests.devices.mil.packages import mb, noise, save

SPEC = Path("Data/com.apple.CoreML/model.mlmodel")
BLOB = Path("Data/com.apple.CoreML/weights/weight.bin")
KERNEL = noise(8, 3, 3, 3, seed=2)
X = noise(1, 3, 6, 6)


def network(x):
    return mb.relu(x=mb.conv(x=x, weight=KERNEL, name="first"), name="last")


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    return save(packages.model(network, X.shape), tmp_path_factory.mktemp("s") / "n.mlpackage")


@pytest.fixture(scope="module")
def half(tmp_path_factory):
    made = packages.model(network, X.shape, half=True)
    return save(made, tmp_path_factory.mktemp("h") / "n.mlpackage")


@pytest.fixture
def copy(single, tmp_path):
    return Path(shutil.copytree(single, tmp_path / "copy.mlpackage"))


def edit(package, change):
    """Change a package's specification; `change` is given the block and the specification."""
    spec = _schema().Model()
    spec.ParseFromString((package / SPEC).read_bytes())
    function = spec.mlProgram.functions["main"]
    change(function.block_specializations[function.opset], spec)
    (package / SPEC).write_bytes(spec.SerializeToString())


def operation(block, kind):
    return next(o for o in block.operations if o.type == kind)


def test_a_program_says_what_it_takes_gives_and_does(single) -> None:
    program = mil.load(single)
    [image], [output] = program.inputs, program.outputs
    assert (image.name, image.shape, image.dtype) == ("x", (1, 3, 6, 6), "float32")
    assert (output.name, output.shape, output.dtype) == ("last", (1, 8, 4, 4), "float32")
    assert [(o.name, o.kind) for o in program.operators] == [("first", "conv"), ("last", "relu")]
    [weight] = program.operators[0].inputs["weight"]
    assert weight in program.constants
    np.testing.assert_array_equal(program.constant(weight), KERNEL)


def test_every_intermediate_can_be_kept(single) -> None:
    kept = {}
    outputs = mil.load(single).run({"x": X}, keep=kept.__setitem__)
    expected = torch.conv2d(torch.from_numpy(X), torch.from_numpy(KERNEL))
    np.testing.assert_allclose(kept["first"], expected, atol=1e-5)
    np.testing.assert_array_equal(kept["last"], outputs["last"])
    np.testing.assert_array_equal(outputs["last"], np.maximum(kept["first"], 0))


def test_half_precision_is_rounded_after_every_operator(half) -> None:
    kept = {}
    program = mil.load(half)
    [output] = program.run({"x": X}, keep=kept.__setitem__).values()
    rounded = torch.from_numpy(X).half().float(), torch.from_numpy(KERNEL).half().float()
    expected = torch.conv2d(*rounded).half().float().relu()
    np.testing.assert_array_equal(output, expected)
    assert all((array == array.astype(np.float16)).all() for array in kept.values())


def test_a_run_can_be_repeated(single) -> None:
    program = mil.load(single)
    first, second = program.run({"x": X})["last"], program.run({"x": 2 * X})["last"]
    np.testing.assert_allclose(second, 2 * first, rtol=1e-5)
    np.testing.assert_array_equal(program.run({"x": X})["last"], first)


def test_a_classifier_gives_a_label_and_the_scores(tmp_path) -> None:
    with packages.quiet():
        config = packages.ct.ClassifierConfig(["cat", "dog", "emu"])
    made = packages.model(lambda x: mb.softmax(x=x, axis=1, name="scores"), (1, 3), classes=config)
    scores = np.float32([[1.0, 3.0, 2.0]])
    program = mil.load(save(made, tmp_path / "c.mlpackage"))
    label, shares = (program.run({"x": scores})[o.name] for o in program.outputs)
    assert label.tolist() == ["dog"]
    np.testing.assert_allclose(shares, torch.softmax(torch.from_numpy(scores), 1), rtol=1e-6)


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({}, "input 'x' is missing; given are none"),
        ({"y": X}, "given are y"),
        ({"x": X[0]}, "shape [3, 6, 6], the program takes [1, 3, 6, 6]"),
        ({"x": X[:, :2]}, "shape [1, 2, 6, 6]"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(single, inputs, words) -> None:
    with pytest.raises(MilError) as caught:
        mil.load(single).run(inputs)
    assert words in str(caught.value)


def test_an_overflow_names_its_operator(half) -> None:
    program = mil.load(half)
    program.run({"x": 60_000 * np.ones_like(X)})
    assert {(a.kind, a.operator) for a in program.alarms} >= {("overflow", "first_cast_fp16")}
    program.run({"x": X})
    assert program.alarms == ()


def test_an_underflow_names_its_operator(half) -> None:
    program = mil.load(half)
    program.run({"x": 1e-6 * X})
    [alarm] = [a for a in program.alarms if a.operator == "first_cast_fp16"]
    assert alarm.kind == "underflow"
    assert alarm.share > 0.5


def test_what_is_small_in_float32_is_no_alarm(single) -> None:
    program = mil.load(single)
    program.run({"x": 1e-6 * X})
    assert program.alarms == ()


def unknown_operator(block, _):
    operation(block, "relu").type = "frobnicate"


def unknown_input(block, _):
    relu = operation(block, "relu")
    relu.inputs["slope"].CopyFrom(relu.inputs["x"])


def unknown_type(block, _):
    operation(block, "const").attributes["val"].type.tensorType.dataType = 13


def unknown_padding(block, _):
    const = next(o for o in block.operations if o.outputs[0].name == "first_pad_type_0")
    const.attributes["val"].immediateValue.tensor.strings.values[0] = "circular"


def missing_input(block, _):
    del operation(block, "conv").inputs["weight"]


def dangling_input(block, _):
    operation(block, "relu").inputs["x"].arguments[0].name = "ghost"


def wrong_shape(block, _):
    operation(block, "conv").outputs[0].type.tensorType.dimensions[1].constant.size = 7


def wrong_type(block, _):
    operation(block, "conv").outputs[0].type.tensorType.dataType = 10


def offset_outside(block, _):
    stored = [
        o for o in block.operations if o.attributes["val"].WhichOneof("value") == "blobFileValue"
    ]
    stored[0].attributes["val"].blobFileValue.offset = 1 << 30


def escaping_file(block, _):
    stored = [
        o for o in block.operations if o.attributes["val"].WhichOneof("value") == "blobFileValue"
    ]
    stored[0].attributes["val"].blobFileValue.fileName = "@model_path/../../../../secret"


def no_main(_, spec):
    del spec.mlProgram.functions["main"]


def no_output(block, _):
    block.outputs[0] = "ghost"


def not_a_program(_, spec):
    spec.ClearField("mlProgram")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (unknown_operator, "frobnicate 'last': this operator is not known here"),
        (unknown_input, "relu 'last': input 'slope' is not known here; known are x"),
        (unknown_type, "bfloat16"),
        (unknown_padding, "conv 'first': pad_type 'circular' is not known here"),
    ],
)
def test_what_is_not_known_is_an_error_of_its_own(copy, change, words) -> None:
    edit(copy, change)
    with pytest.raises(UnknownError) as caught:
        mil.load(copy).run({"x": X})
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (missing_input, "conv 'first': input 'weight' is missing"),
        (dangling_input, "relu 'last': nothing before it gives its input 'ghost'"),
        (wrong_shape, "conv 'first': computed shape [1, 8, 4, 4], declared [1, 7, 4, 4]"),
        (wrong_type, "conv 'first': computed float32, declared float16"),
        (offset_outside, "offset 1073741824 lies outside weight.bin"),
        (escaping_file, "lies outside the package"),
        (no_main, "the program has no function 'main'"),
        (no_output, "no operator gives the output 'ghost'"),
        (not_a_program, "it is not an ML program"),
    ],
)
def test_what_does_not_fit_together_is_refused(copy, change, words) -> None:
    edit(copy, change)
    with pytest.raises(MilError) as caught:
        mil.load(copy).run({"x": X})
    assert words in str(caught.value)


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    "damage",
    [
        lambda p: cut(p / SPEC),
        lambda p: (p / SPEC).write_bytes(b"\xff" * 100),
        lambda p: (p / SPEC).unlink(),
        lambda p: cut(p / BLOB),
        lambda p: (p / BLOB).unlink(),
        lambda p: (p / "Manifest.json").unlink(),
        lambda p: (p / "Manifest.json").write_text("{"),
        lambda p: (p / "Manifest.json").write_text("{}"),
        lambda p: (p / "Manifest.json").write_text(
            json.dumps({"rootModelIdentifier": "a", "itemInfoEntries": {"a": {"path": "../../b"}}})
        ),
        shutil.rmtree,
    ],
)
def test_a_damaged_package_is_refused_in_one_line(copy, damage) -> None:
    damage(copy)
    with pytest.raises(MilError) as caught:
        mil.load(copy)
    assert "\n" not in str(caught.value)


def test_reading_a_package_imports_neither_coremltools_nor_a_converter(single) -> None:
    code = (
        "import sys; from devices import mil\n"
        "assert 'torch' not in sys.modules\n"
        f"mil.load({str(single)!r})\n"
        "assert 'coremltools' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

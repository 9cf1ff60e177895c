"""Core ML files of a trained network: what each precision stores, and how it is called."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from devices import mil
from export import source
from export.convert import Variant
from export.inspect_coreml import interface
from export.jobs import (
    PROGRAM_INFO,
    ConvertJob,
    CoremlInterface,
    ProgramInfo,
    ProgramJob,
    Quantizing,
)
from export.precision import PRECISIONS, ExportError
from export.program import perform
from export.to_coreml import Converter
from export.verify import calibrated_rows, compare
from tests.tiny import quiet

ROOT = Path(__file__).resolve().parents[2]
IMAGE = CoremlInterface(image=True, classes=True)


@pytest.fixture(scope="module")
def network(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program step's files for a trained network."""
    directory = tmp_path_factory.mktemp("network")
    [found] = source.find(["lenet5@fashion-mnist"], weights=None, shapes=[], seed=0, name=None)
    job = ProgramJob(
        source=found,
        directory=directory,
        batch=1,
        data=str(sample),
        calibration="data",
        images=32,
    )
    perform(job, lambda _: None)
    return directory


def info_of(network: Path) -> ProgramInfo:
    return msgspec.json.decode((network / PROGRAM_INFO).read_bytes(), type=ProgramInfo)


@pytest.fixture
def write(network: Path, tmp_path: Path) -> Callable[..., tuple[Variant, mil.Program]]:
    def _write(
        precision: str, coreml: CoremlInterface | None = None, **quantizing: Any
    ) -> tuple[Variant, mil.Program]:
        job = ConvertJob(
            format="coreml",
            directory=network,
            scratch=tmp_path,
            variants=(),
            quantizing=Quantizing(**quantizing),
            coreml=coreml or CoremlInterface(),
        )
        target = tmp_path / f"{len(list(tmp_path.iterdir()))}.mlpackage"
        with quiet():
            made = Converter(job, info_of(network)).write(PRECISIONS[precision], "float32", target)
        return made, mil.load(target)

    return _write


def psnr(program: mil.Program, network: Path, golden: dict[str, Any] | None = None) -> float:
    """Compare a program with the original over the images like those of the calibration."""
    info = info_of(network)
    arrays = golden or dict(np.load(network / "golden.npz"))
    rows = calibrated_rows(info.golden, info.calibration)
    name = program.outputs[-1].name
    got = [program.run({"image": arrays["in.image"][i : i + 1]})[name] for i in rows]
    tolerance = PRECISIONS["fp32"].tolerance
    return compare(name, arrays["out.logits"][rows], np.concatenate(got), tolerance).psnr_db


def kinds(program: mil.Program) -> list[str]:
    return [operator.kind for operator in program.operators]


def test_int8_rounds_activations_and_holds_the_file_to_its_scales(write, network) -> None:
    made, program = write("int8")
    assert kinds(program).count("quantize") == kinds(program).count("dequantize") > 4
    assert (made.quantization.weights, made.quantization.activations) == ("int8", "int8")
    assert made.quantization.calibration is not None
    assert [(c.name, c.passed) for c in made.checks] == [("scales", True), ("rounding", True)]
    assert psnr(program, network) > 40


def test_weights_alone_leave_activations_as_they_are(write, network) -> None:
    for precision, limit in (("int8-weights", 45), ("int4-weights", 25)):
        made, program = write(precision)
        assert "quantize" not in kinds(program)
        assert made.quantization.calibration is None
        assert psnr(program, network) > limit


def test_4_bits_say_that_they_need_ios_18_and_which_weights_have_them(write) -> None:
    made, _ = write("int4-weights")
    assert made.quantization.recipe["minimum_deployment_target"] == "iOS18"
    assert made.quantization.recipe["linear_quantize_weights"]["blocks"]["dtype"] == "int4"


def test_a_layer_that_is_kept_float_has_the_original_s_weights(write) -> None:
    _, whole = write("fp16")
    weight = {o.name: o.inputs["weight"][0] for o in whole.operators if "weight" in o.inputs}
    _, rounded = write("int8")
    made, mixed = write("int8", keep_float=("classifier.0",))
    assert made.quantization.kept_float == ("classifier.0",)

    def error(program: mil.Program, name: str) -> float:
        (operator,) = (o for o in program.operators if o.name == name)
        found = program.constant(operator.inputs["weight"][0])
        return float(np.abs(found - whole.constant(weight[name])).max())

    assert error(mixed, "classifier_0") == 0.0 < error(rounded, "classifier_0")
    assert error(mixed, "classifier_2") == error(rounded, "classifier_2") > 0.0


def test_a_layer_that_is_not_there_is_an_error_and_no_file(write, network) -> None:
    info = info_of(network)
    strange = msgspec.structs.replace(info, layers=info.layers[1:])
    job = ConvertJob(
        format="coreml",
        directory=network,
        scratch=network,
        variants=(),
        quantizing=Quantizing(keep_float=(info.layers[1].name,)),
    )
    target = network / "never.mlpackage"
    with quiet(), pytest.raises(ExportError, match="cannot find them"):
        Converter(job, strange).write(PRECISIONS["int8"], "float32", target)
    assert not target.exists()


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_file_that_takes_pictures_answers_with_names(write, network, precision: str) -> None:
    made, program = write(precision, IMAGE)
    assert made.wrapped is not None
    golden = made.wrapped.golden
    assert golden["in.image"].min() >= 0
    assert golden["in.image"].max() <= 255
    np.testing.assert_array_equal(golden["in.image"], np.rint(golden["in.image"]))
    assert [o.name for o in program.outputs] == ["classLabel", "classLabel_probs"]
    best = golden["out.logits"][0].argmax()
    label = program.run({"image": golden["in.image"][:1]})["classLabel"]
    assert label.tolist() == [info_of(network).classes[best]]
    assert psnr(program, network, golden) > (80 if precision == "fp32" else 25)


def test_the_contract_of_a_picture_is_values_from_0_to_255(write) -> None:
    made, _ = write("fp32", CoremlInterface(image=True))
    assert made.wrapped is not None
    preprocessing = made.wrapped.info.preprocessing
    assert preprocessing is not None
    assert preprocessing.mean == (0.0,)
    assert 1 / preprocessing.std[0] == pytest.approx(255)


def test_a_package_shows_its_picture_and_its_scores_without_a_manifest(write, tmp_path) -> None:
    made, _ = write("fp32", IMAGE)
    [package] = tmp_path.glob("*.mlpackage")
    found = interface(package)
    assert found.inputs == made.interface.inputs
    assert found.outputs == made.interface.outputs


SCRIPT = """
import sys, msgspec
from pathlib import Path
from export.jobs import ConvertJob, ProgramInfo
from export.precision import PRECISIONS
from export.to_coreml import Converter
network, out = map(Path, sys.argv[1:])
info = msgspec.json.decode((network / "program.json").read_bytes(), type=ProgramInfo)
job = ConvertJob(format="coreml", directory=network, scratch=out, variants=())
converter = Converter(job, info)
for name in ("fp32", "int8", "int4-weights"):
    converter.write(PRECISIONS[name], "float32", out / f"{name}.mlpackage")
"""


@pytest.mark.slow
def test_another_process_writes_the_same_bytes(network: Path, tmp_path: Path) -> None:
    made = []
    for seed in ("1", "2"):
        out = tmp_path / seed
        out.mkdir()
        command = [sys.executable, "-c", SCRIPT, str(network), str(out)]
        hashed = os.environ | {"PYTHONHASHSEED": seed}
        subprocess.run(command, cwd=ROOT, env=hashed, capture_output=True, check=True)
        files = sorted(p for p in out.rglob("*") if p.is_file())
        made.append({p.relative_to(out): p.read_bytes() for p in files})
    assert len(made[0]) == 9
    assert made[0] == made[1]

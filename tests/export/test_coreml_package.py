"""Packages that are the same to the byte, smaller, and still what Apple's loader takes."""

import json
from pathlib import Path

import coremltools as ct
import numpy as np
import pytest
from coremltools.converters.mil.mil import Builder as mb

from devices import mil
from export import coreml_package
from tests.devices.mil import packages

X = np.random.default_rng(3).normal(size=(1, 2, 8, 8)).astype(np.float32)


def build(x):
    weights = np.random.default_rng(5).normal(size=(2, 2, 3, 3)).astype(np.float32)
    first = mb.conv(x=x, weight=weights, pad_type="same", name="first")
    return mb.conv(x=first, weight=-weights, pad_type="same", name="last")


@pytest.fixture
def written(tmp_path: Path):
    def _write(name: str = "one.mlpackage"):
        made = packages.model(build, X.shape)
        coreml_package.write(made.get_spec(), Path(made.weights_dir), tmp_path / name)
        return made, tmp_path / name

    return _write


def contents(package: Path) -> dict[str, bytes]:
    files = sorted(p for p in package.rglob("*") if p.is_file())
    return {p.relative_to(package).as_posix(): p.read_bytes() for p in files}


def test_the_same_program_gives_the_same_bytes(written) -> None:
    _, first = written("one.mlpackage")
    _, second = written("two.mlpackage")
    assert contents(first) == contents(second)


def test_a_package_holds_what_is_needed_and_no_date(written) -> None:
    _, package = written()
    data = "Data/com.apple.CoreML"
    assert set(contents(package)) == {
        "Manifest.json",
        f"{data}/model.mlmodel",
        f"{data}/weights/weight.bin",
    }
    assert b"conversion_date" not in contents(package)[f"{data}/model.mlmodel"]


def test_the_manifest_says_what_apple_s_own_says(written) -> None:
    made, package = written()
    ours, apple = (
        json.loads((Path(p) / "Manifest.json").read_bytes()) for p in (package, made.package_path)
    )

    def items(manifest):
        return sorted(manifest["itemInfoEntries"].values(), key=lambda item: item["name"])

    assert items(ours) == items(apple)
    assert ours["fileFormatVersion"] == apple["fileFormatVersion"]
    assert ours["itemInfoEntries"][ours["rootModelIdentifier"]]["name"] == "model.mlmodel"


def test_coremltools_loads_the_package(written) -> None:
    _, package = written()
    loaded = ct.models.MLModel(str(package), skip_model_load=True)
    assert loaded.get_spec() == ct.utils.load_spec(str(package))
    assert loaded.get_spec().description.input[0].name == "x"


def test_equal_constants_are_kept_once_and_nothing_else_changes(written) -> None:
    made, package = written()
    before, after = mil.load(made.package_path), mil.load(package)
    assert len(after.constants) < len(before.constants)
    assert [o.kind for o in after.operators] == [o.kind for o in before.operators]
    np.testing.assert_array_equal(after.run({"x": X})["last"], before.run({"x": X})["last"])

"""Test data beside a model file, in ONNX's own layouts."""

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from export.artifact import ArtifactError
from export.given import given
from export.inspected import inspected
from tests.tiny import forward, images, onnx_model


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "net.onnx"
    onnx.save(onnx_model("batch"), str(path))
    return path


def put(array, path):
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(numpy_helper.from_array(array).SerializeToString())


def find(model):
    return given(model, inspected(model).contract)


def test_nothing_beside_it(model):
    assert find(model) is None


def test_data_sets_become_rows(model):
    rows = images()
    for number in range(2):
        put(rows[number : number + 1], model.parent / f"test_data_set_{number}" / "input_0.pb")
        logits = forward(rows[number : number + 1])
        put(logits, model.parent / f"test_data_set_{number}" / "output_0.pb")
    found = find(model)
    np.testing.assert_array_equal(found["in.image"], rows[:2])
    np.testing.assert_allclose(found["out.logits"], forward(rows[:2]), rtol=1e-5)


def test_an_output_alone_answers_the_test_runner_s_own_input(model):
    """As the onnx package's test runner makes it: 0, 1, 2, ... divided by how many."""
    put(np.zeros((1, 10), np.float32), model.with_name("net_output_0.pb"))
    image = find(model)["in.image"]
    assert image.ravel()[:3] == pytest.approx([0, 1 / 64, 2 / 64])
    assert image.shape == (1, 1, 8, 8)


@pytest.mark.parametrize("shape", [(1, 1, 9, 9), (1, 64)])
def test_data_of_another_file_is_refused(model, shape):
    put(np.zeros(shape, np.float32), model.parent / "test_data_set_0" / "input_0.pb")
    with pytest.raises(ArtifactError, match="belongs to another file"):
        find(model)


@pytest.mark.parametrize("contents", [None, b"no tensor"])
def test_data_that_cannot_be_read_is_refused(model, contents):
    put(images()[:1], model.parent / "test_data_set_0" / "input_0.pb")
    if contents:
        (model.parent / "test_data_set_0" / "output_0.pb").write_bytes(contents)
    with pytest.raises(ArtifactError, match=r"cannot read .*output_0\.pb"):
        find(model)

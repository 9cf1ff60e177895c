"""Pictures and class names: what a network needs for them, and what a picture becomes."""

import msgspec
import numpy as np
import pytest

from export.artifact import Network, Weights
from export.coreml_interface import application
from export.jobs import CoremlInterface, Port, ProgramInfo
from export.precision import ExportError
from models.preprocess import Preprocessing

COLOUR = Preprocessing(channels=3, size=(4, 4), mean=(0.5, 0.4, 0.3), std=(0.2, 0.25, 0.5))
INFO = ProgramInfo(
    network=Network(
        name="net",
        settings={},
        weights=Weights(origin="random"),
        parameters=1,
        macs=1,
        peak_activation_bytes=1,
        total_activation_bytes=1,
    ),
    inputs=(Port(name="image", shape=(1, 3, 4, 4)),),
    outputs=(Port(name="logits", shape=(1, 2)),),
    dynamic_batch=True,
    preprocessing=COLOUR,
    postprocessing="",
    classes=("cat", "dog"),
    golden=(),
    calibration=None,
    layers=(),
)
BOTH = CoremlInterface(image=True, classes=True)


def changed(**fields: object) -> ProgramInfo:
    return msgspec.structs.replace(INFO, **fields)


def test_prepared_inputs_become_the_nearest_picture() -> None:
    app = application(INFO, BOTH)
    pixels = np.random.default_rng(1).integers(0, 256, (2, 3, 4, 4)).astype(np.float32)
    mean, std = (np.reshape(v, (1, 3, 1, 1)) for v in (COLOUR.mean, COLOUR.std))
    given = app.pictured({"image": ((pixels / 255 - mean) / std).astype(np.float32)})
    np.testing.assert_array_equal(given["image"], pixels)
    assert app.pictured({"image": np.full((1, 3, 4, 4), 99.0)})["image"].max() == 255


def test_a_plain_file_has_nothing_around_the_network() -> None:
    app = application(changed(preprocessing=None, classes=None), CoremlInterface())
    assert not app.wraps
    assert app.interface().inputs[0].name == "image"
    assert app.types() == {}


def test_probabilities_are_not_turned_into_probabilities_again() -> None:
    ends = changed(outputs=(Port(name="probabilities", shape=(1, 2)),))
    assert application(INFO, BOTH).softmax
    assert not application(ends, BOTH).softmax


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"preprocessing": None}, "--coreml-input image needs"),
        ({"classes": None}, "--coreml-output classes needs"),
        ({"classes": ("cat", "dog", "emu")}, "--coreml-output classes needs"),
        ({"inputs": (Port(name="image", shape=(8, 3, 4, 4)),)}, "leave out --batch"),
    ],
)
def test_a_network_that_cannot_is_told_what_is_needed(fields, words: str) -> None:
    with pytest.raises(ExportError, match=words):
        application(changed(**fields), BOTH)

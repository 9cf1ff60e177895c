"""A Core ML file that takes a picture, or answers with the name of a class.

An ML program has no place for normalisation outside of its operators, so that a picture's is exact
here, whatever its means and deviations are by channel (see `export.bake`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import coremltools as ct
import msgspec
import numpy as np
import numpy.typing as npt
from torch.export import ExportedProgram

from export.artifact import Baked
from export.bake import bake, of_pixels, pixels
from export.convert import Interface, plain
from export.jobs import CoremlInterface, ProgramInfo
from export.precision import ExportError
from models.preprocess import Preprocessing

Array = npt.NDArray[Any]
LABEL = "classLabel"
PROBABILITIES = f"{LABEL}_probs"
SOFTMAX = "softmax is in the file; it answers with the class's name and all probabilities"


@dataclass(frozen=True)
class Application:
    """What a file has around the network, and how it is called.

    `preprocessing` is set where it takes a picture, `classes` where it answers with names.
    """

    info: ProgramInfo
    preprocessing: Preprocessing | None
    classes: tuple[str, ...]
    softmax: bool

    @property
    def wraps(self) -> bool:
        """Whether there is anything around the network."""
        return self.preprocessing is not None or bool(self.classes)

    def wrap(self, program: ExportedProgram) -> None:
        """Put around a program, in place, what the file has around it."""
        bake(program, Baked(preprocessing=self.preprocessing, softmax=self.softmax))

    def pictured(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Return prepared inputs as the file takes them: as pictures of 8 bits, still float32."""
        if self.preprocessing is None:
            return dict(inputs)
        return {n: np.rint(pixels(array, self.preprocessing)) for n, array in inputs.items()}

    def described(self) -> ProgramInfo:
        """Return the figures of the program as the file has it."""
        changed: dict[str, Any] = {}
        if self.preprocessing is not None:
            changed["preprocessing"] = of_pixels(self.preprocessing)
        if self.classes:
            changed["postprocessing"] = SOFTMAX
        return msgspec.structs.replace(self.info, **changed)

    def interface(self) -> Interface:
        """Return the inputs and outputs as the proof and the manifest name them."""
        outputs = [plain(p.name, p.shape) for p in self.info.outputs]
        if self.classes:
            (port,) = self.info.outputs
            outputs = [plain(PROBABILITIES, port.shape)]
        inputs = tuple(plain(p.name, p.shape) for p in self.info.inputs)
        return Interface(inputs=inputs, outputs=tuple(outputs))

    def types(self) -> dict[str, Any]:
        """Return what coremltools is to be told of the interface."""
        told: dict[str, Any] = {}
        if self.preprocessing is not None:
            (port,) = self.info.inputs
            grey = self.preprocessing.channels == 1
            layout = ct.colorlayout.GRAYSCALE if grey else ct.colorlayout.RGB
            told["inputs"] = [ct.ImageType(name=port.name, shape=port.shape, color_layout=layout)]
        if self.classes:
            told["classifier_config"] = ct.ClassifierConfig(
                list(self.classes), predicted_feature_name=LABEL
            )
        return told


def application(info: ProgramInfo, wanted: CoremlInterface) -> Application:
    """Return what a file of this program has around it.

    Raises:
        ExportError: the program takes no picture, more than one at once, or has no named classes.
    """
    if (wanted.image or wanted.classes) and info.inputs[0].shape[0] != 1:
        raise ExportError("Core ML takes one picture at a time: leave out --batch")
    if wanted.image and (info.preprocessing is None or len(info.inputs) != 1):
        raise ExportError(
            "--coreml-input image needs a network with one image input and known preprocessing: "
            "give --mean and --std, or leave it out"
        )
    if wanted.classes and not _names_fit(info):
        raise ExportError(
            "--coreml-output classes needs a network whose classes have names, as trained weights "
            "bring them: leave it out"
        )
    return Application(
        info=info,
        preprocessing=info.preprocessing if wanted.image else None,
        classes=info.classes or () if wanted.classes else (),
        softmax=wanted.classes and info.outputs[0].name != "probabilities",
    )


def _names_fit(info: ProgramInfo) -> bool:
    return (
        bool(info.classes)
        and len(info.outputs) == 1
        and info.outputs[0].shape == (1, len(info.classes or ()))
    )

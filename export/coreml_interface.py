"""A Core ML file that takes a picture, or answers with the name of a class.

An ML program has no place for normalisation outside of its operators, so that a picture's is exact
here, whatever its means and deviations are by channel.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import coremltools as ct
import msgspec
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from export.convert import Interface, plain
from export.jobs import CoremlInterface, ProgramInfo
from export.precision import ExportError
from models.preprocess import Preprocessing

Array = npt.NDArray[Any]
LABEL = "classLabel"
PROBABILITIES = f"{LABEL}_probs"
SOFTMAX = "softmax is in the file; it answers with the class's name and all probabilities"


class Wrapper(nn.Module):
    """A network between a picture and probabilities.

    Args:
        network: from its prepared input to its scores.
        preprocessing: of a picture that is given as values from 0 to 255, ``(N, C, H, W)``; None:
            the input is prepared.
        softmax: whether the scores become probabilities.
    """

    gain: Tensor
    shift: Tensor

    def __init__(
        self, network: nn.Module, preprocessing: Preprocessing | None, *, softmax: bool
    ) -> None:
        super().__init__()
        self.network, self.softmax = network, softmax
        self.prepared = preprocessing is None
        if preprocessing is not None:
            mean, std = torch.tensor(preprocessing.mean), torch.tensor(preprocessing.std)
            self.register_buffer("gain", (1 / (255 * std)).reshape(1, -1, 1, 1))
            self.register_buffer("shift", (-mean / std).reshape(1, -1, 1, 1))

    def forward(self, image: Tensor) -> Tensor:
        """Return the scores or probabilities ``(N, classes)``."""
        given = image if self.prepared else image * self.gain + self.shift
        scores: Tensor = self.network(given)
        return scores.softmax(1) if self.softmax else scores


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

    def wrap(self, network: nn.Module) -> nn.Module:
        """Return the network with what the file has around it."""
        return Wrapper(network, self.preprocessing, softmax=self.softmax) if self.wraps else network

    def pictured(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Return prepared inputs as the file takes them: as pictures of 8 bits, still float32."""
        if self.preprocessing is None:
            return dict(inputs)
        mean, std = (
            np.reshape(v, (1, -1, 1, 1)) for v in (self.preprocessing.mean, self.preprocessing.std)
        )
        return {
            name: np.rint(np.clip((array * std + mean) * 255, 0, 255)).astype(np.float32)
            for name, array in inputs.items()
        }

    def described(self) -> ProgramInfo:
        """Return the figures of the program as the file has it."""
        changed: dict[str, Any] = {}
        if (given := self.preprocessing) is not None:
            unit = {"mean": (0.0,) * given.channels, "std": (1 / 255,) * given.channels}
            shown = Preprocessing(
                channels=given.channels, size=given.size, resize=given.resize, **unit
            )
            changed["preprocessing"] = shown
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

"""A network about to be trained: from scratch, or from weights that are there."""

from dataclasses import dataclass, replace

import torch
from torch import nn

from models.checkpoint import create
from models.data import Dataset
from models.family import ModelError, Spec
from models.images import ArraySource
from models.optimization import Part
from models.preprocess import Preprocessing
from models.quantize_aware import prepare
from models.transfer import Transfer, head_of, layers_of, start


@dataclass(frozen=True)
class Learner:
    """What learns, and how.

    `network` is what is saved afterwards. `forward` is what computes a step, on the parameters of
    `network`: itself, or its quantization-aware form. `parts` are the layers that learn, each
    with its share of the learning rate; the layers `still` stay in evaluation mode, so that the
    statistics of batch norm that does not learn do not move either.
    """

    network: nn.Module
    forward: nn.Module
    preprocessing: Preprocessing
    class_names: tuple[str, ...]
    parts: tuple[Part, ...]
    still: tuple[nn.Module, ...] = ()
    head_is_new: bool = False

    def train(self) -> None:
        """Set the modes for learning."""
        self.forward.train()
        for layer in self.still:
            layer.eval()

    def arrange(self, memory_format: torch.memory_format) -> None:
        """Lay the weights out in memory."""
        self.network.to(memory_format=memory_format)  # type: ignore[call-overload]


def preprocessing_for(spec: Spec, data: Dataset) -> Preprocessing:
    """Return the network's size with the grey images' own statistics, or the family's for files.

    Raises:
        ModelError: the network's input is not an image.
    """
    known = _known(spec)
    if not isinstance(data.source, ArraySource):
        return known
    pixels = data.source.pixels
    mean, std = (round(float(value) / 255, 4) for value in (pixels.mean(), pixels.std()))
    return Preprocessing(1, spec.size, (mean,), (std,))


def _known(spec: Spec) -> Preprocessing:
    if spec.preprocessing is None:
        raise ModelError(f"'{spec.name}' takes no images; it cannot be trained on these data")
    return spec.preprocessing


def from_scratch(spec: Spec, data: Dataset) -> Learner:
    """Return the network with weights drawn from torch's random state.

    Raises:
        ModelError: the network's input is not an image.
    """
    preprocessing = preprocessing_for(spec, data)
    network = create(
        spec, classes=len(data.classes), channels=preprocessing.channels, auxiliary=True
    )
    parts = ((tuple(network.modules()), 1.0),)
    return Learner(network, network, preprocessing, data.classes, parts)


def from_weights(spec: Spec, data: Dataset, transfer: Transfer) -> Learner:
    """Return the network with a file's weights and, where the classes differ, a new head.

    Images are brought to the channels and statistics that the weights were trained with.

    Raises:
        ModelError: the file cannot be read or does not fit; the network takes no images, or cannot
            be trained quantization-aware.
    """
    own = _known(spec)
    built, head_is_new = start(spec, transfer.weights, data.classes)
    preprocessing = built.preprocessing or own
    if isinstance(data.source, ArraySource):
        preprocessing = replace(preprocessing, resize=None)  # such images have no border to crop
    network, forward = built.module, built.module
    if transfer.quantize_aware:
        forward = prepare(network, (2, preprocessing.channels, *preprocessing.size))
    parts, still = _parts(spec, network, built.channels, transfer)
    names = built.class_names or data.classes  # IDX files have numbers only: keep what is known
    return Learner(network, forward, preprocessing, names, parts, still, head_is_new)


def _parts(
    spec: Spec, network: nn.Module, channels: int, transfer: Transfer
) -> tuple[tuple[Part, ...], tuple[nn.Module, ...]]:
    """Return what learns at which share of the rate, and what stays in evaluation mode."""
    layers = layers_of(network, head_of(spec, channels))
    body = (*layers.lower, *layers.upper)
    if transfer.freeze:
        for parameter in (p for layer in body for p in layer.parameters(recurse=False)):
            parameter.requires_grad_(False)
        return ((layers.head, 1.0),), body
    factor = transfer.body_lr_factor
    parts = ((layers.head, 1.0), (layers.upper, factor), (layers.lower, factor**2))
    norms = tuple(m for m in body if isinstance(m, nn.BatchNorm2d))
    return parts, norms if transfer.quantize_aware else ()

"""Batches of training images, shuffled and moved a little, the same from the same seed."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from models.data import Dataset
from models.images import Floats
from models.preprocess import Preprocessing
from models.recipe import Recipe


def training_batches(
    data: Dataset, preprocessing: Preprocessing, recipe: Recipe, seed: int, epoch: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield an epoch's images ``(n, C, H, W)``, channels last, and labels ``(n,)``; n > 1.

    Raises:
        DataError: an image cannot be decoded.
    """
    rng = np.random.default_rng((seed, epoch))
    order = int(rng.integers(2**31))
    for images, labels in data.batches(preprocessing, recipe.batch, seed=order):
        if len(labels) > 1:
            x = torch.from_numpy(augment(images, recipe, rng))
            yield x.to(memory_format=torch.channels_last), torch.from_numpy(labels)


def augment(images: Floats, recipe: Recipe, rng: np.random.Generator) -> Floats:
    """Shift each image by up to `recipe.shift` of its side (edges repeat), and mirror half of them.

    Shapes: ``(N, C, H, W)`` to the same.
    """
    count, _, height, width = images.shape
    reach = round(recipe.shift * height)
    padded = np.pad(images, ((0, 0), (0, 0), (reach, reach), (reach, reach)), mode="edge")
    corners = rng.integers(0, 2 * reach + 1, (count, 2)).tolist()
    mirrored = np.less(rng.random(count), 0.5 * recipe.flip).tolist()
    out = np.empty_like(images)
    for row, ((top, left), mirror) in enumerate(zip(corners, mirrored, strict=True)):
        crop = padded[row, :, top : top + height, left : left + width]
        out[row] = crop[..., ::-1] if mirror else crop
    return out

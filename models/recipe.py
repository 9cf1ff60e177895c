"""How to train each family: figures only, no torch."""

from dataclasses import dataclass, replace
from typing import Literal

from models.family import Spec


@dataclass(frozen=True)
class Recipe:
    """How to train. One cycle of the learning rate: a linear warm-up, then a half cosine to zero.

    `shift` is the farthest random displacement as a share of the image's side; `flip` mirrors
    half of the images.
    """

    epochs: int = 30
    batch: int = 128
    lr: float = 0.1
    optimizer: Literal["sgd", "adamw"] = "sgd"
    weight_decay: float = 5e-4
    label_smoothing: float = 0.0
    warm_up: float = 0.1
    shift: float = 0.08
    flip: bool = True

    def steps(self, images: int) -> int:
        """Return the steps of an epoch; a single image left over teaches batch norm nothing."""
        whole, rest = divmod(images, self.batch)
        return whole + (rest > 1)


# Without batch norm a network bears a fifth of the rate.
PLAIN = Recipe(lr=0.02)
RECIPES = {
    **dict.fromkeys(("alexnet", "alexnet_owt", "zfnet", "vgg", "nin", "googlenet"), PLAIN),
    "lenet": Recipe(lr=4e-3, optimizer="adamw", weight_decay=1e-4, shift=0.0),
    "mobilenet": Recipe(epochs=20, lr=0.2),
}


def recipe_for(spec: Spec) -> Recipe:
    """Return the family's recipe for training from scratch."""
    return RECIPES.get(spec.family, Recipe())


def fine_tuning_for(spec: Spec, *, quantize_aware: bool) -> Recipe:
    """Return the family's recipe for going on from weights: shorter, at a tenth of the rate.

    Quantization-aware, a hundredth: the network is to move to the nearest int8 grid, no farther.
    """
    own = recipe_for(spec)
    if quantize_aware:
        return replace(own, epochs=3, lr=own.lr / 100)
    return replace(own, epochs=10, lr=own.lr / 10)

"""LeNet-5."""

from models.family import Family, Parameter

_SIDES = (28, 32)


def _side(text: str) -> int:
    if int(text) not in _SIDES:
        raise ValueError(text)
    return int(text)


FAMILIES = (
    Family(
        name="lenet",
        factory="models.lenet:LeNet5",
        title="Gradient-Based Learning Applied to Document Recognition",
        year=1998,
        stem="features.0.weight",
        head="classifier.4.weight",
        networks={"lenet5": {}},
        parameters={"resolution": Parameter(_SIDES, 28, _side, "28 or 32")},
        aliases={"lenet": "lenet5"},
        classes=10,
        mean=(0.0784,),  # section II-B: pixels from -0.1 (background) to 1.175 (foreground)
        std=(0.7843,),
        crop=None,
        sized=True,
    ),
)

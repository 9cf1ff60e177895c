"""GoogLeNet, and its module alone."""

from models.family import TORCHVISION, Family, Published

_TITLE = "Going Deeper with Convolutions"

FAMILIES = (
    Family(
        name="googlenet",
        factory="models.googlenet:GoogLeNet",
        title=_TITLE,
        year=2014,
        stem="conv1.conv.weight",
        head="fc.weight",
        networks={"googlenet": {}, "googlenet_3x3": {"largest": 3}},
        published={
            "googlenet": Published(69.8, None, "Howard et al. (2017), table 8"),
            "googlenet_3x3": Published(69.778, 89.530, TORCHVISION),
        },
        mean=(0.5, 0.5, 0.5),  # what torchvision's `transform_input` makes of ImageNet's statistics
        std=(0.5, 0.5, 0.5),
        auxiliary=("aux1.", "aux2."),
    ),
    Family(
        name="inception",
        factory="models.googlenet:inception_module",
        title=_TITLE,
        year=2014,
        stem="branch1.conv.weight",
        head="",
        networks={"inception_naive": {"reduced": False}, "inception_reduced": {"reduced": True}},
        classes=0,
        mean=(),
        std=(),
        channels=256,
        resolution=28,
        output="maps",
    ),
)

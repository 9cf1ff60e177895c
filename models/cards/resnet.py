"""ResNet."""

from models.family import TORCHVISION, Family, Published

FAMILIES = (
    Family(
        name="resnet",
        factory="models.resnet:ResNet",
        title="Deep Residual Learning for Image Recognition",
        year=2015,
        stem="conv1.weight",
        head="fc.weight",
        networks={"resnet18": {"depth": 18}, "resnet50": {"depth": 50}},
        published={
            "resnet18": Published(69.758, 89.078, TORCHVISION),
            "resnet50": Published(76.130, 92.862, TORCHVISION),
        },
    ),
)

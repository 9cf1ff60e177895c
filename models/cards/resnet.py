"""ResNet and its descendants ResNeXt and SENet."""

from dataclasses import replace

from models.family import TORCHVISION, Family, Published, resolution_parameter

_IMAGENET = Family(
    name="resnet",
    factory="models.resnet:ResNet",
    title="Deep Residual Learning for Image Recognition",
    year=2015,
    stem="conv1.weight",
    head="fc.weight",
    networks={f"resnet{depth}": {"depth": depth} for depth in (18, 34, 50, 101, 152)},
    parameters={"resolution": resolution_parameter(224, least=32)},
    aliases={"resnet": "resnet50", "resnet50_v1.5": "resnet50"},
    published={
        "resnet18": Published(69.758, 89.078, TORCHVISION),
        "resnet34": Published(73.314, 91.420, TORCHVISION),
        "resnet50": Published(76.130, 92.862, TORCHVISION),
        "resnet101": Published(77.374, 93.546, TORCHVISION),
        "resnet152": Published(78.312, 94.046, TORCHVISION),
    },
)

_CIFAR = replace(
    _IMAGENET,
    factory="models.resnet:CifarResNet",
    networks={f"resnet{depth}": {"depth": depth} for depth in (20, 32, 44, 56, 110)},
    parameters={"resolution": resolution_parameter(32, least=16)},
    aliases={},
    published={},
    classes=10,
    mean=(0.4914, 0.4822, 0.4465),  # of CIFAR-10's training images
    std=(0.2470, 0.2435, 0.2616),
    crop=None,
)

FAMILIES = (_IMAGENET, _CIFAR)

"""VGG."""

from models.family import (
    TORCHVISION,
    Family,
    Published,
    resolution_parameter,
    width_parameter,
)

_PAPER = "Simonyan and Zisserman, table 3"

FAMILIES = (
    Family(
        name="vgg",
        factory="models.vgg:VGG",
        title="Very Deep Convolutional Networks for Large-Scale Image Recognition",
        year=2014,
        stem="features.0.weight",
        head="classifier.6.weight",
        networks={
            "vgg11": {"configuration": "A"},
            "vgg11_lrn": {"configuration": "A", "normalise": "local"},
            "vgg13": {"configuration": "B"},
            "vgg16_c": {"configuration": "C"},
            "vgg16": {"configuration": "D"},
            "vgg19": {"configuration": "E"},
            "vgg11_bn": {"configuration": "A", "normalise": "batch"},
            "vgg13_bn": {"configuration": "B", "normalise": "batch"},
            "vgg16_c_bn": {"configuration": "C", "normalise": "batch"},
            "vgg16_bn": {"configuration": "D", "normalise": "batch"},
            "vgg19_bn": {"configuration": "E", "normalise": "batch"},
        },
        parameters={
            "width": width_parameter(),
            "resolution": resolution_parameter(224, step=32),
        },
        published={
            "vgg11": Published(69.020, 88.628, TORCHVISION),
            "vgg11_lrn": Published(70.3, 89.5, _PAPER),
            "vgg13": Published(69.928, 89.246, TORCHVISION),
            "vgg16_c": Published(72.7, 91.2, _PAPER),
            "vgg16": Published(71.592, 90.382, TORCHVISION),
            "vgg19": Published(72.376, 90.876, TORCHVISION),
            "vgg11_bn": Published(70.370, 89.810, TORCHVISION),
            "vgg13_bn": Published(71.586, 90.374, TORCHVISION),
            "vgg16_bn": Published(73.360, 91.516, TORCHVISION),
            "vgg19_bn": Published(74.218, 91.842, TORCHVISION),
        },
        sized=True,
    ),
)

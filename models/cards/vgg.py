"""VGG."""

from models.family import TORCHVISION, Family, Published

FAMILIES = (
    Family(
        name="vgg",
        factory="models.vgg:VGG",
        title="Very Deep Convolutional Networks for Large-Scale Image Recognition",
        year=2014,
        stem="features.0.weight",
        head="classifier.6.weight",
        networks={"vgg16": {"depth": 16}},
        published={"vgg16": Published(71.592, 90.382, TORCHVISION)},
    ),
)

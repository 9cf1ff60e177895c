"""AlexNet, its one-tower form of 2014, and ZFNet."""

from models.family import TORCHVISION, Family, Published

FAMILIES = (
    Family(
        name="alexnet",
        factory="models.alexnet:AlexNet",
        title="ImageNet Classification with Deep Convolutional Neural Networks",
        year=2012,
        stem="features.0.weight",
        head="classifier.6.weight",
        networks={
            "alexnet": {},
            "alexnet_grouped": {"groups": 2},
            "alexnet_bn": {"normalise": "batch"},
        },
        published={
            "alexnet_grouped": Published(
                61.9, 83.6, "Krizhevsky et al., table 2: five networks averaged"
            ),
        },
        resolution=227,
    ),
    Family(
        name="alexnet_owt",
        factory="models.alexnet:OneWeirdTrick",
        title="One Weird Trick for Parallelizing Convolutional Neural Networks",
        year=2014,
        stem="features.0.weight",
        head="classifier.6.weight",
        networks={"alexnet_owt": {}},
        published={"alexnet_owt": Published(56.522, 79.066, TORCHVISION)},
    ),
    Family(
        name="zfnet",
        factory="models.alexnet:ZFNet",
        title="Visualizing and Understanding Convolutional Networks",
        year=2013,
        stem="features.0.weight",
        head="classifier.6.weight",
        networks={"zfnet": {}},
        published={
            "zfnet": Published(
                None, 85.2, "Zeiler and Fergus, table 2: six networks averaged, test images"
            ),
        },
    ),
)

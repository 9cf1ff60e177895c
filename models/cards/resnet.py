"""ResNet and its descendants ResNeXt and SENet."""

from dataclasses import replace

from models.family import TORCHVISION, Family, Published, resolution_parameter

_RELEASED = "the authors' released models, github.com/KaimingHe/deep-residual-networks"
_TABLE_6 = "He et al., table 6", "CIFAR-10"
_HU = "Hu et al., table 2"

_NEXT = {"depth": 50, "groups": 32, "group_width": 4}

_IMAGENET = Family(
    name="resnet",
    reference="He et al.",
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

_PAPER = replace(
    _IMAGENET,
    networks={
        **{f"plain{depth}": {"depth": depth, "shortcuts": False} for depth in (18, 34)},
        **{f"resnet{n}_v1": {"depth": n, "stride_first": True} for n in (50, 101, 152)},
    },
    aliases={},
    published={
        "plain18": Published(72.06, None, "He et al., table 2, ten crops"),
        "plain34": Published(71.46, None, "He et al., table 2, ten crops"),
        "resnet50_v1": Published(75.3, 92.2, _RELEASED),
        "resnet101_v1": Published(76.4, 92.9, _RELEASED),
        "resnet152_v1": Published(77.0, 93.3, _RELEASED),
    },
)

_CIFAR = replace(
    _IMAGENET,
    factory="models.resnet:CifarResNet",
    networks={f"resnet{depth}": {"depth": depth} for depth in (20, 32, 44, 56, 110)},
    parameters={"resolution": resolution_parameter(32, least=16)},
    aliases={},
    published={
        "resnet20": Published(91.25, None, *_TABLE_6),
        "resnet32": Published(92.49, None, *_TABLE_6),
        "resnet44": Published(92.83, None, *_TABLE_6),
        "resnet56": Published(93.03, None, *_TABLE_6),
        "resnet110": Published(93.57, None, *_TABLE_6),
    },
    classes=10,
    mean=(0.4914, 0.4822, 0.4465),  # of CIFAR-10's training images
    std=(0.2470, 0.2435, 0.2616),
    crop=None,
)

_RESNEXT = replace(
    _IMAGENET,
    name="resnext",
    reference="Xie et al.",
    title="Aggregated Residual Transformations for Deep Neural Networks",
    year=2016,
    networks={"resnext50_32x4d": _NEXT},
    aliases={"resnext50": "resnext50_32x4d", "resnext": "resnext50_32x4d"},
    published={"resnext50_32x4d": Published(77.618, 93.698, TORCHVISION)},
)

_SENET = replace(
    _IMAGENET,
    name="senet",
    reference="Hu et al.",
    title="Squeeze-and-Excitation Networks",
    year=2017,
    networks={
        **{f"se_resnet{n}": {"depth": n, "squeeze_excite": True} for n in (18, 34)},
        **{
            f"se_resnet{n}": {"depth": n, "stride_first": True, "squeeze_excite": True}
            for n in (50, 101, 152)
        },
        "se_resnext50_32x4d": {**_NEXT, "squeeze_excite": True},
    },
    aliases={
        "senet": "se_resnet50",
        **{f"seresnet{depth}": f"se_resnet{depth}" for depth in (18, 34, 50, 101, 152)},
        **dict.fromkeys(("se_resnext50", "seresnext50", "seresnext50_32x4d"), "se_resnext50_32x4d"),
    },
    published={
        "se_resnet50": Published(76.71, 93.38, _HU),
        "se_resnet101": Published(77.62, 93.93, _HU),
        "se_resnet152": Published(78.43, 94.27, _HU),
        "se_resnext50_32x4d": Published(78.90, 94.51, _HU),
    },
)

FAMILIES = (_IMAGENET, _PAPER, _CIFAR, _RESNEXT, _SENET)

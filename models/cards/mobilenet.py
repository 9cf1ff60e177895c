"""MobileNet."""

from dataclasses import replace

from models.family import TORCHVISION, Family, Published, resolution_parameter, width_parameter

_V1 = "Howard et al., tables 6 and 7"
_V2 = "TensorFlow models, slim/nets/mobilenet"
_V3 = "Howard et al., table 3"

_SEPARABLE = Family(
    name="mobilenet",
    reference="Howard et al.",
    factory="models.mobilenet:MobileNetV1",
    title="MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications",
    year=2017,
    stem="features.0.0.weight",
    head="classifier.weight",
    networks={"mobilenet_v1": {}},
    parameters={
        "width": width_parameter(1.0, 0.75, 0.5, 0.25),
        "resolution": resolution_parameter(224, 192, 160, 128, step=32),
    },
    aliases={"mobilenet": "mobilenet_v1", "mobilenetv1": "mobilenet_v1"},
    published={
        "mobilenet_v1_1.0_224": Published(70.6, None, _V1),
        "mobilenet_v1_0.75_224": Published(68.4, None, _V1),
        "mobilenet_v1_0.5_224": Published(63.7, None, _V1),
        "mobilenet_v1_0.25_224": Published(50.6, None, _V1),
        "mobilenet_v1_1.0_192": Published(69.1, None, _V1),
        "mobilenet_v1_1.0_160": Published(67.2, None, _V1),
        "mobilenet_v1_1.0_128": Published(64.4, None, _V1),
    },
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
    in_full=True,
)

_FULL = replace(
    _SEPARABLE,
    networks={"mobilenet_v1_full": {"separable": False}},
    parameters={"width": width_parameter(1.0), "resolution": resolution_parameter(224, step=32)},
    aliases={"mobilenet_full": "mobilenet_v1_full"},
    published={"mobilenet_v1_full_1.0_224": Published(71.7, None, "Howard et al., table 4")},
)

_V2_FAMILY = Family(
    name="mobilenet_v2",
    reference="Sandler et al.",
    factory="models.mobilenet_v2:MobileNetV2",
    title="MobileNetV2: Inverted Residuals and Linear Bottlenecks",
    year=2018,
    stem="features.0.0.weight",
    head="classifier.1.weight",
    networks={"mobilenet_v2": {}},
    parameters={
        "width": width_parameter(1.4, 1.0, 0.75, 0.5, 0.35, most=1.4),
        "resolution": resolution_parameter(224, step=32),
    },
    aliases={"mobilenetv2": "mobilenet_v2"},
    published={
        "mobilenet_v2_1.4_224": Published(75.0, 92.5, _V2),
        "mobilenet_v2_1.0_224": Published(71.878, 90.286, TORCHVISION),
        "mobilenet_v2_0.75_224": Published(69.8, 89.6, _V2),
        "mobilenet_v2_0.5_224": Published(65.4, 86.4, _V2),
        "mobilenet_v2_0.35_224": Published(60.3, 82.9, _V2),
    },
    in_full=True,
)

_V3_FAMILY = replace(
    _V2_FAMILY,
    name="mobilenet_v3",
    reference="Howard et al.",
    factory="models.mobilenet_v3:MobileNetV3",
    title="Searching for MobileNetV3",
    year=2019,
    head="classifier.3.weight",
    networks={"mobilenet_v3_small": {"size": "small"}, "mobilenet_v3_large": {"size": "large"}},
    parameters={
        "width": width_parameter(1.0, 0.75, most=1.25),
        "resolution": resolution_parameter(224, step=32),
    },
    aliases={
        "mobilenet_v3": "mobilenet_v3_large",
        "mobilenetv3": "mobilenet_v3_large",
        "mobilenetv3_large": "mobilenet_v3_large",
        "mobilenetv3_small": "mobilenet_v3_small",
    },
    published={
        "mobilenet_v3_large_1.0_224": Published(74.042, 91.340, TORCHVISION),
        "mobilenet_v3_large_0.75_224": Published(73.3, None, _V3),
        "mobilenet_v3_small_1.0_224": Published(67.668, 87.402, TORCHVISION),
        "mobilenet_v3_small_0.75_224": Published(65.4, None, _V3),
    },
)

FAMILIES = (_SEPARABLE, _FULL, _V2_FAMILY, _V3_FAMILY)

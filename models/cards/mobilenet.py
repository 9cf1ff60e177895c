"""MobileNet."""

from dataclasses import replace

from models.family import Family, Published, resolution_parameter, width_parameter

_V1 = "Howard et al., tables 6 and 7"

_SEPARABLE = Family(
    name="mobilenet",
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
    aliases={"mobilenet": "mobilenet_v1"},
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

FAMILIES = (_SEPARABLE, _FULL)

"""Network in Network."""

from models.family import Family, Published

FAMILIES = (
    Family(
        name="nin",
        factory="models.nin:NetworkInNetwork",
        title="Network in Network",
        year=2013,
        stem="features.0.0.weight",
        head="features.7.4.weight",
        networks={"nin": {}},
        published={"nin": Published(59.36, None, "Caffe model zoo, by the paper's authors")},
    ),
)

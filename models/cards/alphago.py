"""AlphaGo's policy network."""

from models.family import Family

FAMILIES = (
    Family(
        name="alphago",
        factory="models.alphago:PolicyNetwork",
        title="Mastering the Game of Go with Deep Neural Networks and Tree Search",
        year=2016,
        stem="features.0.weight",
        head="position",
        networks={"alphago": {}},
        classes=361,
        mean=(),
        std=(),
        channels=48,
        resolution=19,
    ),
)

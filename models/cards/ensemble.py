"""An ensemble's card, made of its members'."""

from collections.abc import Sequence

from models.family import ModelError, Spec

JOIN = "+"


def joined(members: Sequence[Spec]) -> Spec:
    """Return the ensemble of `members`; it wants its images as the first of them does.

    Raises:
        ModelError: they differ in their input's size or channels or in their classes, one of them
            does not classify, or some take images and some do not.
    """
    first = members[0]
    for member in members:
        if _contract(member) != _contract(first) or member.output != "logits":
            raise ModelError(
                f"no ensemble of {_described(first)} and {_described(member)}: "
                "give members that take the same input and give as many classes"
            )
    return Spec(
        name=JOIN.join(member.name for member in members),
        family="ensemble",
        factory="models.ensemble:of",
        settings={"members": [member.name for member in members]},
        arguments={"members": tuple(members)},
        size=first.size,
        preprocessing=first.preprocessing,
        classes=first.classes,
        channels=first.channels,
        stem="",
        head="",
        title=f"Ensemble of {len(members)} networks",
        year=max(member.year for member in members),
        output="probabilities",
        members=tuple(members),
    )


def _contract(spec: Spec) -> tuple[object, ...]:
    return (spec.channels, *spec.size, spec.classes, spec.preprocessing is None)


def _described(spec: Spec) -> str:
    shape = "x".join(map(str, (spec.channels, *spec.size)))
    gives = f"{spec.classes} classes" if spec.output == "logits" else spec.output
    return f"{spec.name} ({shape} to {gives})"

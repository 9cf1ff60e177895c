"""The one error of this package."""


class MilError(ValueError):
    """A package cannot be read or run exactly; the message names the operator and its output."""

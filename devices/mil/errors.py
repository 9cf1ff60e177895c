"""The errors of this package."""


class MilError(ValueError):
    """A package cannot be read or run exactly; the message names the operator and its output."""


class UnknownError(MilError):
    """The file may be right, but holds what this interpreter does not know."""

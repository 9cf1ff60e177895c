"""What a model file itself says of its inputs and outputs, without a manifest."""

import msgspec

from export.artifact import Contract, Tensor

UNKNOWN = "not known"


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """An input or output that is a picture to an application, in pixels; `mode` is PIL's."""

    colours: str
    mode: str
    height: int
    width: int

    @property
    def words(self) -> str:
        """What stands where an array has its number type."""
        return f"image, {self.colours} {self.height}x{self.width}"


def layout(rank: int, channels_last: bool) -> str:
    """Return the usual letters for a tensor of this rank: NC, NCHW, NHWC, or N and dots."""
    if rank == 4:
        return "NHWC" if channels_last else "NCHW"
    return "NC" if rank == 2 else "N" + "." * (rank - 1)


def bare(inputs: list[Tensor], outputs: list[Tensor], *, dynamic_batch: bool) -> Contract:
    """Return what can be known of a contract from a graph: nothing of how inputs are prepared.

    Raises:
        ValueError: there are no inputs, or no outputs.
    """
    if not inputs or not outputs:
        raise ValueError("it has no inputs or no outputs")
    return Contract(
        inputs=tuple(inputs),
        outputs=tuple(outputs),
        dynamic_batch=dynamic_batch,
        preprocessing=None,
        postprocessing=UNKNOWN,
    )

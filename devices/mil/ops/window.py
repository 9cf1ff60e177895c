"""What convolution and pooling share: the padding that each way of asking for it gives."""

from torch import Tensor
from torch.nn import functional

from devices.mil.errors import MilError, UnknownError
from devices.mil.ops.registry import Ints

Pads = list[tuple[int, int]]


def padding(pad_type: str, pad: Ints | None, *, sizes: Ints, window: Ints, strides: Ints) -> Pads:
    """Return what goes before and after each spatial axis.

    Args:
        pad_type: ``valid`` (none), ``custom`` (by `pad`), ``same`` (outputs ``ceil(size /
            stride)``, the odd one after) or ``same_lower`` (the odd one before).
        pad: before and after, axis by axis.
        sizes: the input's spatial sizes.
        window: what the kernel covers, dilation included.
        strides: the steps.

    Raises:
        MilError: a `pad_type` that is not known here, or a `pad` of another length.
    """
    axes = range(len(sizes))
    if pad_type == "valid":
        return [(0, 0) for _ in axes]
    if pad_type == "custom":
        if pad is None or len(pad) != 2 * len(sizes):
            raise MilError(f"pad {pad} does not fit {len(sizes)} spatial axes")
        return [(pad[2 * axis], pad[2 * axis + 1]) for axis in axes]
    if pad_type not in {"same", "same_lower"}:
        raise UnknownError(f"pad_type '{pad_type}' is not known here")
    totals = [
        max((-(-sizes[a] // strides[a]) - 1) * strides[a] + window[a] - sizes[a], 0) for a in axes
    ]
    halves = [(total // 2, total - total // 2) for total in totals]
    return halves if pad_type == "same" else [(after, before) for before, after in halves]


def surround(x: Tensor, pads: Pads, value: float = 0.0) -> Tensor:
    """Return `x` with constants around its last axes."""
    if not any(before or after for before, after in pads):
        return x
    flat = [amount for pair in reversed(pads) for amount in pair]
    return functional.pad(x, flat, value=value)

"""Operators that move values and compute nothing."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from devices.mil.errors import MilError, UnknownError
from devices.mil.ops.registry import Ints, op
from devices.mil.ops.window import surround

PAD_MODES = {"reflect": "reflect", "replicate": "replicate"}


@op("reshape")
def reshape(x: Tensor, shape: Ints) -> Tensor:
    """Return `x` in another shape: 0 keeps an axis, counted from the last, -1 takes the rest."""
    kept = (1,) * (len(shape) - x.dim()) + tuple(x.shape[max(x.dim() - len(shape), 0) :])
    return x.reshape([own if size == 0 else size for size, own in zip(shape, kept, strict=True)])


@op("squeeze")
def squeeze(x: Tensor, axes: Ints | None = None) -> Tensor:
    """Return `x` without those of `axes` that are of size 1; None: without any."""
    return x.squeeze() if axes is None else x.squeeze(axes)


@op("expand_dims")
def expand_dims(x: Tensor, axes: Ints) -> Tensor:
    """Return `x` with new axes of size 1, at places counted in the result."""
    rank = x.dim() + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        x = x.unsqueeze(axis)
    return x


@op("transpose")
def transpose(x: Tensor, perm: Ints) -> Tensor:
    """Return `x` with its axes in the order `perm`."""
    return x.permute(perm)


@op("flatten2d")
def flatten2d(x: Tensor, axis: int = 1) -> Tensor:
    """Return `x` as a matrix, split before `axis`."""
    return x.reshape(int(np.prod(x.shape[:axis])), -1)


@op("concat")
def concat(values: list[Tensor], axis: int, interleave: bool = False) -> Tensor:
    """Return tensors one after the other along `axis`, or element by element in turn."""
    if not interleave:
        return torch.cat(values, axis)
    axis %= values[0].dim()
    return torch.stack(values, axis + 1).flatten(axis, axis + 1)


@op("stack")
def stack(values: list[Tensor], axis: int) -> Tensor:
    """Return tensors one after the other along a new axis."""
    return torch.stack(values, axis)


@op("split")
def split(
    x: Tensor, axis: int, num_splits: int | None = None, split_sizes: Ints | None = None
) -> list[Tensor]:
    """Return the parts of `x` along `axis`, of `split_sizes` or all of one size."""
    if split_sizes is not None:
        return list(torch.split(x, list(split_sizes), axis))
    if not num_splits or x.shape[axis] % num_splits:
        raise MilError(f"an axis of {x.shape[axis]} cannot be split into {num_splits}")
    return list(torch.split(x, x.shape[axis] // num_splits, axis))


@op("pad")
def pad(x: Tensor, pad: Ints, mode: str = "constant", constant_val: float = 0.0) -> Tensor:
    """Return `x` with something around its last axes: before and after, axis by axis."""
    pads = list(zip(pad[::2], pad[1::2], strict=True))
    if mode == "constant":
        return surround(x, pads, constant_val)
    if mode not in PAD_MODES:
        raise UnknownError(f"mode '{mode}' is not known here")
    while pads and pads[0] == (0, 0):
        pads = pads[1:]
    flat = [amount for pair in reversed(pads) for amount in pair]
    grown = x.reshape(1, 1, *x.shape) if x.dim() == len(pads) else x
    return functional.pad(grown, flat, mode=PAD_MODES[mode]).reshape(
        [n + sum(p) for n, p in zip(x.shape, [(0, 0)] * (x.dim() - len(pads)) + pads, strict=True)]
    )


@op("slice_by_index")
def slice_by_index(
    x: Tensor,
    begin: Ints,
    end: Ints,
    stride: Ints | None = None,
    begin_mask: Ints | None = None,
    end_mask: Ints | None = None,
    squeeze_mask: Ints | None = None,
) -> Tensor:
    """Return ``x[begin:end:stride]`` by axis; a mask opens an end, or takes one element only."""
    none = (0,) * x.dim()
    opened, ended, single = begin_mask or none, end_mask or none, squeeze_mask or none
    steps = stride or (1,) * x.dim()
    places = tuple(
        begin[axis]
        if single[axis]
        else slice(
            None if opened[axis] else begin[axis],
            None if ended[axis] else end[axis],
            steps[axis],
        )
        for axis in range(x.dim())
    )
    # numpy's: torch takes no negative steps.
    return torch.from_numpy(np.array(x.numpy()[places]))


@op("slice_by_size")
def slice_by_size(x: Tensor, begin: Ints, size: Ints) -> Tensor:
    """Return `size` values from `begin`, by axis; -1 takes all that follow."""
    for axis, (start, count) in enumerate(zip(begin, size, strict=True)):
        x = x.narrow(axis, start, x.shape[axis] - start if count == -1 else count)
    return x


@op("reverse")
def reverse(x: Tensor, axes: Ints | None = None) -> Tensor:
    """Return `x` backwards along `axes`, or along all."""
    return x.flip(list(range(x.dim()) if axes is None else axes))


@op("tile")
def tile(x: Tensor, reps: Ints) -> Tensor:
    """Return `x` repeated along each axis."""
    return x.repeat(reps)


@op("shape")
def shape(x: Tensor) -> Tensor:
    """Return the shape of `x`."""
    return torch.tensor(x.shape, dtype=torch.int32)


@op("fill", result="value")
def fill(shape: Ints, value: Tensor) -> Tensor:
    """Return a tensor that holds `value` throughout."""
    return value.reshape(()).expand(shape).clone()


@op("gather")
def gather(
    x: Tensor, indices: Tensor, axis: int = 0, batch_dims: int = 0, validate_indices: bool = False
) -> Tensor:
    """Return the entries of `x` along `axis` that `indices` name.

    Raises:
        MilError: batch dimensions, which are not known here.
    """
    if batch_dims:
        raise UnknownError("batch_dims is not known here")
    axis %= x.dim()
    places = indices.long() % x.shape[axis]
    taken = x.index_select(axis, places.reshape(-1))
    return taken.reshape(*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])


@op("gather_along_axis")
def gather_along_axis(
    x: Tensor, indices: Tensor, axis: int = 0, validate_indices: bool = False
) -> Tensor:
    """Return for each place the entry of `x` along `axis` that `indices` name there."""
    return torch.take_along_dim(x, indices.long() % x.shape[axis], axis)


@op("pixel_shuffle")
def pixel_shuffle(x: Tensor, upscale_factor: int) -> Tensor:
    """Return ``(N, C * r * r, H, W)`` as ``(N, C, H * r, W * r)``."""
    return functional.pixel_shuffle(x, upscale_factor)


@op("pixel_unshuffle")
def pixel_unshuffle(x: Tensor, downscale_factor: int) -> Tensor:
    """Return ``(N, C, H * r, W * r)`` as ``(N, C * r * r, H, W)``."""
    return functional.pixel_unshuffle(x, downscale_factor)


@op("upsample_nearest_neighbor")
def upsample_nearest_neighbor(
    x: Tensor, scale_factor_height: float = 1.0, scale_factor_width: float = 1.0
) -> Tensor:
    """Return images of which each pixel is repeated."""
    scale = (scale_factor_height, scale_factor_width)
    return functional.interpolate(x, scale_factor=scale, mode="nearest")


@op("upsample_bilinear")
def upsample_bilinear(
    x: Tensor,
    scale_factor_height: float = 1.0,
    scale_factor_width: float = 1.0,
    align_corners: bool = True,
    half_pixel_centers: bool | None = None,
) -> Tensor:
    """Return enlarged images, pixels between given ones weighed by distance.

    Raises:
        MilError: `half_pixel_centers` against `align_corners`' usual meaning.
    """
    if half_pixel_centers is not None and half_pixel_centers is align_corners:
        raise UnknownError("half_pixel_centers is not known here in this combination")
    scale = (scale_factor_height, scale_factor_width)
    return functional.interpolate(
        x, scale_factor=scale, mode="bilinear", align_corners=align_corners
    )

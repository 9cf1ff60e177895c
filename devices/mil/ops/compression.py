"""Compressed weights, unpacked when a program is loaded.

The forms of iOS 16 hold packed bytes and a shape; those of iOS 18 typed elements, and scales by
block: axis by axis, each scale holds for as many neighbours as there are more elements than scales.
"""

import math

import torch
from torch import Tensor

from devices.mil.blob import unpack
from devices.mil.errors import MilError, UnknownError
from devices.mil.ops.registry import Ints, op


@op("constexpr_affine_dequantize", result="scale")
def affine_dequantize(
    quantized_data: Tensor, zero_point: Tensor, scale: Tensor, axis: int
) -> Tensor:
    """Return ``(quantized_data - zero_point) * scale``, by `axis` or for all (iOS 16)."""
    shape = [-1 if a == axis % quantized_data.dim() else 1 for a in range(quantized_data.dim())]
    offset, factor = (v if v.dim() == 0 else v.reshape(shape) for v in (zero_point, scale))
    return (quantized_data.float() - offset.float()) * factor


@op("constexpr_blockwise_shift_scale", result="scale")
def blockwise_shift_scale(data: Tensor, scale: Tensor, offset: Tensor | None = None) -> Tensor:
    """Return ``(data - offset) * scale``, both by block (iOS 18)."""
    shape = tuple(data.shape)
    shifted = data.float() if offset is None else data.float() - _by_block(offset, shape)
    return shifted * _by_block(scale, shape)


@op("constexpr_sparse_blockwise_shift_scale", result="scale")
def sparse_blockwise_shift_scale(
    data_mask: Tensor, nonzero_data: Tensor, scale: Tensor, offset: Tensor | None = None
) -> list[Tensor]:
    """Return the mask, and the values where it is set, shifted and scaled by block (iOS 18)."""
    dense = blockwise_shift_scale(_scattered(data_mask, nonzero_data), scale, offset)
    return [data_mask, dense[data_mask.bool()]]


@op("constexpr_lut_to_dense", result="lut")
def lut_to_dense(
    indices: Tensor, lut: Tensor, shape: Ints | None = None, vector_axis: int | None = None
) -> Tensor:
    """Return the palette's entries that `indices` name.

    With a `shape` (iOS 16) the indices are packed in as few bits as the palette needs. Without
    (iOS 18) the palette has the shape ``(blocks by axis, ..., entries, vector)``, and an entry is a
    vector that lies along `vector_axis`.
    """
    if shape is not None:
        places = _unpacked(indices, shape, bits=round(math.log2(lut.numel())))
        return lut.reshape(-1)[places.long()]
    *blocks, entries, vector = lut.shape
    palette = torch.arange(math.prod(blocks)).reshape(blocks)
    which = _by_block(palette, tuple(indices.shape)).long()
    found = lut.reshape(-1, entries, vector)[which, indices.long()]
    if vector == 1:
        return found.squeeze(-1)
    if vector_axis is None:
        raise MilError("a palette of vectors needs vector_axis")
    axis = vector_axis % indices.dim()
    return found.movedim(-1, axis + 1).flatten(axis, axis + 1)


@op("constexpr_lut_to_sparse", result="lut")
def lut_to_sparse(
    indices_mask: Tensor,
    indices_nonzero_data: Tensor,
    lut: Tensor,
    vector_axis: int | None = None,
) -> list[Tensor]:
    """Return the mask, and the palette's entries where it is set (iOS 18).

    Raises:
        MilError: a palette of vectors, which is not known here.
    """
    if lut.shape[-1] != 1:
        raise UnknownError("a sparse palette of vectors is not known here")
    dense = lut_to_dense(_scattered(indices_mask, indices_nonzero_data), lut)
    return [indices_mask, dense[indices_mask.bool()]]


@op("constexpr_sparse_to_dense", result="nonzero_data")
def sparse_to_dense(nonzero_data: Tensor, mask: Tensor, shape: Ints | None = None) -> Tensor:
    """Return the values where `mask` is set, else zeros; with a `shape` it is packed (iOS 16)."""
    return _scattered(mask if shape is None else _unpacked(mask, shape, bits=1), nonzero_data)


@op("constexpr_cast", result="output_dtype")
def constexpr_cast(source_val: Tensor, output_dtype: str) -> Tensor:
    """Return `source_val` in another floating-point type."""
    return source_val.float()


def _unpacked(packed: Tensor, shape: Ints, *, bits: int) -> Tensor:
    return torch.tensor(unpack(packed.numpy().tobytes(), shape, f"uint{bits}"))


def _scattered(mask: Tensor, values: Tensor) -> Tensor:
    if int(mask.sum()) != values.numel():
        raise MilError(f"{values.numel()} values for a mask that is set {int(mask.sum())} times")
    dense = torch.zeros(mask.shape, dtype=values.dtype)
    dense[mask.bool()] = values.reshape(-1)
    return dense


def _by_block(values: Tensor, shape: tuple[int, ...]) -> Tensor:
    if values.dim() != len(shape) or any(n % v for n, v in zip(shape, values.shape, strict=True)):
        raise MilError(f"blocks of {list(values.shape)} do not fit a weight of {list(shape)}")
    for axis, size in enumerate(shape):
        values = values.repeat_interleave(size // values.shape[axis], axis)
    return values.float()

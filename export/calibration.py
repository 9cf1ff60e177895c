"""Where activation ranges and golden inputs come from: given images, or noise that says so."""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from export.artifact import Calibration, GoldenRow
from export.precision import ExportError
from export.ranges import Method
from models.preprocess import Preprocessing

Array = npt.NDArray[Any]
Split = Literal["train", "test"]
Guard = Callable[[Array, Array, str], tuple[str, ...]]

# Images at other amplitudes catch what one amplitude hides: a clip, an overflow, a lost bias.
NOISE_ROWS = (
    GoldenRow(kind="noise", amplitude=1.0),
    GoldenRow(kind="noise", amplitude=0.25),
    GoldenRow(kind="noise", amplitude=2.0),
    GoldenRow(kind="zeros", amplitude=1.0),
)
FAINT = (0.1, 0.5)
GOLDEN_BYTES = 4_000_000


def noise(shape: Sequence[int], count: int, seed: int) -> Array:
    """Return `count` random inputs of `shape`, float32 of standard deviation 1.

    Image-like inputs ``(C, H, W)`` sum coarse and fine noise, as images have both; others are
    white.
    """
    rng = np.random.default_rng(seed)
    fine = rng.standard_normal((count, *shape), dtype=np.float32)
    if len(shape) != 3 or min(shape[1:]) < 8:
        return fine
    channels, height, width = shape
    cells = rng.standard_normal(
        (count, channels, -(-height // 8), -(-width // 8)), dtype=np.float32
    )
    coarse = cells.repeat(8, axis=2).repeat(8, axis=3)[:, :, :height, :width]
    mixed: Array = (0.5 * fine + np.sqrt(np.float32(0.75)) * coarse).astype(np.float32)
    return mixed


def images(
    data: str, preprocessing: Preprocessing, count: int, seed: int, split: Split = "train"
) -> tuple[Array, Array, str]:
    """Return `count` class-balanced images of a data set, their labels, and the set's name.

    Images are ``(N, C, H, W)`` float32, labels ``(N,)``.

    Calibration takes them from the training split, so that the test split stays unseen; of the
    test split there are as many as it has.
    """
    from models.data import open_dataset

    found = open_dataset(data, split)
    dataset = found.sample(min(count, len(found)) if split == "test" else count, seed)
    batches = [batch for batch, _ in dataset.batches(preprocessing, 64)]
    return np.concatenate(batches), dataset.labels, dataset.name


def calibrate(
    data: str | None,
    preprocessing: Preprocessing | None,
    shapes: Sequence[tuple[int, ...]],
    *,
    count: int,
    seed: int,
    method: Method,
    guard: Guard,
) -> tuple[list[Array], Calibration]:
    """Return the inputs that set activation ranges, an array each, and their description.

    Args:
        data: the data set to take training images from; None: noise, and it is called random.
        preprocessing: how an image becomes the input; None where the network takes no image.
        shapes: the inputs' shapes, batch first.
        count: images, or noise inputs.
        seed: of the choice of images, and of the noise.
        method: how ranges will be taken from them.
        guard: says what speaks against images that were given: them, their labels, their name.

    Raises:
        ExportError: images were asked for where the network has other inputs than one image, or
            the guard refuses them.
    """
    if data is None:
        arrays = [noise(shape[1:], count, seed + i + 1) for i, shape in enumerate(shapes)]
        source = "random"
        doubts: tuple[str, ...] = ()
    else:
        array, labels, source = _given(data, preprocessing, count, seed)
        arrays, doubts = [array], guard(array, labels, source)
    fingerprint = hashlib.sha256(b"".join(a.tobytes() for a in arrays)).hexdigest()
    described = Calibration(
        source=source,
        images=len(arrays[0]),
        fingerprint=fingerprint,
        method=method,
        doubts=doubts,
    )
    return arrays, described


def _given(
    data: str, preprocessing: Preprocessing | None, count: int, seed: int
) -> tuple[Array, Array, str]:
    if preprocessing is None:
        raise ExportError(
            "images can only calibrate a network with one image input; "
            "use --calibration random to measure speed only"
        )
    array, labels, name = images(data, preprocessing, count, seed)
    return array, labels, f"{name} (train)"


def golden(
    data: str | None,
    preprocessing: Preprocessing | None,
    shapes: Sequence[tuple[int, ...]],
    seed: int,
) -> tuple[list[Array], tuple[GoldenRow, ...]]:
    """Return golden inputs ``(rows, ...)`` float32, one array an input, and what each row is.

    Noise at several amplitudes and zeros; where there is data, unseen images before them.
    """
    size = sum(4 * int(np.prod(shape[1:])) for shape in shapes)
    room = int(np.clip(GOLDEN_BYTES // size, 8, 32)) - len(NOISE_ROWS)
    arrays = [_noise_rows(shape[1:], NOISE_ROWS, seed + 1000 + i) for i, shape in enumerate(shapes)]
    if data is not None and preprocessing is not None:
        pictures, _, _ = images(data, preprocessing, room - 1, seed, split="test")
        rows = [GoldenRow(kind="image", amplitude=1.0)] * len(pictures)
        rows.append(GoldenRow(kind="image", amplitude=0.5))
        return [np.concatenate([pictures, 0.5 * pictures[:1], *arrays])], (*rows, *NOISE_ROWS)
    amplitudes = (*FAINT, *(1.0,) * (room - len(FAINT)))
    more = tuple(GoldenRow(kind="noise", amplitude=a) for a in amplitudes)
    extra = [_noise_rows(shape[1:], more, seed + 2000 + i) for i, shape in enumerate(shapes)]
    joined = [np.concatenate(pair) for pair in zip(arrays, extra, strict=True)]
    return joined, (*NOISE_ROWS, *more)


def _noise_rows(shape: Sequence[int], rows: Sequence[GoldenRow], seed: int) -> Array:
    plain = noise(shape, len(rows), seed)
    scale = np.array([0.0 if r.kind == "zeros" else r.amplitude for r in rows], dtype=np.float32)
    return plain * scale.reshape(-1, *(1,) * len(shape))

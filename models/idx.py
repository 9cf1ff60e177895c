"""The IDX files of MNIST's layout, read strictly, and where Fashion-MNIST is found.

The format: two zero bytes, the element type (8: unsigned byte), the number of dimensions, each
dimension as a big-endian 32-bit number, then the elements.
"""

import gzip
import os
import struct
import zlib
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Literal

import numpy as np

from models.images import DataError, Labels, Pixels

UNSIGNED_BYTE = 8
STEMS = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}

DEBIAN = Path("/usr/share/datasets/fashion-mnist")
UPSTREAM = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com"
CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
# Of the compressed files as the authors' README gives them: what a download must match.
MD5 = {
    "train-images-idx3-ubyte": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "train-labels-idx1-ubyte": "25c81989df183df01b3e8a0aad5dffbe",
    "t10k-images-idx3-ubyte": "bef4ecab320f06d8554ea6380940ec79",
    "t10k-labels-idx1-ubyte": "bb300cfdad3c16e7a12a480ee83cd310",
}
# Of what is inside, which is the same wherever and however it was compressed.
SHA256 = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}


@dataclass(frozen=True)
class IdxSet:
    """One split: grey images ``(N, H, W)`` and labels ``(N,)`` with the names of their classes."""

    name: str
    classes: tuple[str, ...]
    pixels: Pixels
    labels: Labels


def holds(folder: Path) -> bool:
    """Tell whether `folder` holds IDX files of MNIST's layout, of either split."""
    return any(_file(folder, stem) for stems in STEMS.values() for stem in stems)


def read(folder: Path, split: Literal["train", "test"]) -> IdxSet:
    """Read one split; the files of Fashion-MNIST are known by their contents.

    Raises:
        DataError: a file is missing, truncated, or not what its name says.
    """
    (image_stem, label_stem) = STEMS[split]
    image_bytes, label_bytes = _payload(folder, image_stem), _payload(folder, label_stem)
    pixels = _parse(image_bytes, folder / image_stem, dimensions=3)
    labels = _parse(label_bytes, folder / label_stem, dimensions=1).astype(np.int64)
    if len(pixels) != len(labels):
        raise DataError(f"{folder} has {len(pixels)} {split} images but {len(labels)} labels")
    if _is_fashion(image_stem, image_bytes) and _is_fashion(label_stem, label_bytes):
        return IdxSet("fashion-mnist", CLASSES, pixels, labels)
    classes = tuple(str(label) for label in range(int(labels.max(initial=-1)) + 1))
    return IdxSet(folder.resolve().name, classes, pixels, labels)


def read_fashion_mnist(split: Literal["train", "test"]) -> IdxSet:
    """Read Fashion-MNIST from Debian's package, $EDGEWORTHY_DATA or the cache, else fetch it.

    Raises:
        DataError: it cannot be fetched, or what was found is something else.
    """
    cache = _cache()
    own = [Path(os.environ["EDGEWORTHY_DATA"])] if os.environ.get("EDGEWORTHY_DATA") else []
    places = [DEBIAN, *(place / "fashion-mnist" for place in own), cache]
    folder = next((p for p in places if all(_file(p, stem) for stem in STEMS[split])), None)
    if folder is None:
        folder = cache
        fetch(cache)
    found = read(folder, split)
    if found.name != "fashion-mnist":
        raise DataError(f"the files in {folder} are not Fashion-MNIST's; remove them, try again")
    return found


def fetch(folder: Path, base: str = UPSTREAM) -> None:
    """Download the four files of Fashion-MNIST into `folder`, each checked by its hash.

    Raises:
        DataError: no connection, or a file that is not the authors'.
    """
    import pooch

    for stem, md5 in MD5.items():
        name = f"{stem}.gz"
        try:
            pooch.retrieve(f"{base}/{name}", f"md5:{md5}", fname=name, path=folder)
        except (OSError, ValueError) as error:
            reason = "its hash is wrong" if isinstance(error, ValueError) else type(error).__name__
            raise DataError(
                f"cannot download {base}/{name} ({reason}); install it (Debian: apt install "
                "dataset-fashion-mnist) or give a folder that has it with --data DIR"
            ) from None


def _cache() -> Path:
    from platformdirs import user_cache_path

    return user_cache_path("edgeworthy") / "fashion-mnist"


def _file(folder: Path, stem: str) -> Path | None:
    return next((p for p in (folder / f"{stem}.gz", folder / stem) if p.is_file()), None)


def _payload(folder: Path, stem: str) -> bytes:
    path = _file(folder, stem)
    if path is None:
        raise DataError(f"{folder} has no {stem}(.gz); it needs the four files of MNIST's layout")
    try:
        data = path.read_bytes()
        return gzip.decompress(data) if path.suffix == ".gz" else data
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"cannot read {path}: {error}; fetch it again") from None


def _parse(data: bytes, path: Path, dimensions: int) -> Pixels:
    start = 4 + 4 * dimensions
    if len(data) < start or data[:4] != bytes((0, 0, UNSIGNED_BYTE, dimensions)):
        raise DataError(f"{path} is not an IDX file of {dimensions} dimensions; fetch it again")
    shape = struct.unpack(f">{dimensions}I", data[4:start])
    if len(data) - start != np.prod(shape, dtype=np.int64):
        raise DataError(
            f"{path} holds {len(data) - start} bytes, its header says {'x'.join(map(str, shape))}: "
            "it is truncated or damaged; fetch it again"
        )
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def _is_fashion(stem: str, data: bytes) -> bool:
    return sha256(data).hexdigest() == SHA256[stem]

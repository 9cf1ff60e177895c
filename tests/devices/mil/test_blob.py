"""The weight file: what is stored is read, and whatever does not fit is refused."""

import struct

import numpy as np
import pytest

from devices.mil.blob import WeightFile, unpack
from devices.mil.errors import MilError, UnknownError

VALUES = np.arange(6, dtype=np.float32)


def weight_file(
    path, *, version=2, sentinel=0xDEADBEEF, code=2, size=24, start=128, payload=VALUES
):
    header = struct.pack("<II", 1, version).ljust(64, b"\0")
    entry = struct.pack("<IIQQQ", sentinel, code, size, start, 0).ljust(64, b"\0")
    path.write_bytes(header + entry + payload.tobytes())
    return path


def test_an_entry_is_read_by_its_offset(tmp_path) -> None:
    found = WeightFile(weight_file(tmp_path / "w")).read(64, (2, 3), "float32")
    np.testing.assert_array_equal(found, VALUES.reshape(2, 3))


@pytest.mark.parametrize(
    ("change", "offset", "words"),
    [
        ({"version": 1}, 64, "storage version 2"),
        ({"sentinel": 0}, 64, "no entry at offset 64"),
        ({}, 0, "no entry at offset 0"),
        ({}, 10_000, "offset 10000 lies outside w"),
        ({"code": 1}, 64, "holds float16 at offset 64, declared is float32"),
        ({"code": 99}, 64, "holds unknown type 99"),
        ({"size": 20}, 64, "20 bytes are stored for float32 of shape [2, 3]"),
        ({"size": 4000}, 64, "reach beyond the end of w"),
        ({"start": 1 << 40}, 64, "reach beyond the end of w"),
    ],
)
def test_damage_is_named(tmp_path, change, offset, words) -> None:
    with pytest.raises(MilError) as caught:
        WeightFile(weight_file(tmp_path / "w", **change)).read(offset, (2, 3), "float32")
    assert words in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"abc"])
def test_a_file_too_short_for_a_header_is_refused(tmp_path, content) -> None:
    (tmp_path / "w").write_bytes(content)
    with pytest.raises(MilError):
        WeightFile(tmp_path / "w")


def test_a_file_that_is_not_there_is_named(tmp_path) -> None:
    with pytest.raises(MilError, match="absent"):
        WeightFile(tmp_path / "absent")


@pytest.mark.parametrize(
    ("dtype", "raw", "expected"),
    [
        ("uint4", [0x21, 0x43], [1, 2, 3, 4]),
        ("int4", [0xF8, 0x70], [-8, -1, 0, 7]),
        ("uint2", [0b11100100], [0, 1, 2, 3]),
        ("uint1", [0b00000101], [1, 0, 1, 0]),
        ("uint3", [0b10001000, 0b00001110], [0, 1, 2, 7]),
        ("uint6", [0b01000001, 0b00110000, 0b11111100], [1, 1, 3, 63]),
        ("int8", [0xFF, 0x80, 0x7F, 0x00], [-1, -128, 127, 0]),
    ],
)
def test_elements_smaller_than_a_byte_fill_it_from_the_lowest_bit(dtype, raw, expected) -> None:
    assert unpack(bytes(raw), (2, 2), dtype).reshape(-1).tolist() == expected


def test_a_type_that_is_not_known_is_said_to_be_so() -> None:
    with pytest.raises(UnknownError, match="bfloat16"):
        unpack(b"\0\0", (1,), "bfloat16")

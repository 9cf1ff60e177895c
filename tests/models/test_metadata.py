"""What a weights file says of itself, and files that say nothing or nonsense."""

import json
import struct

import pytest

from models.family import ModelError
from models.metadata import Metadata, read_metadata
from models.preprocess import Preprocessing


def write(path, header):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text)
    return path


def test_what_was_written_is_read(tmp_path):
    words = Metadata(
        model="lenet5",
        dataset="fashion-mnist",
        fingerprint="ab" * 32,
        top1=0.9012,
        class_names=("Trouser", "T-shirt/top"),
        preprocessing=Preprocessing(1, (28, 28), (0.286,), (0.353,)),
        settings={"epochs": 3, "lr": 0.01},
        torch="2.13.0",
    )
    path = write(tmp_path / "a.safetensors", {"__metadata__": words.encode()})
    assert read_metadata(path) == words


@pytest.mark.parametrize("header", [{}, {"__metadata__": {"format": "pt"}}])
def test_a_file_from_elsewhere_says_nothing(tmp_path, header):
    assert read_metadata(write(tmp_path / "a.safetensors", header)) == Metadata()


@pytest.mark.parametrize(
    "words",
    [
        "not json",
        '{"top1": "high"}',
        '{"preprocessing": {"channels": 2, "size": [1, 1], "mean": [], "std": []}}',
    ],
)
def test_words_that_do_not_fit_are_refused(tmp_path, words):
    path = write(tmp_path / "a.safetensors", {"__metadata__": {"edgeworthy": words}})
    with pytest.raises(ModelError, match=r"the metadata of .*a\.safetensors is not valid"):
        read_metadata(path)


@pytest.mark.parametrize("content", [b"", b"short", struct.pack("<Q", 50) + b"{", b"[]" * 40])
def test_a_file_that_is_not_safetensors_is_refused(tmp_path, content):
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="is not a safetensors file, or is truncated"):
        read_metadata(path)


@pytest.mark.parametrize(
    "header", [b"[1]", b'{"__metadata__": [1]}', b'{"__metadata__": {"edgeworthy": 3}}']
)
def test_a_header_of_the_wrong_kind_is_refused(tmp_path, header):
    with pytest.raises(ModelError):
        read_metadata(write(tmp_path / "a.safetensors", header))


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ModelError, match="No such file"):
        read_metadata(tmp_path / "a.safetensors")

"""A file is replaced whole, or stays as it was."""

import pytest

from models.family import ModelError
from models.whole_file import whole_file


def test_what_was_written_takes_the_place_of_what_was_there(tmp_path):
    path = tmp_path / "f"
    path.write_text("old")
    with whole_file(path) as scratch:
        scratch.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def half(path):
    with whole_file(path) as scratch:
        scratch.write_text("half")
        raise OSError(28, "No space left on device")


def test_a_write_that_fails_leaves_the_old_file_alone(tmp_path):
    path = tmp_path / "f"
    path.write_text("old")
    with pytest.raises(ModelError, match="No space left on device; give another place"):
        half(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_that_is_none_costs_one_line(tmp_path):
    with (
        pytest.raises(ModelError, match="No such file or directory; give another place"),
        whole_file(tmp_path / "no" / "f") as scratch,
    ):
        scratch.write_text("x")

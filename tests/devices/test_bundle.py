"""The bundle: made of named parts, whole or not at all, and carried as one file."""

import os
import tarfile

import pytest

from devices import bundle
from devices.bundle import Contents, Part
from devices.device import DeviceError
from tests.devices.exactly import needs_exact

CONTENTS = Contents(
    schema=1, recipe=bundle.recipe(), python="python3.11", parts=(Part("numpy", "2", "0" * 64),)
)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return bundle.cache()


def place(name, contents=CONTENTS, age=0):
    """Put a bundle of one file in the cache."""
    import msgspec

    path = bundle.cache() / name
    (path / "bin").mkdir(parents=True)
    (path / "bin/python3").write_text("program")
    (path / bundle.MANIFEST).write_bytes(msgspec.json.encode(contents))
    os.utime(path, (1e9 - age, 1e9 - age))
    return path


class TestCache:
    def test_there_is_none_at_first(self, cache):
        assert bundle.cached() is None

    def test_the_newest_of_this_recipe_counts(self, cache):
        newest = place("b")
        place("a", age=100)
        assert bundle.cached().path == newest

    def test_one_of_another_recipe_does_not(self, cache):
        place("a", Contents(schema=1, recipe="other", python="python3.11", parts=()))
        assert bundle.cached() is None

    def test_what_was_not_finished_does_not(self, cache):
        place(".making-a")
        assert bundle.cached() is None

    def test_one_that_is_there_is_not_made_again(self, cache):
        there = place("a")
        assert bundle.make(pytest.fail).path == there


class TestMaking:
    def test_without_apt_it_says_how_to_bring_one(self, cache, monkeypatch):
        monkeypatch.setenv("PATH", "")
        with pytest.raises(DeviceError, match="apt-get is not here: make it on Debian 12 by"):
            bundle.make(print)
        assert not list(bundle.cache().parent.rglob("*"))

    def test_a_cache_that_is_a_file_is_named(self, cache):
        cache.parent.mkdir(exist_ok=True)
        cache.write_text("")
        with pytest.raises(DeviceError, match=f"cannot make a bundle in {cache}"):
            bundle.load(cache)


class TestCarrying:
    def test_what_is_saved_is_the_same_elsewhere(self, cache, tmp_path, monkeypatch):
        path = place("a")
        file = tmp_path / "bundle.tar.gz"
        bundle.save(bundle.cached(), file)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
        found = bundle.load(file)
        assert found.contents == CONTENTS
        assert found.path.parent == bundle.cache() != path.parent
        assert (found.path / "bin/python3").read_text() == "program"
        assert bundle.cached() == found

    def test_loading_twice_keeps_one(self, cache, tmp_path):
        place("a")
        file = tmp_path / "bundle.tar.gz"
        bundle.save(bundle.cached(), file)
        assert bundle.load(file) == bundle.load(file)

    def test_a_file_that_was_cut_leaves_nothing(self, cache, tmp_path):
        place("a")
        file = tmp_path / "bundle.tar.gz"
        bundle.save(bundle.cached(), file)
        file.write_bytes(file.read_bytes()[:100])
        with pytest.raises(DeviceError, match=r"cannot read .*make it again"):
            bundle.load(file)
        assert [path.name for path in bundle.cache().iterdir()] == ["a"]

    def test_what_leads_out_of_its_directory_is_refused(self, cache, tmp_path):
        outside = tmp_path / "outside"
        outside.write_text("here")
        with tarfile.open(tmp_path / "evil.tar.gz", "w:gz") as archive:
            archive.add(outside, "../../outside")
        with pytest.raises(DeviceError, match="outside"):
            bundle.load(tmp_path / "evil.tar.gz")

    def test_one_of_another_version_is_refused(self, cache, tmp_path):
        place("a", Contents(schema=1, recipe="other", python="python3.11", parts=()))
        file = tmp_path / "bundle.tar.gz"
        bundle.save(bundle.read(bundle.cache() / "a"), file)
        with pytest.raises(DeviceError, match="no bundle of this version"):
            bundle.load(file)


@pytest.mark.hosts
@pytest.mark.slow
@needs_exact
def test_a_bundle_of_debians_packages_and_locked_wheels_names_all_its_parts():
    made = bundle.make(print)
    versions = {part.name: part.version for part in made.contents.parts}
    assert {"libc6", "python3.11-minimal", "numpy", "ai_edge_litert", "onnxruntime"} <= {*versions}
    assert all(len(part.sha256) == 64 for part in made.contents.parts)
    assert (made.path / "lib" / bundle.LOADER).read_bytes()[:4] == b"\x7fELF"
    left = [path for pattern in bundle.UNUSED for path in made.path.glob(pattern)]
    assert left == []
    absolute = [p for p in made.path.rglob("*") if p.is_symlink()]
    assert absolute == []

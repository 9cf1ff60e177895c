from bench.sources import shared
from tests.bench.factory import manifest, record


def test_equal_manifests_become_one_object_and_others_stay_what_they_are():
    first, again, other = shared([record(manifest()), record(manifest()), record(manifest("b"))])
    assert again.manifest is first.manifest
    assert other.manifest == manifest("b")


def test_records_are_as_they_were():
    given = [record(manifest(), threads=n) for n in (1, 2)]
    assert list(shared(given)) == given


def test_a_file_made_again_keeps_its_own_manifest():
    """Of one name, and perhaps of one second: told apart by all that they say."""
    old, new = shared([record(manifest(size=1)), record(manifest(size=2))])
    assert (old.manifest.size_bytes, new.manifest.size_bytes) == (1, 2)

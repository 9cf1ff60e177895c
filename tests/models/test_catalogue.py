"""The kept sizes are those of the networks."""

import pytest

from models import catalogue
from models.catalogue import Size, count, is_kept, size_of
from models.checkpoint import create
from models.registry import names, resolve


def test_every_listed_network_is_in_the_catalogue():
    missing = [name for name in names() if not is_kept(name)]
    assert not missing, "run python -m models.catalogue"


def test_nothing_else_is():
    kept = catalogue._kept()
    assert list(kept) == names()


@pytest.mark.slow
@pytest.mark.parametrize("name", names())
def test_the_catalogue_holds_what_is_counted(name):
    assert size_of(resolve(name)) == count(resolve(name))


def test_a_width_that_is_not_listed_is_counted():
    spec = resolve("mobilenet_v1_0.3_96")
    assert not is_kept(spec.name)
    assert size_of(spec).parameters == sum(p.numel() for p in create(spec).parameters())


@pytest.mark.parametrize(
    ("parameters", "macs", "meant_for"),
    [
        (10_000_000, 1_000_000_000, "edge"),
        (10_000_001, 1, "cloud"),
        (1, 1_000_000_001, "cloud"),
    ],
)
def test_the_edge_has_limits_of_both_kinds(parameters, macs, meant_for):
    assert Size(parameters, macs, 0).meant_for == meant_for


def test_writing_it_gives_the_same_file(tmp_path, monkeypatch):
    monkeypatch.setattr(catalogue, "names", lambda: ["lenet5"])
    catalogue.write(tmp_path / "c.json", report=lambda _: None)
    line = (tmp_path / "c.json").read_text().splitlines()[1]
    assert line in catalogue.PATH.read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["c.json"]

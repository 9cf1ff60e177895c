"""Charts as files, and inside a page."""

from xml.etree import ElementTree as Xml

import pytest

from bench.record import BenchError
from bench.report.charts import charts
from bench.report.charts_document import Chart
from bench.report.charts_draw import SVG, inline, write
from bench.report.charts_figures import sizes
from bench.report.material import gather
from tests.bench.factory import manifest, record

NAME = "a<script>alert(1)</script>&"
NET = manifest(NAME)


@pytest.fixture(scope="module")
def drawn():
    found = charts(gather([NET], [record(NET)]))
    return next(c for c in found if isinstance(c, Chart) and c.name.startswith("latency"))


@pytest.fixture(scope="module")
def root(drawn):
    return Xml.fromstring(inline(drawn, {drawn.marks[0].source: "record-1"}))


def test_a_mark_is_a_link_with_its_words_as_a_title(drawn, root):
    (link,) = root.iter(f"{{{SVG}}}a")
    assert link.get("href") == "#record-1"
    assert link.find(f".//{{{SVG}}}title").text == drawn.marks[0].label


def test_a_mark_without_a_place_has_its_words_alone(drawn):
    root = Xml.fromstring(inline(drawn, {}))
    assert not list(root.iter(f"{{{SVG}}}a"))
    assert len(list(root.iter(f"{{{SVG}}}title"))) == 1


def test_a_picture_is_named_by_what_stands_around_it(drawn, root):
    assert root.get("aria-labelledby") == f"{drawn.name}-title"
    assert root.get("aria-describedby") == f"{drawn.name}-summary"


def test_it_fits_what_it_is_put_into(root):
    assert root.get("width") is None
    assert root.get("viewBox").startswith("0 0 ")


def test_what_it_defines_is_its_own(drawn, root):
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert all(one.startswith(drawn.name) for one in ids)


def test_a_name_is_text_and_no_element(root):
    assert not [e for e in root.iter() if e.tag.endswith("script")]
    assert NAME in {text.text for text in root.iter(f"{{{SVG}}}text")}


@pytest.mark.parametrize("odd", ["\x00", "\x07", "\n", "\ufffe", '"', "<", "🦊"])
def test_every_character_can_be_drawn_and_its_mark_found(odd):
    net = manifest(f"a{odd}b")
    (chart,) = sizes(gather([net], []))
    (link,) = Xml.fromstring(inline(chart, {net.key: "artifact-1"})).iter(f"{{{SVG}}}a")
    assert link.get("href") == "#artifact-1"


def test_files_are_svg_and_png_with_title_and_summary(drawn, tmp_path):
    paths = write([drawn], tmp_path / "new")
    assert [path.name for path in paths] == [f"{drawn.name}.svg", f"{drawn.name}.png"]
    words = " ".join("".join(e.itertext()) for e in Xml.parse(paths[0]).iter(f"{{{SVG}}}text"))
    assert drawn.title in words
    assert "Least:" in words
    assert paths[1].read_bytes().startswith(b"\x89PNG")


def test_a_place_that_cannot_be_written_to_is_said(drawn, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(BenchError, match="cannot write"):
        write([drawn], tmp_path / "file")

"""The HTML report in a real browser: on a phone and a wide screen, by day and by night."""

import shutil
from pathlib import Path

import pytest

from bench.report.charts import charts
from bench.report.charts_theme import INK, SURFACE
from bench.report.contrast import report
from bench.report.html_page import page
from bench.report.material import gather
from bench.tradeoff import tradeoff
from tests.bench.clouds import clouded, link
from tests.bench.factory import manifest, record, unproved
from tests.bench.profiles import stored

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run")
PHONE, WIDE = 360, 1400

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here: apt install chromium"),
]

LONG = "a_network_of_a_very_long_name_without_any_blank_" + "x" * 60
NETS = [
    manifest("lenet5", parameters=60_000, macs=400_000, size=70_000),
    manifest(LONG, size=9_000_000),
    manifest("<script>alert(1)</script>", size=100_000_000, proof=unproved()),
]
RECORDS = [
    *(record(net, ms, top1=0.9) for net, ms in zip(NETS, (0.2, 30.0, 4.0), strict=True)),
    record(NETS[0], 5.0, device="board", fingerprint="b", emulated=True),
    record(NETS[1], 5.0, device="exact", fingerprint="e", emulated=True, counts="instructions"),
    *(record(NETS[0], 0.1 * n, threads=n) for n in range(2, 12)),
    *(
        clouded(NETS[1], by, top1=0.9, request=20_000, device="cloud:http://192.168.100.200:8000")
        for by in (link("4g", 12.0, 12.0, 70.0), link("down=10,up=10,rtt=20", 10.0, 10.0, 20.0))
    ),
]
PROFILES = [stored(manifest(net.network.name, format="onnx")) for net in NETS]


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    artifacts = [*NETS, manifest("lenet5", format="coreml")]
    material = gather(artifacts, RECORDS, None, PROFILES, tradeoff(RECORDS))
    path: Path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(page(report(material), material, charts(material)))
    return path.as_uri()


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        found = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield found
        found.close()


@pytest.fixture
def opened(browser, address):
    """Open the report; at the end, nothing was complained of, asked for, or run."""
    pages, seen = [], []

    def opening(width=PHONE, **settings):
        made = browser.new_page(viewport={"width": width, "height": 800}, **settings)
        pages.append(made)
        made.on("console", lambda message: seen.append(message.text))
        made.on("pageerror", lambda error: seen.append(str(error)))
        made.on("dialog", lambda dialog: seen.append(dialog.message))
        made.on("request", lambda request: seen.append(request.url))
        made.goto(address)
        return made

    yield opening
    for made in pages:
        made.close()
    assert set(seen) == {address}


def unfolded(page):
    """Open all that is folded away."""
    page.eval_on_selector_all("details", "all => all.forEach((e) => { e.open = true; })")
    return page


@pytest.mark.parametrize("width", [PHONE, 800, WIDE])
def test_nothing_is_wider_than_the_screen(opened, width):
    made = unfolded(opened(width))
    assert made.evaluate("document.documentElement.scrollWidth") == width
    assert all(w <= width for w in made.eval_on_selector_all(
        "figure, article, .scroll", "all => all.map(e => e.getBoundingClientRect().right)"
    ))  # fmt: skip


def test_letters_of_a_picture_can_be_read_on_a_phone(opened):
    sizes = unfolded(opened()).eval_on_selector_all(
        "figure svg text", "all => all.map(e => e.getBoundingClientRect().height)"
    )
    assert len(sizes) > 20
    assert min(sizes) >= 9  # pixels


def colour(hexadecimal):
    return f"rgb({', '.join(str(int(hexadecimal[n : n + 2], 16)) for n in (1, 3, 5))})"


@pytest.mark.parametrize(("scheme", "theme"), [("light", 0), ("dark", 1)])
def test_words_and_pictures_follow_the_theme(opened, scheme, theme):
    made = opened(color_scheme=scheme)
    style = "(e, name) => getComputedStyle(e)[name]"
    assert made.eval_on_selector("h1", style, "color") == colour(INK[theme])
    assert made.eval_on_selector("figure", style, "backgroundColor") == colour(SURFACE[theme])
    assert made.eval_on_selector(f'svg text[fill="{INK[0]}"]', style, "fill") == colour(INK[theme])


# The least ratio of lightness between any text and what is behind it, as WCAG defines it.
CONTRAST = """() => {
  const parts = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (text) => parts(text).slice(0, 3).map((p) => p / 255)
    .map((p) => (p <= 0.04045 ? p / 12.92 : ((p + 0.055) / 1.055) ** 2.4))
    .reduce((sum, p, n) => sum + p * [0.2126, 0.7152, 0.0722][n], 0);
  const behind = (e) => {
    const colour = getComputedStyle(e).backgroundColor;
    return parts(colour)[3] === 0 ? behind(e.parentElement) : colour;
  };
  const ratio = (e) => {
    const style = getComputedStyle(e);
    const [a, b] = [light(e.closest("svg") ? style.fill : style.color), light(behind(e))];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  };
  const said = (e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
  const all = [...document.body.querySelectorAll("*:not(script, title)")].filter(said);
  return [all.length, Math.min(...all.map(ratio))];
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_what_is_behind_it(opened, scheme):
    texts, least = unfolded(opened(color_scheme=scheme)).evaluate(CONTRAST)
    assert texts > 200
    assert least >= 4.5  # WCAG's AA


def test_a_heading_sorts_up_and_down_by_the_figure_behind_the_words(opened):
    made = unfolded(opened())
    table = made.locator("table", has=made.get_by_role("button", name="parameters")).first
    before = table.locator("tbody tr").all_inner_texts()
    heading = table.get_by_role("button", name="parameters")
    found = []
    for _ in range(2):
        heading.click()
        cells = table.locator("tbody tr td:nth-of-type(2)").all()
        found.append([float(cell.get_attribute("data-value")) for cell in cells])
    assert found[0] == sorted(found[0])
    assert found[1] == sorted(found[1], reverse=True)
    assert table.locator("th[aria-sort]").get_attribute("aria-sort") == "descending"
    assert sorted(table.locator("tbody tr").all_inner_texts()) == sorted(before)


def test_what_is_missing_stays_last(opened):
    made = unfolded(opened())
    table = made.locator(
        "#tables ~ details table", has=made.get_by_role("button", name="p90")
    ).first
    for _ in range(2):
        table.get_by_role("button", name="p90").click()
        values = [cell.get_attribute("data-value")
                  for cell in table.locator("tbody tr td:nth-of-type(4)").all()]  # fmt: skip
        assert values[-1] is None
        assert values[0] is not None


def test_without_a_script_it_can_be_read_all_the_same(opened):
    made = opened(java_script_enabled=False)
    assert made.locator("thead button").count() == 0
    assert made.get_by_role("row").count() > 10
    assert not made.get_by_text("A heading sorts").is_visible()


def test_a_figure_leads_to_its_record(opened):
    made = opened()
    assert not made.locator("article").first.is_visible()  # there are many, and folded
    made.locator("#tables ~ details td a", has_text=" us").first.click()
    target = made.locator("article:target")
    assert "lenet5" in target.locator("h3").inner_text()
    assert target.is_visible()
    assert target.bounding_box()["y"] < 800


def test_so_does_a_dot(opened):
    made = opened(WIDE)
    dot = made.locator("figure svg a").first
    made.goto(made.url.partition("#")[0] + dot.get_attribute("href"))
    assert made.locator("article:target").count() == 1


def test_every_picture_and_table_has_a_name(opened):
    made = opened()
    unfolded(made)
    for figure in made.locator("figure").all():
        title = figure.locator("h4").inner_text()
        assert figure.get_by_role("group", name=title, exact=True).count() == 1
    assert made.get_by_role("table").count() == made.locator("table[aria-labelledby]").count()


def test_it_prints_on_white_whatever_the_theme(opened):
    made = opened(color_scheme="dark")
    made.emulate_media(media="print", color_scheme="dark")
    style = "e => getComputedStyle(e).color"
    assert made.eval_on_selector("h1", style) == colour(INK[0])
    assert not made.locator("nav").is_visible()


def test_what_must_be_read_comes_first_and_without_scrolling(opened):
    made = opened(WIDE)
    first = made.locator("section").first
    assert first.locator("dt").all_inner_texts()[:3] == [
        "Smallest", "Fastest on a device", "Most accurate",
    ]  # fmt: skip
    assert first.bounding_box()["y"] + first.bounding_box()["height"] < 800


def test_no_count_of_instructions_is_shown_as_a_time(opened):
    made = unfolded(opened())
    titles = made.locator("h3, h4", has_text="emulated, instructions")
    assert titles.count() >= 2
    table = made.locator("details", has=made.locator("h3", has_text="instructions")).locator(
        "table"
    )
    assert "5.0" in table.inner_text()
    assert "M instructions" in table.inner_text()
    assert " ms" not in table.inner_text()


def test_printing_unfolds_charts_and_tables_and_not_every_record(opened):
    made = opened()
    charts = made.locator("#charts ~ details")
    assert not all(map(is_open, charts.all()))
    made.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert all(map(is_open, charts.all()))
    assert all(map(is_open, made.locator("#tables ~ details").all()))
    assert not is_open(made.locator("#records ~ details"))


def is_open(details):
    return details.get_attribute("open") is not None

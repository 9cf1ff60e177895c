"""The report as one HTML file: whole, safe, and made for every reader."""

import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from itertools import pairwise
from typing import get_args

import pytest

from bench.report.charts import charts
from bench.report.contrast import report
from bench.report.html_page import page, tone
from bench.report.material import gather
from bench.tradeoff import tradeoff
from bench.verdict import Word
from tests.bench.clouds import clouded, link
from tests.bench.factory import manifest, record, unproved

EVIL = "<script>alert(1)</script>"
SMALL = manifest("mobilenet", parameters=4_000_000, macs=500_000_000, size=16_000_000)
PHONE = manifest("mobilenet", format="coreml", proof=unproved())
ODD = manifest(EVIL)
RECORDS = [
    record(SMALL, 4.0, top1=0.9, proof=unproved()),
    record(ODD, 2.0, top1=0.8, device='"><img src=x onerror=alert(1)>'),
    record(SMALL, 40.0, device="board", fingerprint="b", emulated=True),
]


class Page(HTMLParser):
    """What a page is made of: elements with their attributes and, for some, their text."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs), []))

    def handle_data(self, data):
        if self.found:
            self.found[-1][2].append(data)

    def all(self, *tags):
        return [
            (tag, attrs, "".join(text).strip()) for tag, attrs, text in self.found if tag in tags
        ]


def made(records):
    material = gather([SMALL, PHONE, ODD], records)
    return page(report(material), material, charts(material))


@pytest.fixture(scope="module")
def text():
    return made(RECORDS)


@pytest.fixture(scope="module")
def parsed(text):
    return Page(text)


class TestSafety:
    def test_a_name_is_text_and_never_a_script(self, text, parsed):
        assert EVIL not in text
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
        assert len(parsed.all("script")) == 1
        assert not parsed.all("img")

    def test_only_its_own_script_may_run(self, text, parsed):
        ((_, _, script),) = parsed.all("script")
        (script,) = re.findall(r"<script>(.*)</script>", text, re.DOTALL)
        digest = b64encode(sha256(script.encode()).digest()).decode()
        (policy,) = [a["content"] for _, a, _ in parsed.all("meta") if "http-equiv" in a]
        assert f"script-src 'sha256-{digest}'" in policy
        assert policy.startswith("default-src 'none'")

    def test_it_names_no_other_place(self, parsed):
        places = [a[key] for _, a, _ in parsed.found for key in ("href", "src") if key in a]
        assert places
        assert all(place.startswith(("#", "data:,")) for place in places)


class TestLinks:
    def test_every_link_leads_somewhere_in_the_page(self, parsed):
        ids = [a["id"] for _, a, _ in parsed.found if "id" in a]
        targets = {a["href"][1:] for _, a, _ in parsed.all("a")}
        assert len(ids) == len(set(ids))
        assert targets <= set(ids)

    def test_every_figure_of_a_measurement_leads_to_its_record(self, parsed):
        figures = [a for _, a, text in parsed.all("a", "td") if text.endswith(" ms")]
        assert len(figures) >= 3 * len(RECORDS)
        assert all(a.get("href", "").startswith("#record-") for a in figures)

    def test_a_record_says_what_it_is_worth_and_why(self, text):
        (card,) = [c for c in text.split("</article>") if "<h3>mobilenet/tflite-fp32 cpu " in c]
        words = ("unproved", "run, 2026-01-01", "1234", "onnxruntime 1.0 CPU", "model.tflite 0000")
        assert all(word in card for word in words)

    def test_an_unproved_artifact_says_why(self, text):
        cards = text[text.index('id="artifacts"') :]
        assert "no Core ML runtime on this system" in cards


class TestWords:
    def test_doubts_are_words_in_tables_and_cards(self, parsed):
        words = [text for tag, a, text in parsed.all("a", "span") if a.get("class") == "doubt"]
        assert {"unproved", "emulated", "unmeasured"} <= set(words)

    def test_every_word_of_judgement_has_a_tone(self):
        judged = {*get_args(Word), "unmeasured", "outdated", "incomparable"}
        assert all(tone(word) for word in judged)
        assert tone("4.00 ms") is None

    def test_a_page_without_records_is_whole(self):
        empty = made([])
        assert "0 measurements on 0 devices" in empty
        assert "there are no records" not in empty.partition("Not drawn")[0]
        assert "type &#39;bench run&#39;" in empty


class TestMuch:
    """A page of many artifacts and records can be read at once."""

    @pytest.fixture(scope="class")
    def much(self):
        nets = [manifest(f"net{n}", size=1000 + n) for n in range(30)]
        return Page(made([record(net, 1.0 + n, top1=0.9) for n, net in enumerate(nets)]))

    def test_it_begins_with_what_is_smallest_fastest_and_most_accurate(self, much):
        heads = [text for _, _, text in much.all("dt")][:4]
        assert heads == ["Smallest", "Fastest on a device", "Most accurate", "Device or cloud"]

    def test_long_tables_and_the_records_are_folded_and_short_ones_are_not(self, much, parsed):
        def are_open(of):
            return ["open" in a for _, a, _ in of.all("details") if a.get("class") == "fold"]

        assert not any(are_open(much))
        assert sum(are_open(parsed)) >= 6

    def test_sentences_are_few(self, much):
        assert "further sentences" in " ".join(text for _, _, text in much.all("summary"))


class TestDecision:
    def test_what_tradeoff_says_is_there_with_its_records(self):
        records = [record(SMALL, 20.0, top1=0.9), clouded(ODD, link("4g"), top1=0.9)]
        material = gather([SMALL], records, tradeoff=tradeoff(records))
        text = page(report(material), material, charts(material))
        section = text[text.index('id="decision"') : text.index('id="charts"')].replace("<wbr>", "")
        assert "over 4g: edge: mobilenet/tflite-fp32 on cpu" in section
        assert "ranking" in section
        assert 'href="#record-2"' in section
        assert "bench tradeoff --budget" in section

    def test_without_a_server_there_is_no_such_section(self, parsed):
        assert "decision" not in {a.get("id") for _, a, _ in parsed.all("h2")}


class TestForEveryReader:
    def test_landmarks_are_there_once(self, parsed):
        for landmark in ("header", "nav", "main", "footer", "h1"):
            assert len(parsed.all(landmark)) == 1

    def test_headings_leave_out_no_level(self, parsed):
        levels = [int(tag[1]) for tag, _, _ in parsed.all("h1", "h2", "h3", "h4")]
        assert levels[0] == 1
        assert all(b <= a + 1 for a, b in pairwise(levels))

    def test_every_heading_of_a_table_has_a_scope(self, parsed):
        assert {a.get("scope") for _, a, _ in parsed.all("th")} == {"col", "row"}

    def test_every_picture_has_a_name_and_the_same_in_words(self, parsed, text):
        ids = {a["id"] for _, a, _ in parsed.found if "id" in a}
        pictures = [a for _, a, _ in parsed.all("svg")]
        words = [a for _, a, _ in parsed.all("details") if a.get("class") == "words"]
        assert len(pictures) == len(parsed.all("figure")) == len(words) > 5
        for attributes in pictures:
            assert {attributes["aria-labelledby"], attributes["aria-describedby"]} <= ids

    def test_the_language_and_the_width_are_told(self, parsed):
        assert parsed.all("html")[0][1]["lang"] == "en"
        assert "width=device-width" in str(parsed.all("meta"))

"""Maps of device and cloud by the link: drawn where sides change places, and no surer than that."""

import pytest

from bench.candidate import candidates
from bench.link_model import models
from bench.report.charts_areas import NAMES, RATES, ROUND_TRIPS, areas, places
from bench.report.charts_document import Absent, Chart
from bench.report.charts_map import MOST_MAPS, maps
from bench.report.material import gather
from bench.tradeoff import tradeoff, turn
from devices.network import PROFILES
from export.artifact import Weights
from tests.bench.clouds import clouded, link
from tests.bench.factory import MS, manifest, record

SMALL = manifest("mobilenet", precision="int8")
LARGE = manifest("vgg16", format="onnx")
FOUR_G, WIFI = link("4g", 12.0, 12.0, 70.0), link("wifi", 15.0, 30.0, 2.0)
EDGE = record(SMALL, 30.0, spread=0.05, top1=0.90)
CLOUDS = [clouded(LARGE, by, top1=0.94, request=20_000) for by in (FOUR_G, WIFI, None)]


def drawn(*records):
    return list(maps(gather([], records, tradeoff=tradeoff(records))))


def only(*records):
    (chart,) = drawn(*records)
    assert isinstance(chart, Chart)
    return chart


def near(rows, rtt):
    """Return the row of an area at about a round trip."""
    return min(rows, key=lambda row: abs(row["y"] / rtt - 1))


@pytest.fixture(scope="module")
def crossing():
    """A pair whose sides change places."""
    return turn(candidates([EDGE])[0], models(CLOUDS)[0])


class TestAreas:
    def test_a_row_is_divided_without_a_gap(self, crossing):
        for edge, unsure, cloud in zip(*areas(crossing).values(), strict=True):
            assert RATES[0] == edge["low"] <= edge["high"] == unsure["low"]
            assert unsure["low"] <= unsure["high"] == cloud["low"] <= cloud["high"] == RATES[1]

    def test_every_link_that_was_weighed_lies_in_the_area_of_its_winner(self, crossing):
        found = areas(crossing)
        won = {point.winner for point in crossing.points}
        assert won == set(NAMES)
        for point in crossing.points:
            row = near(found[point.winner], point.rtt_ms)
            assert 0.9 * row["low"] <= point.rate_mbit <= 1.1 * row["high"]

    def test_a_link_of_two_rates_stands_where_its_bits_take_as_long(self, crossing):
        model = crossing.cloud
        rate = model.same_both_ways(15.0, 30.0)
        assert 15.0 < rate < 30.0
        assert model.estimate(rate, rate, 2.0) == pytest.approx(model.estimate(15.0, 30.0, 2.0))
        assert model.same_both_ways(None, None) is None

    def test_words_stand_in_their_areas_and_clear_of_the_links(self, crossing):
        found = areas(crossing)
        free = places(found, [])
        for name, (rate, rtt) in free.items():
            row = near(found[name], rtt)
            assert row["low"] < rate < row["high"]
        rate, rtt = free["edge"]
        assert places(found, [{"x": rate, "y": rtt}])["edge"] != (rate, rtt)

    def test_an_area_too_small_for_a_word_has_none(self, crossing):
        everywhere = [{"y": row["y"], "low": RATES[0], "high": RATES[1]}
                      for row in areas(crossing)["edge"]]  # fmt: skip
        nowhere = [{**row, "low": RATES[1]} for row in everywhere]
        found = {"edge": everywhere, "cannot tell": nowhere, "cloud": nowhere}
        assert places(found, []).keys() == {"edge"}


class TestMap:
    def test_it_says_that_it_is_estimated_and_how_well(self):
        summary = only(EDGE, *CLOUDS).summary
        assert summary.startswith("Estimated. Device: tflite-int8 on cpu, 29.")
        assert "off by" in summary
        assert "at most on 3 measured links" in summary
        assert "Top-1: 90.00 % here, 94.00 % there of 1000 images." in summary

    def test_hatching_is_told_only_where_it_is_drawn(self):
        assert "Hatched: cannot tell" in only(EDGE, *CLOUDS).summary
        quick = only(record(SMALL, 0.1, spread=0.05, top1=0.90), *CLOUDS).summary
        assert "slower over every link" in quick
        assert "Hatched" not in quick
        assert "left of it" not in quick

    def test_one_link_checks_nothing_and_that_is_said(self):
        assert "nothing checks the estimate" in only(EDGE, CLOUDS[0]).summary

    def test_measured_links_lead_to_their_records_and_others_are_called_estimated(self):
        marks = {mark.label.partition(",")[0]: mark for mark in only(EDGE, *CLOUDS).marks}
        assert marks.keys() == {*PROFILES, "as it is"}
        for name, cloud in (("4g", CLOUDS[0]), ("wifi", CLOUDS[1])):
            assert "measured: cloud" in marks[name].label
            assert marks[name].source == " ".join(cloud.key)
        for name in PROFILES.keys() - {"4g", "wifi"}:
            assert "estimated: cloud" in marks[name].label
            assert not marks[name].source

    def test_what_is_estimated_of_a_named_link_is_that_of_the_model(self):
        (model,) = models(CLOUDS)
        by = PROFILES["lan"]
        time = model.estimate(by.up_mbit, by.down_mbit, by.rtt_ms) / MS
        (label,) = [m.label for m in only(EDGE, *CLOUDS).marks if m.label.startswith("lan")]
        assert f"cloud {time:.2f} ms" in label
        assert label.endswith(": cloud faster")

    def test_a_link_beyond_the_map_is_told_in_words_only(self):
        slow = clouded(LARGE, link("sat", 0.1, 0.1, 900.0), top1=0.94, request=20_000)
        chart = only(EDGE, *CLOUDS, slow)
        assert any(mark.label.startswith("sat, measured") for mark in chart.marks)
        drawn = [p["label"] for data in chart.picture.to_dict()["datasets"].values()
                 for p in data if "label" in p]  # fmt: skip
        assert "4g" in drawn
        assert "sat" not in drawn
        assert "as it is" not in drawn

    def test_an_unmeasured_accuracy_says_so(self):
        learnt = manifest("net", weights=Weights(origin="trained", dataset="fashion-mnist"))
        assert "unmeasured here, 94.00 % there" in only(record(learnt, 30.0), *CLOUDS).summary

    def test_the_axes_reach_every_named_link(self):
        (model,) = models(CLOUDS)
        for by in PROFILES.values():
            assert RATES[0] < model.same_both_ways(by.up_mbit, by.down_mbit) < RATES[1]
            assert ROUND_TRIPS[0] < by.rtt_ms < ROUND_TRIPS[1]


class TestWhichPairs:
    def test_a_network_against_itself_and_the_fastest_against_each(self):
        own = record(LARGE, 300.0, top1=0.94)
        titles = [chart.title for chart in drawn(EDGE, own, *CLOUDS)]
        assert titles == [
            "mobilenet on cpu, or vgg16 in the cloud?",
            "vgg16 on cpu, or vgg16 in the cloud?",
        ]

    def test_where_one_side_always_wins_one_map_shows_it(self):
        chart = only(record(SMALL, 0.02, top1=0.9), *CLOUDS)
        assert "The cloud is slower over every link." in chart.summary

    def test_they_are_few_and_what_is_left_out_is_counted(self):
        nets = [manifest(f"net{n}") for n in range(MOST_MAPS + 2)]
        clouds = [
            clouded(net, by, top1=0.9, request=20_000) for net in nets for by in (FOUR_G, WIFI)
        ]
        found = drawn(EDGE, *clouds)
        assert [isinstance(chart, Chart) for chart in found] == [True] * MOST_MAPS + [False]
        assert "2 further pairs" in found[-1].title

    def test_of_several_payloads_the_best_is_drawn(self):
        raw = [
            clouded(LARGE, by, payload="tensor", request=600_000, top1=0.94)
            for by in (FOUR_G, WIFI)
        ]
        assert "Cloud: onnx-fp32 by server, jpeg." in only(EDGE, *CLOUDS, *raw).summary

    def test_an_emulated_device_is_on_no_side(self):
        board = record(SMALL, 60.0, top1=0.9, device="board", emulated=True)
        assert "on cpu" in only(EDGE, board, *CLOUDS).title


class TestAbsent:
    def said(self, *records, weigh=True):
        weighed = tradeoff(records) if weigh else None
        (absent,) = maps(gather([], records, tradeoff=weighed))
        assert isinstance(absent, Absent)
        return absent.reason

    def test_without_a_server_it_says_how_to_measure_one(self):
        assert "bench run --device cloud:URL --network 4g" in self.said(EDGE, weigh=False)

    def test_without_a_task_in_common_it_says_so(self):
        assert "not both measured for one task" in self.said(*CLOUDS, weigh=False)

    def test_without_the_device_it_says_so(self):
        assert "only the cloud was measured" in self.said(*CLOUDS)

    def test_over_a_network_as_it_is_nothing_can_be_estimated(self):
        far = clouded(LARGE, None, top1=0.9, url="http://10.0.0.9:8000")
        assert "over a known link" in self.said(EDGE, far)

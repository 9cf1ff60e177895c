"""Which charts a report has, what they hold, and the words for what they lack."""

import pytest
from msgspec.structs import replace

from bench.record import Sustained
from bench.report.charts import charts
from bench.report.charts_crowd import CROWDED
from bench.report.charts_document import Absent, Chart
from bench.report.charts_figures import MOST_PLACES, TABLES
from bench.report.charts_scatter import Point, front
from bench.report.charts_strip import CHARACTER, MOST_ROWS, WIDEST
from bench.report.charts_theme import GRID, INK, MUTED, SERIES, SURFACE, Axis, axis, slug
from bench.report.material import gather
from bench.verdict import Word
from devices.network import profiles
from export.artifact import Proof
from tests.bench.clouds import clouded, link
from tests.bench.factory import manifest, proved, record, unproved

SMALL = manifest("mobilenet", parameters=4_000_000, macs=500_000_000, size=16_000_000)
INT8 = manifest("mobilenet", parameters=4_000_000, macs=500_000_000, size=4_000_000,
                precision="int8")  # fmt: skip
LARGE = manifest("vgg16", parameters=132_000_000, macs=15_000_000_000, size=528_000_000)
PHONE = manifest("vgg16", parameters=132_000_000, format="coreml", proof=unproved())
ALL = [LARGE, PHONE, SMALL, INT8]
MEASURED = [
    record(LARGE, 100.0, top1=0.95),
    record(SMALL, 4.0, top1=0.93),
    record(INT8, 2.0, top1=0.92),
]
# Characters of a label that are surely drawn.
FIT = int(WIDEST / CHARACTER)
BOARD = {"device": "board", "fingerprint": "b", "emulated": True}


def made(manifests=ALL, records=MEASURED):
    return charts(gather(manifests, records))


def named(found, start):
    return [c for c in found if isinstance(c, Chart) and c.name.startswith(start)]


def only(found, start):
    (chart,) = named(found, start)
    return chart


def said(chart):
    return [mark.label for mark in chart.marks]


def points(chart):
    """Return all that the picture is drawn from."""
    return [point for data in chart.picture.to_dict()["datasets"].values() for point in data]


def texts(chart):
    return [value for point in points(chart) for value in point.values()]


def domains(chart):
    """Return the ends of the horizontal axis, the same in all layers."""
    layers = [layer["encoding"]["x"] for layer in chart.picture.to_dict()["layer"]]
    return {tuple(x["scale"]["domain"]) for x in layers if "scale" in x}


def luminance(colour):
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(weight * p for weight, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


class TestFront:
    def points(self, *pairs, counts=True):
        return [Point(x, y, "s", "valid", f"{x} {y}", "r", counts=counts) for x, y in pairs]

    def test_only_what_nothing_passes_is_on_it(self):
        best = front(self.points((1, 0.8), (2, 0.7), (3, 0.9), (4, 0.9)), most=True)
        assert [(p.x, p.y) for p in best] == [(1, 0.8), (3, 0.9)]

    def test_where_less_is_better_it_falls(self):
        best = front(self.points((1, 30), (2, 40), (3, 10)), most=False)
        assert [(p.x, p.y) for p in best] == [(1, 30), (3, 10)]

    def test_what_is_not_sure_enough_passes_nobody(self):
        doubtful = self.points((0.5, 0.99), counts=False)
        assert front([*self.points((1, 0.8)), *doubtful], most=True) == self.points((1, 0.8))


class TestChoice:
    def test_accuracy_is_weighed_against_latency_with_the_front_named(self):
        chart = only(made(), "front")
        assert chart.title == "Accuracy against latency on cpu, 1 thread, batch 1"
        assert "(1) mobilenet/tflite-int8, (2) mobilenet/tflite-fp32," in chart.summary
        assert "(3) vgg16/tflite-fp32." in chart.summary
        assert "1000 test images of fashion-mnist" in chart.summary

    def test_two_runtimes_of_one_file_are_told_apart(self):
        records = [record(SMALL, ms, runtime=name) for name, ms in (("litert", 4), ("other", 5))]
        words = said(only(made([SMALL], records), "front"))
        assert [w.partition(":")[0] for w in words] == [
            "mobilenet/tflite-fp32 by litert",
            "mobilenet/tflite-fp32 by other",
        ]

    def test_without_accuracy_size_is_and_that_is_said(self):
        chart = only(made(records=[record(LARGE, 100.0), record(SMALL, 4.0)]), "front")
        assert chart.title.startswith("Size against latency")
        assert "No accuracy was measured" in chart.summary

    def test_what_has_no_accuracy_is_counted(self):
        chart = only(made(records=[*MEASURED, record(PHONE, 9.0)]), "front")
        assert "Without 1 that have no accuracy" in chart.summary

    def test_emulated_times_are_in_no_front(self):
        found = made(records=[record(of, 4.0, top1=0.9, **BOARD) for of in (SMALL, INT8)])
        assert not named(found, "front")
        assert "What is worth choosing" in [c.title for c in found if isinstance(c, Absent)]

    def test_what_failed_is_in_no_front(self):
        records = [*MEASURED, record(PHONE, count=0)]
        assert not [w for w in said(only(made(records=records), "front")) if "coreml" in w]


class TestRows:
    def test_every_size_is_there_with_the_word_of_its_proof(self):
        emulated = manifest("vgg16", format="coreml", proof=Proof(verified=True, emulated=True))
        wrong = manifest("net", proof=replace(proved(), verified=False))
        words = said(only(made([SMALL, PHONE, emulated, wrong], []), "size"))
        assert "mobilenet/tflite-fp32: 16.0 MB, proved" in words
        assert "vgg16/coreml-fp32: 1.00 MB, verified (emulated)" in words
        assert "net/tflite-fp32: 1.00 MB, wrong" in words

    def test_a_doubt_is_a_word_in_the_picture(self):
        chart = only(made([PHONE], []), "size")
        assert "1.00 MB unproved" in texts(chart)

    @pytest.mark.parametrize(
        ("changes", "word"),
        [
            ({"spread": 0.5}, "noisy"),
            ({"count": 3}, "too short"),
            ({"proof": unproved()}, "unproved"),
        ],
    )
    def test_so_is_that_of_a_time(self, changes, word: Word):
        chart = only(made([SMALL], [record(SMALL, **changes)]), "latency")
        assert any(str(text).endswith(f" {word}") for text in texts(chart))

    def test_a_latency_has_the_ends_of_its_interval(self):
        chart = only(made([SMALL], [record(SMALL, 4.0)]), "latency")
        (point,) = [p for p in points(chart) if p.get("value") not in (None, p.get("low"))]
        assert point["low"] < point["value"] < point["high"]

    def test_what_was_never_measured_has_a_row_that_says_so(self):
        words = said(only(made(), "latency"))
        assert "vgg16/coreml-fp32: unmeasured" in words

    def test_places_have_charts_of_their_own_on_one_axis(self):
        found = named(made(records=[*MEASURED, record(SMALL, 900.0, threads=2)]), "latency")
        assert len(found) == 2
        assert len({domain for chart in found for domain in domains(chart)}) == 1

    def test_emulated_times_stand_apart_and_share_no_axis_with_real_ones(self):
        real, board = named(made(records=[*MEASURED, record(SMALL, 9000.0, **BOARD)]), "latency")
        assert "emulated" in board.title
        assert not set(said(real)) & set(said(board))
        ((_, largest),) = domains(real)
        assert largest < 1  # seconds

    def test_counts_are_called_what_they_count_and_are_no_latency(self):
        found = made([SMALL], [record(SMALL, 4.0, **BOARD, counts="instructions")])
        chart = only(found, "instructions")
        assert "no time" in chart.summary
        assert any(" M instructions" in text for text in said(chart))
        assert "emulated, instructions" in chart.title
        assert not [text for text in said(chart) if " ms" in text or " us" in text]
        assert not named(found, "latency")

    def test_the_links_of_one_server_share_a_chart(self):
        links = [link("4g"), link("wifi", 50.0, 50.0, 2.0)]
        found = named(made([SMALL], [clouded(SMALL, by) for by in links]), "latency")
        (chart,) = found
        assert chart.title == "Latency on server, by link"
        labels = {label.partition(":")[0] for label in said(chart)}
        assert labels == {"mobilenet/tflite-fp32 over 4g", "mobilenet/tflite-fp32 over wifi"}

    def test_the_links_of_a_sweep_are_told_apart_in_what_the_picture_shows(self):
        sweep = [
            link(one.name, one.up_mbit, one.down_mbit, one.rtt_ms) for one in profiles("sweep")
        ]
        odd = link("down=10,up=5,rtt=40,loss=0.01", 5.0, 10.0, 40.0, 0.01)
        both = [clouded(net, by) for net in (SMALL, LARGE) for by in (*sweep, odd)]
        (chart,) = named(made([SMALL, LARGE], both), "latency")
        rows = {(p["heading"], p["text"]) for p in points(chart) if "source" in p}
        assert {heading for heading, _ in rows} == {"mobilenet/tflite-fp32", "vgg16/tflite-fp32"}
        assert len(rows) == 2 * 10
        shown = {label for _, label in rows}
        assert {"1 Mbit/s, 80 ms", "100 Mbit/s, 5 ms", "10/5 Mbit/s, 40 ms, 1 % lost"} <= shown
        assert len({label[:FIT] for label in shown}) == 10

    def test_a_server_is_in_no_front_and_has_no_memory_here(self):
        clouds = [clouded(net, link("4g"), top1=0.9) for net in (SMALL, LARGE)]
        found = made([SMALL, LARGE], clouds)
        assert not [c for start in ("front", "memory", "time-per-mac") for c in named(found, start)]

    def test_two_machines_of_one_name_have_two_charts(self):
        names = [c.name for c in made(records=[record(SMALL), record(SMALL, fingerprint="other")])
                 if isinstance(c, Chart)]  # fmt: skip
        assert len(names) == len(set(names))

    def test_more_than_anyone_reads_is_cut_and_said(self):
        many = [manifest(f"net{n:03}") for n in range(MOST_ROWS + 5)]
        chart = only(made(many, []), "size")
        assert f"first {MOST_ROWS} of {MOST_ROWS + 5}: {TABLES}" in chart.summary
        assert len(chart.marks) == MOST_ROWS

    def test_many_artifacts_share_a_line_with_their_network(self):
        forms = ("onnx", "tflite", "coreml")
        many = [
            manifest(
                f"net{n}", format=form, precision=precision, size=1000 * (1 + n) + len(precision)
            )
            for n in range(CROWDED // 6 + 1)
            for form in forms
            for precision in ("fp32", "int8-weights")
        ]
        chart = only(made(many, []), "size")
        assert len(chart.marks) == len(many)
        lines = {point["heading"]: point["line"] for point in points(chart)}
        assert len(set(lines.values())) == len(lines) == CROWDED // 6 + 1
        assert "in words the least of each network" in chart.summary
        assert "1.00 kB onnx-fp32" in texts(chart)

    def test_a_crowd_of_counts_still_says_that_it_is_no_time(self):
        nets = [manifest(f"net{n}", precision=p) for n in range(CROWDED) for p in ("fp32", "int8")]
        found = made(nets, [record(net, **BOARD, counts="instructions") for net in nets])
        summary = only(found, "instructions").summary
        assert "no time" in summary
        assert "every dot" in summary.lower()

    def test_so_are_places(self):
        found = made([SMALL], [record(SMALL, batch=n) for n in range(1, MOST_PLACES + 3)])
        assert len(named(found, "latency")) == MOST_PLACES
        assert Absent("Latency on 2 further places", TABLES) in found

    def test_streams_are_no_latency(self):
        assert not named(made(records=[record(SMALL, streams=2)]), "latency")

    def test_a_mark_names_its_record(self):
        chart = only(made([SMALL], [record(SMALL, 4.0)]), "latency")
        assert [mark.source for mark in chart.marks] == [" ".join(record(SMALL).key)]


class TestWork:
    def test_macs_and_parameters_stand_against_latency(self):
        found = made()
        assert (
            "vgg16 has 30.0x the MACs of mobilenet, and takes 25.0x" in only(found, "macs").summary
        )
        assert "33.0x the parameters" in only(found, "parameters").summary

    def test_what_a_mac_costs(self):
        (words,) = [w for w in said(only(made(), "time-per-mac")) if "mobilenet/tflite-int8" in w]
        figure, unit = words.partition(": ")[2].split(",")[0].split()
        assert (float(figure), unit) == (pytest.approx(4.0, rel=0.02), "ps")

    def test_what_it_costs_an_emulator_is_not_asked(self):
        found = made(records=[record(SMALL, **BOARD)])
        (absent,) = [c for c in found if c.title == "What a MAC costs"]
        assert "on a real device" in absent.reason

    def test_a_network_has_one_colour_in_all_charts(self):
        few = [record(LARGE, 100.0, threads=2, top1=0.9), record(PHONE, 50.0, threads=2, top1=0.9)]
        scales = [
            layer["encoding"]["color"]["scale"]
            for chart in made(records=[*MEASURED, *few])
            if isinstance(chart, Chart) and chart.name.startswith(("front", "macs"))
            for layer in chart.picture.to_dict()["layer"]
            if "color" in layer["encoding"]
        ]
        assert len(scales) == 3
        assert all(scale == scales[0] for scale in scales)

    def test_more_networks_than_colours_share_one_and_that_is_said(self):
        nets = [manifest(f"net{n}", macs=10**6 + n) for n in range(len(SERIES) + 1)]
        found = made(nets, [record(net, 1.0 + n) for n, net in enumerate(nets)])
        for chart in (only(found, "front"), only(found, "macs")):
            assert "More networks than colours" in chart.summary
            colours = [layer["encoding"]["color"] for layer in chart.picture.to_dict()["layer"]
                       if "color" in layer["encoding"]]  # fmt: skip
            assert colours == [{"value": SERIES[0][0]}]

    def test_one_network_is_no_contrast(self):
        found = made([SMALL, INT8], MEASURED[1:])
        assert "Work against latency" in [c.title for c in found if isinstance(c, Absent)]


class TestSustained:
    RUN = Sustained(
        seconds=40.0,
        times_s=tuple(float(n) for n in range(40)),
        medians_ns=(4_000_000,) * 20 + (6_000_000,) * 20,
    )

    def test_a_curve_says_when_it_throttled(self):
        chart = only(made(records=[replace(MEASURED[1], sustained=self.RUN)]), "sustained")
        assert chart.summary == (
            "1 of 1 throttled. Steady by burst: 1.50x (tflite-fp32 of mobilenet)."
        )
        assert "throttled" in texts(chart)
        assert said(chart) == [
            "tflite-fp32 of mobilenet: 1.50x the burst's time, throttled after 20 s"
        ]

    def test_more_curves_than_colours_are_cut_to_the_slowest(self):
        nets = [manifest(f"net{n}") for n in range(len(SERIES) + 2)]
        levels = [(100,) * 20 + (110 + n,) * 20 for n in range(len(nets))]
        runs = [replace(record(net), sustained=replace(self.RUN, medians_ns=level))
                for net, level in zip(nets, levels, strict=True)]  # fmt: skip
        chart = only(made(nets, runs), "sustained")
        assert f"Drawn are the {len(SERIES)} slowest" in chart.summary
        assert "Steady by burst: from 1.10x" in chart.summary
        drawn = {point["name"] for point in points(chart) if "name" in point}
        assert drawn == {f"tflite-fp32 of net{n}" for n in range(2, len(SERIES) + 2)}
        assert len(chart.marks) == len(nets)

    def test_emulated_runs_are_left_out_and_counted(self):
        hot = [replace(record(of, **where), sustained=self.RUN)
               for of, where in ((SMALL, {}), (INT8, BOARD))]  # fmt: skip
        assert "Without 1 of emulated devices" in only(made(records=hot), "sustained").summary


class TestAbsent:
    def test_every_chart_without_data_says_what_gives_it(self):
        absent = [chart for chart in made([SMALL], []) if isinstance(chart, Absent)]
        assert len(absent) == 8
        assert all("type 'bench " in chart.reason for chart in absent)


class TestTheme:
    @pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
    @pytest.mark.parametrize("pair", [INK, MUTED, *SERIES])
    def test_every_colour_is_readable_on_its_surface(self, pair, theme):
        assert contrast(pair[theme], SURFACE[theme]) >= 4.5

    def test_no_two_things_share_a_colour_so_that_the_dark_can_tell_them_apart(self):
        light = [pair[0] for pair in (SURFACE, INK, MUTED, GRID, *SERIES)]
        assert len(set(light)) == len(light)

    def test_a_wide_range_is_logarithmic_and_says_so(self):
        made = axis(Axis("p50", "time"), [1e-5, 1e-1])
        assert made["title"] == "p50 (logarithmic)"
        assert made["axis"]["values"] == pytest.approx([1e-5, 1e-4, 1e-3, 1e-2, 1e-1])

    def test_a_narrow_one_begins_at_zero(self):
        assert axis(Axis("p50", "time"), [1.0, 2.0])["scale"]["domain"][0] == 0

    def test_a_name_becomes_a_file_name(self):
        assert slug("latency-cpu, 1 thread/../<b>") == "latency-cpu-1-thread-b"

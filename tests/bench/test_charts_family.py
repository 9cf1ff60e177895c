"""The multipliers as a curve, what a MAC costs by device, throughput and energy."""

import pytest
from msgspec.structs import replace

from bench.record import Energy, Throughput
from bench.report.charts_family import LEAST, multipliers, per_mac
from bench.report.charts_figures import strips
from bench.report.charts_rate import rates
from bench.report.material import gather
from devices.device import Meter, Meters, Served, Spent, Usage
from tests.bench.factory import manifest, record, unproved

MS = 1_000_000
BOARD = {"device": "board", "fingerprint": "b"}


def scaled(width, resolution, macs):
    base = manifest(f"mobilenet_v1_{width}_{resolution}", macs=macs)
    settings = {"width": width, "resolution": resolution}
    return replace(base, network=replace(base.network, settings=settings))


FAMILY = [
    scaled(1.0, 224, 569_000_000),
    scaled(0.5, 224, 149_000_000),
    scaled(0.25, 224, 41_000_000),
    scaled(1.0, 128, 186_000_000),
]
TIMES = (40.0, 12.0, 5.0, 14.0)
MEASURED = [record(net, ms) for net, ms in zip(FAMILY, TIMES, strict=True)]


def points(chart):
    """Return all that the picture is drawn from."""
    return [point for data in chart.picture.to_dict()["datasets"].values() for point in data]


class TestMultipliers:
    def test_a_line_joins_the_widths_of_one_resolution(self):
        (chart,) = multipliers(gather([], MEASURED))
        dots = {p["label"]: p for p in points(chart) if p["series"] == "224 pixels"}
        assert list(dots) == ["1", "0.5", "0.25"]
        assert dots["0.25"]["x"] == pytest.approx(5e-3, rel=0.02)
        assert dots["0.25"]["y"] == 41_000_000
        places = [p["place"] for p in points(chart) if "place" in p]
        assert places == sorted(places)

    def test_what_the_macs_buy_is_said(self):
        (chart,) = multipliers(gather([], MEASURED))
        assert "mobilenet_v1_1.0_224 does 13.9x the MACs of mobilenet_v1_0.25_224 in 8" in (
            chart.summary
        )

    def test_against_accuracy_too_where_enough_have_one_on_the_same_images(self):
        known = [record(n, ms, top1=0.9) for n, ms in zip(FAMILY, TIMES, strict=True)]
        macs, accuracy = multipliers(gather([], [*known[:3], MEASURED[3]]))
        assert "against MACs" in macs.summary
        assert "against top-1 on 1000 images of fashion-mnist" in accuracy.summary
        assert (len(macs.marks), len(accuracy.marks)) == (4, 3)
        assert {p["y"] for p in points(accuracy)} == {0.9}
        assert len(list(multipliers(gather([], [*known[:2], *MEASURED[2:]])))) == 1

    def test_too_few_are_no_curve(self):
        assert not list(multipliers(gather(FAMILY, MEASURED[: LEAST - 1])))

    def test_emulated_times_make_none(self):
        board = [record(net, 9.0, emulated=True, **BOARD) for net in FAMILY]
        assert not list(multipliers(gather([], board)))

    def test_a_mark_leads_to_its_record(self):
        (chart,) = multipliers(gather([], MEASURED))
        assert {m.source for m in chart.marks} == {" ".join(r.key) for r in MEASURED}


class TestCostOfAMac:
    def test_devices_stand_beside_each_other(self):
        slow = [record(net, 4 * ms, **BOARD) for net, ms in zip(FAMILY, TIMES, strict=True)]
        (chart,) = per_mac(gather([], [*MEASURED, *slow]))
        assert {p["series"] for p in points(chart)} == {
            "cpu, 1 thread, batch 1",
            "board, 1 thread, batch 1",
        }
        (least,) = [p for p in points(chart) if p["words"] in chart.summary.partition(". Most")[0]]
        # 40 ms over 569 M MACs
        assert least["y"] == pytest.approx(40e-3 / 569e6, rel=0.02)

    def test_one_device_has_nothing_beside_it(self):
        assert not list(per_mac(gather([], MEASURED)))

    def test_a_batch_does_its_macs_for_every_image(self):
        one, four = record(FAMILY[0], 40.0), record(FAMILY[0], 160.0, batch=4)
        (chart,) = per_mac(gather([], [one, four]))
        costs = [p["y"] for p in points(chart)]
        assert costs[0] == pytest.approx(costs[1], rel=0.02)


def served(per_s, streams, **conditions):
    base = record(FAMILY[0], 4.0, streams=streams, **conditions)
    done = (Served(invocations=per_s, wall_ns=1000 * MS),) * len(base.rounds)
    return replace(base, throughput=Throughput(definition="scripted", rounds=done))


class TestThroughput:
    def test_the_streams_are_rows_with_their_intervals(self):
        (chart,) = rates(gather([], [served(250, 1), served(400, 4)]))
        assert [m.label for m in chart.marks] == [
            "mobilenet_v1_1.0_224/tflite-fp32, 4 streams: 400/s",
            "mobilenet_v1_1.0_224/tflite-fp32, 1 stream: 250/s",
        ]
        assert chart.summary.startswith("Most: mobilenet_v1_1.0_224/tflite-fp32, 4 streams: 400/s.")
        rows = [p for p in points(chart) if p.get("heading") and p.get("value") == 400.0]
        assert {(row["low"], row["high"]) for row in rows} == {(400.0, 400.0)}

    def test_doubt_is_a_word(self):
        (chart,) = rates(gather([], [served(250, 1, proof=unproved())]))
        assert chart.marks[0].label.endswith("250/s unproved")

    def test_without_any_there_is_no_chart(self):
        assert not list(rates(gather([], MEASURED)))

    def test_nor_of_an_emulated_device(self):
        assert not list(rates(gather([], [served(250, 1, emulated=True)])))


def metered(of, ms, joules):
    """Return a record with a sensor that counted so many joules for each of a round's five runs."""
    base = record(of, ms)
    meter = Meter(name="RAPL package-0", covers="package", definition="a counter")
    spent = (Spent(joules=(5 * joules,), invocations=5),) * len(base.rounds)
    usage = (Usage(wall_ns=1000 * MS, cpu_ns=0, involuntary=0),) * len(base.rounds)
    energy = Energy(sensors=Meters(meters=(meter,)), rounds=spent)
    return replace(base, usage=usage, energy=energy)


class TestEnergy:
    def test_it_has_a_chart_where_a_sensor_told(self):
        records = [metered(FAMILY[0], 40.0, 0.2), record(FAMILY[1], 12.0)]
        (chart,) = [c for c in strips(gather([], records)) if c.title.startswith("Energy")]
        labels = [m.label for m in chart.marks]
        assert any("mobilenet_v1_1.0_224/tflite-fp32: 200 mJ" in label for label in labels)
        assert "mobilenet_v1_0.5_224/tflite-fp32: unmeasured" in "; ".join(labels)
        assert "idle power included" in chart.summary

    def test_without_a_sensor_it_is_not_even_missed(self):
        assert not [c for c in strips(gather([], MEASURED)) if c.title.startswith("Energy")]

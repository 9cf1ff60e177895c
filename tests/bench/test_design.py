"""What an architecture does with its arithmetic, from manifests and records of chosen figures."""

import pytest
from msgspec.structs import replace

from bench.report.design import designs, intensity, moved_bytes, twins
from bench.report.material import gather
from tests.bench.factory import manifest, record


def network(name, *, macs, parameters, activations=20_000_000, **settings):
    base = manifest(name, macs=macs, parameters=parameters)
    changed = replace(base.network, settings=settings, total_activation_bytes=activations)
    return replace(base, network=changed)


SEPARABLE = network("mobilenet_v1_1.0_224", macs=569_000_000, parameters=4_230_000)
FULL = network("mobilenet_v1_full_1.0_224", macs=4_867_000_000, parameters=29_300_000)
WIDTHS = [
    network(
        f"mobilenet_v1_{width}_{resolution}", macs=macs, parameters=2, width=width,
        resolution=resolution,
    )
    for width, resolution, macs in ((1.0, 224, 569_000_000), (0.5, 224, 149_000_000))
]  # fmt: skip


def tables(manifests, records=()):
    return {table.title: table for table in designs(gather(manifests, records))}


def texts(table):
    return [[cell.text for cell in row] for row in table.rows]


def test_weights_are_read_once_and_activations_written_and_read():
    found = network("net", macs=400, parameters=10, activations=80).network
    assert moved_bytes(found) == 200
    assert intensity(found) == 2.0


def test_a_mac_takes_the_time_of_the_network_over_all_of_them():
    (table,) = tables([SEPARABLE], [record(SEPARABLE, 10.0)]).values()
    time, rate, each = (cell.value for cell in table.rows[0][-3:])
    # 569 M MACs in 10 ms
    assert time == pytest.approx(1e7, rel=0.01)
    assert rate == pytest.approx(56.9, rel=0.01)
    assert each == pytest.approx(17.6, rel=0.01)


def test_a_network_that_was_not_measured_says_so():
    (table,) = tables([SEPARABLE]).values()
    assert texts(table)[0][1] == "unmeasured"


def test_what_is_emulated_has_no_time_of_a_mac():
    emulated = record(SEPARABLE, 10.0, device="board", emulated=True)
    (table,) = tables([SEPARABLE], [emulated]).values()
    assert texts(table)[0][1] == "unmeasured"


def test_int8_is_not_set_beside_float():
    small = replace(SEPARABLE, precision="int8")
    (table,) = tables([small], [record(small, 5.0)]).values()
    assert texts(table)[0][1] == "unmeasured"


def test_the_twin_with_full_convolutions_shows_what_is_saved_and_lost():
    records = [record(SEPARABLE, 20.0), record(FULL, 100.0)]
    (said,) = twins(gather([SEPARABLE, FULL], records))
    assert "does 0.117x the MACs of mobilenet_v1_full_1.0_224" in said
    assert "0.144x the parameters" in said
    assert f"{intensity(SEPARABLE.network):.3g} MACs a byte instead of" in said
    assert "it takes 0.2" in said
    assert "instead of 48." in said


def test_without_a_twin_nothing_is_said_of_one():
    assert list(twins(gather([SEPARABLE], []))) == []
    assert list(twins(gather([FULL], []))) == []


def test_a_family_is_shown_by_width_and_resolution_against_its_largest():
    found = tables(WIDTHS, [record(WIDTHS[0], 20.0), record(WIDTHS[1], 7.0)])
    table = found["mobilenet_v1: width and resolution, on cpu, 1 thread, batch 1"]
    assert [row[:4] for row in texts(table)] == [
        ["1", "224", "569 M", "1.00x"],
        ["0.5", "224", "149 M", "0.262x"],
    ]
    assert texts(table)[1][-1].startswith("0.35")


def test_one_network_alone_is_no_curve():
    assert len(tables(WIDTHS[:1])) == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mobilenet_v1_1.0_224", "mobilenet_v1_full_1.0_224", "vgg16"])
def test_the_bytes_are_those_of_the_layers_that_compute(name):
    """The analysis counts every operator; a runtime fuses those without MACs into the others."""
    from models.analysis import analyse_network
    from models.registry import resolve

    found = analyse_network(resolve(name))
    base = manifest(name, macs=found.macs, parameters=found.parameters)
    like = replace(base.network, total_activation_bytes=found.total_activation_bytes)
    computing = sum(layer.bytes_moved for layer in found.layers if layer.macs)
    assert moved_bytes(like) == pytest.approx(computing, rel=0.06)

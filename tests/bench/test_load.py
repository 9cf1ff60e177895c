"""What was measured under another load is never set beside plain latency: keys, gates, tables."""

import pytest
from msgspec.structs import replace

from bench import table
from bench.baseline import build
from bench.budget import LIMITS, Rule, quantity
from bench.compare import SAME_ARTIFACT, compare, compare_all
from bench.compare import Rule as Comparing
from bench.conditions import conditions
from bench.gate import judge
from bench.quantized import not_faster
from bench.record import Energy, Throughput
from bench.report.contrast import contrast
from bench.report.energy import definitions as energy_definitions
from bench.report.energy import energies
from bench.report.further import definitions, further
from bench.report.scenario import scenarios
from bench.report.throughput import rates
from bench.rows import rows
from bench.verdict import verdict
from devices.device import Idle, Meter, Meters, Served, Spent, Usage
from tests.bench import factory
from tests.bench.test_scenario import recorded, run

MS = 1_000_000
PLAIN = factory.record()
MET = recorded(run(ms=4.0))
SHORT = recorded(run("multi-stream", seconds=5.0, asked_seconds=5.0, queries=700))


def streaming(count, *, ms=4.0, of=None):
    record = factory.record(of, ms=ms)
    served = Served(invocations=5.0 * count, wall_ns=int(5 * ms * MS))
    return replace(
        record,
        settings=replace(record.settings, streams=count),
        throughput=Throughput(definition="d", rounds=(served,) * 20),
    )


OTHERS = [streaming(2), MET, SHORT]


class TestComparing:
    @pytest.mark.parametrize(
        ("other", "named"),
        [
            (streaming(2), "streams: 1 and 2"),
            (MET, "scenario: none and single-stream"),
            (SHORT, "scenario: none and multi-stream"),
        ],
        ids=["streams", "single-stream", "multi-stream"],
    )
    def test_another_load_refuses_and_names_it(self, other, named):
        found = compare(PLAIN, other)
        assert found.incomparable == (named,)
        assert found.word is None
        assert compare(PLAIN, other, Comparing(anyway=True)).word

    def test_the_same_load_compares(self):
        for record in OTHERS:
            assert compare(record, record).word == "same"

    def test_records_pair_with_those_of_their_own_load(self):
        found = compare_all([PLAIN, *OTHERS], [*OTHERS, PLAIN], SAME_ARTIFACT, Comparing())
        assert len(found.pairs) == 4
        assert not any(pair.incomparable for pair in found.pairs)
        assert any("streams=2" in pair.a for pair in found.pairs)

    def test_asking_for_the_throughput_of_one_stream_changes_nothing(self):
        assert compare(PLAIN, streaming(1)).word == "same"

    def test_int8_under_load_is_not_held_against_fp32_alone(self):
        int8 = streaming(2, of=factory.manifest(precision="int8"))
        assert list(not_faster([PLAIN, int8])) == []
        assert list(not_faster([streaming(2), int8]))


class TestContention:
    def waiting(self, streams):
        record = streaming(streams)
        half = Usage(wall_ns=100 * MS, cpu_ns=0, waited_ns=100 * MS * streams // 2, involuntary=50)
        facts = {**record.device.facts, "logical_cores": "2"}
        device = replace(record.device, facts=facts)
        return verdict(replace(record, usage=(half,) * 20, device=device))

    def test_streams_that_wait_for_a_core_that_others_have_are_contended(self):
        judged = self.waiting(2)
        assert judged.word == "contended"
        assert "waiting for a core 50% of the time" in judged.evidence

    def test_streams_that_are_more_than_the_cores_wait_for_each_other(self):
        assert self.waiting(4).word == "valid"


class TestGate:
    def rule(self, name, text):
        return Rule(name, "*", "*", quantity(text, LIMITS[name].unit, ""), text)

    @pytest.mark.parametrize("record", OTHERS)
    def test_a_budget_of_latency_is_for_plain_latency(self, record):
        rule = self.rule("max-latency", "1 ms")
        (found,) = judge([rule], [record.manifest], [record], None)
        assert found.verdict == "unmeasured"
        (found,) = judge([rule], [PLAIN.manifest], [PLAIN, record], None)
        assert (found.verdict, found.subject) == ("fail", f"net/tflite-fp32 {label(PLAIN)}")

    def test_the_accuracy_is_the_same_under_any_load(self):
        record = replace(streaming(2), accuracy=factory.record(top1=0.9).accuracy)
        (found,) = judge([self.rule("min-accuracy", "80%")], [record.manifest], [record], None)
        assert found.verdict == "pass"

    @pytest.mark.parametrize("record", OTHERS)
    def test_growth_is_judged_within_one_load(self, record):
        rule = self.rule("max-latency-growth", "10%")
        known = build([PLAIN.manifest], [PLAIN, record])
        found = judge([rule], [PLAIN.manifest], [PLAIN, record], known)
        assert [one.verdict for one in found] == ["pass", "pass"]
        known = build([PLAIN.manifest], [PLAIN])
        found = judge([rule], [PLAIN.manifest], [PLAIN, record], known)
        assert [one.verdict for one in found] == ["pass", "unmeasured"]
        assert "not comparable" in found[1].reason


def label(record):
    return conditions(record.device, record.settings).label


class TestTables:
    def text(self, made):
        return [[cell.text for cell in row] for row in made.rows]

    def test_throughput_is_shown_where_it_was_asked_for(self):
        assert rates(rows([PLAIN])) is None
        found = self.text(rates(rows([streaming(1), streaming(4)])))
        assert [row[1] for row in found] == ["tflite-fp32, 1 stream", "tflite-fp32, 4 streams"]
        assert [row[2] for row in found] == ["250", "1.00 k"]

    def test_a_scenario_shows_its_figure_and_whether_the_rule_was_met(self):
        met, short = self.text(scenarios(rows([MET, SHORT])))
        assert met[2:] == [
            "single-stream", "150 k", "150 k", "600 s", "p90 4.00 ms", "4.00 ms", "250",
            "250 to 250", "met",
        ]  # fmt: skip
        assert short[2] == "multi-stream"
        assert short[6].startswith("p99 ")
        assert short[-1] == "shortened"

    def test_it_is_said_once_that_mlperf_has_nothing_to_do_with_it(self):
        said = [line for line in definitions(rows([MET, SHORT])) if "no official MLPerf" in line]
        assert len(said) == 1
        assert list(definitions(rows([PLAIN]))) == []

    def test_the_main_table_names_the_load(self):
        assert table.table([SHORT]).title == "cpu, 1 thread, batch 1, multi-stream"
        assert table.table([PLAIN]).title == "cpu, 1 thread, batch 1"
        assert table.table([streaming(1), streaming(4)]).title == "cpu, 1 thread, batch 1"
        cells = table.table([PLAIN, streaming(4)]).columns[0]._cells
        assert [cell for cell in cells if "stream" in cell] == ["  tflite fp32, 4 streams"]

    def test_a_report_keeps_loads_apart(self):
        found = contrast([PLAIN.manifest], [PLAIN, *OTHERS])
        titles = [one.title for one in found.tables if one.title.startswith("Measured")]
        assert titles == [
            "Measured on cpu, 1 thread, batch 1",
            "Measured on cpu, 1 thread, batch 1, 2 streams",
            "Measured on cpu, 1 thread, batch 1, multi-stream",
            "Measured on cpu, 1 thread, batch 1, single-stream",
        ]
        assert any("streams: every stream is a thread" in note for note in found.notes)

    def test_energy_has_a_line_for_each_sensor(self):
        meters = (
            Meter(name="RAPL package-0", covers="the package", definition="a counter"),
            Meter(name="RAPL dram", covers="its memory", definition="a counter"),
        )
        energy = Energy(
            sensors=Meters(meters=meters),
            rounds=(Spent(joules=(2.0, 0.5), invocations=100),) * 20,
            idle=Idle(joules=(5.0, None), wall_ns=1_000 * MS),
        )
        usage = (Usage(wall_ns=100 * MS, cpu_ns=0, involuntary=0),) * 20
        figures = rows([replace(PLAIN, usage=usage, energy=energy)])
        package, dram = self.text(energies(figures))
        assert package[2:] == ["the package", "20.0 mJ", "15.0 mJ", "20.0 W", "5.00 W"]
        assert dram[2:] == ["its memory", "5.00 mJ", "-", "5.00 W", "-"]
        said = list(energy_definitions(figures))
        assert "energy (RAPL dram): its memory; a counter" in said
        assert "Energy" in {made.title for made in further(figures)}

    def test_a_sensor_that_cannot_be_read_is_said_with_what_to_type(self):
        energy = Energy(sensors=Meters(unreadable=("RAPL package-0",)))
        figures = rows([replace(PLAIN, energy=energy)])
        assert energies(figures) is None
        (said,) = energy_definitions(figures)
        assert "RAPL package-0 is there and cannot be read" in said
        assert "chmod a+r" in said

    def test_only_for_a_file_of_the_kernel_that_helps(self):
        energy = Energy(sensors=Meters(unreadable=("NVML GPU 0",)))
        (said,) = energy_definitions(rows([replace(PLAIN, energy=energy)]))
        assert said == "energy unmeasured: NVML GPU 0 is there and cannot be read"

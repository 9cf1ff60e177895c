import io
import sys

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from rich.console import Console

from bench import units
from bench.baseline import build
from bench.compare import SAME_ARTIFACT, Rule, compare_all
from bench.report.compared import compared
from bench.report.contrast import contrast
from bench.report.document import Cell, Column, Report, Table, figure, word
from bench.report.markdown import markdown
from bench.report.terminal import PLAIN_WIDTH, console, show
from export.artifact import Weights
from tests.bench.factory import manifest, record, unproved

SMALL = manifest("mobilenet", parameters=4_000_000, macs=500_000_000, size=16_000_000)
INT8 = manifest(
    "mobilenet",
    parameters=4_000_000,
    macs=500_000_000,
    size=4_000_000,
    precision="int8",
    calibration="random",
)
LARGE = manifest("vgg16", parameters=132_000_000, macs=15_000_000_000, size=528_000_000)
PHONE = manifest("vgg16", parameters=132_000_000, format="coreml", proof=unproved())
TINY = manifest("lenet5", parameters=60_000, macs=400_000, shape=(1, 28, 28, 1))
ALL = [LARGE, PHONE, SMALL, INT8]
MEASURED = [record(LARGE, 100.0), record(SMALL, 4.0), record(INT8, 2.0)]

LITTLE = Report(
    title="Little",
    readings=("a_b is half",),
    tables=(
        Table(
            title="Times",
            columns=(Column("network", right=False), Column("p50")),
            rows=((word("a_b"), figure(4.2e6, units.duration)), (word("c|d"), Cell("-"))),
        ),
    ),
    notes=("a note",),
    environment=("torch 1",),
)
MARKDOWN = r"""## Little

- a\_b is half

### Times

| network | p50 |
| --- | --: |
| a\_b | 4.20 ms |
| c\|d | - |

### Notes

- a note

### Environment

- torch 1
"""
TERMINAL = """\
Little
  a_b is half

Times
network      p50
a_b      4.20 ms
c|d            -

notes
  a note

environment
  torch 1
"""


def printed(report, width=PLAIN_WIDTH):
    out = Console(file=io.StringIO(), width=width, highlight=False)
    show(report, out)
    return out.file.getvalue()


def table(report, title):
    (found,) = [t for t in report.tables if t.title.startswith(title)]
    return found


def column(found, title):
    index = [c.title for c in found.columns].index(title)
    return [row[index].text for row in found.rows]


class TestRenderers:
    def test_markdown_is_what_github_reads(self):
        assert markdown(LITTLE) == MARKDOWN

    def test_the_terminal_shows_the_same_in_columns(self):
        assert [line.rstrip() for line in printed(LITTLE).splitlines()] == TERMINAL.splitlines()

    def test_both_show_every_cell_of_a_real_report(self):
        report = contrast(ALL, MEASURED, build(ALL, MEASURED))
        cells = [c.text for t in report.tables for row in t.rows for c in row]
        plain, text = printed(report, width=400), markdown(report).replace("\\", "")
        assert all(cell in plain and cell in text for cell in cells)

    def test_a_report_fits_a_page_where_there_is_no_terminal(self):
        report = contrast(ALL, MEASURED)
        tables = replace(report, readings=(), notes=(), environment=())
        assert max(map(len, printed(tables).splitlines())) <= PLAIN_WIDTH

    def test_a_long_name_is_folded_never_cut(self):
        long = replace(SMALL, network=replace(SMALL.network, name="n" * 100))
        assert printed(contrast([long], [record(long)])).count("n" * 10) >= 3 * 9
        assert "…" not in printed(contrast([long], [record(long)]))

    def test_standard_output_that_is_no_terminal_has_a_fixed_width(self, monkeypatch):
        monkeypatch.setattr(sys, "stdout", io.StringIO())
        assert console().width == PLAIN_WIDTH

    def test_rich_markup_in_a_name_is_only_text(self):
        odd = replace(LITTLE, readings=("[red]x[/]",))
        assert "[red]x[/]" in printed(odd)


class TestContrast:
    def test_networks_stand_by_size_with_their_costs(self):
        found = table(contrast(ALL, MEASURED), "Networks")
        assert column(found, "network") == ["mobilenet", "vgg16"]
        assert column(found, "parameters") == ["4.00 M", "132 M"]
        assert column(found, "MACs") == ["500 M", "15.0 G"]
        assert column(found, "peak activations") == ["2.40 MB", "2.40 MB"]
        assert column(found, "input") == ["224x224x3", "224x224x3"]

    def test_an_input_reads_the_same_in_every_layout(self):
        image = replace(SMALL.contract.inputs[0], shape=(1, 3, 200, 100), layout="NCHW")
        other = replace(SMALL, contract=replace(SMALL.contract, inputs=(image,)))
        assert column(table(contrast([other], []), "Networks"), "input") == ["200x100x3"]

    def test_sizes_are_a_matrix_with_words_for_what_is_missing(self):
        found = table(contrast(ALL, MEASURED), "Size")
        titles = [c.title for c in found.columns]
        assert titles == ["network", "format", "fp32", "int8"]
        assert [[c.text for c in row] for row in found.rows] == [
            ["mobilenet", "tflite", "16.0 MB", "4.00 MB"],
            ["vgg16", "tflite", "528 MB", "-"],
            ["vgg16", "coreml", "1.00 MB unproved", "-"],
        ]

    def test_times_stand_fastest_first_as_multiples_of_the_fastest(self):
        found = table(contrast(ALL, MEASURED), "Measured on cpu, 1 thread, batch 1")
        assert column(found, "artifact")[:3] == ["tflite-int8", "tflite-fp32", "tflite-fp32"]
        times = [float(text.rstrip("x")) for text in column(found, "x fastest")[:3]]
        assert times == pytest.approx([1, 2, 50], rel=0.02)

    def test_what_was_never_measured_is_an_unmeasured_row(self):
        report = contrast(ALL, MEASURED)
        last = table(report, "Measured").rows[-1]
        assert [c.text for c in last][:3] == ["vgg16", "coreml-fp32", "unmeasured"]
        assert last[-1].text == "unmeasured"
        assert any("no record of vgg16/coreml-fp32" in note for note in report.notes)

    def test_without_records_all_is_unmeasured(self):
        found = table(contrast(ALL, []), "Measured on nothing yet")
        assert set(column(found, "verdict")) == {"unmeasured"}
        assert len(found.rows) == len(ALL)

    def test_machines_threads_and_batches_are_kept_apart(self):
        records = [
            record(SMALL),
            record(SMALL, threads=4),
            record(SMALL, threads=None),
            record(SMALL, batch=8),
            record(SMALL, device="pi", fingerprint="pi"),
        ]
        titles = [t.title for t in contrast([SMALL], records).tables]
        assert [title for title in titles if title.startswith("Measured on")] == [
            "Measured on cpu, default threads, batch 1",
            "Measured on cpu, 1 thread, batch 1",
            "Measured on cpu, 1 thread, batch 8",
            "Measured on cpu, 4 threads, batch 1",
            "Measured on pi, 1 thread, batch 1",
        ]

    def test_two_runtimes_of_one_file_are_told_apart(self):
        records = [record(SMALL, 4.0, runtime="litert"), record(SMALL, 5.0, runtime="tensorflow")]
        found = table(contrast([SMALL], records), "Measured")
        assert column(found, "artifact") == ["tflite-fp32 (litert)", "tflite-fp32 (tensorflow)"]

    def test_a_multiple_is_of_the_fastest_with_the_same_input(self):
        found = table(contrast([SMALL, TINY], [record(SMALL, 4.0), record(TINY, 0.1)]), "Measured")
        assert column(found, "x fastest") == ["1.00x", "1.00x"]

    def test_every_row_has_a_cell_for_every_column(self):
        records = [*MEASURED, record(PHONE, count=0), record(SMALL, 1.0, threads=2)]
        for baseline in (None, build(ALL, MEASURED)):
            for found in contrast([*ALL, TINY], records, baseline).tables:
                assert {len(row) for row in found.rows} == {len(found.columns)}

    def test_a_baseline_adds_changes(self):
        before = build([replace(m, size_bytes=m.size_bytes // 2) for m in ALL], MEASURED)
        report = contrast(ALL, [record(SMALL, 8.0), record(INT8, threads=2)], before)
        assert column(table(report, "Size"), "int8")[0] == "4.00 MB (+100.0 %)"
        assert column(table(report, "Measured on cpu, 1"), "p50 against baseline")[0] == "+100.0 %"
        other = column(table(report, "Measured on cpu, 2"), "p50 against baseline")
        assert other == ["incomparable"]

    def test_it_is_data_that_json_can_carry(self):
        report = contrast(ALL, MEASURED)
        assert msgspec.json.decode(msgspec.json.encode(report), type=Report) == report


class TestReadings:
    def test_a_network_is_set_against_the_smallest(self):
        (first, _) = contrast(ALL, MEASURED).readings
        assert first == (
            "vgg16 has 33.0x the parameters and 30.0x the MACs of mobilenet; it takes 25.0x the "
            "time as tflite-fp32 on cpu, 1 thread, batch 1"
        )

    def test_int8_is_set_against_fp32(self):
        assert contrast(ALL, MEASURED).readings[1] == (
            "mobilenet/tflite-int8 takes 0.500x the time and 0.250x the bytes of fp32 "
            "on cpu, 1 thread, batch 1"
        )

    @pytest.mark.parametrize(
        "doubt", [{"emulated": True}, {"proof": unproved()}, {"count": 3}, {"count": 0}]
    )
    def test_doubtful_times_are_not_read_out(self, doubt):
        (reading,) = contrast([SMALL, LARGE], [record(SMALL, **doubt), record(LARGE)]).readings
        assert reading.endswith("their times are unmeasured in any common form")

    def test_the_smallest_with_the_same_input_is_the_yardstick(self):
        readings = contrast([SMALL, LARGE, TINY], []).readings
        assert readings[0].split(";")[0].endswith("of vgg16")
        assert "MACs of mobilenet;" in readings[1]

    def test_other_inputs_are_said(self):
        (reading,) = contrast([SMALL, TINY], []).readings
        assert "of lenet5 (224x224x3 against 28x28x1 input)" in reading


class TestWords:
    def test_random_weights_and_calibration_are_said(self):
        text = markdown(contrast(ALL, MEASURED))
        assert (
            "random weights: sizes and times hold, answers mean nothing: mobilenet, vgg16" in text
        )
        assert (
            "random calibration: int8 ranges were set without images: mobilenet/tflite-int8" in text
        )

    def test_trained_weights_say_on_what_and_how_good(self):
        weights = Weights(origin="trained", dataset="fashion-mnist", top1=0.9123)
        found = table(contrast([manifest(weights=weights)], []), "Networks")
        assert column(found, "weights") == ["fashion-mnist"]
        assert column(found, "top-1") == ["91.23 %"]

    def test_what_is_unproved_says_why(self):
        note = "unproved: no Core ML runtime on this system: vgg16/coreml-fp32"
        assert note in contrast(ALL, MEASURED).notes

    @pytest.mark.parametrize(
        ("changes", "verdict"),
        [
            ({"emulated": True}, "emulated"),
            ({"proof": unproved()}, "unproved"),
            ({"count": 3}, "too short"),
            ({"spread": 0.5}, "noisy"),
            ({"count": 0}, "failed"),
            ({"of": replace(SMALL, files=(replace(SMALL.files[0], sha256="1"),))}, "outdated"),
        ],
    )
    def test_every_doubt_is_a_word_in_the_row_and_a_note(self, changes, verdict):
        report = contrast([SMALL], [record(**{"of": SMALL, **changes})])
        assert column(report.tables[2], "verdict") == [verdict]
        assert any(f" {verdict}: " in note for note in report.notes)

    @pytest.mark.parametrize(
        "changes", [{"of": manifest("mobilenet", sha256="1" * 64)}, {"count": 0}]
    )
    def test_void_times_are_not_shown(self, changes):
        report = contrast([SMALL], [record(**{"of": SMALL, **changes})])
        assert column(report.tables[2], "p50") == ["unmeasured"]

    def test_a_valid_record_leaves_no_note_of_doubt(self):
        assert not [n for n in contrast([SMALL], [record(SMALL)]).notes if " on cpu" in n]

    def test_an_artifact_known_from_records_only_is_said(self):
        notes = contrast([], [record(SMALL)]).notes
        assert "known from records only, no artifact here: mobilenet/tflite-fp32" in notes

    def test_the_environment_names_versions(self):
        assert contrast([SMALL], [record(SMALL)]).environment == (
            "device cpu: processor scripted, cores 2 (fingerprint 1234)",
            "runtimes: onnxruntime 1.0",
            "exported with: torch 2.13.0",
            "measured with: edgeworthy 0",
            "measured from 2026-01-01 to 2026-01-01",
        )


class TestComparisonTable:
    def test_refused_pairs_keep_their_row_and_say_why(self):
        outcome = compare_all([record(SMALL)], [record(SMALL, threads=4)], SAME_ARTIFACT, Rule())
        report = compared(outcome)
        assert column(report.tables[0], "verdict") == ["incomparable"]
        assert column(report.tables[0], "B/A") == ["-"]
        assert any("threads: 1 and 4 (refused" in note for note in report.notes)

    def test_what_has_no_partner_is_listed(self):
        notes = compared(compare_all([record(SMALL)], [record(LARGE)], SAME_ARTIFACT, Rule())).notes
        assert "only in A: mobilenet/tflite-fp32 cpu onnxruntime threads=1 batch=1" in notes
        assert "only in B: vgg16/tflite-fp32 cpu onnxruntime threads=1 batch=1" in notes


class TestUnits:
    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            (0, "0 B"), (999, "999 B"), (1000, "1.00 kB"), (999_600, "1.00 MB"),
            (4_094_000, "4.09 MB"), (99_960_000, "100 MB"), (2.5e9, "2.50 GB"),
        ],
    )  # fmt: skip
    def test_three_digits_and_a_decimal_unit(self, value, expected):
        assert units.size(value) == expected

    def test_a_ratio_keeps_three_digits_below_one(self):
        assert [units.times(v) for v in (0.034, 0.5, 1, 33.04, 2235)] == [
            "0.034x", "0.500x", "1.00x", "33.0x", "2235x",
        ]  # fmt: skip

    @given(st.floats(1, 9e11))
    def test_what_is_shown_is_within_half_a_percent(self, value):
        number, unit = units.duration(value).split(" ")
        factor = {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}[unit]
        assert float(number) * factor == pytest.approx(value, rel=0.005)


class TestVeryLong:
    def test_a_long_table_is_written_plainly_one_line_a_row(self):
        columns = (Column("name", right=False), Column("figure"))
        rows = tuple((word(f"row\n{n}"), Cell(str(n), n)) for n in range(1001))
        out = io.StringIO()
        long = Report(title="Long", tables=(Table(title="All", columns=columns, rows=rows),))
        show(long, Console(file=out, width=40))
        title, _, heading, first, *others = out.getvalue().splitlines()
        assert (title, heading) == ("Long", "All")
        assert first == "name      figure"
        assert others[0] == "row 0          0"
        assert others[-1] == "row 1000    1000"

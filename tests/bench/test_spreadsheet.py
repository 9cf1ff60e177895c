"""The figures of a report as CSV."""

import csv
import io

from msgspec.structs import replace

from bench.record import ColdStart
from bench.report.material import gather
from bench.report.spreadsheet import spreadsheet
from tests.bench.factory import manifest, record

NET = manifest("net")
COLD = ColdStart(start_ns=1, import_ns=2, load_ns=3, first_ns=4)


def read(*records, manifests=()):
    return list(csv.DictReader(io.StringIO(spreadsheet(gather(manifests, records).lines))))


def test_each_record_is_a_line_in_base_units():
    (row,) = read(record(NET, 4.0))
    assert (row["model"], row["variant"], row["verdict"]) == ("net", "tflite-fp32", "valid")
    assert abs(float(row["p50_ns"]) / 4e6 - 1) < 0.02


def test_a_count_is_in_no_column_of_times():
    timed = record(NET, 4.0)
    counted = record(NET, 4.0, device="exact", emulated=True, counts="instructions")
    time, count = read(timed, counted)
    assert float(count["p50_instructions"]) > 1e6
    assert not [name for name, value in count.items() if name.endswith("_ns") and value]
    assert time["p50_instructions"] == ""


def test_what_one_record_lacks_is_empty_there():
    plain, cold = read(record(NET), replace(record(NET, threads=2), cold=(COLD,)))
    assert (plain["cold.load_ns"], cold["cold.load_ns"]) == ("", "3")
    assert "cold" not in plain


def test_outdated_figures_say_so():
    (row,) = read(record(NET), manifests=[manifest("net", sha256="1" * 64)])
    assert row["verdict"] == "outdated"


def test_a_name_is_no_formula():
    (row,) = read(record(manifest("=1+1")))
    assert row["model"] == "'=1+1"


def test_without_records_there_is_a_heading_only():
    assert read() == []

from msgspec.structs import replace

from bench.report.memory import definitions, memory_kinds
from bench.rows import rows
from devices.device import Memory, MemorySeries
from tests.bench.records import make_record


def kind(name, *moments):
    before, after, run = moments
    return MemorySeries(
        name=name,
        definition=f"what {name} is",
        before_load=before,
        after_load=after,
        after_run=run,
    )


def record(*series):
    peak = Memory(definition="peak", before_load=1, after_load=2, after_run=9_000_000)
    return replace(make_record(), memory=replace(peak, series=series))


def test_a_line_gives_what_is_resident_when_and_the_kinds_after_the_runs():
    series = (
        kind("resident", 5_000_000, 6_000_000, 7_000_000),
        kind("private", 1, 2, 3_000_000),
        kind("mapped", 0, 200_000, 250_000),
    )
    figures = rows([record(*series)])
    (line,) = memory_kinds(figures).rows
    assert [cell.text for cell in line[2:]] == [
        "5.00 MB", "6.00 MB", "7.00 MB", "9.00 MB", "3.00 MB", "250 kB"
    ]  # fmt: skip
    assert list(definitions(figures)) == [
        "memory (peak): peak",
        "memory (resident): what resident is",
        "memory (private): what private is",
        "memory (mapped): what mapped is",
    ]


def test_a_kind_that_a_device_does_not_tell_of_is_left_open():
    (line,) = memory_kinds(rows([record(kind("resident", 1, 2, 3))])).rows
    assert [cell.text for cell in line[2:]] == ["1 B", "2 B", "3 B", "9.00 MB", "-", "-"]


def test_where_only_the_peak_is_known_there_is_no_table():
    assert memory_kinds(rows([record()])) is None


def test_a_devices_own_kinds_have_columns_only_where_it_tells():
    with_gpu = record(kind("resident", 1, 2, 3), kind("GPU allocated", 0, 4_000, 5_000))
    table = memory_kinds(rows([with_gpu]))
    assert table.columns[-1].title == "GPU allocated"
    assert table.rows[0][-1].text == "5.00 kB"
    without = memory_kinds(rows([record(kind("resident", 1, 2, 3))]))
    assert [column.title for column in without.columns][-1] == "mapped"

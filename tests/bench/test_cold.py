import msgspec

from bench.cold import summed_up
from bench.record import ColdStart
from bench.report.cold import cold_starts, counted_starts
from bench.rows import rows
from tests.bench.records import make_record

MS = 1_000_000


def start(total, first=1, **unknown):
    steps = {"start_ns": 80 * MS, "import_ns": 10 * MS, **unknown}
    return ColdStart(**steps, load_ns=(total - 90 - first) * MS, first_ns=first * MS)


def test_steps_are_medians_and_the_whole_has_its_range():
    found = summed_up([start(120), start(100), start(300)])
    assert found.processes == 3
    assert (found.least_ns, found.total_ns, found.most_ns) == (100 * MS, 120 * MS, 300 * MS)
    assert found.start_ns == 80 * MS
    assert found.load_ns == 29 * MS


def test_a_step_that_the_device_cannot_tell_is_left_out():
    found = summed_up([start(120, import_ns=None)])
    assert found.import_ns is None
    assert found.total_ns == 110 * MS


def test_the_table_has_a_line_for_each_measurement_with_cold_starts():
    base = make_record()
    with_them = msgspec.structs.replace(base, cold=(start(100), start(120), start(300)))
    table = cold_starts(rows([with_them, base]))
    assert "warm file cache" in table.title
    (line,) = table.rows
    assert [cell.text for cell in line[-2:]] == ["120 ms", "100 ms to 300 ms (3)"]


def test_counts_have_a_table_of_their_own_that_says_so():
    base = msgspec.structs.replace(make_record(), cold=(start(100), start(120)))
    device = msgspec.structs.replace(base.device, counts="instructions", emulated=True)
    found = rows([base, msgspec.structs.replace(base, device=device)])
    (timed,) = cold_starts(found).rows
    assert timed[-2].text.endswith(" ms")
    table = counted_starts(found)
    assert table.title == "Cold start, instructions counted"
    (counted,) = table.rows
    assert counted[-1].text == "100 M to 120 M (2)"
    assert counted_starts(rows([base])) is None


def test_without_any_there_is_no_table():
    assert cold_starts(rows([make_record()])) is None

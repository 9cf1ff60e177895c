import pytest
from msgspec.structs import replace

from bench.conditions import conditions
from tests.bench.clouds import clouded, link
from tests.bench.records import make_record


def under(**facts):
    record = make_record()
    device = replace(record.device, facts={**record.device.facts, **facts})
    return conditions(device, record.settings)


@pytest.mark.parametrize(
    ("switch", "one", "other"),
    [
        ("governor", "powersave", "performance"),
        ("turbo", "on", "off"),
        ("power", "mains", "battery"),
    ],
)
def test_a_switch_that_differs_makes_two_measurements_incomparable_and_is_named(switch, one, other):
    assert under(**{switch: one}).differences(under(**{switch: other})) == (
        f"{switch}: {one} and {other}",
    )
    assert under(**{switch: one}).differences(under(**{switch: one})) == ()


def test_a_switch_that_only_one_of_them_knows_makes_no_difference():
    assert under(turbo="on").differences(under()) == ()


def test_links_that_were_shaped_by_different_programs_are_told_apart():
    def shaped(by):
        record = clouded(by=replace(link("4g"), shaped_by=by))
        return conditions(record.device, record.settings, record.cloud)

    kernel, own = shaped("the kernel's netem (queue of 0.3 s)"), shaped("edgeworthy (in turns)")
    assert kernel.differences(own) == ("shaped by: the kernel's netem and edgeworthy",)
    assert kernel.differences(shaped("the kernel's netem (queue of 1 s)")) == ()

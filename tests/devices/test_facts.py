import pytest

from devices.facts import facts, fingerprint, switches

CPU, SUPPLY = "sys/devices/system/cpu", "sys/class/power_supply"
LAPTOP = {
    f"{CPU}/cpu0/cpufreq/scaling_governor": "powersave\n",
    f"{CPU}/cpu1/cpufreq/scaling_governor": "powersave\n",
    f"{CPU}/intel_pstate/no_turbo": "0\n",
    f"{SUPPLY}/BAT0/type": "Battery\n",
    f"{SUPPLY}/BAT0/status": "Discharging\n",
    f"{SUPPLY}/AC/type": "Mains\n",
}


@pytest.fixture
def below(tmp_path):
    """Write a system's files; return what its switches are."""

    def write(files):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return switches(f"{tmp_path}/")

    return write


def test_a_laptop_on_its_battery(below):
    assert below(LAPTOP) == {"governor": "powersave", "turbo": "on", "power": "battery"}


def test_a_laptop_that_is_plugged_in(below):
    found = below({**LAPTOP, f"{SUPPLY}/BAT0/status": "Not charging\n"})
    assert found["power"] == "mains"


def test_a_mouses_battery_is_not_the_machines(below):
    mouse = {f"{SUPPLY}/hid-1/type": "Battery", f"{SUPPLY}/hid-1/scope": "Device"}
    assert below({**mouse, f"{SUPPLY}/hid-1/status": "Discharging"})["power"] == ""


@pytest.mark.parametrize(
    ("file", "text", "turbo"),
    [
        ("intel_pstate/no_turbo", "1", "off"),
        ("cpufreq/boost", "1", "on"),
        ("cpufreq/boost", "0", "off"),
    ],
)
def test_turbo_has_two_switches_of_opposite_sense(below, file, text, turbo):
    assert below({f"{CPU}/{file}": text})["turbo"] == turbo


def test_clusters_with_governors_of_their_own_are_both_named(below):
    small, big = (f"{CPU}/cpu{n}/cpufreq/scaling_governor" for n in (0, 4))
    assert below({small: "schedutil", big: "ondemand"})["governor"] == "ondemand, schedutil"


def test_a_machine_without_switches_has_no_such_facts(below):
    assert set(below({}).values()) == {""}


def test_switches_do_not_change_the_fingerprint():
    found = facts()
    assert fingerprint({**found, "governor": "x", "turbo": "y", "power": "z"}) == fingerprint(found)

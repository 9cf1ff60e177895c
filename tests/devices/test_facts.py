import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import devices.facts
from devices.facts import arm_cores, facts, fingerprint, switches

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


def cores(*parts, maker="0x41"):
    return "".join(
        f"processor\t: {n}\nCPU implementer\t: {maker}\nCPU architecture: 8\nCPU part\t: {part}\n\n"
        for n, part in enumerate(parts)
    )


def test_the_cores_of_an_arm_are_named_and_counted():
    assert arm_cores(cores("0xd08", "0xd08", "0xd08", "0xd08")) == "4 x Cortex-A72"
    assert arm_cores(cores("0xd05", "0xd05", "0xd0b")) == "2 x Cortex-A55 + 1 x Cortex-A76"


def test_an_arm_core_without_a_known_name_keeps_its_number():
    assert arm_cores(cores("0xfff")) == "1 x 0xfff"
    assert arm_cores(cores("0x001", maker="0x51")) == "1 x implementer 0x51 part 0x001"
    assert arm_cores("flags : fpu\n") == ""


def test_as_a_program_it_prints_the_facts_of_the_cores_it_is_given():
    done = subprocess.run(
        [sys.executable, "-I", devices.facts.__file__, "0,1"], capture_output=True, check=True
    )
    assert json.loads(done.stdout) == facts((0, 1))


def test_its_source_is_python_3_9_and_needs_the_standard_library_only():
    tree = ast.parse(Path(devices.facts.__file__).read_text(), feature_version=(3, 9))
    nodes = [n for n in ast.walk(tree) if isinstance(n, ast.Import | ast.ImportFrom)]
    names = {n.module for n in nodes if isinstance(n, ast.ImportFrom)}
    names |= {alias.name for n in nodes if isinstance(n, ast.Import) for alias in n.names}
    assert {name.split(".")[0] for name in names} <= sys.stdlib_module_names

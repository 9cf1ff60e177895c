import re
import subprocess
import sys
from pathlib import Path

import pytest

from devices import registry
from devices.device import ConfigError, DeviceError, DeviceInfo
from devices.discovery import Found
from devices.local import LocalDevice
from devices.survey import Seen


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    """An empty project directory to work in, and an empty configuration directory."""
    project, user = tmp_path / "project", tmp_path / "user"
    for place in (project, user / "edgeworthy"):
        place.mkdir(parents=True)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(user))
    monkeypatch.setenv("HOME", str(user))
    monkeypatch.chdir(project)
    return project, Path(registry.platformdirs.user_config_dir("edgeworthy"))


def write(text):
    Path(registry.FILE).write_text(text)


def test_cpu_is_always_there():
    assert registry.find("cpu").name == "cpu"


def test_a_device_is_found_by_name_and_by_label():
    write('[devices.fast]\nkind = "local"\ncpus = [1, 0]\nlabels = ["bench"]\n')
    assert registry.find("fast").cpus == (0, 1)
    assert registry.find("bench").name == "fast"


def test_the_project_wins_over_the_user(places):
    _, user = places
    user.mkdir(parents=True, exist_ok=True)
    (user / registry.FILE).write_text("[devices.fast]\ncpus = [1]\n[devices.mine]\ncpus = [1]\n")
    write("[devices.fast]\ncpus = [0]\n")
    assert registry.find("fast").cpus == (0,)
    assert registry.find("mine").cpus == (1,)


def test_nobody_has_a_pixel():
    with pytest.raises(DeviceError) as caught:
        registry.find("pixel")
    assert caught.value.exit_code == 3
    told = str(caught.value)
    assert told.startswith("no device named 'pixel', nor with such a label, model or serial; there")
    assert "there is: cpu, gpu (unavailable), " in told
    assert "; no phone: " in told
    assert "'edgeworthy devices list'" in told
    assert "'edgeworthy devices add NAME --kind ssh --host USER@ADDRESS'" in told


def test_a_near_miss_is_suggested():
    with pytest.raises(DeviceError, match=r"no device named 'cqu' \(did you mean 'cpu'\?\)"):
        registry.find("cqu")


def test_limits_go_with_the_device():
    write("[devices.warm]\n[devices.warm.limits]\nmax_temperature_c = 40\n")
    assert registry.find("warm").limits.max_temperature_c == 40
    assert registry.find("cpu").limits.max_temperature_c is None


def test_case_does_not_matter():
    write('[devices.Fast]\nlabels = ["Bench"]\n')
    assert registry.find("fast").name == registry.find("BENCH").name == "Fast"


def seen(name, *labels, state="ready", **facts):
    info = DeviceInfo(name=name, kind="x", fingerprint="", emulated=False, facts=facts)
    device = LocalDevice(name) if state == "ready" else None
    return Seen(name, "x", labels, state, "", device, info if device else None)


PHONES = [
    seen("0A1B", "Pixel_8", "0A1B"),
    seen("R58M", "SM-G991B", model="Galaxy S21"),
    seen("board", processor="Raspberry Pi 4 Model B, Cortex-A72", serial="10000000c0ffee"),
]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("galxy", "Galaxy S21"),
        ("rasberry", "Raspberry Pi 4 Model B, Cortex-A72"),
        ("r58n", "R58M"),
        ("bord", "board"),
    ],
)
def test_a_near_miss_of_a_model_or_serial_is_suggested(name, meant):
    assert f"no device named '{name}' (did you mean '{meant}'?)" in registry.unknown(name, PHONES)


def test_a_phone_that_cannot_tell_its_model_yet_may_be_the_one():
    told = registry.unknown("pixel", [seen("0A1B", state="unauthorised")])
    assert "; it may be 0A1B (unauthorised: " in told


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("pixel", "0A1B"),
        ("Pixel 8", "0A1B"),
        ("pixel_8", "0A1B"),
        ("0a1b", "0A1B"),
        ("galaxy", "R58M"),
        ("sm-g991b", "R58M"),
        ("raspberry pi", "board"),
        ("cortex-a72", "board"),
        ("10000000C0FFEE", "board"),
    ],
)
def test_a_device_is_known_by_its_model_parts_of_it_and_its_serial(name, found):
    assert registry.match(name, PHONES).name == found


@pytest.mark.parametrize("name", ["pix", "pixel 9", "8 pixel", "pi4", "", "_"])
def test_nothing_else_will_do(name):
    assert registry.match(name, PHONES) is None


def test_the_whole_of_a_name_goes_before_a_part_of_another():
    assert registry.match("pixel 8", [*PHONES, seen("C3", "Pixel_8_Pro")]).name == "0A1B"


def test_several_that_fit_are_listed():
    with pytest.raises(ConfigError) as caught:
        registry.match("pixel", [*PHONES, seen("C3", "Pixel_8_Pro")])
    assert caught.value.exit_code == 2
    assert str(caught.value) == (
        "'pixel' fits 0A1B (Pixel_8), C3 (Pixel_8_Pro): give one of these names"
    )


class TestFound:
    """A kind that finds one phone, besides what there is."""

    @pytest.fixture(autouse=True)
    def _phone(self, monkeypatch):
        self.found = []
        kind = registry.KINDS["local"]._replace(
            discover=lambda: self.found, absence=lambda: "no phone: plug one in"
        )
        monkeypatch.setitem(registry.KINDS, "toy", kind)

    def test_it_is_used_without_an_entry(self):
        class Phone(LocalDevice):
            machine = "phone"

        self.found = [Found("0A1B", "toy", "ready", "", ("Pixel_8",), Phone("0A1B"))]
        assert registry.find("pixel").name == "0A1B"

    def test_one_that_does_not_let_us_in_is_named_with_the_remedy(self):
        why = "accept the key on its screen"
        self.found = [Found("0A1B", "toy", "unauthorised", why, ("0A1B",), None)]
        with pytest.raises(DeviceError, match=f"device '0A1B' is unauthorised: {why}"):
            registry.find("0a1b")
        with pytest.raises(DeviceError, match=r"0A1B \(unauthorised: accept the key"):
            registry.find("pixel")

    def test_where_none_is_found_the_kind_says_what_to_do(self):
        with pytest.raises(DeviceError, match="; no phone: plug one in; "):
            registry.find("pixel")


def test_an_ambiguous_label_says_what_it_fits():
    write('[devices.a]\nlabels = ["x"]\n[devices.b]\nlabels = ["x"]\n')
    with pytest.raises(ConfigError, match="label 'x' fits a, b: give one of these names"):
        registry.find("x")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x =", r"devices.toml: Invalid value"),
        ("[device.a]", r"unknown key device \(did you mean 'devices'\?\)"),
        ("devices = 3", r"devices must hold tables"),
        ("[devices]\na = 1", r"\[devices.a\] must be a table"),
        ("[devices.a]\ncpu = [1]", r"unknown key devices.a.cpu \(did you mean 'cpus'\?\)"),
        (
            '[devices.a]\ncpus = "1"',
            r"\[devices.a\]: cpus: expected a list, not text",
        ),
        ("[devices.a]\ncpus = []", r"Expected `array` of length >= 1 - at `\$.cpus`"),
        ("[devices.a]\nlabels = [1]", r"\[devices.a\]: .*expected text, not a whole number"),
        ('[devices.a]\nkind = "locl"', r"no kind 'locl' \(did you mean 'local'\?\); there is"),
        ("[devices.a]\nkind = []", r"no kind '\[\]'"),
        ("[devices.cpu]\ncpus = [0]", r"'cpu' is the machine itself"),
        ("[devices.a.limits]\nmax_temp = 3", r"unknown key devices.a.limits.max_temp \(did you me"),
        ('[devices.a]\nlimits = "cool"', r"\[devices.a\]: limits: expected a table, not text"),
        ('[devices."a b"]', r"'a b' is not of"),
    ],
)
def test_a_wrong_file_is_one_line_with_file_and_key(text, message):
    write(text)
    with pytest.raises(ConfigError, match=message) as caught:
        registry.find("cpu")
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("devices.toml: ")


def test_every_kind_has_labels_and_a_maker():
    needed = {"ssh": {"host": "board"}, "cloud": {"url": "http://localhost:8000"}}
    for name, kind in registry.KINDS.items():
        assert "labels" not in kind.settings.__struct_fields__
        assert kind.make("some", kind.settings(**needed.get(name, {}))).name == "some"


@pytest.mark.parametrize("name", registry.KINDS)
def test_the_documentation_lists_every_key(name):
    text = (Path(registry.__file__).parents[1] / "docs" / "devices.md").read_text()
    (line,) = (line for line in text.splitlines() if line.startswith(f"| `{name}`"))
    told = set(re.findall(r"`(\w+)`", line.split("|")[2]))
    assert {*registry.KINDS[name].settings.__struct_fields__} <= told


def test_reading_the_registry_imports_no_runtime():
    program = "import sys, devices.registry; print('torch' in sys.modules)"
    root = Path(registry.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"

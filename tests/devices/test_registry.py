import subprocess
import sys
from pathlib import Path

import pytest

from devices import registry
from devices.device import ConfigError, DeviceError


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
    assert str(caught.value).startswith("no device named 'pixel'; there is: cpu, gpu; add one with")
    assert "'edgeworthy devices add NAME --kind local --cpus 0-1'" in str(caught.value)
    assert "not supported by this version yet" in str(caught.value)


def test_a_near_miss_is_suggested():
    with pytest.raises(DeviceError, match=r"no device named 'cqu' \(did you mean 'cpu'\?\)"):
        registry.find("cqu")


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
        ('[devices.a]\ncpus = "1"', r"devices.toml: \[devices.a\]: Expected `array"),
        ("[devices.a]\ncpus = []", r"Expected `array` of length >= 1 - at `\$.cpus`"),
        ("[devices.a]\nlabels = [1]", r"\[devices.a\]: Expected `str`"),
        ('[devices.a]\nkind = "locl"', r"no kind 'locl' \(did you mean 'local'\?\); there is"),
        ("[devices.a]\nkind = []", r"no kind '\[\]'"),
        ("[devices.cpu]\ncpus = [0]", r"'cpu' is the machine itself"),
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


def test_adding_keeps_what_is_there():
    write("# my machines\n[devices.a]\ncpus = [0]")
    registry.add("b", {"kind": "local", "cpus": [1], "labels": ["x"]}, Path(registry.FILE))
    assert Path(registry.FILE).read_text() == (
        "# my machines\n[devices.a]\ncpus = [0]\n\n"
        '[devices.b]\nkind = "local"\ncpus = [1]\nlabels = ["x"]\n'
    )
    assert registry.find("a").cpus == (0,)
    assert registry.find("x").cpus == (1,)


@pytest.mark.parametrize("name", ["a", "cpu", "a b", 'q"q', ""])
def test_a_refused_addition_changes_nothing(name):
    write("[devices.a]\n")
    with pytest.raises(ConfigError):
        registry.add(name, {"kind": "local"}, Path(registry.FILE))
    assert Path(registry.FILE).read_text() == "[devices.a]\n"
    assert [path.name for path in Path().iterdir()] == [registry.FILE]


def test_a_directory_that_is_not_there_is_one_line():
    with pytest.raises(ConfigError, match="cannot write nowhere"):
        registry.add("a", {"kind": "local"}, Path("nowhere") / registry.FILE)


def test_every_kind_has_labels_and_a_maker():
    for kind in registry.KINDS.values():
        assert "labels" not in kind.settings.__struct_fields__
        assert kind.make("some", kind.settings()).name == "some"


def test_reading_the_registry_imports_no_runtime():
    program = "import sys, devices.registry; print('torch' in sys.modules)"
    root = Path(registry.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"

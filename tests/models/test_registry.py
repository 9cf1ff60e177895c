"""Names: what they resolve to, what patterns expand to, and what a mistake is told."""

import subprocess
import sys

import pytest

from models.family import ModelError
from models.registry import FAMILIES, expand, names, resolve, trained


@pytest.mark.parametrize(
    ("given", "full"),
    [
        ("lenet5", "lenet5"),
        ("lenet", "lenet5"),
        ("mobilenet", "mobilenet_v1_1.0_224"),
        ("mobilenet_v1", "mobilenet_v1_1.0_224"),
        ("mobilenet_v1_0.5", "mobilenet_v1_0.5_224"),
        ("mobilenet_v1_0.25_128", "mobilenet_v1_0.25_128"),
        ("mobilenet_v1_0.250_128", "mobilenet_v1_0.25_128"),
        ("mobilenet_v1_1_160", "mobilenet_v1_1.0_160"),
        ("mobilenet_v1_0.3_96", "mobilenet_v1_0.3_96"),
        ("lenet@fashion-mnist", "lenet5@fashion-mnist"),
    ],
)
def test_a_name_has_one_full_form(given, full):
    assert resolve(given).name == full
    assert resolve(full).name == full


def test_every_listed_name_is_its_own_full_form():
    assert [resolve(name).name for name in names()] == names()
    assert len(names()) == len(set(names()))


def test_aliases_lead_to_networks():
    for family in FAMILIES:
        for alias, name in family.aliases.items():
            assert resolve(alias).family == family.name
            assert resolve(alias) == resolve(name)


def test_published_figures_belong_to_names_that_exist():
    for family in FAMILIES:
        assert set(family.published) <= set(family.listed())


def test_the_mobilenet_grid_of_the_paper_is_listed():
    grid = {f"mobilenet_v1_{w}_{r}" for w in (1.0, 0.75, 0.5, 0.25) for r in (224, 192, 160, 128)}
    assert grid <= set(names())


def test_parameters_reach_the_settings_and_the_input():
    spec = resolve("mobilenet_v1_0.25_128")
    assert spec.settings == {"width": 0.25, "resolution": 128}
    assert spec.preprocessing.size == (128, 128)
    assert spec.preprocessing.resize == 146
    assert (spec.classes, spec.channels) == (1000, 3)


def test_a_trained_network_knows_its_own_data():
    spec = resolve("mobilenet_v1_0.25_64@fashion-mnist")
    assert (spec.classes, spec.channels) == (10, 1)
    assert spec.preprocessing.size == (64, 64)
    assert spec.preprocessing.mean == (0.286,)
    assert spec.weights == trained()[spec.name]
    assert spec.published is None


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("mobilnet", "no model named 'mobilnet'; did you mean 'mobilenet'?"),
        ("vgg17", "did you mean 'vgg19'?"),
        ("resnet5", "did you mean 'resnet50'?"),
        ("lenet5@fashion-mnst", "did you mean 'lenet5@fashion-mnist'?"),
        ("mobilenet_v1_2_224", "the width must be above 0 and at most 1, not '2'"),
        ("mobilenet_v1_0_224", "the width must be above 0 and at most 1, not '0'"),
        ("mobilenet_v1_0.5_100", "the resolution must be a multiple of 32, not '100'"),
        ("mobilenet_v1_0.5_0", "the resolution must be a multiple of 32, not '0'"),
        ("mobilenet_v1_0.5_", "the resolution must be a multiple of 32, not ''"),
        ("mobilenet_v1_0.5_64_7", "no model named 'mobilenet_v1_0.5_64_7'"),
        ("zebra", "no model named 'zebra'; list them with 'edgeworthy models list'"),
        ("", "no model named ''"),
    ],
)
def test_a_wrong_name_is_told_what_is_near(name, words):
    with pytest.raises(ModelError) as caught:
        resolve(name)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_all_is_every_listed_name():
    assert expand(["all"]) == names()


def test_patterns_names_and_aliases_expand_in_order_without_repeats():
    assert expand(["resnet*", "lenet", "resnet18"]) == ["resnet18", "resnet50", "lenet5"]
    assert expand(["mobilenet_v1_0.5_*"]) == [
        f"mobilenet_v1_0.5_{side}" for side in (224, 192, 160, 128)
    ]
    assert expand(["*@fashion-mnist"]) == sorted(trained())


def test_a_parametrised_name_that_is_not_listed_expands_to_itself():
    assert expand(["mobilenet_v1_0.1_32"]) == ["mobilenet_v1_0.1_32"]


def test_a_pattern_without_a_match_is_an_error():
    with pytest.raises(ModelError, match=r"no model matches 'foo\*'"):
        expand(["lenet5", "foo*"])


def test_the_registry_and_the_commands_do_not_import_torch():
    code = (
        "import sys, models.cli, models.registry as r; r.names(); r.resolve('lenet@fashion-mnist');"
        "print(sorted({'torch', 'numpy', 'PIL', 'safetensors'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert result.stdout.strip() == "[]", result.stderr

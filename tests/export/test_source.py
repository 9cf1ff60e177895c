"""What --model may name, and what is said where it names nothing."""

from pathlib import Path

import pytest

from export import source
from export.precision import ExportError
from export.source import Source
from models.registry import ModelError


def find(
    *names: str,
    weights: Path | None = None,
    shapes: tuple[str, ...] = (),
    name: str | None = None,
) -> list[Source]:
    return source.find(list(names), weights=weights, shapes=list(shapes), seed=0, name=name)


def test_an_alias_and_a_wild_card_become_the_networks_they_stand_for() -> None:
    assert [s.name for s in find("mobilenet")] == ["mobilenet_v1_1.0_224"]
    assert {s.name for s in find("resnet*")} >= {"resnet18", "resnet50"}


def test_a_network_named_twice_is_exported_once() -> None:
    assert len(find("mobilenet", "mobilenet_v1_1.0_224")) == 1


def test_two_networks_of_one_name_are_refused_not_dropped(tmp_path: Path) -> None:
    files = [tmp_path / folder / "net.py" for folder in "ab"]
    for file in files:
        file.parent.mkdir()
        file.write_text("")
    with pytest.raises(ExportError, match=r"both be called 'net-make'.*--name"):
        find(*(f"{file}:make" for file in files), shapes=("1x3x8x8",))


def test_a_name_of_ones_own_leaves_the_zoos_name_to_build_from() -> None:
    [found] = find("mobilenet", name="ours")
    assert (found.name, found.network) == ("ours", "mobilenet_v1_1.0_224")


def test_nothing_named_is_refused() -> None:
    with pytest.raises(ExportError, match="--model names nothing"):
        find()


def test_a_python_file_needs_its_factory_and_its_input(tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    with pytest.raises(ExportError, match="no file"):
        find(f"{file}:make")
    file.write_text("")
    with pytest.raises(ExportError, match=r"--model .*net\.py:FACTORY"):
        find(str(file))
    with pytest.raises(ExportError, match="--input 1x3x224x224"):
        find(f"{file}:make")
    [found] = find(f"{file}:make", shapes=("1x3x8x8",))
    assert (found.name, found.factory, found.shapes) == ("net-make", "make", ((1, 3, 8, 8),))


def test_a_program_brings_its_own_shapes(tmp_path: Path) -> None:
    file = tmp_path / "my net.pt2"
    file.write_text("")
    assert find(str(file))[0].name == "my-net"
    with pytest.raises(ExportError, match="leave --input"):
        find(str(file), shapes=("1x3x8x8",))


@pytest.mark.parametrize("text", ["", "3", "1x3xa", "1x0x3", "-1x3", "1x3x"])
def test_a_shape_that_is_none_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ExportError, match="1x3x224x224"):
        source.parse_shape(text)


def test_weights_go_with_one_network(tmp_path: Path) -> None:
    weights = tmp_path / "w.safetensors"
    with pytest.raises(ExportError, match="no weights at"):
        find("lenet5", weights=weights)
    weights.write_text("")
    with pytest.raises(ExportError, match="one at a time"):
        find("resnet18", "resnet50", weights=weights)


def test_a_name_may_not_leave_the_output_directory() -> None:
    assert find("lenet5", name="../../etc/x")[0].name == "etc-x"
    with pytest.raises(ExportError, match="cannot name an artifact"):
        find("lenet5", name="..")


def test_a_near_miss_is_suggested() -> None:
    with pytest.raises(ModelError, match="did you mean 'mobilenet'"):
        find("mobilnet")

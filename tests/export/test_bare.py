"""A model file alone: measured, proved where data lies beside it, and shown."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from export.artifact import ArtifactError, load
from export.bare import NO_GOLDEN, adopt, is_bare, names
from export.footprint import network
from export.inspection import read
from export.verify import CONSTANT
from tests.tiny import CLASSES, forward, images, onnx_model, tflite_bytes, tiny_onnx, weights

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
QUICK = ["--max-seconds", "1", "--precision-target", "50%", "--processes", "1"]


@pytest.fixture
def stray(tmp_path):
    path = tmp_path / "stray.onnx"
    onnx.save(onnx_model("batch"), str(path))
    return path


def beside(model, outputs):
    data = model.parent / "test_data_set_0"
    data.mkdir()
    for name, array in (("input_0", images()), ("output_0", outputs)):
        (data / f"{name}.pb").write_bytes(numpy_helper.from_array(array).SerializeToString())


def measured(cli, tmp_path, *patterns):
    chosen = [argument for pattern in patterns for argument in ("--artifact", pattern)]
    return cli("bench", "run", *chosen, *QUICK, "--json", cwd=tmp_path)


class TestAdopted:
    def test_it_is_a_whole_artifact_with_the_network_s_figures(self, stray, tmp_path):
        manifest = load(adopt(stray, tmp_path / "scratch"))
        assert manifest.key == "stray/onnx-fp32"
        assert manifest.network.parameters == sum(value.size for value in weights().values())
        assert manifest.network.macs == 6 * 6 * 4 * 9 + 4 * CLASSES
        assert manifest.proof.reason == NO_GOLDEN
        assert manifest.golden == ()

    def test_the_file_is_linked_not_copied(self, stray, tmp_path):
        made = adopt(stray, tmp_path / "scratch") / "model.onnx"
        assert made.samefile(stray)

    def test_weights_in_a_file_of_their_own_come_along(self, tmp_path):
        path = tmp_path / "large.onnx"
        onnx.save(
            onnx_model(1), str(path), save_as_external_data=True, location="w.bin", size_threshold=0
        )
        made = adopt(path, tmp_path / "scratch")
        assert sorted(file.path for file in load(made).files) == [
            "golden.npz",
            "model.onnx",
            "w.bin",
        ]

    @pytest.mark.parametrize("place", ["apart", "apart/w.bin", "../w.bin", "gone.bin"])
    def test_weights_that_do_not_lie_beside_it_are_refused(self, tmp_path, place):
        """The file names the place: linking whatever it says would reach anywhere."""
        (tmp_path / "net" / "apart").mkdir(parents=True)
        for kept in (tmp_path / "net" / "apart" / "w.bin", tmp_path / "w.bin"):
            kept.write_bytes(b"")
        model = onnx_model(1)
        for tensor in model.graph.initializer:
            onnx.external_data_helper.set_external_data(tensor, place)
        (tmp_path / "net" / "large.onnx").write_bytes(model.SerializeToString())
        with pytest.raises(ArtifactError, match=f"weights in '{place}', which is no file beside"):
            adopt(tmp_path / "net" / "large.onnx", tmp_path / "scratch")
        assert (tmp_path / "net" / "apart" / "w.bin").exists()

    def test_a_file_in_its_artifact_is_that_artifact(self, tmp_path):
        directory = tiny_onnx(tmp_path)
        assert adopt(directory / "model.onnx", tmp_path / "scratch") == directory

    def test_an_open_shape_is_refused(self, stray, tmp_path):
        model = onnx_model(1)
        model.graph.input[0].type.tensor_type.shape.dim[3].ClearField("dim_value")
        onnx.save(model, str(stray))
        with pytest.raises(ArtifactError, match=r"input 'image' open \(1x1x8x\?\)"):
            adopt(stray, tmp_path / "scratch")

    def test_whole_numbers_are_fed_as_0_and_1(self, tmp_path):
        """Noise would point behind the end of a table that it indexes."""
        table = numpy_helper.from_array(np.ones((2, 3), np.float32), "table")
        node = helper.make_node("Gather", ["table", "word"], ["found"])
        ports = [
            helper.make_tensor_value_info("word", TensorProto.INT64, [1, 5]),
            helper.make_tensor_value_info("found", TensorProto.FLOAT, [1, 5, 3]),
        ]
        graph = helper.make_graph([node], "g", ports[:1], ports[1:], [table])
        onnx.save(helper.make_model(graph), str(tmp_path / "words.onnx"))
        made = adopt(tmp_path / "words.onnx", tmp_path / "scratch")
        with np.load(made / "golden.npz") as arrays:
            assert set(np.unique(arrays["in.word"])) <= {0, 1}

    @pytest.mark.parametrize(
        ("name", "expected"),
        [("a/b.onnx", True), ("b.tflite", True), ("lenet5", False), ("tflite-int8", False)],
    )
    def test_names(self, name, expected):
        assert is_bare(name) == expected


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["a/model.onnx", "b/model.onnx", "b/net.onnx"], ["a-model", "b-model", "net"]),
        (["a/model.onnx", "a/model.tflite"], ["model", "model"]),
        (["model.onnx", "c/d/model.tflite"], ["model", "c-d-model"]),
    ],
    ids=["two networks", "one in two formats", "one directory in the other"],
)
def test_files_of_one_name_in_several_directories_are_several_networks(paths, expected):
    assert names([Path(path) for path in paths]) == expected


class TestFootprint:
    def test_the_peak_is_of_what_is_alive_at_once(self, stray):
        """Of this chain the input and the convolution, then the convolution and its ReLU."""
        figures = network(read(stray, "onnx"), "onnx", "net")
        assert figures.peak_activation_bytes == 4 * 2 * (4 * 6 * 6)
        # The flattened pool is counted too: an operator of its own.
        assert figures.total_activation_bytes == 4 * (2 * 4 * 6 * 6 + 4 + 4 + CLASSES)


class TestMeasured:
    def test_without_data_it_is_unproved(self, cli, stray, tmp_path):
        result = measured(cli, tmp_path, stray)
        (row,) = json.loads(result.stdout)
        assert (row["proved"], row["verdict"], row["evidence"]) == (None, "unproved", NO_GOLDEN)
        assert row["p50_ns"] > 0
        assert result.returncode == 3

    def test_data_beside_it_proves_it(self, cli, stray, tmp_path):
        beside(stray, forward(images()))
        (row,) = json.loads(measured(cli, tmp_path, stray).stdout)
        assert row["proved"] is True

    def test_a_wrong_answer_voids_the_timing(self, cli, stray, tmp_path):
        beside(stray, -forward(images()))
        result = measured(cli, tmp_path, stray)
        (row,) = json.loads(result.stdout)
        assert (row["proved"], row["p50_ns"], result.returncode) == (False, None, 1)

    def test_tflite_and_wild_cards(self, cli, tmp_path):
        for name in ("one", "two"):
            (tmp_path / f"{name}.tflite").write_bytes(tflite_bytes())
        found = json.loads(measured(cli, tmp_path, "*.tflite").stdout)
        assert [row["model"] for row in found] == ["one", "two"]
        assert all(row["samples"] for row in found)

    def test_unrelated_files_of_one_name_are_not_compared(self, cli, tmp_path):
        for name, size in (("a", 1), ("b", 100)):
            (tmp_path / name).mkdir()
            model = onnx_model(1)
            model.doc_string = "x" * size
            onnx.save(model, str(tmp_path / name / "model.onnx"))
        result = measured(cli, tmp_path, "*/model.onnx")
        assert [row["model"] for row in json.loads(result.stdout)] == ["a-model", "b-model"]

    def test_what_is_not_there_is_refused(self, cli, tmp_path):
        result = measured(cli, tmp_path, "none.onnx")
        assert (result.returncode, "there is no file none.onnx" in result.stderr) == (2, True)

    def test_nothing_is_left_behind(self, cli, stray, tmp_path):
        place = tmp_path / "tmp"
        place.mkdir()
        cli("bench", "run", "--artifact", stray, *QUICK, cwd=tmp_path, env={"TMPDIR": str(place)})
        assert list(place.glob("edgeworthy-*")) == []


class TestShown:
    def test_show_lists_the_operators(self, cli, stray):
        result = cli("models", "show", stray)
        assert result.returncode == 0, result.stderr
        assert "stray/onnx-fp32" in result.stdout
        assert "GlobalAveragePool" in result.stdout

    def test_show_refuses_another_file(self, cli, tmp_path):
        (tmp_path / "no.onnx").write_bytes(b"no model")
        result = cli("models", "show", tmp_path / "no.onnx")
        assert (result.returncode, "cannot read" in result.stderr) == (2, True)


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted(LIGHT.glob("*.onnx")), ids=lambda path: path.stem)
def test_the_reference_networks_of_onnx(cli, tmp_path, path):
    """Third-party topologies: analysed, measured, and held to the outputs shipped with them.

    Their weights are constants, and so are these outputs: they could refute, but prove nothing.
    """
    result = measured(cli, tmp_path, path)
    (row,) = json.loads(result.stdout)
    assert (row["proved"], row["evidence"]) == (None, CONSTANT), result.stderr
    assert row["samples"] > 0
    assert row["macs"] > 1e8
    shown = cli("models", "show", path, "--json")
    assert json.loads(shown.stdout)["operators"]
    assert cli("export", "inspect", path).returncode == 0

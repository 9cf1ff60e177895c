"""A stray file explains itself; what disagrees is said, and a file without a contract too."""

import json
import shutil

import msgspec
import onnx
import pytest
from msgspec.structs import replace

from export import embed, wording
from export.artifact import MODEL_FILES, Contract, Tensor, read_manifest, write_manifest
from export.computation import Computation
from export.inspected import inspected, precision
from models.preprocess import Preprocessing
from tests.tiny import onnx_model, tflite_bytes, tiny_onnx

MOBILENET = "mobilenet_v1_0.25_64@fashion-mnist"
VARIANTS = ["onnx-int8", "tflite-int8", "coreml-fp16"]


@pytest.fixture
def stray(tmp_path):
    path = tmp_path / "stray.onnx"
    onnx.save(onnx_model("batch"), str(path))
    return path


class TestWithoutAContract:
    def test_onnx_shows_its_interface(self, stray):
        found = inspected(stray)
        assert found.embedded is None
        (image,) = found.contract.inputs
        assert (image.name, image.shape, image.layout) == ("image", (1, 1, 8, 8), "NCHW")
        assert found.contract.dynamic_batch
        assert found.disagreements == []

    def test_tflite_shows_its_signature_s_names(self, tmp_path):
        path = tmp_path / "stray.tflite"
        path.write_bytes(tflite_bytes())
        (image,) = inspected(path).contract.inputs
        assert (image.shape, image.dtype, image.layout) == ((1, 8, 8, 1), "float32", "NHWC")
        assert not image.name.startswith("serving_default")

    def test_the_command_says_so(self, cli, stray):
        result = cli("export", "inspect", stray)
        assert result.returncode == 0, result.stderr
        assert "no contract of edgeworthy inside" in result.stdout
        assert "not known: ask whoever trained the network" in result.stdout

    def test_an_open_size_is_a_question_mark(self, cli, tmp_path):
        model = onnx_model(1)
        model.graph.input[0].type.tensor_type.shape.dim[2].ClearField("dim_value")
        onnx.save(model, str(tmp_path / "open.onnx"))
        assert "1x1x?x8" in cli("export", "inspect", tmp_path / "open.onnx").stdout


class TestDisagreement:
    def test_a_graph_that_was_changed_after_export(self, stray):
        shown = inspected(stray).contract
        wrong = replace(shown.inputs[0], dtype="int8", scale=0.5, zero_point=1)
        claimed = replace(shown, inputs=(wrong,))
        said = embed.Embedded(network="net", precision="fp32", contract=claimed)
        embed.write(stray, "onnx", said)
        assert inspected(stray).disagreements == [
            "inputs.image.dtype: the contract inside says int8, the graph says float32",
            "inputs.image.scale: the contract inside says 0.5, the graph says None",
            "inputs.image.zero_point: the contract inside says 1, the graph says None",
        ]

    def test_an_open_batch_may_be_called_by_any_size(self, stray):
        shown = inspected(stray).contract
        eight = replace(shown, inputs=(replace(shown.inputs[0], shape=(8, 1, 8, 8)),))
        said = embed.Embedded(network="net", precision="fp32", contract=eight)
        embed.write(stray, "onnx", said)
        assert inspected(stray).disagreements == []

    def test_a_file_that_is_not_the_manifest_s(self, cli, tmp_path):
        directory = tiny_onnx(tmp_path)
        with (directory / "model.onnx").open("ab") as file:
            file.write(onnx.ModelProto(producer_name="another").SerializeToString())
        result = cli("export", "inspect", directory)
        assert result.returncode == 1
        assert "it was truncated or replaced" in result.stderr
        assert "1x1x8x8" in result.stdout

    def test_a_manifest_that_says_otherwise(self, cli, trained, tmp_path):
        directory = tmp_path / "changed"
        shutil.copytree(trained / MOBILENET / "tflite-int8", directory)
        manifest = read_manifest(directory)
        assert manifest.contract.preprocessing is not None
        other = msgspec.convert(
            msgspec.to_builtins(manifest.contract.preprocessing) | {"mean": [0.5]}, Preprocessing
        )
        contract = replace(manifest.contract, preprocessing=other)
        write_manifest(directory, replace(manifest, contract=contract))
        result = cli("export", "inspect", directory)
        assert result.returncode == 1
        assert "contract.preprocessing.mean: the file says" in result.stderr


class TestExported:
    @pytest.mark.parametrize("variant", VARIANTS)
    def test_a_stray_file_tells_all(self, cli, trained, tmp_path, variant):
        manifest = read_manifest(trained / MOBILENET / variant)
        source = trained / MOBILENET / variant / MODEL_FILES[manifest.format]
        path = tmp_path / f"renamed{source.suffix}"
        (shutil.copytree if source.is_dir() else shutil.copyfile)(source, path)
        result = cli("export", "inspect", path)
        assert result.returncode == 0, result.stderr
        assert MOBILENET in result.stdout
        assert "resize to 64x64" in result.stdout
        assert "T-shirt/top, Trouser" in result.stdout
        assert "x - 0.286" in result.stdout
        tables = [line for line in result.stdout.splitlines() if not line.startswith("    x")]
        assert max(map(len, tables)) <= 80

    @pytest.mark.parametrize("variant", VARIANTS)
    def test_json_holds_the_contract(self, cli, trained, variant):
        directory = trained / MOBILENET / variant
        manifest = read_manifest(directory)
        data = json.loads(cli("export", "inspect", directory, "--json").stdout)
        assert msgspec.convert(data["contract"], Contract) == manifest.contract
        assert msgspec.convert(data["computation"], Computation) == manifest.computation
        assert data["disagreements"] == []

    def test_the_float_program_is_explained_elsewhere(self, cli, trained):
        result = cli("export", "inspect", trained / MOBILENET / "torch-fp32")
        assert result.returncode == 2
        assert "edgeworthy models show" in result.stderr


@pytest.mark.parametrize("why", [[], ["--why"]], ids=["", "why"])
def test_a_package_whose_weights_are_cut_is_refused(cli, trained, tmp_path, why):
    package = tmp_path / "cut.mlpackage"
    shutil.copytree(trained / MOBILENET / "coreml-int8" / "model.mlpackage", package)
    blob = next(package.rglob("weight.bin"))
    blob.write_bytes(blob.read_bytes()[:-100_000])
    result = cli("export", "inspect", package, *why)
    assert result.returncode == 2
    assert "its blob file is" in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("name", "contents", "words"),
    [
        ("no.onnx", b"not a model", "cannot read"),
        ("no.tflite", b"not a model", "it is not a TFLite file"),
        ("cut.tflite", tflite_bytes()[:2000], "it is damaged"),
        ("no.txt", b"", "is no model file"),
    ],
    ids=["onnx", "tflite", "cut", "text"],
)
@pytest.mark.parametrize("why", [[], ["--why"]], ids=["", "why"])
def test_what_cannot_be_read_is_refused_in_one_line(cli, tmp_path, name, contents, words, why):
    path = tmp_path / name
    path.write_bytes(contents)
    result = cli("export", "inspect", path, *why)
    assert result.returncode == 2
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == ""


def test_what_is_not_there_is_refused(cli, tmp_path):
    (tmp_path / "empty.mlpackage").mkdir()
    for name, words in [("none.onnx", "there is no file"), ("", "it has no manifest.json")]:
        result = cli("export", "inspect", tmp_path / name)
        assert (result.returncode, words in result.stderr) == (2, True)
    result = cli("export", "inspect", tmp_path / "empty.mlpackage")
    assert "No such file" in result.stderr


def test_against_needs_why(cli, stray):
    result = cli("export", "inspect", stray, "--against", stray)
    assert (result.returncode, "add --why" in result.stderr) == (2, True)


class TestPrecision:
    """What a file without a contract is called: by what it computes in and stores."""

    @pytest.mark.parametrize(
        ("linear", "stored", "expected"),
        [
            ({"float32": 9}, {"float32": 99}, "fp32"),
            ({"float32": 9}, {"float16": 99, "float32": 1}, "fp16"),
            ({"float16": 9}, {"float16": 99}, "fp16"),
            ({"float32": 9}, {"int8": 99, "float32": 10}, "int8-weights"),
            ({"int8": 8, "float32": 1}, {"int8": 99}, "int8"),
            ({}, {}, "fp32"),
        ],
    )
    def test_by_the_most(self, linear, stored, expected):
        assert precision(Computation(operators={}, linear=linear, weight_bytes=stored)) == expected


class TestWording:
    def contract(self, layout, shape, dtype="float32", scale=None, zero_point=None, channels=3):
        tensor = Tensor(
            name="x", shape=shape, dtype=dtype, layout=layout, scale=scale, zero_point=zero_point
        )
        steps = Preprocessing(
            channels=channels,
            size=(4, 4),
            mean=(0.25, 0.5, 0.75)[:channels],
            std=(0.5, 0.25, 0.125)[:channels],
        )
        return Contract(
            inputs=(tensor,),
            outputs=(),
            dynamic_batch=False,
            preprocessing=steps,
            postprocessing="",
        )

    @pytest.mark.parametrize(("layout", "shape"), [("NCHW", (1, 3, 4, 4)), ("NHWC", (1, 4, 4, 3))])
    def test_the_code_makes_the_input(self, layout, shape):
        """The lines are run, and compared with the formula of `models.preprocess`."""
        import numpy as np
        from PIL import Image

        pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
        names = {"np": np, "image": Image.fromarray(pixels)}
        exec("\n".join(wording.feeding(self.contract(layout, shape))), names)
        expected = (pixels / 255 - [0.25, 0.5, 0.75]) / [0.5, 0.25, 0.125]
        made = names["x"] if layout == "NHWC" else names["x"].transpose(0, 2, 3, 1)
        assert (names["x"].shape, names["x"].dtype) == (shape, np.float32)
        np.testing.assert_allclose(made[0], expected, rtol=1e-5, atol=1e-6)

    def test_the_code_quantizes_an_integer_input(self):
        import numpy as np
        from PIL import Image

        contract = self.contract("NHWC", (1, 4, 4, 1), "int8", 0.01, -10, channels=1)
        pixels = np.linspace(0, 255, 16).reshape(4, 4).astype(np.uint8)
        names = {"np": np, "image": Image.fromarray(pixels)}
        exec("\n".join(wording.feeding(contract)), names)
        real = (pixels / 255 - 0.25) / 0.5
        stored = np.clip(np.rint(real / 0.01) - 10, -128, 127)
        assert names["x"].dtype == np.int8
        np.testing.assert_allclose(names["x"][0, :, :, 0], stored, atol=1)

    def test_pixels_are_given_as_they_are(self):
        import numpy as np
        from PIL import Image

        contract = self.contract("NHWC", (1, 4, 4, 3))
        steps = Preprocessing(channels=3, size=(4, 4), mean=(0.0,) * 3, std=(1 / 255,) * 3)
        contract = msgspec.structs.replace(contract, preprocessing=steps)
        pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
        names = {"np": np, "image": Image.fromarray(pixels)}
        exec("\n".join(wording.feeding(contract)), names)
        np.testing.assert_array_equal(names["x"][0], pixels)
        assert wording.preprocessing(steps).endswith("values from 0 to 255 as they are")

    def test_an_input_that_is_no_image_has_no_code(self):
        assert wording.feeding(self.contract("NC", (1, 10))) == []

    def test_a_resize_keeps_the_centre(self):
        steps = Preprocessing(
            channels=3, size=(224, 224), mean=(0.5,) * 3, std=(0.5,) * 3, resize=256
        )
        words = wording.preprocessing(steps)
        assert "shorter side to 256, cut 224x224 from the centre" in words
        assert words.endswith("subtract 0.5, divide by 0.5")

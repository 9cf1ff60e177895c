"""What is embedded comes back, changes nothing else, and is the same for the same contract."""

import json
import struct
import zipfile

import numpy as np
import onnx
import pytest
from flatbuffers.table import Table
from msgspec.structs import replace

from export import embed, flat
from export.artifact import (
    MODEL_FILES,
    ArtifactError,
    Contract,
    Quantization,
    Tensor,
    read_manifest,
)
from export.tflite_metadata import LABELS
from models.preprocess import Preprocessing
from tests.tiny import onnx_model, tflite_bytes

LENET = "lenet5@fashion-mnist"
CONTRACT = Contract(
    inputs=(
        Tensor(
            name="image", shape=(1, 8, 8, 1), dtype="int8", layout="NHWC", scale=0.5, zero_point=-3
        ),
    ),
    outputs=(Tensor(name="logits", shape=(1, 10), dtype="float32", layout="NC"),),
    dynamic_batch=False,
    preprocessing=Preprocessing(channels=1, size=(8, 8), mean=(0.5,), std=(0.25,)),
    postprocessing="softmax gives probabilities",
    classes=tuple(f"class {number}" for number in range(10)),
)
QUANTIZATION = Quantization(weights="int8", activations="int8", recipe={"opset": 18})
EMBEDDED = embed.described("net", "int8", CONTRACT, QUANTIZATION, {"tool": "1.0", "other": "2"})
NAMELESS = replace(EMBEDDED, contract=replace(CONTRACT, classes=None))


def entry(path, name):
    """Read a TFLite metadata entry by the schema's field numbers alone."""
    data = bytearray(path.read_bytes())
    root = Table(data, struct.unpack_from("<I", data)[0])
    buffers = flat.elements(root, 4)
    for place in flat.elements(root, 6):
        found = Table(data, place)
        if _string(found, 0) == name:
            number = struct.unpack_from("<I", data, flat.place(found, 1))[0]
            start = flat.target(Table(data, buffers[number]), 0)
            size = struct.unpack_from("<I", data, start)[0]
            return bytes(data[start + 4 : start + 4 + size])
    return None


def _string(table, field):
    start = flat.target(table, field)
    size = struct.unpack_from("<I", table.Bytes, start)[0]
    return bytes(table.Bytes[start + 4 : start + 4 + size]).decode()


@pytest.fixture
def onnx_file(tmp_path):
    path = tmp_path / "model.onnx"
    onnx.save(onnx_model(1), str(path))
    return path


@pytest.fixture
def tflite_file(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(tflite_bytes())
    return path


class TestAnyFormat:
    @pytest.mark.parametrize("name", ["onnx_file", "tflite_file"])
    def test_what_is_written_is_read(self, request, name):
        path = request.getfixturevalue(name)
        kind = embed.format_of(path)
        assert embed.read(path, kind) is None
        embed.write(path, kind, EMBEDDED)
        assert embed.read(path, kind) == EMBEDDED
        assert EMBEDDED.opset == 18

    @pytest.mark.parametrize("name", ["onnx_file", "tflite_file"])
    def test_the_same_contract_gives_the_same_bytes(self, request, name):
        path = request.getfixturevalue(name)
        bare = path.read_bytes()
        made = []
        for _ in range(2):
            path.write_bytes(bare)
            embed.write(path, embed.format_of(path), EMBEDDED)
            made.append(path.read_bytes())
        assert made[0] == made[1]

    def test_a_program_is_left_alone(self, tmp_path):
        path = tmp_path / "model.pt2"
        path.write_bytes(b"program")
        embed.write(path, "torch", EMBEDDED)
        assert path.read_bytes() == b"program"

    @pytest.mark.parametrize("name", ["model.txt", "model", "model.pb"])
    def test_other_files_are_refused(self, tmp_path, name):
        with pytest.raises(ArtifactError, match=r"is no model file.*\.onnx"):
            embed.format_of(tmp_path / name)

    def test_a_damaged_contract_is_refused(self, onnx_file):
        model = onnx.load(str(onnx_file))
        model.metadata_props.add(key=embed.KEY, value='{"network": 3}')
        onnx.save(model, str(onnx_file))
        with pytest.raises(ArtifactError, match=r"the contract inside .* is damaged"):
            embed.read(onnx_file, "onnx")


class TestOnnx:
    def test_the_graph_is_untouched(self, onnx_file):
        before = onnx.load(str(onnx_file))
        embed.write(onnx_file, "onnx", EMBEDDED)
        after = onnx.load(str(onnx_file))
        assert after.graph == before.graph
        assert [e.key for e in after.metadata_props] == [embed.KEY]
        onnx.checker.check_model(after)


class TestTflite:
    def run(self, path):
        from ai_edge_litert.interpreter import Interpreter

        runner = Interpreter(str(path)).get_signature_runner()
        (name,) = runner.get_input_details()
        shape = runner.get_input_details()[name]["shape"]
        image = np.linspace(-1, 1, np.prod(shape), dtype=np.float32).reshape(shape)
        return next(iter(runner(**{name: image}).values()))

    def test_the_runtime_computes_the_same(self, tflite_file):
        before = self.run(tflite_file)
        embed.write(tflite_file, "tflite", EMBEDDED)
        np.testing.assert_array_equal(self.run(tflite_file), before)

    def test_weights_keep_their_alignment(self, tflite_file):
        """Runtimes map the file and read weights in place."""
        before = len(tflite_file.read_bytes())
        embed.write(
            tflite_file, "tflite", replace(EMBEDDED, contract=replace(CONTRACT, classes=None))
        )
        assert (len(tflite_file.read_bytes()) - before) % 64 == 0

    def test_the_standard_entry_holds_what_its_readers_know(self, tflite_file):
        """By the field numbers of metadata_schema.fbs."""
        embed.write(tflite_file, "tflite", EMBEDDED)
        data = bytearray(entry(tflite_file, "TFLITE_METADATA"))
        assert data[4:8] == b"M001"
        model = Table(data, struct.unpack_from("<I", data)[0])
        assert _string(model, 0) == "net"
        (subgraph,) = (Table(data, place) for place in flat.elements(model, 3))
        (image,) = (Table(data, place) for place in flat.elements(subgraph, 2))
        (logits,) = (Table(data, place) for place in flat.elements(subgraph, 3))
        assert (_string(image, 0), _string(logits, 0)) == ("image", "logits")
        content = Table(data, flat.target(image, 3))
        assert data[flat.place(content, 0)] == 2  # ImageProperties
        assert data[flat.place(Table(data, flat.target(content, 1)), 0)] == 2  # GRAYSCALE
        (unit,) = (Table(data, place) for place in flat.elements(image, 4))
        normalization = Table(data, flat.target(unit, 1))
        values = [struct.unpack_from("<If", data, flat.target(normalization, i)) for i in (0, 1)]
        assert values == [(1, 255 * 0.5), (1, 255 * 0.25)]
        (labels,) = (Table(data, place) for place in flat.elements(logits, 6))
        assert _string(labels, 0) == LABELS

    def test_the_labels_lie_in_an_archive_behind_the_model(self, tflite_file):
        embed.write(tflite_file, "tflite", EMBEDDED)
        with zipfile.ZipFile(tflite_file) as archive:
            assert tuple(archive.read(LABELS).decode().split("\n")) == CONTRACT.classes

    def test_labels_of_no_name_take_no_room(self, tflite_file):
        embed.write(
            tflite_file, "tflite", replace(EMBEDDED, contract=replace(CONTRACT, classes=None))
        )
        assert not zipfile.is_zipfile(tflite_file)

    def test_older_metadata_stays(self, tflite_file):
        before = entry(tflite_file, "min_runtime_version")
        embed.write(tflite_file, "tflite", EMBEDDED)
        assert entry(tflite_file, "min_runtime_version") == before
        assert json.loads(entry(tflite_file, embed.KEY))["network"] == "net"


class TestExported:
    """Every exported file, that of Core ML included."""

    @pytest.fixture(params=["onnx-int8", "tflite-int8", "tflite-fp32", "coreml-int8"])
    def exported(self, request, trained):
        return trained / LENET / request.param

    def test_a_file_holds_its_manifest_s_contract(self, exported):
        manifest = read_manifest(exported)
        inside = embed.read(exported / MODEL_FILES[manifest.format], manifest.format)
        assert inside is not None
        assert embed.differences(inside, manifest) == []
        assert inside.tools == manifest.tools
        assert inside.contract.classes[0] == "T-shirt/top"

    def test_every_difference_is_named(self, exported):
        manifest = read_manifest(exported)
        inside = embed.read(exported / MODEL_FILES[manifest.format], manifest.format)
        renamed = replace(manifest.contract.inputs[0], name="picture")
        changed = replace(manifest, contract=replace(manifest.contract, inputs=(renamed,)))
        assert embed.differences(inside, changed) == [
            "contract.inputs[0].name: the file says image, the manifest says picture"
        ]

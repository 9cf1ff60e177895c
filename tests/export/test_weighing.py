"""Where the bytes are: every one accounted for, each kind and layer named."""

import json
import shutil

import numpy as np
import onnx
import pytest

from export.artifact import MODEL_FILES, ArtifactError, read_manifest
from export.inspected import size
from export.weighing import Change, Part, changes, summed, weigh
from tests.tiny import onnx_model, tflite_bytes, weights

MOBILENET = "mobilenet_v1_0.25_64@fashion-mnist"


def by_kind(parts):
    found = {}
    for part in parts:
        found[part.kind] = found.get(part.kind, 0) + part.bytes
    return found


def test_an_onnx_file_to_the_byte(tmp_path):
    path = tmp_path / "model.onnx"
    onnx.save(onnx_model(1), str(path))
    parts = weigh(path)
    assert sum(part.bytes for part in parts) == path.stat().st_size
    overhead = 4  # a tag and a length before the numbers of each tensor, of one byte or two
    found = {(part.kind, part.layer): part.bytes for part in parts}
    for layer in ("kernel", "matrix"):
        assert 0 < found["weights", layer] - weights()[layer].nbytes <= overhead
    assert 0 < found["biases", "kernel"] - weights()["shift"].nbytes <= overhead
    assert 0 < found["biases", "matrix"] - weights()["bias"].nbytes <= overhead


def test_a_tflite_file_to_the_byte(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(tflite_bytes())
    parts = weigh(path)
    found = by_kind(parts)
    assert sum(found.values()) == path.stat().st_size
    assert "unused" not in found
    lengths = 4 * 2  # a vector's length before the numbers of each of two layers
    values = sum(weights()[name].nbytes for name in ("kernel", "matrix"))
    assert found["weights"] == values + lengths
    layers = {part.layer for part in parts if part.kind == "weights"}
    # On one channel the convolution is a depthwise one to TFLite.
    assert layers == {"1 DEPTHWISE_CONV_2D", "2 FULLY_CONNECTED"}


@pytest.mark.parametrize("zeros", [0, 1, 64, 65])
def test_what_follows_a_file_is_padding_if_short_and_empty(tmp_path, zeros):
    path = tmp_path / "model.tflite"
    path.write_bytes(tflite_bytes() + bytes(zeros))
    before = tmp_path / "before.tflite"
    before.write_bytes(tflite_bytes())
    grew = {(c.kind, c.difference) for c in changes(weigh(path), weigh(before))}
    expected = {("padding", zeros)} if zeros <= 64 else {("unused", zeros)}
    assert grew == (expected if zeros else set())


def test_equal_parts_are_summed_in_the_order_of_kinds():
    parts = [
        Part(kind="names", layer="", bytes=1),
        Part(kind="weights", layer="a", bytes=2),
        Part(kind="names", layer="", bytes=3),
    ]
    assert summed(parts) == [
        Part(kind="weights", layer="a", bytes=2),
        Part(kind="names", layer="", bytes=4),
    ]


def test_changes_are_by_kind_and_layer_with_what_grew_first():
    def part(layer, count):
        return Part(kind="weights", layer=layer, bytes=count)

    found = changes([part("a", 5), part("b", 1), part("c", 7)], [part("a", 4), part("d", 9)])
    assert [(c.layer, c.difference) for c in found] == [("c", 7), ("a", 1), ("b", 1), ("d", -9)]
    assert found[-1] == Change(kind="weights", layer="d", bytes=0, other=9)


class TestExported:
    def test_every_byte_of_every_file(self, trained):
        for directory in sorted(trained.glob("*/[oct]*")):
            manifest = read_manifest(directory)
            if manifest.format != "torch":
                path = directory / MODEL_FILES[manifest.format]
                parts = weigh(path)
                assert sum(part.bytes for part in parts) == size(path) == manifest.size_bytes
                assert min(part.bytes for part in parts) >= 0

    @pytest.mark.parametrize("variant", ["onnx-int8", "tflite-int8", "coreml-int8"])
    def test_weights_in_int8_are_a_byte_each(self, trained, variant):
        """What a converter leaves in float is small: Core ML's tensors of under 2048 numbers."""
        directory = trained / MOBILENET / variant
        manifest = read_manifest(directory)
        found = by_kind(weigh(directory / MODEL_FILES[manifest.format]))
        assert found["weights"] == pytest.approx(manifest.network.parameters, rel=0.08)
        assert found["quantization"] > 0

    def test_every_format_names_the_network_s_28_layers(self, trained):
        """Core ML allows no points in a name."""
        found = []
        for variant in ("onnx-int8", "tflite-int8", "coreml-int8"):
            directory = trained / MOBILENET / variant
            path = directory / MODEL_FILES[read_manifest(directory).format]
            layers = {part.layer for part in weigh(path) if part.kind == "weights"}
            found.append({layer.replace(".", "_") for layer in layers})
        assert found[0] == found[1] == found[2]
        assert len(found[0]) == 28

    @pytest.mark.parametrize("contents", [b"", b"cut"])
    def test_a_damaged_blob_file_is_refused(self, trained, tmp_path, contents):
        package = tmp_path / "model.mlpackage"
        shutil.copytree(trained / MOBILENET / "coreml-fp16" / "model.mlpackage", package)
        next(package.rglob("weight.bin")).write_bytes(contents)
        with pytest.raises(ArtifactError, match="its blob file is cut short"):
            weigh(package)

    def test_why_prints_parts_and_layers(self, cli, trained):
        result = cli("export", "inspect", trained / MOBILENET / "tflite-int8", "--why")
        assert result.returncode == 0, result.stderr
        assert max(map(len, result.stdout.splitlines()[2:])) <= 80
        assert "100.0 %" in result.stdout
        assert "features.13.1.0" in result.stdout

    def test_against_another_file_says_what_grew(self, cli, trained):
        network = trained / MOBILENET
        pair = [network / "tflite-fp32", "--why", "--against", network / "tflite-int8", "--json"]
        data = json.loads(cli("export", "inspect", *pair).stdout)
        assert data["changes"][0]["kind"] == "weights"
        assert data["changes"][-1]["kind"] == "quantization"
        grown = sum(change["bytes"] - change["other"] for change in data["changes"])
        sizes = [read_manifest(network / v).size_bytes for v in ("tflite-fp32", "tflite-int8")]
        assert grown == sizes[0] - sizes[1]
        assert data["bytes"] == sizes[0]


@pytest.mark.parametrize("length", [0.3, 0.9])
def test_a_file_cut_short_is_refused(tmp_path, length):
    path = tmp_path / "model.onnx"
    onnx.save(onnx_model(1), str(path))
    data = path.read_bytes()
    path.write_bytes(data[: int(length * len(data))])
    with pytest.raises(ArtifactError, match="cannot read"):
        weigh(path)


def test_a_scale_shared_by_two_tensors_counts_once(tmp_path):
    """Equal numbers may share one place in a flatbuffer; here all names share one."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(tflite_bytes(), 0))
    for tensor in model.subgraphs[0].tensors:
        tensor.quantization = schema.QuantizationParametersT(
            scale=np.full(64, 0.5, np.float32), zeroPoint=np.zeros(64, np.int64)
        )
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    path = tmp_path / "model.tflite"
    path.write_bytes(bytes(builder.Output()))
    parts = weigh(path)
    assert sum(part.bytes for part in parts) == path.stat().st_size
    count = len(model.subgraphs[0].tensors)
    assert by_kind(parts)["quantization"] > count * (4 * 64 + 8 * 64)

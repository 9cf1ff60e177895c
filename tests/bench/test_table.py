from io import StringIO

import msgspec
from rich.console import Console

from bench.record import Accuracy, ColdStart, EndToEnd
from bench.rows import rows
from bench.table import notes, table
from export.artifact import Calibration, Quantization
from tests.bench.records import make_manifest, make_record

STEADY = [[4_100_000] * 20] * 12
LONG = "mobilenet_v1_0.25_64@fashion-mnist"


def shown(records, width=120):
    console = Console(width=width, file=StringIO())
    console.print(table(records))
    return console.file.getvalue()


def line_of(text, word):
    return next(line for line in text.splitlines() if word in line)


def test_a_line_gives_every_figure_with_its_unit():
    line = line_of(shown([make_record(rounds=STEADY)]), "onnx fp32")
    figures = "onnx fp32 4.09 MB 2.00 ms 3.00 ms 4.10 ms 0.0% 4.10 ms 4.10 ms 50.0 MB valid"
    assert " ".join(line.split()) == figures


def test_cold_starts_take_load_and_first_into_a_table_of_their_own():
    cold = ColdStart(start_ns=1, import_ns=1, load_ns=1, first_ns=1)
    text = shown([msgspec.structs.replace(make_record(rounds=STEADY), cold=(cold,))])
    assert "first" not in text


def test_runs_with_copies_have_a_column_and_their_definition():
    whole = EndToEnd(definition="run(), without IO binding", rounds=((5_000_000,),))
    record = msgspec.structs.replace(make_record(rounds=STEADY), end_to_end=whole)
    assert "in+out" in shown([record])
    assert "5.00 ms" in line_of(shown([record]), "onnx fp32")
    assert any("(onnxruntime run(), without IO binding)" in note for note in notes([record]))


def test_a_heading_gives_what_holds_in_every_format():
    text = shown([make_record(rounds=STEADY)])
    assert "net (random weights)" in text
    assert "1.23 M parameters, 41.0 M MACs" in text


def test_accuracy_has_a_column_where_there_is_one():
    accuracy = Accuracy(dataset="d", fingerprint="f", images=1000, top1=0.9025, top5=None)
    with_it = make_record(rounds=STEADY, accuracy=accuracy)
    without = make_record(rounds=STEADY, manifest=make_manifest("other"))
    text = shown([with_it, without])
    assert "90.25 %" in text
    assert line_of(text, "onnx fp32").split().count("-") <= 1
    assert "top-1" not in shown([without])
    assert "top-1: on 1000 test images of d, as run on the device" in notes([with_it])


def test_it_fits_120_columns_with_long_names_and_accuracy():
    accuracy = Accuracy(dataset="d", fingerprint="f", images=1000, top1=0.9025, top5=None)
    quantization = Quantization(
        weights="int8",
        activations="int8",
        calibration=Calibration(source="data", images=1, fingerprint="f", method="minmax"),
    )
    manifest = make_manifest(
        LONG, format="tflite", precision="int8-weights", quantization=quantization
    )
    record = make_record(rounds=[[999_000_000] * 3] * 12, manifest=manifest, accuracy=accuracy)
    text = shown([record])
    assert LONG in text
    assert "…" not in text
    assert "tflite int8-weights" in text


def test_what_varies_is_named_in_each_line_and_what_does_not_in_the_title():
    text = shown([make_record(rounds=STEADY, threads=n) for n in (1, 4)])
    assert text.splitlines()[0].strip() == "cpu, batch 1"
    assert "onnx fp32, 1 thread " in text
    assert "onnx fp32, 4 threads " in text


def test_random_calibration_is_said_in_the_line():
    calibration = Calibration(source="random", images=8, fingerprint="f", method="minmax")
    quantization = Quantization(weights="int8", activations="int8", calibration=calibration)
    text = shown([make_record(rounds=STEADY, manifest=make_manifest(quantization=quantization))])
    assert "onnx fp32, random calibration" in text


def test_every_verdict_but_valid_has_its_reason_in_the_notes():
    records = [
        make_record(rounds=(), failure="load", manifest=make_manifest("f")),
        make_record(
            rounds=(), failure="start", cause="missing-runtime", manifest=make_manifest("m")
        ),
        make_record(rounds=(), failure="verify", verified=False, manifest=make_manifest("w")),
        make_record(rounds=STEADY, verified=None, manifest=make_manifest("u")),
        make_record(rounds=STEADY[:3], manifest=make_manifest("s")),
        make_record(rounds=STEADY, manifest=make_manifest("v")),
    ]
    told = {line.split("/")[0]: line for line in notes(records) if "/onnx-fp32: " in line}
    assert sorted(told) == ["f", "m", "s", "u", "w"]
    assert ": failed: load: died: why" in told["f"]
    assert ": unmeasured: start: missing-runtime" in told["m"]
    assert ": wrong: PSNR 3.0 dB" in told["w"]
    assert ": unproved: " in told["u"]
    assert ": too short: 3 rounds" in told["s"]
    assert "--max-seconds" in told["s"]


def test_an_emulated_device_is_told_twice():
    record = make_record(rounds=STEADY, emulated=True)
    assert "emulated" in line_of(shown([record]), "onnx fp32")
    assert any("emulated: its times mean nothing" in note for note in notes([record]))


def test_threads_that_were_not_those_asked_for_are_noted():
    record = make_record(rounds=STEADY, threads=4)
    settings = msgspec.structs.replace(record.settings, threads_found=2)
    found = notes([msgspec.structs.replace(record, settings=settings)])
    assert "net/onnx-fp32: 2 threads found, 4 asked for" in found


def test_a_name_with_brackets_is_printed_as_it_is():
    text = shown([make_record(rounds=STEADY, manifest=make_manifest("net[red]"))])
    assert "net[red]" in text


def test_rows_are_sorted_whatever_the_order_of_the_records():
    records = [make_record(manifest=make_manifest(name)) for name in "cab"]
    assert [row.model for row in rows(records)] == ["a", "b", "c"]
    assert rows(records) == rows(records[::-1])


def test_nothing_is_said_to_be_nothing():
    assert "nothing was measured" in shown([])

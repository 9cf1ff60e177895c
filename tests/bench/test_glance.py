"""What a report says first."""

from msgspec.structs import replace

from bench.report.glance import statements
from bench.report.material import gather
from bench.tradeoff import tradeoff
from export.artifact import Proof
from tests.bench.clouds import clouded, link
from tests.bench.factory import manifest, proved, record, unproved

SMALL = manifest("lenet5", size=70_000)
LARGE = manifest("vgg16", size=500_000_000)
BOARD = {"device": "board", "fingerprint": "b", "emulated": True}


def said(manifests=(), records=(), *, weigh=False):
    weighed = tradeoff(records) if weigh else None
    return {s.head: s for s in statements(gather(manifests, records, tradeoff=weighed))}


def test_the_smallest_is_one_that_was_proved():
    tiny = manifest("tiny", size=10, proof=unproved())
    wrong = manifest("wrong", size=20, proof=replace(proved(), verified=False))
    found = said([LARGE, SMALL, tiny, wrong])["Smallest"]
    assert (found.name, found.figure) == ("lenet5/tflite-fp32", "70.0 kB, proved")
    assert found.source == SMALL.key


def test_a_proof_by_an_interpreter_is_called_so():
    emulated = manifest("net", proof=Proof(verified=True, emulated=True))
    assert said([emulated])["Smallest"].figure.endswith("verified (emulated)")


def test_the_fastest_is_on_a_real_device_with_a_time_that_holds():
    records = [
        record(LARGE, 9.0),
        record(SMALL, 1.0, **BOARD),
        record(manifest("odd"), 0.5, proof=unproved()),
    ]
    found = said(records=records)["Fastest on a device"]
    assert found.name == "vgg16/tflite-fp32"
    assert "on cpu, 1 thread, batch 1, valid" in found.figure
    assert found.source == " ".join(records[0].key)


def test_a_server_is_no_device():
    found = said(records=[record(LARGE, 90.0), clouded(SMALL, link("lan"))])
    assert found["Fastest on a device"].name == "vgg16/tflite-fp32"


def test_a_count_is_no_time():
    counted = record(SMALL, 1.0, **BOARD, counts="instructions")
    assert said(records=[counted])["Fastest on a device"].name == "unmeasured"


def test_of_equals_the_most_accurate_is_the_fastest():
    records = [record(LARGE, 9.0, top1=0.94), record(SMALL, 1.0, top1=0.94)]
    found = said(records=records)["Most accurate"]
    assert (found.name, found.figure) == (
        "lenet5/tflite-fp32",
        "top-1 94.00 % of 1000 images of fashion-mnist",
    )


def test_what_was_tried_on_fewer_images_is_not_the_most_accurate():
    few = record(LARGE, 9.0, top1=0.97)
    few = replace(few, accuracy=replace(few.accuracy, images=100))
    assert said(records=[few, record(SMALL, 1.0, top1=0.9)])["Most accurate"].name == SMALL.key


def test_a_wrong_answer_is_not_accurate():
    wrong = record(LARGE, 9.0, top1=0.99, proof=replace(proved(), verified=False))
    records = [wrong, record(SMALL, 1.0, top1=0.9)]
    assert said(records=records)["Most accurate"].name == "lenet5/tflite-fp32"


def test_what_nobody_measured_says_what_to_type():
    found = said([SMALL])
    assert "bench run" in found["Fastest on a device"].figure
    assert "--data DIR" in found["Most accurate"].figure
    assert "--device cloud:URL" in found["Device or cloud"].figure


def test_links_with_one_recommendation_are_told_together():
    links = (link("3g", 1.0, 1.0, 300.0), link("4g"), link("wifi", 100.0, 100.0, 2.0))
    clouds = [clouded(LARGE, by, compute=1.0, top1=0.94) for by in links]
    found = said(records=[record(SMALL, 20.0, top1=0.9), *clouds], weigh=True)
    here = found["Device or cloud: fashion-mnist, over 3g, 4g"]
    assert here.name == "the device"
    assert here.figure.startswith("lenet5/tflite-fp32, 20.")
    assert here.source == " ".join(record(SMALL).key)
    there = found["Device or cloud: fashion-mnist, over wifi"]
    assert there.name == "the cloud"
    assert there.figure.startswith("vgg16/tflite-fp32, ")
    assert there.figure.endswith(": the fastest of 2 (no budget)")


def test_what_is_recommended_over_all_links_is_told_once():
    clouds = [clouded(LARGE, by, top1=0.94) for by in (link("3g"), link("4g"))]
    found = said(records=[record(SMALL, 1.0, top1=0.9), *clouds], weigh=True)
    assert "Device or cloud: fashion-mnist, over every one of 2 links" in found


def test_where_nothing_can_be_used_the_reason_is_told():
    edge = record(SMALL, 1.0, top1=0.9, proof=unproved())
    far = clouded(LARGE, link("4g"), top1=0.94, proof=unproved())
    found = said(records=[edge, far], weigh=True)["Device or cloud: fashion-mnist, over 4g"]
    assert (found.name, found.source) == ("cannot tell", None)
    assert "unproved" in found.figure

"""Edge or cloud, from records whose answer is known."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bench import units
from bench.candidate import Terms, candidates
from bench.constraints import parse
from bench.record import BenchError
from bench.report.markdown import markdown
from bench.report.tradeoff import as_data, nothing, report
from bench.tradeoff import judge, situation, tradeoff, turn
from export.artifact import Proof, Weights
from tests.bench.clouds import clouded, link
from tests.bench.factory import MS, manifest, record

SMALL = manifest("mobilenet", size=4_000_000, precision="int8")
LARGE = manifest("vgg16", size=500_000_000, format="onnx")
FOUR_G, WIFI = link("4g", 10.0, 40.0, 50.0), link("wifi", 100.0, 100.0, 2.0)
EDGE = record(SMALL, 20.0, top1=0.90)
CLOUDS = [clouded(LARGE, by, compute=1.0, top1=0.94) for by in (FOUR_G, WIFI)]


def by_network(found):
    (weighed,) = found.tasks
    return {one.network: one for one in weighed.situations}


def names(found):
    return {network: one.best and one.best.name for network, one in by_network(found).items()}


def test_each_network_has_its_own_answer():
    found = tradeoff([EDGE, *CLOUDS])
    assert names(found) == {
        "4g": "mobilenet/tflite-int8 on cpu",
        "wifi": "vgg16/onnx-fp32 by server over wifi",
    }
    assert found.exit_code == 0


def test_a_budget_takes_out_what_misses_it_however_fast():
    found = by_network(tradeoff([EDGE, *CLOUDS], parse("offline")))["wifi"]
    assert found.best is not None
    assert found.best.model == "mobilenet"
    assert [(j.candidate.model, j.reasons) for j in found.rejected] == [
        ("vgg16", ("needs a network",))
    ]


def test_every_constraint_that_is_missed_is_a_reason():
    (found,) = tradeoff([EDGE], parse("latency=1ms,size=1MB")).tasks[0].situations
    assert len(found.rejected[0].reasons) == 2
    assert found.exit_code == 1


def test_the_more_accurate_that_meets_the_budget_is_named_too():
    found = by_network(tradeoff([EDGE, *CLOUDS]))["4g"]
    assert found.more_accurate is not None
    assert found.more_accurate.model == "vgg16"


def test_what_an_accuracy_costs_is_the_difference_with_both_latencies():
    (best, further) = by_network(tradeoff([EDGE, *CLOUDS]))["4g"].ranked
    cost = units.duration(further.p50_ns - best.p50_ns)
    said = (
        f"+4.00 points of top-1 cost {cost}: vgg16/onnx-fp32 by server over 4g, "
        f"{units.duration(further.p50_ns)} for {units.duration(best.p50_ns)}"
    )
    assert said in report(tradeoff([EDGE, *CLOUDS])).readings


def of_images(one, top1, images):
    return replace(one, accuracy=replace(one.accuracy, top1=top1, images=images))


def test_what_few_images_cannot_tell_is_not_called_more_accurate():
    near, far = of_images(EDGE, 0.90, 100), of_images(CLOUDS[0], 0.94, 100)
    found = tradeoff([near, far])
    assert by_network(found)["4g"].more_accurate is None
    said = "\n".join(report(found).readings)
    assert "top-1 90.00 % of 100 images (82.56 % to 94.48 %)" in said
    assert "100 images cannot tell the top-1 of mobilenet/tflite-int8 on cpu from" in said
    assert "of top-1 cost" not in said


def test_of_what_latency_and_accuracy_cannot_tell_apart_the_smaller_is_recommended():
    light, heavy = replace(SMALL), manifest("vgg16", size=500_000_000)
    records = [record(light, 20.0, top1=0.90), record(heavy, 20.0, top1=0.91)]
    for images, recommended in ((100, "mobilenet"), (100_000, "vgg16")):
        found = tradeoff([of_images(r, r.accuracy.top1, images) for r in records])
        (one,) = found.tasks[0].situations
        assert one.tied
        assert one.best.model == recommended


def test_an_accuracy_on_fewer_images_is_not_called_higher():
    far = CLOUDS[0]
    assert far.accuracy is not None
    few = replace(far, accuracy=replace(far.accuracy, images=100))
    found = tradeoff([EDGE, few])
    assert by_network(found)["4g"].more_accurate is None
    assert any("on 100 or 1000 images" in note for note in report(found).notes)


def test_of_what_latency_cannot_tell_apart_the_edge_is_recommended_and_said():
    alike = clouded(LARGE, WIFI, compute=5.0, top1=0.94, seed=7)
    (p50,) = [c.p50_ns for c in candidates([alike])]
    edge = record(SMALL, p50 / MS, top1=0.90, spread=0.05)
    found = by_network(tradeoff([edge, alike]))["wifi"]
    assert [c.where for c in (*found.ranked[:1], *found.tied)] == ["edge", "cloud"]
    text = " ".join(report(tradeoff([edge, alike])).readings)
    assert "cannot be told by latency from vgg16/onnx-fp32 by server over wifi" in text
    assert "works offline" in text


def test_a_limit_within_the_interval_cannot_be_told_and_exits_3():
    loud = record(SMALL, 20.0, spread=0.2, top1=0.9)
    found = tradeoff([loud], parse("latency=20ms"))
    assert found.exit_code == 3
    assert nothing(found).startswith("cannot tell: mobilenet/tflite-int8 on cpu: latency")


def test_an_emulated_device_is_never_ranked_beside_real_ones():
    fast = record(SMALL, 1.0, top1=0.9, device="board", emulated=True)
    (found,) = tradeoff([EDGE, fast]).tasks[0].situations
    assert [c.device for c in found.ranked] == ["cpu"]
    assert found.rejected[0].reasons[0].startswith("emulated")


def test_one_network_can_be_asked_for_and_estimates_still_rest_on_all():
    found = tradeoff([EDGE, *CLOUDS], network="4g")
    assert list(by_network(found)) == ["4g"]
    assert len(found.tasks[0].models[0].checks) == 2


def test_with_a_network_only_what_was_measured_over_it_is_judged_and_the_rest_is_named():
    other = manifest("lenet5", weights=Weights(origin="trained", dataset="cifar10"))
    apart = record(other, 20.0, device="board", emulated=True)
    found = tradeoff([EDGE, *CLOUDS, apart], network="wifi")
    assert [weighed.task for weighed in found.tasks] == ["fashion-mnist"]
    assert found.exit_code == 0
    assert "left out, not measured over wifi: cifar10" in report(found).notes
    assert as_data(found)["left_out"] == ["cifar10"]
    everything = tradeoff([EDGE, *CLOUDS, apart])
    assert (len(everything.tasks), everything.left_out) == (2, ())


def test_without_a_server_the_edge_is_ranked_and_what_is_missing_is_said():
    found = tradeoff([EDGE])
    assert names(found) == {None: "mobilenet/tflite-int8 on cpu"}
    assert any(note.startswith("no server was measured") for note in report(found).notes)
    assert found.exit_code == 3
    assert "no server was measured: start one with" in nothing(found)


def test_without_a_device_the_cloud_is_ranked_and_what_is_missing_is_said():
    found = tradeoff(CLOUDS)
    assert set(names(found)) == {"4g", "wifi"}
    assert found.exit_code == 3
    assert "nothing was measured on a device: type 'bench run'" in nothing(found)


UNPROVED = Proof(verified=None, reason="no golden inputs")


@pytest.mark.parametrize(
    ("records", "says"),
    [
        ([replace(EDGE, proof=UNPROVED), *CLOUDS], "the edge can be used: mobilenet/tflite-int8"),
        ([EDGE, replace(CLOUDS[0], proof=UNPROVED)], "the cloud can be used: vgg16/onnx-fp32"),
        (
            [record(SMALL, 1.0, top1=0.9, device="board", emulated=True), *CLOUDS],
            "on board: emulated",
        ),
        ([replace(EDGE, proof=UNPROVED)], "the edge can be used"),
    ],
)
def test_a_side_of_which_no_figure_can_be_used_is_none(records, says):
    found = tradeoff(records)
    assert found.exit_code == 3
    assert nothing(found).startswith("cannot tell edge from cloud: no figure of ")
    assert says in nothing(found)


def test_a_budget_that_one_side_misses_by_itself_is_missed():
    assert tradeoff([EDGE], parse("size=1MB")).exit_code == 1


def test_sides_without_a_task_in_common_are_refused_with_the_remedy():
    other = manifest("vgg16", weights=Weights(origin="trained", dataset="cifar10"))
    with pytest.raises(BenchError, match="no task in common") as error:
        tradeoff([EDGE, clouded(other, WIFI)])
    assert "edge: fashion-mnist; cloud: cifar10" in str(error.value)


def test_no_records_at_all_are_refused():
    with pytest.raises(BenchError, match="no measurements"):
        tradeoff([])


@pytest.mark.parametrize(
    ("records", "says"), [([EDGE, *CLOUDS], "did you mean 'wifi'"), ([EDGE], "no server")]
)
def test_a_network_over_which_nothing_was_measured_is_refused(records, says):
    with pytest.raises(BenchError, match=says):
        tradeoff(records, network="wify")


def test_the_cloud_wins_beyond_its_least_rate_and_the_edge_before():
    weighed = tradeoff([EDGE, *CLOUDS]).tasks[0]
    (found,) = weighed.turns
    won = {(p.rate_mbit, p.rtt_ms): p.winner for p in found.points}
    assert won[1000.0, 1.0] == "cloud"
    assert won[0.5, 200.0] == "edge"
    assert {p.rtt_ms for p in found.points if p.winner == "cloud"} <= {
        rtt for rtt in (1.0, 2.0, 5.0, 10.0, 20.0) if rtt < found.longest_ms
    }


def test_a_server_slower_than_the_edge_without_a_network_wins_nowhere():
    quick = record(SMALL, 1.0, top1=0.9)
    weighed = tradeoff([quick, *CLOUDS]).tasks[0]
    assert set(weighed.turns[0].least_mbit) == {None}
    assert any("over no link" in line for line in report(tradeoff([quick, *CLOUDS])).readings)


def test_servers_that_win_nowhere_are_told_in_one_sentence_with_the_closest():
    quick = [
        record(manifest(name, format=form), 1.0 + n, top1=0.9)
        for n, (name, form) in enumerate((("mobilenet", "tflite"), ("lenet5", "onnx")))
    ]
    third = manifest("resnet18", format="onnx")
    servers = [
        clouded(of, by, compute=9.0, top1=0.9) for of in (LARGE, third) for by in (FOUR_G, WIFI)
    ]
    found = tradeoff([*quick, *servers])
    assert len(found.tasks[0].turns) == 4
    (said,) = [line for line in report(found).readings if "over no link" in line]
    assert said.startswith("in all 4 pairs")
    assert "lenet5/onnx-fp32 on cpu (2.0" in said
    assert len(as_data(found)["tasks"][0]["crossovers"]) == 4


def test_links_over_which_the_same_is_said_share_a_sentence():
    quick = record(SMALL, 1.0, top1=0.99)
    second = record(manifest("lenet5"), 2.0, top1=0.9)
    everywhere = report(tradeoff([quick, second, *CLOUDS])).readings
    assert everywhere[0].startswith("fashion-mnist over every one of 2 links: edge: mobilenet")
    assert len([line for line in everywhere if line.startswith("fashion-mnist")]) == 1
    apart = report(tradeoff([EDGE, *CLOUDS])).readings
    assert [line.partition(":")[0] for line in apart if line.startswith("fashion")] == [
        "fashion-mnist over 4g",
        "fashion-mnist over wifi",
    ]


limits = st.tuples(st.floats(0.5, 200), st.floats(0.1, 600), st.floats(50, 99))
EVERY = candidates([EDGE, *CLOUDS, record(LARGE, 90.0, top1=0.94), record(SMALL, 30.0)])


@given(limit=limits)
def test_what_misses_the_budget_is_never_recommended(limit):
    latency, size, accuracy = limit
    budget = parse(f"latency={latency:.3f}ms,size={size:.3f}MB,accuracy={accuracy:.2f}%")
    for network in ("4g", "wifi"):
        found = situation(network, EVERY, budget, Terms())
        for candidate in found.ranked:
            assert candidate.high_ns <= budget[0].value
            assert candidate.size_bytes <= budget[1].value
            assert candidate.top1 >= budget[2].value
            assert candidate.network in (None, network)
        assert len(found.ranked) + len(found.rejected) == sum(
            c.network in (None, network) for c in EVERY
        )


@given(limit=limits)
def test_a_wider_budget_never_takes_a_candidate_out(limit):
    latency, size, accuracy = limit
    narrow = parse(f"latency={latency:.3f}ms,size={size:.3f}MB,accuracy={accuracy:.2f}%")
    wide = parse(f"latency={2 * latency:.3f}ms,size={2 * size:.3f}MB,accuracy=50%")
    for candidate in EVERY:
        if judge(candidate, narrow, Terms()).word == "meets":
            assert judge(candidate, wide, Terms()).word == "meets"


def test_the_crossover_of_an_edge_does_not_depend_on_the_budget():
    weighed = tradeoff([EDGE, *CLOUDS], parse("size=1kB")).tasks[0]
    assert weighed.turns == (turn(weighed.candidates[0], weighed.models[0]),)


def test_json_names_every_candidate_and_carries_the_map():
    found = tradeoff([EDGE, *CLOUDS], parse("accuracy=92%"), Terms(price_per_gb=2.0))
    data = json.loads(json.dumps(as_data(found)))
    (task,) = data["tasks"]
    known = {candidate["name"] for candidate in task["candidates"]}
    assert len(known) == 3
    for one in task["situations"]:
        assert {*one["ranked"], *(r["name"] for r in one["rejected"])} <= known
        assert one["recommended"].startswith("vgg16")
    assert data["budget"] == [{"key": "accuracy", "limit": "92%"}]
    assert {p["winner"] for p in task["crossovers"][0]["map"]} >= {"edge", "cloud"}
    assert task["candidates"][1]["data_price"] == pytest.approx(6.06)


def test_the_report_calls_estimates_estimates_and_shows_what_was_not_measured():
    text = markdown(report(tradeoff([EDGE, *CLOUDS, record(SMALL, 30.0, threads=2, top1=0.9)])))
    assert "estimated" in text
    assert "est." in text
    assert "unmeasured" in text
    assert "not known; give --price-per-gb" in text

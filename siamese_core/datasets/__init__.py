"""The catalogue of datasets. To add one: write its record beside the others, list it here."""

from siamese_core.datasets.bundled import DIGITS, FASHION_MNIST, MNIST
from siamese_core.datasets.full import FASHION_MNIST_FULL, MNIST_FULL
from siamese_core.datasets.published import DOWNLOADS
from siamese_core.datasets.record import EVAL_PER_CLASS, Dataset, DatasetMissing, Images, select_eval_subset
from siamese_core.datasets.remote import REMOTE
from siamese_core.datasets.shapes import SHAPES
from siamese_core.datasets.uploaded import find_uploaded, is_uploaded, uploaded_dataset

DATASETS: dict[str, Dataset] = {
    dataset.key: dataset for dataset in (DIGITS, FASHION_MNIST, MNIST, SHAPES, FASHION_MNIST_FULL, MNIST_FULL, *REMOTE)
}


def dataset_of(key: str) -> Dataset:
    """Return a dataset of the catalogue, or an uploaded one. Raises DatasetMissing where that has gone."""
    return uploaded_dataset(key) if is_uploaded(key) else DATASETS[key]


__all__ = [
    "DATASETS", "DOWNLOADS", "EVAL_PER_CLASS", "Dataset", "DatasetMissing", "Images", "dataset_of", "find_uploaded",
    "is_uploaded", "select_eval_subset",
]  # fmt: skip

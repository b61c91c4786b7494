"""The catalogue of datasets. To add one: write its record beside the others, list it here."""

from siamese_core.datasets.bundled import DIGITS, FASHION_MNIST, MNIST
from siamese_core.datasets.full import FASHION_MNIST_FULL, MNIST_FULL
from siamese_core.datasets.record import PROBE_PER_CLASS, Dataset, DatasetMissing, Images, select_probe

DATASETS: dict[str, Dataset] = {
    dataset.key: dataset for dataset in (DIGITS, FASHION_MNIST, MNIST, FASHION_MNIST_FULL, MNIST_FULL)
}

__all__ = ["DATASETS", "PROBE_PER_CLASS", "Dataset", "DatasetMissing", "Images", "select_probe"]

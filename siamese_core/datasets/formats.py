"""Reads the formats that published datasets come in; every reader takes streams whose checksum has matched.

A reader returns `Images`, and raises ValueError where the content is another than the format promises.
Archives are read in memory, and only the members that a reader names.
"""

from __future__ import annotations

import gzip
import re
import struct
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from siamese_core.datasets.record import Images

if TYPE_CHECKING:
    from PIL.Image import Image as DecodedImage

EMNIST_MEMBERS = tuple(
    f"gzip/emnist-letters-{part}-ubyte.gz"
    for part in ("train-images-idx3", "train-labels-idx1", "test-images-idx3", "test-labels-idx1")
)

CIFAR10_TRAIN = tuple(f"cifar-10-batches-bin/data_batch_{i}.bin" for i in range(1, 6))
CIFAR10_TEST = "cifar-10-batches-bin/test_batch.bin"

OMNIGLOT_ALPHABETS = (("Latin", 26), ("Greek", 24), ("Hebrew", 22))
OMNIGLOT_NAMES = (*"abcdefghijklmnopqrstuvwxyz", *"αβγδεζηθικλμνξοπρστυφχψω", *(f"Hebrew {i}" for i in range(1, 23)))
"""Seen: the Latin and the Greek characters stand in the order of their alphabets. Nobody looked at the Hebrew ones."""

OMNIGLOT_DRAWINGS = 20
OMNIGLOT_TRAIN = 14
OMNIGLOT_SIDE = 28
"""105 pixels become 28, as in Vinyals et al. (2016), Matching Networks: the size of MNIST, and a multiple of the
4 pixels that the convolutional encoder takes at a time (35 = 105 / 3 would lose its last three rows)."""

_OMNIGLOT_MEMBER = re.compile(r"images_background/(\w+)/character(\d\d)/\d{4}_(\d\d)\.png")

OLIVETTI_PEOPLE, OLIVETTI_EACH, OLIVETTI_TRAIN, OLIVETTI_SIDE = 40, 10, 7, 64

LFW_SIDE = 64
LFW_SQUARE = (62, 70, 187, 195)
"""Left, top, right, bottom: the rows that scikit-learn keeps, and as many columns around the same middle."""


def idx_images(train_images: BinaryIO, train_labels: BinaryIO, test_images: BinaryIO, test_labels: BinaryIO) -> Images:
    """Read four gzipped IDX files: images (N, H, W), labels (N,)."""
    contents = [gzip.decompress(stream.read()) for stream in (train_images, train_labels, test_images, test_labels)]
    train, train_classes, test, test_classes = map(idx_array, contents)
    return _images(train[:, None], train_classes, test[:, None], test_classes)


def emnist_letters(archive: BinaryIO) -> Images:
    """Read the zip of NIST: each image lies on its side, columns first; labels 1 to 26 become 0 to 25."""
    with zipfile.ZipFile(archive) as members:
        contents = [gzip.decompress(members.read(name)) for name in EMNIST_MEMBERS]
    train, train_classes, test, test_classes = map(idx_array, contents)
    upright = [images[:, None].swapaxes(2, 3) for images in (train, test)]
    return _images(upright[0], _counted_from_one(train_classes), upright[1], _counted_from_one(test_classes))


def cifar10(archive: BinaryIO) -> Images:
    """Read the binary tar.gz: rows of one byte of label, then 1,024 red, 1,024 green, 1,024 blue bytes, row by row."""
    members = tar_members(archive, (*CIFAR10_TRAIN, CIFAR10_TEST))
    train = np.concatenate([_cifar_rows(members[name]) for name in CIFAR10_TRAIN])
    test = _cifar_rows(members[CIFAR10_TEST])
    pixels = [rows[:, 1:].reshape(-1, 3, 32, 32) for rows in (train, test)]
    return _images(pixels[0], train[:, 0], pixels[1], test[:, 0])


def svhn(train: BinaryIO, test: BinaryIO) -> Images:
    """Read two MATLAB files: X (32, 32, 3, N), y (N, 1), where 10 is the digit 0."""
    (train_images, train_labels), (test_images, test_labels) = _svhn_part(train), _svhn_part(test)
    return _images(train_images, train_labels, test_images, test_labels)


def omniglot(archive: BinaryIO) -> Images:
    """Read PNGs of 105 × 105, black ink on white, made white on black; 14 drawings of each character for training."""
    wanted = [
        (alphabet, character, drawer)
        for alphabet, characters in OMNIGLOT_ALPHABETS
        for character in range(1, characters + 1)
        for drawer in range(1, OMNIGLOT_DRAWINGS + 1)
    ]
    with zipfile.ZipFile(archive) as members:
        matches = (_OMNIGLOT_MEMBER.fullmatch(name) for name in members.namelist())
        names = {(match[1], int(match[2]), int(match[3])): match[0] for match in matches if match}
        lacking = [drawing for drawing in wanted if drawing not in names]
        _expect(not lacking, f"it lacks {len(lacking)} drawings")
        drawings = np.stack([_ink(members.read(names[drawing])) for drawing in wanted])
    classes = len(OMNIGLOT_NAMES)
    return split(drawings[:, None], [OMNIGLOT_DRAWINGS] * classes, [OMNIGLOT_TRAIN] * classes)


def olivetti(mat: BinaryIO) -> Images:
    """Read a MATLAB file: `faces` (4096, 400), each face column by column, ten of each person in a row."""
    faces = _mat(mat, "faces")["faces"]
    count = OLIVETTI_PEOPLE * OLIVETTI_EACH
    _expect(faces.shape == (OLIVETTI_SIDE**2, count), f"faces is {faces.shape}")
    pixels = faces.T.reshape(count, 1, OLIVETTI_SIDE, OLIVETTI_SIDE).swapaxes(2, 3).astype(np.uint8)
    return split(pixels, [OLIVETTI_EACH] * OLIVETTI_PEOPLE, [OLIVETTI_TRAIN] * OLIVETTI_PEOPLE)


def lfw(archive: BinaryIO, people: Sequence[tuple[str, int]]) -> Images:
    """Read a tar.gz of JPEGs of 250 × 250, made grey squares; `people`: (name, images), the last fifth for testing."""
    names = [f"lfw_funneled/{name}/{name}_{i:04d}.jpg" for name, count in people for i in range(1, count + 1)]
    members = tar_members(archive, names)
    counts = [count for _, count in people]
    return split(np.stack([_face(members[name]) for name in names])[:, None], counts, [n - n // 5 for n in counts])


def idx_array(content: bytes) -> NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes; see `idx` for the format."""
    _expect(
        content.startswith(b"\0\0\x08") and len(content) > 3 and len(content) >= 4 + 4 * content[3],
        "it is no IDX file of bytes",
    )
    shape = struct.unpack_from(f">{content[3]}I", content, 4)
    start = 4 + 4 * len(shape)
    _expect(len(content) - start == prod(shape), f"it does not hold {' × '.join(map(str, shape))} bytes")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def tar_members(archive: BinaryIO, names: Sequence[str]) -> dict[str, bytes]:
    """Return the contents of the regular files with these names, in one pass through a gzipped tar."""
    wanted, found = set(names), {}
    with tarfile.open(fileobj=archive, mode="r|gz") as members:
        for member in members:
            name = member.name.removeprefix("./")
            if name in wanted and member.isreg():
                stream = members.extractfile(member)
                found[name] = stream.read() if stream else b""
    lacking = wanted - set(found)
    _expect(not lacking, f"it lacks {min(lacking, default='')}")
    return found


def split(images: NDArray[np.uint8], counts: Sequence[int], train: Sequence[int]) -> Images:
    """Split images in the order of their classes, `counts` of each; the first `train` of each are for training."""
    labels = np.repeat(np.arange(len(counts)), counts)
    rank = np.concatenate([np.arange(count) for count in counts])
    training = rank < np.repeat(train, counts)
    return _images(images[training], labels[training], images[~training], labels[~training])


def _images(
    train_images: NDArray[np.uint8],
    train_labels: NDArray[Any],
    test_images: NDArray[np.uint8],
    test_labels: NDArray[Any],
) -> Images:
    for images, labels in ((train_images, train_labels), (test_images, test_labels)):
        _expect(len(images) == len(labels), f"it has {len(images)} images but {len(labels)} labels")
    return Images(
        np.ascontiguousarray(train_images),
        train_labels.astype(np.int64),
        np.ascontiguousarray(test_images),
        test_labels.astype(np.int64),
    )


def _expect(right: bool, flaw: str) -> None:
    if not right:
        raise ValueError(flaw)


def _counted_from_one(labels: NDArray[np.uint8]) -> NDArray[np.int64]:
    _expect(labels.min(initial=1) >= 1, "it has a label 0")
    return labels.astype(np.int64) - 1


def _cifar_rows(content: bytes) -> NDArray[np.uint8]:
    _expect(len(content) % 3073 == 0, "it is cut inside an image")
    return np.frombuffer(content, np.uint8).reshape(-1, 3073)


def _mat(stream: BinaryIO, *names: str) -> Mapping[str, NDArray[Any]]:
    from scipy.io import loadmat

    variables: Mapping[str, NDArray[Any]] = loadmat(stream, variable_names=names)
    _expect(all(name in variables for name in names), f"it lacks one of {', '.join(names)}")
    return variables


def _svhn_part(stream: BinaryIO) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    variables = _mat(stream, "X", "y")
    images = variables["X"]
    _expect(images.shape[:3] == (32, 32, 3) and images.dtype == np.uint8, f"X is {images.dtype} {images.shape}")
    return images.transpose(3, 2, 0, 1), variables["y"].ravel().astype(np.int64) % 10


def _decoded(data: bytes) -> DecodedImage:
    from siamese_core.formats.images import ImageRejected, decode

    try:
        return decode(data).convert("L")
    except ImageRejected as rejected:
        raise ValueError(f"a picture in it: {rejected}") from None


def _ink(png: bytes) -> NDArray[np.uint8]:
    from PIL import Image

    drawing = _decoded(png).resize((OMNIGLOT_SIDE, OMNIGLOT_SIDE), Image.Resampling.BOX)
    return 255 - np.asarray(drawing)


def _face(jpeg: bytes) -> NDArray[np.uint8]:
    from PIL import Image

    image = _decoded(jpeg)
    _expect(image.size == (250, 250), f"a picture is {image.size[0]} × {image.size[1]}")
    return np.asarray(image.crop(LFW_SQUARE).resize((LFW_SIDE, LFW_SIDE), Image.Resampling.BILINEAR))

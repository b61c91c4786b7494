"""An experiment as a PyTorch script that stands alone, with its images: what is exported is what is trained.

Encoder, distance, loss, sampling, mining, input transforms and weights are our source; the loop around them is written
for the script. One thread of a CPU gives the same bits as `train`.
"""

from __future__ import annotations

import io
import textwrap
import zipfile
from collections.abc import Iterable, Iterator
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray

from siamese_core.datasets import Images, is_uploaded
from siamese_core.experiment.experiment import IMAGES_PER_CLASS, Experiment
from siamese_core.export.script.loop import sections
from siamese_core.export.script.source import SourceSlice, imports_for, without_underscores
from siamese_core.formats.text import shortened
from siamese_core.losses import LOSSES

PRINTED = 30
"""About so many losses are printed, however long the run."""

WIDTH = 110

LIBRARIES = ("numpy", "torch", "torchvision", "pytorch_metric_learning")


def script_of(experiment: Experiment) -> str:
    """Return train.py, which reads images.npz beside it and prints the loss of every few steps and of the last one.

    Raises DatasetMissing where the experiment is on uploaded images that have been deleted since.
    """
    code = SourceSlice()
    body = without_underscores("\n\n\n".join(sections(experiment, code)))
    imports = "\n".join(imports_for(body, code.imports)).rstrip()
    return f"{_header(experiment)}\n\n{imports}\n\n{_constants(experiment)}\n\n\n{body}\n"


def script_zip(experiment: Experiment) -> bytes:
    """Return train.py, images.npz and README.txt as a zip, always the same bytes.

    Raises DatasetMissing where the experiment is on uploaded images that have been deleted since.
    """
    script = script_of(experiment)
    images = _chosen(experiment)
    order = memory_order(experiment.data.load().train_images)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in (("README.txt", _readme(experiment, script)), ("train.py", script)):
            archive.writestr(_entry(name), text)
        # Straight into the zip: a set may have 200 MB.
        with archive.open(_entry("images.npz"), "w") as member:
            np.savez(
                member,
                train_images=np.ascontiguousarray(images.train_images.transpose(order)),
                train_labels=images.train_labels,
                test_images=np.ascontiguousarray(images.test_images.transpose(order)),
                test_labels=images.test_labels,
                axes=np.argsort(order),
            )
    return packed.getvalue()


def _entry(name: str) -> zipfile.ZipInfo:
    """Return an entry without a date, of a file that everybody may read, not only its owner."""
    entry = zipfile.ZipInfo(name)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    return entry


def _chosen(experiment: Experiment) -> Images:
    """Return the images trained on and all test images; seen classes are numbered first, then those held out."""
    images = experiment.data.load()
    numbers = np.argsort((*experiment.seen, *experiment.held_out))
    trained = np.isin(images.train_labels, experiment.seen)
    if experiment.train_per_class:
        for c in experiment.seen:
            trained[np.flatnonzero(images.train_labels == c)[experiment.train_per_class :]] = False
    return Images(
        images.train_images[trained],
        numbers[images.train_labels[trained]],
        images.test_images,
        numbers[images.test_labels],
    )


def memory_order(images: NDArray[np.uint8]) -> tuple[int, ...]:
    """Return the axes of images (N, C, H, W), from the longest way in memory between two neighbours to the shortest.

    By them torch chooses its kernels, even by the place of an axis of one element: where numpy says that it has no way
    at all, torch puts it before the next axis.
    """
    ways = [step or images.strides[axis + 1] * images.shape[axis + 1] for axis, step in enumerate(images.strides)]
    idle = [length == 1 and step > 0 for length, step in zip(images.shape, images.strides, strict=True)]
    return tuple(sorted(range(images.ndim), key=lambda axis: (-ways[axis], idle[axis], axis)))


def _header(experiment: Experiment) -> str:
    loss = LOSSES[experiment.loss]
    return "\n".join(
        [
            f"# A siamese network learns {shortened(experiment.data.title)}.",
            *(f"# {line}" for line in textwrap.wrap(f"Loss: {loss.title}. {loss.citation}", WIDTH)),
            "#",
            "# One experiment of Siamese Playground as a script that stands alone; its link ends with",
            f"# ?{experiment.to_query()}",
            "#",
            "# python train.py reads images.npz beside it, trains on one thread of the CPU, and prints the loss.",
        ]
    )


def _constants(experiment: Experiment) -> str:
    """Return the settings of the experiment: the values that a reader may want to change."""
    data = experiment.data
    lines = [
        "# The experiment",
        "",
        *_names("CLASSES", (data.classes[c] for c in experiment.seen)),
        *(_names("HELD_OUT", (data.classes[c] for c in experiment.held_out)) if experiment.held_out else ()),
        f"SHAPE = {data.shape!r}  # channels, height, width",
        f"MEAN, STD = {data.mean!r}, {data.std!r}  # of the pixels, from 0 to 1",
        f"EMBEDDING_DIM = {experiment.embedding_dim}",
        *(f"{name.upper()} = {value!r}" for name, value in experiment.params.items()),
        f"BATCH_SIZE = {experiment.batch_size}",
        *([f"IMAGES_PER_CLASS = {IMAGES_PER_CLASS}"] if experiment.sampling == "all_pairs" else ()),
        f"LEARNING_RATE = {experiment.learning_rate!r}",
        f"STEPS = {experiment.steps}",
        f"SEED = {experiment.seed}",
        f"PRINT_EVERY = {max(1, experiment.steps // PRINTED)}",
    ]
    return "\n".join(lines)


def _names(constant: str, names: Iterable[str]) -> Iterator[str]:
    """Yield the lines of a tuple of names, several a line."""
    yield f"{constant} = ("
    line = "   "
    for name in names:
        item = f" {_quoted(name)},"
        if len(line) + len(item) > WIDTH and line.strip():
            yield line
            line = "   "
        line += item
    yield line
    yield ")"


def _quoted(name: str) -> str:
    """Return a literal that ends where the name ends, whatever is in it: what is not printable is escaped."""
    literal = repr(name)
    return f'"{name}"' if literal == f"'{name}'" and '"' not in name else literal


def _readme(experiment: Experiment, script: str) -> str:
    data = experiment.data
    modules = [module for module in LIBRARIES if f"from {module}" in script or module == "numpy"]
    needed = [module.replace("_", "-") for module in modules]
    # Without what a build adds to its version, such as +cpu: that cannot be asked for.
    wanted = " ".join(f"{package}=={version(package).partition('+')[0]}" for package in needed)
    uploaded = is_uploaded(experiment.dataset)
    about = ["Your own pictures."] if uploaded else [f"{data.title}: {data.source}", f"Licence: {data.licence}."]
    lines = [
        "One experiment of Siamese Playground as a script, for Python 3.11 or later.",
        "",
        f"    pip install {wanted}",
        "    python train.py",
        "",
        "It prints the loss of every few steps, then that of the last step with all its digits, and precision@1: the",
        "share of the test images whose nearest other one is of the same class. On the same machine, with the versions",
        "above, the last loss is that of the app, to the last bit, if the app trained in 32 bits on one thread of the",
        "CPU. Elsewhere the last digits differ, and after many steps more of them.",
        "",
        "train.py    the experiment; its numbers stand at the top, to be changed",
        "images.npz  train_images and test_images, uint8, which .transpose(axes) makes (N, C, H, W); train_labels and",
        "            test_labels, int64: the place of the class in CLASSES"
        + ", then in HELD_OUT" * bool(experiment.held_out),
        "",
        "The link of the experiment ends with",
        f"?{experiment.to_query()}",
        "",
        "Images",
        *about,
    ]
    return "\n".join(lines) + "\n"

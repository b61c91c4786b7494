"""Whether a model's tensors are those of its experiment's network. Nothing is allocated to find out."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from siamese_core.formats.safetensors import AGAIN, refuse, shown, sizes
from siamese_core.networks.encoders import ENCODERS
from siamese_core.runs.model import Model
from siamese_core.training.siamese import head_of


@dataclass(frozen=True)
class _Kind:
    """What a tensor is expected to be, and whose it is."""

    shape: tuple[int, ...]
    dtype: str
    owner: str


def check_architecture(model: Model) -> None:
    """Raise ModelRejected for the first tensor that is missing, too many, or of another shape or dtype."""
    # On the meta device a module has shapes but no numbers.
    with torch.device("meta"):
        expected = _of_networks(model) | _of_head(model)
    for name, kind in expected.items():
        if name not in model.tensors:
            refuse(f"is missing {name}, which {kind.owner} has: {AGAIN}")
    for name in model.tensors:
        if name not in expected:
            refuse(f"has {shown(name)}, which neither the experiment's network nor its loss expects: {AGAIN}")
    for name, kind in expected.items():
        array = model.tensors[name]
        # Files of earlier versions hold BatchNorm's counter in a list of one, which torch reads as well.
        if array.shape != kind.shape and (array.shape, kind.shape) != ((1,), ()):
            refuse(f"has {name} of {sizes(array.shape)}, expected {sizes(kind.shape)} of {kind.owner}: {AGAIN}")
        if array.dtype != kind.dtype:
            refuse(f"has {name} in {array.dtype}, expected {kind.dtype} of {kind.owner}: {AGAIN}")


def _of_networks(model: Model) -> dict[str, _Kind]:
    """Named as in `networks.build` and `networks.pseudo_siamese`."""
    experiment = model.experiment
    branches = ("",) if experiment.shared else ("first.", "second.")
    kinds: dict[str, _Kind] = {}
    for branch, encoder in zip(branches, experiment.encoders, strict=True):
        network = ENCODERS[encoder].build(model.shape, experiment.embedding_dim)
        kinds |= _kinds(f"{branch}encoder.", network, f"the experiment's {encoder} network")
    return kinds


def _of_head(model: Model) -> dict[str, _Kind]:
    head = head_of(model.experiment, _seen(model))
    return _kinds("head.", head, f"the head of the experiment's loss {model.experiment.loss}")


def _seen(model: Model) -> int:
    """How many classes were trained on. Where the images are not here, the head alone knows: two or more."""
    classes = len(model.classes)
    if model.has_images:
        return classes - len(model.experiment.held_out)
    weight = model.tensors.get("head.weight")
    rows = weight.shape[0] if weight is not None and weight.ndim else classes
    return min(max(2, rows), classes)


def _kinds(prefix: str, module: nn.Module, owner: str) -> dict[str, _Kind]:
    return {
        f"{prefix}{name}": _Kind(tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."), owner)
        for name, tensor in module.state_dict().items()
    }

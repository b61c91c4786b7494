"""A model at work: the embeddings of images, and the measure of pairs of them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from siamese_core.evaluation.architecture import check_architecture
from siamese_core.formats.safetensors import ModelRejected
from siamese_core.runs.model import Model
from siamese_core.training.objective import HeadParams
from siamese_core.training.siamese import EVALUATION_BATCH, Siamese, branch_networks, encode, network_of, second_input

NOT_FINITE = (
    "The weights of this model are too large: it gives embeddings that are not finite. Train it again with a smaller "
    "learning_rate, or choose another model."
)


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """`head_params` are the trained tensors of a similarity head; none of any other head."""

    model: Model
    siamese: Siamese
    head_params: HeadParams


def load(model: Model) -> TrainedModel:
    """Return the network of a model, in eval mode on the CPU.

    Raises ModelRejected where the tensors are not those of its architecture.
    """
    check_architecture(model)
    network = network_of(model.experiment, model.shape, Generator())
    network.load_state_dict(
        {name: torch.tensor(array) for name, array in model.tensors.items() if not name.startswith("head.")}
    )
    network.eval()
    names = ("head.weight", "head.bias") if model.measure.head else ()
    return TrainedModel(
        model,
        Siamese(model.experiment, network, model.mean, model.std),
        tuple(torch.tensor(model.tensors[name]) for name in names),
    )


def branch_input(trained: TrainedModel, images: Tensor, second: bool) -> Tensor:
    """Return uint8 images (N, C, H, W) as the network is shown them, as first or as second inputs."""
    return second_input(trained.model.experiment, images) if second else images


@torch.no_grad()
def embed(trained: TrainedModel, inputs: Tensor, second: bool = False) -> Tensor:
    """Return embeddings (N, D) of what the branch of first or of second inputs is shown, uint8 or float32 (N, C, H, W).

    Raises ModelRejected where they are not finite: a file's weights may be, and yet be too large.
    """
    network = branch_networks(trained.siamese)[second]
    rows = torch.cat([encode(trained.siamese, network, part) for part in torch.split(inputs, EVALUATION_BATCH)])
    if not rows.isfinite().all():
        raise ModelRejected(NOT_FINITE)
    return rows


def between(trained: TrainedModel, h1: Tensor, h2: Tensor) -> Tensor:
    """Return (P,) distances or similarities of embeddings (P, D) and (P, D), by the model's measure."""
    value: Tensor = trained.model.measure.between(h1, h2, *trained.head_params)
    return value

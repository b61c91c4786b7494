"""A siamese network at work: images in, embeddings out, as first inputs and as second ones."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from siamese_core.experiment.experiment import Experiment
from siamese_core.networks import build
from siamese_core.networks.encoders import Shape
from siamese_core.networks.input_transforms import INPUT_TRANSFORMS

EVALUATION_BATCH = 200
"""Images embedded at once: more do not fit a core's cache, and take 1.7 times as long."""


@dataclass(frozen=True)
class Siamese:
    """`network` takes pixels / 255, less `mean`, over `std`."""

    experiment: Experiment
    network: nn.Module
    mean: float
    std: float


def network_of(experiment: Experiment, shape: Shape, generator: Generator) -> nn.Module:
    """Return one network for both inputs, or one for each where weights are not shared."""
    output, dim = experiment.output, experiment.embedding_dim
    built = [build.build(encoder, output, shape, dim, generator) for encoder in experiment.encoders]
    return built[0] if experiment.shared else build.pseudo_siamese(*built)


def head_of(experiment: Experiment, classes: int) -> nn.Module:
    """Return the layer that is trained beside the encoder; without parameters where there is none."""
    return experiment.head(experiment.embedding_dim, classes) if experiment.head else nn.Module()


def second_input(experiment: Experiment, images: Tensor) -> Tensor:
    """Return uint8 images (B, C, H, W) as the second input of a pair is shown them."""
    return images if experiment.view == "none" else INPUT_TRANSFORMS[experiment.view].fn(images)


def encode_both(siamese: Siamese, images: Tensor) -> tuple[Tensor, Tensor]:
    """Return embeddings (B, D) of uint8 images (B, C, H, W) as first and as second inputs, in the network's present
    mode."""
    experiment = siamese.experiment
    first_network, second_network = branch_networks(siamese)
    if experiment.branches == 1:
        h = encode(siamese, first_network, images)
        return h, h
    seen_second = second_input(experiment, images)
    if experiment.shared:
        first, second = encode(siamese, first_network, torch.cat([images, seen_second])).chunk(2)
        return first, second
    return encode(siamese, first_network, images), encode(siamese, second_network, seen_second)


def branch_networks(siamese: Siamese) -> tuple[nn.Module, nn.Module]:
    """Return the network of first inputs and that of second ones: one and the same where weights are shared."""
    if siamese.experiment.shared:
        return siamese.network, siamese.network
    first, second = siamese.network.children()
    return first, second


def encode(siamese: Siamese, network: nn.Module, images: Tensor) -> Tensor:
    """Return embeddings (B, D) of what one branch is shown: pixels from 0 to 255 (B, C, H, W), uint8 or float."""
    scaled = images.to(torch.float32).mul(1 / (255 * siamese.std)).sub_(siamese.mean / siamese.std)
    embeddings: Tensor = network(scaled)
    return embeddings.float()


@torch.no_grad()
def embed_both(siamese: Siamese, images: Tensor) -> tuple[Tensor, Tensor]:
    """Run `encode_both` for any number of images, in eval mode: BatchNorm's statistics do not move.

    Returns two tensors (N, D) on the CPU.
    """
    siamese.network.eval()
    both = [encode_both(siamese, part) for part in torch.split(images, EVALUATION_BATCH)]
    first, second = (torch.cat(part).cpu() for part in zip(*both, strict=True))
    return first, second

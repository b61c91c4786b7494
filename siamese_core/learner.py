"""A network that learns, and all that it needs for the next step."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Generator, Tensor, nn

from siamese_core import networks
from siamese_core.datasets import PROBE_PER_CLASS, Dataset
from siamese_core.datasets.own import let_go
from siamese_core.experiment import Experiment
from siamese_core.losses import LOSSES
from siamese_core.machine import Machine
from siamese_core.probe import Probe, probe_of
from siamese_core.sampling import ClassIndex
from siamese_core.snapshot import State
from siamese_core.views import VIEWS

EVALUATION_BATCH = 200
"""Images embedded at once: more do not fit a core's cache, and take 1.7 times as long."""


@dataclass
class Learner:
    experiment: Experiment
    machine: Machine
    network: nn.Module
    head: nn.Module
    parameters: list[nn.Parameter]
    buffers: list[Tensor]
    optimiser: torch.optim.Optimizer
    generator: Generator
    index: ClassIndex
    train_images: Tensor
    train_places: Tensor
    """(N,) the place of each training image's class among the seen ones, as the head numbers them."""
    test_images: Tensor
    probe: Probe
    everything: Probe
    start_spread: float = 0.0
    step: int = 0
    images: int = 0
    seconds: float = 0.0


@lru_cache(maxsize=4)
def _on_device(dataset: Dataset, device: str) -> tuple[Tensor, Tensor, Tensor]:
    """Training images, test images (N, C, H, W) uint8 on the device, training labels (N,) on the CPU."""
    images = dataset.load()
    return (
        torch.tensor(images.train_images, device=device),
        torch.tensor(images.test_images, device=device),
        torch.tensor(images.train_labels),
    )


def _network(experiment: Experiment, generator: Generator) -> nn.Module:
    """One network for both inputs, or one for each where weights are not shared."""
    second = experiment.encoder if experiment.second_encoder == "same" else experiment.second_encoder
    encoders = (experiment.encoder,) if experiment.shared == "true" else (experiment.encoder, second)
    shape = experiment.data.shape
    built = [
        networks.build(encoder, experiment.output, shape, experiment.embedding_dim, generator) for encoder in encoders
    ]
    return built[0] if len(built) == 1 else networks.pseudo_siamese(*built)


def forget_images() -> None:
    """Lets go of all pictures, some of which the server has deleted; a run that learns from them keeps its own."""
    _on_device.cache_clear()
    let_go()


def learner_of(experiment: Experiment, machine: Machine) -> Learner:
    dataset = experiment.data
    generator = Generator().manual_seed(experiment.seed)
    network = _network(experiment, generator).to(machine.device)
    make_head = LOSSES[experiment.loss].head
    head = networks.drawn(lambda: make_head(experiment) or nn.Module(), generator).to(machine.device)
    parameters = [*network.parameters(), *head.parameters()]
    train_images, test_images, labels = _on_device(dataset, machine.device)
    return Learner(
        experiment=experiment,
        machine=machine,
        network=network,
        head=head,
        parameters=parameters,
        buffers=list(network.buffers()),
        optimiser=torch.optim.Adam(parameters, lr=experiment.learning_rate, fused=True),
        generator=generator,
        index=ClassIndex.of(labels, experiment.seen, experiment.train_per_class or None),
        train_images=train_images,
        train_places=torch.searchsorted(torch.tensor(experiment.seen), labels).to(machine.device),
        test_images=test_images,
        probe=probe_of(experiment, dataset.load(), PROBE_PER_CLASS),
        everything=probe_of(experiment, dataset.load()),
    )


def encode_both(learner: Learner, images: Tensor) -> tuple[Tensor, Tensor]:
    """Embeddings (B, D) of uint8 images (B, C, H, W) as first and as second inputs, in the network's present mode."""
    experiment = learner.experiment
    if experiment.branches == 1:
        h = _encode(learner, learner.network, images)
        return h, h
    seen_second = images if experiment.view == "none" else VIEWS[experiment.view].fn(images)
    if experiment.shared == "true":
        first, second = _encode(learner, learner.network, torch.cat([images, seen_second])).chunk(2)
        return first, second
    own = tuple(learner.network.children())
    return _encode(learner, own[0], images), _encode(learner, own[1], seen_second)


@torch.no_grad()
def embedded(learner: Learner, images: Tensor) -> tuple[Tensor, Tensor]:
    """`encode_both` for any number of images, in eval mode, on the CPU: BatchNorm's statistics are read, not moved."""
    learner.network.eval()
    both = [encode_both(learner, part) for part in torch.split(images, EVALUATION_BATCH)]
    first, second = (torch.cat(part).cpu() for part in zip(*both, strict=True))
    return first, second


def _encode(learner: Learner, network: nn.Module, images: Tensor) -> Tensor:
    dataset = learner.experiment.data
    scaled = images.to(torch.float32).mul_(1 / (255 * dataset.std)).sub_(dataset.mean / dataset.std)
    embeddings: Tensor = network(scaled)
    return embeddings.float()


def state_of(learner: Learner) -> State:
    tensors = {f"network.{name}": tensor for name, tensor in learner.network.state_dict().items()}
    tensors |= {f"head.{name}": tensor for name, tensor in learner.head.state_dict().items()}
    for number, moments in learner.optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{number}.{name}": tensor for name, tensor in moments.items()}
    tensors["generator"] = learner.generator.get_state()
    arrays = {name: tensor.cpu().numpy().copy() for name, tensor in tensors.items()}
    arrays["counters"] = np.array([learner.images, learner.seconds, learner.start_spread])
    return State(learner.step, arrays)


def restore(learner: Learner, state: State) -> None:
    """The inverse of `state_of`, on a learner of the same experiment."""
    tensors = {name: torch.tensor(array) for name, array in state.tensors.items()}
    learner.network.load_state_dict(_under("network.", tensors))
    learner.head.load_state_dict(_under("head.", tensors))
    moments: dict[int, dict[str, Tensor]] = {}
    for name, tensor in _under("optimiser.", tensors).items():
        number, _, key = name.partition(".")
        moments.setdefault(int(number), {})[key] = tensor
    groups = learner.optimiser.state_dict()["param_groups"]
    learner.optimiser.load_state_dict({"state": moments, "param_groups": groups})
    learner.generator.set_state(tensors["generator"])
    images, learner.seconds, learner.start_spread = tensors["counters"].tolist()
    learner.step, learner.images = state.step, int(images)


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}

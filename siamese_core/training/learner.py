"""A network that learns, and all that it needs for the next step."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Generator, Tensor, nn

from siamese_core.datasets import EVAL_PER_CLASS, Dataset
from siamese_core.datasets.uploaded import clear_cache
from siamese_core.experiment.experiment import Experiment
from siamese_core.experiment.machine import Machine
from siamese_core.experiment.snapshot import TrainingState
from siamese_core.networks import build
from siamese_core.training.eval_subset import EvalSubset, eval_subset_of
from siamese_core.training.sampling import ClassIndex
from siamese_core.training.siamese import Siamese, head_of, network_of


@dataclass
class Learner:
    """A run in memory: `index` and `train_images` are of the training images, `everything` has all test images."""

    experiment: Experiment
    machine: Machine
    siamese: Siamese
    head: nn.Module
    parameters: list[nn.Parameter]
    buffers: list[Tensor]
    optimiser: torch.optim.Optimizer
    generator: Generator
    index: ClassIndex
    train_images: Tensor
    train_targets: Tensor
    """(N,) the class of each training image by its index among the seen ones, as the head numbers them."""
    test_images: Tensor
    eval_subset: EvalSubset
    everything: EvalSubset
    start_spread: float = 0.0
    step: int = 0
    images: int = 0
    seconds: float = 0.0

    @property
    def network(self) -> nn.Module:
        return self.siamese.network


@lru_cache(maxsize=4)
def _on_device(dataset: Dataset, device: str) -> tuple[Tensor, Tensor, Tensor]:
    """Training images, test images (N, C, H, W) uint8 on the device, training labels (N,) on the CPU."""
    images = dataset.load()
    return (
        torch.tensor(images.train_images, device=device),
        torch.tensor(images.test_images, device=device),
        torch.tensor(images.train_labels),
    )


def forget_images() -> None:
    """Clear the cache of images, some of which the server has deleted; a run that learns from them still holds them."""
    _on_device.cache_clear()
    clear_cache()


def learner_of(experiment: Experiment, machine: Machine) -> Learner:
    """Return a network before its first step, on the machine's device. Raises DatasetMissing without its images."""
    dataset = experiment.data
    generator = Generator().manual_seed(experiment.seed)
    network = network_of(experiment, dataset.shape, generator).to(machine.device)
    head = build.drawn(lambda: head_of(experiment, len(experiment.seen)), generator).to(machine.device)
    parameters = [*network.parameters(), *head.parameters()]
    train_images, test_images, labels = _on_device(dataset, machine.device)
    return Learner(
        experiment=experiment,
        machine=machine,
        siamese=Siamese(experiment, network, dataset.mean, dataset.std),
        head=head,
        parameters=parameters,
        buffers=list(network.buffers()),
        optimiser=torch.optim.Adam(parameters, lr=experiment.learning_rate, fused=True),
        generator=generator,
        index=ClassIndex.of(labels, experiment.seen, experiment.train_per_class or None),
        train_images=train_images,
        train_targets=torch.searchsorted(torch.tensor(experiment.seen), labels).to(machine.device),
        test_images=test_images,
        eval_subset=eval_subset_of(experiment, dataset.load(), EVAL_PER_CLASS),
        everything=eval_subset_of(experiment, dataset.load()),
    )


def state_of(learner: Learner) -> TrainingState:
    """Return a copy of all that the run needs to be resumed bit for bit, as arrays."""
    tensors = {f"network.{name}": tensor for name, tensor in learner.network.state_dict().items()}
    tensors |= {f"head.{name}": tensor for name, tensor in learner.head.state_dict().items()}
    for number, moments in learner.optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{number}.{name}": tensor for name, tensor in moments.items()}
    tensors["generator"] = learner.generator.get_state()
    arrays = {name: tensor.cpu().numpy().copy() for name, tensor in tensors.items()}
    arrays["counters"] = np.array([learner.images, learner.seconds, learner.start_spread])
    return TrainingState(learner.step, arrays)


def restore(learner: Learner, state: TrainingState) -> None:
    """Put a state into a learner of the same experiment: the inverse of `state_of`."""
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

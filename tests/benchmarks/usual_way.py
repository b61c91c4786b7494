"""What the benchmark compares with: how siamese networks are usually trained, and a metric-learning library.

Both yield the network after every training step, so that a caller can keep its evaluations off the clock:

    seconds, score = cpu_seconds_to(0.60, usual_way(images, labels, seed=0), evaluate, limit=200)
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset

from siamese_core.networks import vision

MEAN, STD = 0.2860, 0.3530  # of Fashion-MNIST's training pixels / 255
CHECK_SECONDS = 0.25


def cpu_seconds_to(
    target: float, runs: Iterator[nn.Module], evaluate: Callable[[nn.Module], float], limit: float
) -> tuple[float, float]:
    """CPU seconds of training until ``evaluate(network) >= target``, looked at every 0.25 CPU seconds.

    The process's CPU time is read around ``next(runs)`` alone, so evaluation is free; imports are not,
    unless the caller made them before. Setting up inside the generator (data sets, the network) counts: it is part
    of its first step.

    Returns:
        (seconds, score): ``seconds`` is infinite when ``limit`` or the end of ``runs`` came first.
    """
    spent, next_check, score = 0.0, CHECK_SECONDS, -math.inf
    while spent < limit:
        start = time.process_time()
        network = next(runs, None)
        spent += time.process_time() - start
        if network is None:
            break
        if spent >= next_check:
            next_check = spent + CHECK_SECONDS
            score = evaluate(network)
            if score >= target:
                return spent, score
    return math.inf, score


def import_torchvision_transforms() -> Any:
    """``torchvision.transforms``, the first version, which tutorials use, importable once ``vision`` has opened it."""
    vision.transforms()
    from torchvision import transforms

    return transforms


class PilImages(Dataset[tuple[torch.Tensor, int]]):
    """One image at a time, through PIL, ToTensor and Normalize, as torchvision's MNIST classes do it."""

    def __init__(self, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> None:
        transforms = import_torchvision_transforms()
        self.images, self.labels = images, labels
        self.transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((MEAN,), (STD,))])

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        image = Image.fromarray(self.images[index, 0])
        return self.transform(image), int(self.labels[index])


class RandomPairs(Dataset[tuple[torch.Tensor, torch.Tensor, bool]]):
    """Each image with a random partner, of its own class half of the time."""

    def __init__(self, images: NDArray[np.uint8], labels: NDArray[np.int64], seed: int) -> None:
        self.single = PilImages(images, labels)
        self.random = np.random.RandomState(seed)
        self.of_class = {int(c): np.flatnonzero(labels == c) for c in np.unique(labels)}

    def __len__(self) -> int:
        return len(self.single)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor, bool]:
        first, label = self.single[index]
        same = bool(self.random.randint(2))
        if same:
            other = index
            while other == index:
                other = int(self.random.choice(self.of_class[label]))
        else:
            other_class = self.random.choice([c for c in self.of_class if c != label])
            other = int(self.random.choice(self.of_class[other_class]))
        return first, self.single[other][0], same


class UsualNet(nn.Module):
    """conv32-5x5, conv64-5x5, 256, 256, 2 with PReLU: the embedding network of the siamese tutorials."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Conv2d(1, 32, 5), nn.PReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(32, 64, 5), nn.PReLU(), nn.MaxPool2d(2)),
            nn.Flatten(),
            *(nn.Linear(64 * 4 * 4, 256), nn.PReLU()),
            *(nn.Linear(256, 256), nn.PReLU()),
            nn.Linear(256, 2),
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        embeddings: torch.Tensor = self.layers(images)
        return embeddings


def usual_way(images: NDArray[np.uint8], labels: NDArray[np.int64], seed: int) -> Iterator[nn.Module]:
    """Random pairs out of a Dataset and a DataLoader; contrastive loss, margin 1; Adam 1e-3; 128 pairs.

    Args:
        images: (N, 1, 28, 28).
        labels: (N,).
    """
    torch.manual_seed(seed)
    network = UsualNet()
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    loader = DataLoader(RandomPairs(images, labels, seed), batch_size=128, shuffle=True, num_workers=0)
    while True:
        for first, second, same in loader:
            network.train()
            distance = (network(first) - network(second)).square().sum(1).add(1e-9).sqrt()
            shortfall = (1 - distance).clamp_min(0)
            loss = 0.5 * torch.where(same, distance.square(), shortfall.square()).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            yield network


def pml_loop(
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    network: nn.Module,
    seed: int,
    learning_rate: float,
    batch_size: int,
) -> Iterator[nn.Module]:
    """pytorch-metric-learning's own sampler and contrastive loss, on the network that is passed in.

    Distances are not normalised to the unit sphere (the library's default), where ten classes in two
    dimensions have no room: the plain Euclidean distance is both our loss's and the faster for it.
    """
    from pytorch_metric_learning import distances, losses, samplers
    from pytorch_metric_learning.utils import common_functions

    torch.manual_seed(seed)
    # The sampler draws from the module's own numpy state, which is the global one by default.
    common_functions.NUMPY_RANDOM = np.random.RandomState(seed)
    sampler = samplers.MPerClassSampler(labels, m=12, batch_size=batch_size, length_before_new_iter=len(labels))
    loader = DataLoader(
        PilImages(images, labels), batch_size=batch_size, sampler=sampler, num_workers=0, drop_last=True
    )
    loss_of = losses.ContrastiveLoss(
        pos_margin=0, neg_margin=1, distance=distances.LpDistance(normalize_embeddings=False)
    )
    optimiser = torch.optim.Adam(network.parameters(), lr=learning_rate)
    while True:
        for batch, batch_labels in loader:
            network.train()
            loss = loss_of(network(batch), batch_labels)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            yield network

"""Quality of the defaults, and CPU seconds to quality beside the usual way and a metric-learning library."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from statistics import median

import torch
from torch import Generator, Tensor, nn

from siamese_core.datasets import DATASETS
from siamese_core.embeddings.retrieval import retrieval_metrics
from siamese_core.experiment.experiment import Experiment
from siamese_core.networks import build
from siamese_core.training.loop import every, never, train
from tests.benchmarks.usual_way import cpu_seconds_to, import_torchvision_transforms, pml_loop, usual_way

Row = tuple[str, str, str]

TARGET = 0.60
TEST_IMAGES = 2_000
HOPELESS = 0.06
SEEDS = range(5)
MOMENTS = (5.0, 10.0, 20.0)
LIMIT = 300.0
FULL = DATASETS["fashion_mnist_full"]


def measure() -> Iterator[Row]:
    torch.set_num_threads(1)
    # Not on anybody's clock.
    FULL.load()
    import_torchvision_transforms()
    import_module("pytorch_metric_learning.losses")
    scores = [_default_score(seed) for seed in SEEDS]
    yield (
        f"MAP@R of the defaults after 300 steps, bundled Fashion-MNIST, seeds {SEEDS[0]}–{SEEDS[-1]}",
        f"{min(scores):.3f} – {max(scores):.3f}",
        "every one ≥ 0.60",
    )
    seconds = {}
    for name, start, seeds in (
        ("ours, convolution (default)", lambda seed: ours("conv", seed), (0, 1, 2)),
        ("ours, MLP", lambda seed: ours("mlp", seed), (0, 1, 2)),
        ("pytorch-metric-learning, our convolution", _library, (0, 1, 2)),
        ("the usual way", lambda seed: usual_way(*_train_images(), seed), (0,)),
    ):
        seconds[name] = median(cpu_seconds_to(TARGET, start(seed), _score, LIMIT)[0] for seed in seeds)
        scores = ", ".join(f"{score:.2f}" for score in _scores_at(start(seeds[0])))
        yield f"CPU seconds to MAP@R 0.60, {name}; MAP@R after 5, 10, 20 s", f"{seconds[name]:.2f} s; {scores}", ""
    conv, mlp, library, usual = seconds.values()
    yield "the usual way / ours, convolution", f"{usual / conv:.0f}×", "≥ 20×"
    yield "the usual way / ours, MLP", f"{usual / mlp:.0f}×", "≥ 40×"
    yield "pytorch-metric-learning / ours, same network", f"{library / conv:.1f}×", "≥ 3×"


def _default_score(seed: int) -> float:
    *_, last = train(Experiment(seed=seed), wants_frame=never)
    assert last.frame is not None
    return last.frame.metrics["map_at_r"]["seen"] or math.nan


def ours(encoder: str, seed: int) -> Iterator[nn.Module]:
    """The network of our own generator; at most 25 steps old, and the copies are on our clock."""
    experiment = Experiment(dataset=FULL.key, encoder=encoder, embedding_dim=2, steps=100_000, seed=seed)
    network = build.build(encoder, experiment.output, FULL.shape, 2, Generator())
    for snapshot in train(experiment, wants_frame=never, wants_state=every(25)):
        if snapshot.state is not None:
            weights = {
                name.removeprefix("network."): torch.from_numpy(array)
                for name, array in snapshot.state.tensors.items()
                if name.startswith("network.")
            }
            network.load_state_dict(weights)
        yield network


def _library(seed: int) -> Iterator[nn.Module]:
    experiment = Experiment(embedding_dim=2)
    network = build.build("conv", experiment.output, FULL.shape, 2, Generator().manual_seed(seed))
    return pml_loop(*_train_images(), network, seed, experiment.learning_rate, experiment.batch_size)


def _train_images() -> tuple:
    images = FULL.load()
    return images.train_images, images.train_labels


def _scores_at(runs: Iterator[nn.Module]) -> list[float]:
    spent, scores = 0.0, []
    for moment in MOMENTS:
        while spent < moment:
            before = time.process_time()
            network = next(runs)
            spent += time.process_time() - before
        scores.append(_score(network))
    return scores


@torch.no_grad()
def _score(network: nn.Module) -> float:
    images, labels = _test_images()
    network.eval()
    # Most checks of a slow network are hopeless, and a quarter of the images tells.
    rough = _map_at_r(network, images[:500], labels[:500])
    return rough if rough < TARGET - HOPELESS else _map_at_r(network, images, labels)


def _map_at_r(network: nn.Module, images: Tensor, labels: Tensor) -> float:
    embeddings = torch.cat([network(part) for part in images.split(250)])
    found = retrieval_metrics(embeddings.numpy(), labels.numpy())
    assert found is not None
    return found.map_at_r


@cache
def _test_images() -> tuple[Tensor, Tensor]:
    """The first 2,000 test images of the whole set, normalised, and their labels."""
    images = FULL.load()
    pixels = torch.tensor(images.test_images[:TEST_IMAGES]).float() / 255
    return (pixels - FULL.mean) / FULL.std, torch.tensor(images.test_labels[:TEST_IMAGES])

"""Training as a generator: one optimiser step a pull. Pause = stop pulling, stop = close()."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from time import perf_counter

import numpy as np
import torch
from torch import Generator, Tensor, nn

from siamese_core import alarms, networks, objective
from siamese_core.datasets import DATASETS, PROBE_PER_CLASS
from siamese_core.experiment import IMAGES_PER_CLASS, Experiment
from siamese_core.losses import LOSSES
from siamese_core.machine import Machine, MachineError
from siamese_core.probe import Probe, final_metrics, frame_of, probe_of
from siamese_core.sampling import ClassIndex, pk_batch, random_pairs, random_triplets
from siamese_core.snapshot import Frame, Snapshot, State

__all__ = ["Frame", "Snapshot", "State", "every", "train"]

EVALUATION_BATCH = 200
"""Images embedded at once: more do not fit a core's cache, and take 1.7 times as long."""


def every(n: int) -> Callable[[], bool]:
    """True at every n-th call."""
    calls = 0

    def due() -> bool:
        nonlocal calls
        calls += 1
        return calls % n == 0

    return due


def always() -> bool:
    return True


def never() -> bool:
    return False


def train(
    experiment: Experiment,
    *,
    machine: Machine = Machine(),  # noqa: B008 (frozen)
    state: State | None = None,
    wants_frame: Callable[[], bool] | None = None,
    wants_scores: Callable[[], bool] = always,
    wants_state: Callable[[], bool] = never,
) -> Iterator[Snapshot]:
    """Yields after every optimiser step, from the first or from the one after `state`, until `experiment.steps`.

    A frame (every tenth by default) and a state are filled when asked for, and always in the last snapshot, whose
    metrics are over all test images. The metrics of a frame are empty where its scores are not wanted.

    A resumed run gives the same bits as one that was never interrupted: for one machine, device, thread count and
    version. A loss that is not finite, or a GPU out of memory, ends the run with a `halted` sentence, at the last step
    that was made. Raises MachineError where the GPU has no memory even for the network and the images.
    """
    wants_frame = wants_frame or every(10)
    torch.set_num_threads(machine.threads)
    # Of cudnn's algorithms only some give the same bits twice.
    torch.backends.cudnn.deterministic = True
    try:
        learner = _learner(experiment, machine)
    except torch.OutOfMemoryError as error:
        raise MachineError(alarms.out_of_memory(experiment)) from error
    if state is not None:
        _restore(learner, state)
    while learner.step < experiment.steps:
        # Again at each step: another run of this process may have set its own since.
        torch.set_num_threads(machine.threads)
        started = perf_counter()
        try:
            loss, active = _step(learner)
        except _Halt as halt:
            halted = str(halt)
            # Not in this block: as long as the exception lives, so do the tensors of the step that failed.
            break
        learner.seconds += perf_counter() - started
        last = learner.step == experiment.steps
        asked = wants_frame()
        frame = _frame_if_it_fits(learner, wants_scores(), final=last) if asked or last else None
        yield _snapshot(learner, loss, active, frame, _state(learner) if wants_state() or last else None)
    else:
        return
    yield _snapshot(
        learner, math.nan, 0.0, _frame_if_it_fits(learner, scored=True, final=True), _state(learner), halted
    )


class _Halt(Exception):
    """The sentence with which a run ends early."""


@dataclass
class _Learner:
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
def _on_device(dataset: str, device: str) -> tuple[Tensor, Tensor, Tensor]:
    """Training images, test images (N, C, H, W) uint8 on the device, training labels (N,) on the CPU."""
    images = DATASETS[dataset].load()
    return (
        torch.tensor(images.train_images, device=device),
        torch.tensor(images.test_images, device=device),
        torch.tensor(images.train_labels),
    )


def _learner(experiment: Experiment, machine: Machine) -> _Learner:
    dataset = DATASETS[experiment.dataset]
    generator = Generator().manual_seed(experiment.seed)
    network = networks.build(
        experiment.encoder, experiment.output, dataset.shape, experiment.embedding_dim, generator
    ).to(machine.device)
    make_head = LOSSES[experiment.loss].head
    head = networks.drawn(lambda: make_head(experiment) or nn.Module(), generator).to(machine.device)
    parameters = [*network.parameters(), *head.parameters()]
    train_images, test_images, labels = _on_device(experiment.dataset, machine.device)
    return _Learner(
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


def _step(learner: _Learner) -> tuple[float, float]:
    """One optimiser step; gives the loss and the active share of its batch. Raises `_Halt`, the weights untouched."""
    experiment = learner.experiment
    before = [buffer.clone() for buffer in learner.buffers]
    try:
        learner.network.train()
        with torch.autocast(learner.machine.device, torch.bfloat16, enabled=learner.machine.precision == "bf16"):
            target, images = _objective(learner)
        learner.optimiser.zero_grad()
        target.value.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.get_total_norm([p.grad for p in learner.parameters if p.grad is not None])
        loss, active, norm_value = torch.stack([target.value.detach(), target.active, norm]).tolist()
        if not math.isfinite(loss) or not math.isfinite(norm_value):
            raise _Halt(alarms.not_finite(experiment, learner.step + 1))
        learner.optimiser.step()
    except (_Halt, torch.OutOfMemoryError) as error:
        # A forward pass that overflowed has already spoilt the running statistics of BatchNorm.
        for buffer, kept in zip(learner.buffers, before, strict=True):
            buffer.copy_(kept)
        if isinstance(error, _Halt):
            raise
        raise _Halt(alarms.out_of_memory(experiment)) from error
    learner.step += 1
    learner.images += images
    return loss, active


def _objective(learner: _Learner) -> tuple[objective.Objective, int]:
    """The objective of the next batch, and how many images it took."""
    experiment, index, generator = learner.experiment, learner.index, learner.generator
    takes, parts = LOSSES[experiment.loss].takes, tuple(learner.head.parameters())
    all_pairs = experiment.sampling == "all_pairs"
    if all_pairs:
        batch = pk_batch(index, experiment.batch_size, IMAGES_PER_CLASS, generator)
    elif takes == "triplet":
        batch = torch.cat(random_triplets(index, experiment.batch_size // 3, generator))
    else:
        first, second, same = random_pairs(index, experiment.batch_size // 2, generator)
        batch = torch.cat([first, second])
    h = _forward(learner, batch)
    if takes in ("logits", "batch"):
        labels = learner.train_places[batch.to(h.device)]
        return objective.of_classes(experiment, h, labels, parts), len(batch)
    if all_pairs:
        return objective.of_all_pairs(experiment, h, IMAGES_PER_CLASS, parts), len(batch)
    if takes == "triplet":
        anchor, positive, negative = h.chunk(3)
        return objective.of_random_triplets(experiment, anchor, positive, negative), len(batch)
    h1, h2 = h.chunk(2)
    return objective.of_random_pairs(experiment, h1, h2, same.to(h.device), parts), len(batch)


def _forward(learner: _Learner, batch: Tensor) -> Tensor:
    """Embeddings (B, D) of training images, all in one pass: both inputs of a pair meet the same statistics."""
    embeddings = _encode(learner, learner.train_images[batch.to(learner.train_images.device)])
    if learner.step == 0:
        # In eval mode an untrained network says little: BatchNorm has not met the images yet.
        learner.start_spread = alarms.spread(embeddings.detach(), learner.experiment.measure)
    return embeddings


def _encode(learner: _Learner, images: Tensor) -> Tensor:
    dataset = DATASETS[learner.experiment.dataset]
    scaled = images.to(torch.float32).mul_(1 / (255 * dataset.std)).sub_(dataset.mean / dataset.std)
    embeddings: Tensor = learner.network(scaled)
    return embeddings.float()


@torch.no_grad()
def _embed(learner: _Learner, probe: Probe) -> Tensor:
    """(N, D) float32 on the CPU, in eval mode: BatchNorm's statistics are read, not moved."""
    learner.network.eval()
    images = learner.test_images
    if len(probe.indices) < len(images):
        images = images[torch.from_numpy(probe.indices).to(images.device)]
    return torch.cat([_encode(learner, part) for part in torch.split(images, EVALUATION_BATCH)]).cpu()


def _frame(learner: _Learner, scored: bool, final: bool) -> Frame:
    parts = tuple(part.detach().cpu() for part in learner.head.parameters())
    frame = frame_of(_embed(learner, learner.probe), learner.experiment, learner.probe, scored and not final, parts)
    if not final:
        return frame
    metrics = final_metrics(_embed(learner, learner.everything), learner.experiment, learner.everything, parts)
    return Frame(frame.embeddings, frame.same_distances, frame.different_distances, frame.triplet_distances, metrics)


def _frame_if_it_fits(learner: _Learner, scored: bool, final: bool) -> Frame | None:
    """None where the GPU has no memory left for a picture: the run itself goes on."""
    try:
        return _frame(learner, scored, final)
    except torch.OutOfMemoryError:
        return None


def _snapshot(
    learner: _Learner,
    loss: float,
    active: float,
    frame: Frame | None,
    state: State | None,
    halted: str | None = None,
) -> Snapshot:
    alarm = alarms.alarm(learner.experiment, learner.step, learner.start_spread, frame) if frame else None
    return Snapshot(learner.step, loss, active, learner.images, learner.seconds, frame, state, alarm, halted)


def _state(learner: _Learner) -> State:
    tensors = {f"network.{name}": tensor for name, tensor in learner.network.state_dict().items()}
    tensors |= {f"head.{name}": tensor for name, tensor in learner.head.state_dict().items()}
    for number, moments in learner.optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{number}.{name}": tensor for name, tensor in moments.items()}
    tensors["generator"] = learner.generator.get_state()
    arrays = {name: tensor.cpu().numpy().copy() for name, tensor in tensors.items()}
    arrays["counters"] = np.array([learner.images, learner.seconds, learner.start_spread])
    return State(learner.step, arrays)


def _restore(learner: _Learner, state: State) -> None:
    """The inverse of `_state`, on a learner of the same experiment."""
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

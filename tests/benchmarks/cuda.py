"""On CUDA: the default run against a CUDA-graph replay of the same step, its quality and its bits."""

from __future__ import annotations

import time
from collections.abc import Iterator

import torch

from siamese_core.experiment.experiment import IMAGES_PER_CLASS, Experiment
from siamese_core.experiment.machine import Machine
from siamese_core.training import objective
from siamese_core.training.learner import learner_of
from siamese_core.training.loop import never, train
from siamese_core.training.sampling import pk_batch
from siamese_core.training.siamese import encode_both

Row = tuple[str, str, str]

STEPS = 500


def measure() -> Iterator[Row]:
    if not torch.cuda.is_available():
        yield "CUDA", "not measured: this machine has no CUDA device", "≥ 60 % of a graph replay"
        return
    machine = Machine("cuda")
    share = _eager(machine) / _replayed(machine)
    yield f"CUDA ({torch.cuda.get_device_name()}): steps per second / CUDA-graph replay", f"{share:.0%}", "≥ 60 %"
    first, again, cpu = (_last(m) for m in (machine, machine, Machine()))
    difference = abs(first[0] - cpu[0])
    yield "CUDA: MAP@R against the CPU's", f"{difference:.3f} apart", "≤ 0.02"
    yield "CUDA: same seed, same bits", "yes" if first[1] == again[1] else "no", "yes"


def _eager(machine: Machine) -> float:
    snapshots = train(Experiment(steps=100_000), machine=machine, wants_frame=never)
    for _ in range(50):
        next(snapshots)
    started = time.perf_counter()
    for _ in range(STEPS):
        next(snapshots)
    return STEPS / (time.perf_counter() - started)


def _replayed(machine: Machine) -> float:
    """The same forward pass, objective, backward pass and Adam step, captured once."""
    learner = learner_of(Experiment(), machine)
    learner.network.train()
    optimiser = torch.optim.Adam(learner.network.parameters(), lr=3e-3, fused=True, capturable=True)
    batch = pk_batch(learner.index, learner.experiment.batch_size, IMAGES_PER_CLASS, learner.generator)
    images = learner.train_images[batch.to("cuda")]

    def step() -> None:
        optimiser.zero_grad(set_to_none=False)
        h, _ = encode_both(learner.siamese, images)
        objective.of_all_pairs(learner.experiment, h, IMAGES_PER_CLASS).value.backward()
        optimiser.step()

    side_stream = torch.cuda.Stream()
    with torch.cuda.stream(side_stream):
        for _ in range(5):
            step()
    torch.cuda.current_stream().wait_stream(side_stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    torch.cuda.synchronize()
    started = time.perf_counter()
    for _ in range(STEPS):
        graph.replay()
    torch.cuda.synchronize()
    return STEPS / (time.perf_counter() - started)


def _last(machine: Machine) -> tuple[float, list[float]]:
    losses = []
    for last in train(Experiment(), machine=machine, wants_frame=never):
        losses.append(last.loss)
    assert last.frame is not None
    return last.frame.metrics["map_at_r"]["seen"] or 0.0, losses

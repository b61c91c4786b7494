"""Training as a generator: one optimiser step a pull. Pause = stop pulling, stop = close()."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from time import perf_counter

import torch
from torch import Tensor, nn

from siamese_core.errors import Rejected
from siamese_core.experiment.experiment import IMAGES_PER_CLASS, Experiment
from siamese_core.experiment.machine import Machine, MachineError
from siamese_core.experiment.snapshot import Frame, Snapshot, TrainingState
from siamese_core.losses import LOSSES
from siamese_core.networks.augment import augmented
from siamese_core.training import alarms, objective
from siamese_core.training.batches import draw_batch
from siamese_core.training.eval_subset import EvalSubset, final_metrics, frame_of
from siamese_core.training.learner import Learner, learner_of, restore, state_of
from siamese_core.training.siamese import embed_both, encode_both


def every(n: int) -> Callable[[], bool]:
    """Return a function that is true at every n-th call."""
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
    state: TrainingState | None = None,
    wants_frame: Callable[[], bool] | None = None,
    wants_scores: Callable[[], bool] = always,
    wants_state: Callable[[], bool] = never,
) -> Iterator[Snapshot]:
    """Train, and yield a snapshot after every optimiser step, from the first or from the one after `state`, until
    `experiment.steps`.

    A frame (every tenth by default) and a state are filled when asked for, and always in the last snapshot, whose
    metrics are over all test images. The metrics of a frame are empty where its scores are not wanted.

    A resumed run gives the same bits as one that was never interrupted: for one machine, device, thread count and
    version. A loss that is not finite, or a GPU out of memory, ends the run with a `halted` message, at the last step
    that was made. Raises MachineError where the GPU has no memory even for the network and the images.
    """
    wants_frame = wants_frame or every(10)
    torch.set_num_threads(machine.threads)
    # Of cudnn's algorithms only some give the same bits twice.
    torch.backends.cudnn.deterministic = True
    try:
        learner = learner_of(experiment, machine)
    except torch.OutOfMemoryError as error:
        raise MachineError(alarms.out_of_memory(experiment)) from error
    if state is not None:
        restore(learner, state)
    halted: str | None = None
    while learner.step < experiment.steps and halted is None:
        # Again at each step: another run of this process may have set another number since.
        torch.set_num_threads(machine.threads)
        started = perf_counter()
        try:
            loss, active = _step(learner)
            learner.seconds += perf_counter() - started
        except _Halt as halt:
            # The frame is not made in this block: as long as the exception lives, so do the tensors of the failed step.
            loss, active, halted = math.nan, 0.0, str(halt)
        last = halted is not None or learner.step == experiment.steps
        is_wanted = wants_frame()
        frame = _frame_if_it_fits(learner, wants_scores(), last) if is_wanted or last else None
        yield Snapshot(
            step=learner.step,
            loss=loss,
            active=active,
            images=learner.images,
            seconds=learner.seconds,
            frame=frame,
            state=state_of(learner) if wants_state() or last else None,
            alarm=alarms.alarm(experiment, learner.step, learner.start_spread, frame) if frame else None,
            halted=halted,
        )


class _Halt(Rejected):
    """Says why a run ends early."""


def _step(learner: Learner) -> tuple[float, float]:
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
        for buffer, saved in zip(learner.buffers, before, strict=True):
            buffer.copy_(saved)
        if isinstance(error, _Halt):
            raise
        raise _Halt(alarms.out_of_memory(experiment)) from error
    learner.step += 1
    learner.images += images
    return loss, active


def _objective(learner: Learner) -> tuple[objective.Objective, int]:
    """The objective of the next batch, and how many images it took."""
    experiment, index, generator = learner.experiment, learner.index, learner.generator
    head_params = tuple(learner.head.parameters())
    batch = draw_batch(experiment, index, generator)
    images = learner.train_images[batch.images.to(learner.train_images.device)]
    h1, h2 = _forward(learner, augmented(images, experiment.augment, generator))
    if LOSSES[experiment.loss].on_classes:
        labels = learner.train_targets[batch.images.to(h1.device)]
        if experiment.branches == 2:
            # An image's two embeddings side by side: losses that work in small groups then hold them together.
            h1, labels = torch.stack([h1, h2], dim=1).flatten(0, 1), labels.repeat_interleave(2)
        return objective.of_classes(experiment, h1, labels, head_params), len(images)
    return objective.of_batch(experiment, batch, h1, h2, IMAGES_PER_CLASS, head_params, generator), len(images)


def _forward(learner: Learner, images: Tensor) -> tuple[Tensor, Tensor]:
    """Embeddings (B, D) of images as first and as second inputs; one and the same tensor where there is no difference.

    All in one pass where the weights are shared: both inputs of a pair meet the same statistics.
    """
    first, second = encode_both(learner.siamese, images)
    if learner.step == 0:
        # In eval mode an untrained network says little: BatchNorm has not met the images yet.
        learner.start_spread = alarms.spread(first.detach(), learner.experiment.measure)
    return first, second


def _embed(learner: Learner, eval_subset: EvalSubset) -> Tensor:
    """(N, D) float32 on the CPU. With two branches (2N, D): the images as first inputs, then as second ones."""
    images = learner.test_images
    if len(eval_subset.indices) < len(images):
        images = images[torch.from_numpy(eval_subset.indices).to(images.device)]
    return torch.cat(embed_both(learner.siamese, images)[: learner.experiment.branches])


def _frame_if_it_fits(learner: Learner, scored: bool, final: bool) -> Frame | None:
    """None where the GPU has no memory left for a frame: the run itself goes on."""
    experiment, shown, everything = learner.experiment, learner.eval_subset, learner.everything
    head_params = tuple(param.detach().cpu() for param in learner.head.parameters())
    try:
        frame = frame_of(_embed(learner, shown), experiment, shown, scored and not final, head_params)
        if not final:
            return frame
        metrics = final_metrics(_embed(learner, everything), experiment, everything, head_params)
        return replace(frame, metrics=metrics)
    except torch.OutOfMemoryError:
        return None

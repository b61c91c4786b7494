"""A model is one of its experiment's network, or the first tensor that is not is named."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from torch import nn

from siamese_core.evaluation.architecture import check_architecture
from siamese_core.experiment.experiment import Experiment
from siamese_core.experiment.machine import Machine
from siamese_core.losses import LOSSES
from siamese_core.networks.encoders import ENCODERS, Shape
from siamese_core.runs.model import Model, model_of
from siamese_core.runs.model_file import ModelRejected, packed, read_model
from siamese_core.training.learner import learner_of, state_of
from siamese_core.training.loop import never, train

LIGHT = sorted(set(ENCODERS) - {"koch"})
"""Koch's 38 million weights take seconds to draw; its names are checked without them."""


def model(**settings: object) -> Model:
    values = {"dataset": "digits", "encoder": "mlp", "embedding_dim": 6, "held_out": (3, 8)} | settings
    experiment = Experiment(**values)  # type: ignore[arg-type]
    return model_of(experiment, state_of(learner_of(experiment, Machine())))


def with_tensors(model: Model, **changed: np.ndarray | None) -> Model:
    """None takes a tensor away; names have _ for a dot in them."""
    named = {name.replace("__", "."): array for name, array in changed.items()}
    tensors = {name: array for name, array in (dict(model.tensors) | named).items() if array is not None}
    return replace(model, tensors=tensors)


@pytest.fixture(scope="module")
def softmax() -> Model:
    return model(loss="softmax")


@pytest.mark.parametrize("encoder", LIGHT)
def test_every_encoder_is_what_its_model_has(encoder: str) -> None:
    check_architecture(model(encoder=encoder))


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_has_the_head_of_its_model(loss: str) -> None:
    for measure in LOSSES[loss].measures:
        check_architecture(model(loss=loss, measure=measure))


@pytest.mark.parametrize("second", ["same", "lenet"])
def test_two_branches_are_two_networks(second: str) -> None:
    check_architecture(model(shared=False, second_encoder=second))


def test_a_trained_model_that_was_written_and_read_is_still_one() -> None:
    experiment = Experiment(dataset="digits", encoder="conv", loss="log", embedding_dim=6, batch_size=24, steps=2)
    *_, last = train(experiment, wants_frame=never)
    assert last.state is not None
    check_architecture(read_model(packed(model_of(experiment, last.state))))


@pytest.mark.parametrize("shape", [(), (1,)])
def test_a_counter_is_a_number_or_as_in_earlier_files_a_list_of_one(shape: tuple[int, ...], softmax: Model) -> None:
    counters = {n: a.reshape(shape) for n, a in softmax.tensors.items() if n.endswith("num_batches_tracked")}
    assert counters
    check_architecture(replace(softmax, tensors={**softmax.tensors, **counters}))


@pytest.mark.parametrize("encoder", ENCODERS)
def test_nothing_is_allocated_to_find_out(encoder: str, softmax: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the largest network there can be: it is not the model's, which is refused at once."""
    devices: set[str] = set()

    def build(shape: Shape, embedding_dim: int) -> nn.Module:
        network = original.build(shape, embedding_dim)
        devices.update(tensor.device.type for tensor in network.state_dict().values())
        return network

    original = ENCODERS[encoder]
    monkeypatch.setitem(ENCODERS, encoder, replace(original, build=build))
    experiment = replace(softmax.experiment, encoder=encoder, shared=False, embedding_dim=256)
    with pytest.raises(ModelRejected, match=f"is missing first.encoder.*, which .* {encoder} network has"):
        check_architecture(replace(softmax, experiment=experiment, shape=(3, 256, 256)))
    assert devices == {"meta"}


def test_the_first_tensor_that_is_missing_is_named(softmax: Model) -> None:
    with pytest.raises(ModelRejected, match=r"is missing encoder\.1\.weight, which the experiment's mlp network has"):
        check_architecture(with_tensors(softmax, encoder__1__weight=None))
    with pytest.raises(ModelRejected, match=r"is missing head\.bias, which the head of .* loss softmax has"):
        check_architecture(with_tensors(softmax, head__bias=None))


def test_a_tensor_too_many_is_named(softmax: Model) -> None:
    with pytest.raises(ModelRejected, match="has a�b, which neither the experiment's network nor its loss expects"):
        check_architecture(replace(softmax, tensors={**softmax.tensors, "a\nb": np.zeros(1, np.float32)}))
    contrastive = replace(softmax, experiment=replace(softmax.experiment, loss="contrastive"))
    with pytest.raises(ModelRejected, match=r"has head\.weight, which neither"):
        check_architecture(contrastive)


def test_another_shape_is_named_with_the_one_expected(softmax: Model) -> None:
    flipped = np.ascontiguousarray(softmax.tensors["encoder.1.weight"].T)
    with pytest.raises(ModelRejected, match=r"has encoder\.1\.weight of 64×256, expected 256×64 of .* mlp"):
        check_architecture(with_tensors(softmax, encoder__1__weight=flipped))
    with pytest.raises(ModelRejected, match=r"has encoder\.1\.weight of 64×64, expected 256×64"):
        check_architecture(with_tensors(softmax, encoder__1__weight=np.zeros((64, 64), np.float32)))


def test_another_dtype_is_named_with_the_one_expected(softmax: Model) -> None:
    whole = softmax.tensors["head.bias"].astype(np.int64)
    with pytest.raises(ModelRejected, match=r"has head\.bias in int64, expected float32 of the head of"):
        check_architecture(with_tensors(softmax, head__bias=whole))


def head_of(model: Model, classes: int) -> Model:
    return with_tensors(
        model, head__weight=np.zeros((classes, 6), np.float32), head__bias=np.zeros(classes, np.float32)
    )


@pytest.mark.parametrize("classes", [1, 2, 7, 9, 10, 11])
def test_a_head_is_of_the_classes_that_were_trained_on(classes: int, softmax: Model) -> None:
    """Eight of ten. Where the images are not here it may be any number from two to all."""
    with pytest.raises(ModelRejected, match=rf"has head\.weight of {classes}×6, expected 8×6"):
        check_architecture(head_of(softmax, classes))
    elsewhere = replace(head_of(softmax, classes), has_images=False)
    if 2 <= classes <= 10:
        check_architecture(elsewhere)
    else:
        with pytest.raises(ModelRejected, match=r"has head\.weight of"):
            check_architecture(elsewhere)


def test_a_head_whose_parts_disagree_is_refused_wherever_the_images_are(softmax: Model) -> None:
    uneven = replace(with_tensors(softmax, head__bias=np.zeros(7, np.float32)), has_images=False)
    with pytest.raises(ModelRejected, match=r"has head\.bias of 7, expected 8"):
        check_architecture(uneven)

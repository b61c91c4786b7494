"""A model that was read back is the network of its run: what it says is what the run said, bit for bit."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
import torch

from siamese_core.datasets import DATASETS
from siamese_core.evaluation.inference import between, branch_input, embed, load
from siamese_core.experiment.experiment import Experiment
from siamese_core.experiment.snapshot import Frame
from siamese_core.losses.distances import MEASURES
from siamese_core.networks.input_transforms import INPUT_TRANSFORMS
from siamese_core.runs.model import Model, model_of
from siamese_core.runs.model_file import ModelRejected, packed, read_model
from siamese_core.training.eval_subset import eval_subset_of
from siamese_core.training.loop import never, train

DIGITS = DATASETS["digits"].load()
TEST = torch.tensor(DIGITS.test_images)

RUNS = {
    "contrastive": "encoder=mlp",
    "log": "loss=log&encoder=mlp&output=sigmoid",
    "exponential similarity": "loss=squared&measure=exponential_similarity&encoder=mlp",
    "softmax": "loss=softmax&encoder=conv",
    "triplet": "loss=triplet&encoder=lenet",
    "proxy anchor": "loss=proxy_anchor&encoder=mlp&output=l2",
    "residual": "encoder=resnet_small&measure=cosine",
    "two networks": "shared=false&second_encoder=lenet&view=edges&encoder=mlp&measure=manhattan",
    "two networks of one kind": "shared=false&encoder=conv&loss=log",
}


@lru_cache
def run(name: str) -> tuple[Model, Frame]:
    """A model out of its file, and what its run saw last: all test images of the digits."""
    start = "dataset=digits&embedding_dim=6&held_out=3,8&batch_size=24&steps=3"
    experiment, ignored = Experiment.from_query(f"{start}&{RUNS[name]}")
    assert not ignored
    *_, last = train(experiment, wants_frame=never)
    assert last.state is not None
    assert last.frame is not None
    return read_model(packed(model_of(experiment, last.state))), last.frame


def with_experiment(model: Model, **changed: object) -> Model:
    return replace(model, experiment=replace(model.experiment, **changed))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", RUNS)
def test_a_model_out_of_its_file_embeds_as_its_run_did(name: str) -> None:
    model, frame = run(name)
    trained = load(model)
    branches = model.experiment.branches
    found = [
        embed(trained, branch_input(trained, TEST, bool(branch)), bool(branch)).numpy() for branch in range(branches)
    ]
    np.testing.assert_array_equal(np.concatenate(found), frame.embeddings)


def test_with_one_network_for_two_inputs_it_does_so_up_to_rounding() -> None:
    """The run embeds both inputs of an image in one batch, and this each in its own."""
    experiment = Experiment(dataset="digits", encoder="mlp", embedding_dim=6, view="edges", batch_size=24, steps=3)
    *_, last = train(experiment, wants_frame=never)
    assert last.state is not None
    assert last.frame is not None
    trained = load(model_of(experiment, last.state))
    found = torch.cat([embed(trained, TEST), embed(trained, INPUT_TRANSFORMS["edges"].fn(TEST), second=True)])
    np.testing.assert_allclose(found, last.frame.embeddings, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", RUNS)
def test_it_measures_pairs_as_its_run_did(name: str) -> None:
    """With the head of the last step, where the loss has one that measures."""
    model, frame = run(name)
    trained = load(model)
    group = eval_subset_of(model.experiment, DIGITS).groups["seen"]
    assert group is not None
    h, pairs = torch.tensor(frame.embeddings), group.pairs
    value = between(trained, h[pairs.first], h[pairs.second])
    np.testing.assert_array_equal(value[pairs.same], frame.same_distances)
    np.testing.assert_array_equal(value[~pairs.same], frame.different_distances)


@pytest.mark.parametrize("name", ["log", "two networks of one kind"])
def test_a_similarity_head_is_that_of_the_file(name: str) -> None:
    model, _ = run(name)
    trained = load(model)
    h1, h2 = torch.randn(2, 5, 6, generator=torch.Generator().manual_seed(0))
    weight, bias = model.tensors["head.weight"], model.tensors["head.bias"]
    p = [1 / (1 + np.exp(-(weight[0] @ np.abs(a - b) + bias[0]))) for a, b in zip(h1.numpy(), h2.numpy(), strict=True)]
    np.testing.assert_allclose(between(trained, h1, h2), p, rtol=1e-5)
    np.testing.assert_allclose(trained.model.measure.as_distance(between(trained, h1, h2)), 1 - np.array(p), rtol=1e-4)


@pytest.mark.parametrize("name", ["softmax", "proxy anchor", "triplet", "exponential similarity"])
def test_a_head_that_does_not_measure_is_no_part_of_a_pair(name: str) -> None:
    trained = load(run(name)[0])
    assert trained.head_params == ()
    h1, h2 = torch.randn(2, 5, 6, generator=torch.Generator().manual_seed(0))
    expected = MEASURES[trained.model.experiment.measure].between(h1, h2)
    assert torch.equal(between(trained, h1, h2), expected)
    distances = trained.model.measure.as_distance(expected)
    assert torch.equal(distances, 1 - expected if name == "exponential similarity" else expected)


@pytest.mark.parametrize("name", RUNS)
def test_images_alone_and_in_a_batch_are_embedded_alike(name: str) -> None:
    trained = load(run(name)[0])
    for second in (False, True):
        inputs = branch_input(trained, TEST[:7], second)
        alone = torch.cat([embed(trained, image[None], second) for image in inputs])
        torch.testing.assert_close(alone, embed(trained, inputs, second), rtol=1e-4, atol=1e-6)


def test_more_images_than_are_embedded_at_once_keep_their_order() -> None:
    trained = load(run("contrastive")[0])
    order = torch.randperm(len(TEST), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(embed(trained, TEST[order]), embed(trained, TEST)[order], rtol=1e-4, atol=1e-6)
    assert embed(trained, TEST[:0]).shape == (0, 6)


def test_pixels_may_be_whole_numbers_or_not() -> None:
    trained = load(run("contrastive")[0])
    assert torch.equal(embed(trained, TEST.float()), embed(trained, TEST))


def test_only_second_inputs_are_shown_in_another_way() -> None:
    trained = load(run("two networks")[0])
    assert torch.equal(branch_input(trained, TEST, second=False), TEST)
    assert torch.equal(branch_input(trained, TEST, second=True), INPUT_TRANSFORMS["edges"].fn(TEST))
    same = load(run("contrastive")[0])
    assert torch.equal(branch_input(same, TEST, second=True), TEST)


def test_each_branch_has_its_own_network_where_weights_are_not_shared() -> None:
    trained = load(run("two networks of one kind")[0])
    assert not torch.allclose(embed(trained, TEST[:5]), embed(trained, TEST[:5], second=True))
    shared = load(run("contrastive")[0])
    assert torch.equal(embed(shared, TEST[:5]), embed(shared, TEST[:5], second=True))


def test_the_network_is_in_eval_mode_and_what_it_sees_does_not_change_it() -> None:
    trained = load(run("softmax")[0])
    before = embed(trained, TEST[:5])
    embed(trained, TEST[5:])
    assert torch.equal(embed(trained, TEST[:5]), before)
    assert not before.requires_grad
    assert not any(layer.training for layer in trained.siamese.network.modules())


def test_loading_draws_no_number_of_anybody_else() -> None:
    state = torch.get_rng_state()
    load(run("contrastive")[0])
    assert torch.equal(torch.get_rng_state(), state)


def test_a_loaded_network_does_not_share_its_numbers_with_the_model() -> None:
    model, frame = run("contrastive")
    for parameter in load(model).siamese.network.parameters():
        torch.nn.init.zeros_(parameter)
    np.testing.assert_array_equal(embed(load(model), TEST), frame.embeddings)


def test_a_model_of_images_that_are_not_here_embeds_all_the_same() -> None:
    model, frame = run("contrastive")
    experiment = replace(model.experiment, dataset="fashion_mnist", held_out=())
    elsewhere = replace(model, experiment=experiment, has_images=False)
    np.testing.assert_array_equal(embed(load(elsewhere), TEST), frame.embeddings)


def test_a_counter_in_a_list_of_one_is_read_as_well() -> None:
    """As files of earlier versions have it."""
    model, frame = run("softmax")
    assert any(array.shape == () for array in model.tensors.values())
    older = replace(model, tensors={name: a.reshape(a.shape or (1,)) for name, a in model.tensors.items()})
    np.testing.assert_array_equal(embed(load(older), TEST), frame.embeddings)


@pytest.mark.parametrize(
    ("changed", "names"),
    [
        ({"encoder": "conv"}, "is missing"),
        ({"embedding_dim": 7}, "has encoder"),
        ({"loss": "log", "measure": "similarity_head", "params": {}}, r"is missing head\.weight"),
        ({"shared": False}, r"is missing first\.encoder"),
    ],
)
def test_tensors_of_another_network_are_rejected(changed: dict[str, object], names: str) -> None:
    with pytest.raises(ModelRejected, match=names):
        load(with_experiment(run("contrastive")[0], **changed))


def test_a_tensor_too_many_is_rejected() -> None:
    model, _ = run("contrastive")
    with pytest.raises(ModelRejected, match="has more, which"):
        load(replace(model, tensors=dict(model.tensors) | {"more": np.zeros(1, np.float32)}))

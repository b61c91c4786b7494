"""A run with two kinds of input shows each image twice: its frames, and the pairs and scores that they are made of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Generator, Tensor, nn

from siamese_core.datasets import EVAL_PER_CLASS
from siamese_core.embeddings.retrieval import retrieval_metrics, verification_metrics
from siamese_core.experiment.experiment import Experiment
from siamese_core.experiment.snapshot import Frame, TrainingState
from siamese_core.losses import LOSSES
from siamese_core.networks.input_transforms import INPUT_TRANSFORMS
from siamese_core.training import eval_subset as eval_subset_module
from siamese_core.training.eval_subset import (
    METRICS,
    eval_subset_of,
    final_metrics,
    frame_of,
    pairs_by,
    pixels_map_at_r,
)
from siamese_core.training.loop import never, train
from tests.training.test_branches import DIGITS, built, every_way, scaled, seen_second, small
from tests.training.test_eval_subset import LABELS, points

TEST = torch.tensor(DIGITS.test_images)
N = len(TEST)


# Frames


def shown(experiment: Experiment) -> tuple[Frame, TrainingState]:
    *_, last = train(experiment, wants_frame=never)
    assert last.frame is not None
    assert last.state is not None
    return last.frame, last.state


def restored(experiment: Experiment, state: TrainingState) -> list[nn.Module]:
    """The networks of a state, put together by hand: one, or two."""
    nets = built(experiment, Generator())
    for name, net in zip(("first.", "second."), nets, strict=False):
        prefix = "network." + (name if len(nets) == 2 else "")
        weights = {n.removeprefix(prefix): torch.tensor(a) for n, a in state.tensors.items() if n.startswith(prefix)}
        net.load_state_dict(weights)
        net.eval()
    return nets


@every_way
def test_a_frame_shows_every_image_as_first_input_and_then_as_second_one(way: dict[str, str]) -> None:
    experiment = small(**way)
    frame, state = shown(experiment)
    nets = restored(experiment, state)
    with torch.no_grad():
        first, second = nets[0](scaled(TEST)), nets[-1](scaled(seen_second(experiment, TEST)))
    assert frame.embeddings.shape == (2 * N, 32)
    np.testing.assert_allclose(frame.embeddings[:N], first, atol=1e-4)
    np.testing.assert_allclose(frame.embeddings[N:], second, atol=1e-4)
    assert np.abs(frame.embeddings[:N] - frame.embeddings[N:]).max() > 0.01, "second inputs lie elsewhere"


def test_a_view_that_changes_nothing_puts_both_inputs_in_one_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(INPUT_TRANSFORMS, "edges", replace(INPUT_TRANSFORMS["edges"], fn=torch.clone))
    shared, _ = shown(small(view="edges"))
    np.testing.assert_array_equal(shared.embeddings[:N], shared.embeddings[N:])
    unshared, _ = shown(small(view="edges", shared=False))
    bare, _ = shown(small(shared=False))
    np.testing.assert_array_equal(unshared.embeddings, bare.embeddings)


def test_an_input_transform_of_everything_in_one_colour_puts_all_second_inputs_in_one_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(INPUT_TRANSFORMS, "edges", replace(INPUT_TRANSFORMS["edges"], fn=torch.zeros_like))
    frame, _ = shown(small(view="edges"))
    assert np.ptp(frame.embeddings[N:], axis=0).max() < 1e-5
    assert np.ptp(frame.embeddings[:N], axis=0).max() > 0.01


def test_a_frame_has_its_anchors_among_the_first_inputs_and_the_others_among_the_second() -> None:
    experiment = small(loss="triplet", view="edges")
    frame, _ = shown(experiment)
    group = eval_subset_of(experiment, DIGITS, EVAL_PER_CLASS).groups["seen"]
    first, second = frame.embeddings[:N], frame.embeddings[N:]
    anchor, positive, negative = (indices.numpy() for indices in group.triplets)
    expected = [((first[anchor] - second[indices - N]) ** 2).sum(1) for indices in (positive, negative)]
    np.testing.assert_allclose(frame.triplet_distances, expected, rtol=1e-4, atol=1e-6)


# Pairs and scores


TWO = Experiment(dataset="digits", shared=False, held_out=(7, 8, 9))


def both_inputs() -> Tensor:
    """(2N, 3): the second inputs are somewhere else, but their classes still lie apart."""
    h = points(N)
    return torch.cat([h, 0.5 * h.flip(1) + 1])


def test_with_two_branches_every_pair_and_triplet_goes_from_a_first_to_a_second_input() -> None:
    eval_subset = eval_subset_of(TWO, DIGITS, per_class=5)
    n = len(eval_subset.indices)
    labels = torch.tensor(LABELS[eval_subset.indices]).repeat(2)
    assert torch.equal(eval_subset.labels, labels)
    for name, classes in (("seen", set(range(7))), ("held_out", {7, 8, 9})):
        group = eval_subset.groups[name]
        assert group.offset == n
        indices = [index for index in range(n) if int(labels[index]) in classes]
        assert group.indices.tolist() == indices + [index + n for index in indices]
        assert torch.equal(labels[group.indices], group.labels)
        anchor, positive, negative = group.triplets
        assert all((indices < n).all() for indices in (group.pairs.first, anchor))
        assert all((indices >= n).all() for indices in (group.pairs.second, positive, negative))
        assert torch.equal(labels[group.pairs.first] == labels[group.pairs.second], group.pairs.same)
        assert torch.equal(labels[anchor], labels[positive])
        assert (labels[anchor] != labels[negative]).all()


def test_two_branches_are_looked_at_through_the_pairs_of_one() -> None:
    """So that two such runs can be compared."""
    runs = Experiment(dataset="digits"), Experiment(dataset="digits", view="edges")
    one, two = (eval_subset_of(experiment, DIGITS).groups["seen"] for experiment in runs)
    assert one.offset == 0
    assert torch.equal(one.pairs.first, two.pairs.first)
    assert torch.equal(one.pairs.second + N, two.pairs.second)


def test_the_scores_of_two_branches_are_over_all_pairs_and_search_among_both() -> None:
    """N² pairs, an image with its own second form included; 2N images that each look for their nearest."""
    h, eval_subset = both_inputs(), eval_subset_of(TWO, DIGITS)
    scores = final_metrics(h, TWO, eval_subset)
    for name, classes in (("seen", range(7)), ("held_out", (7, 8, 9))):
        inside = np.isin(LABELS, classes)
        first, second, labels = h[:N].numpy()[inside], h[N:].numpy()[inside], LABELS[inside]
        expected = retrieval_metrics(np.concatenate([first, second]), np.concatenate([labels, labels]))
        assert expected is not None
        assert scores["precision_at_1"][name] == expected.precision_at_1
        assert scores["map_at_r"][name] == expected.map_at_r
        distances = np.linalg.norm(first[:, None] - second[None], axis=2)
        same = labels[:, None] == labels[None]
        verified = verification_metrics(distances[same], distances[~same])
        assert verified is not None
        assert (scores["auc"][name], scores["eer"][name]) == pytest.approx(verified, abs=1e-5)
        loss = (distances[same] ** 2 / 2).mean() + (np.maximum(1 - distances[~same], 0) ** 2 / 2).mean()
        assert scores["loss"][name] == pytest.approx(loss, rel=1e-4)


def test_too_many_pairs_of_two_branches_are_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    h, eval_subset = both_inputs(), eval_subset_of(TWO, DIGITS)
    exact = final_metrics(h, TWO, eval_subset)
    monkeypatch.setattr(eval_subset_module, "EXACT_UP_TO", 20_000)
    sampled = final_metrics(h, TWO, eval_subset)
    assert sampled["auc"] != exact["auc"], "not the same pairs"
    for metric in METRICS:
        assert sampled[metric]["seen"] == pytest.approx(exact[metric]["seen"], abs=0.02, rel=0.02)


def test_a_batch_of_two_branches_has_an_images_two_embeddings_side_by_side() -> None:
    experiment = Experiment(dataset="digits", loss="supcon", shared=False, held_out=(7, 8, 9))
    h, eval_subset = both_inputs(), eval_subset_of(experiment, DIGITS)
    batches = eval_subset.groups["seen"].batches
    labels = torch.tensor(LABELS).repeat(2)
    for batch in batches:
        assert torch.equal(batch[0::2] + N, batch[1::2])
        assert labels[batch].bincount().tolist() == [24] * 7
    each = [float(LOSSES["supcon"].fn(h[batch], labels[batch], **experiment.params)) for batch in batches]
    assert frame_of(h, experiment, eval_subset).metrics["loss"]["seen"] == pytest.approx(np.mean(each), rel=1e-5)


@pytest.mark.parametrize(("input_transform", "shared"), [("inverted", True), ("inverted", False), ("none", False)])
def test_pixels_of_two_branches_are_searched_among_both(input_transform: str, shared: bool) -> None:
    """Without a network there are no weights to share: two branches on the same images are each image twice."""
    pixels = DIGITS.test_images.reshape(N, -1)
    second = 255 - pixels if input_transform == "inverted" else pixels
    expected = retrieval_metrics(np.concatenate([pixels, second]), np.concatenate([LABELS, LABELS]))
    assert expected is not None
    found = pixels_map_at_r(Experiment(dataset="digits", view=input_transform, shared=shared))
    assert found["seen"] == pytest.approx(expected.map_at_r, abs=1e-4)
    assert found["held_out"] is None


def test_another_measure_sees_the_pairs_of_a_frame_from_first_to_second_inputs() -> None:
    experiment = Experiment(dataset="digits", measure="manhattan", shared=False)
    h, eval_subset = both_inputs(), eval_subset_of(experiment, DIGITS)
    found, frame = (
        pairs_by("manhattan", h.numpy(), np.tile(LABELS, 2), branches=2),
        frame_of(h, experiment, eval_subset),
    )
    np.testing.assert_array_equal(found["same"], frame.same_distances)
    np.testing.assert_array_equal(found["different"], frame.different_distances)

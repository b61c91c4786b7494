"""Pairs of images held against each other, and each image against the training images."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors
from torch import nn

from siamese_core.datasets import DATASETS
from siamese_core.evaluation import evaluate, saliency
from siamese_core.evaluation.compare import NEIGHBOURS, compare, explain
from siamese_core.evaluation.evaluate import UNLIKE, Gallery, build_gallery
from siamese_core.evaluation.inference import TrainedModel, branch_input, embed, load
from siamese_core.experiment.experiment import Experiment
from siamese_core.formats.wire import pack, unpack
from siamese_core.losses.distances import MEASURES
from siamese_core.networks.input_transforms import INPUT_TRANSFORMS
from siamese_core.runs.model import model_of
from siamese_core.training.loop import never, train
from siamese_core.training.siamese import Siamese

DIGITS = DATASETS["digits"].load()
TEST = DIGITS.test_images
FIRST, SECOND = TEST[:12], TEST[12:24]

RUNS = {
    "distance": "encoder=mlp",
    "head": "loss=log&encoder=mlp",
    "two inputs": "encoder=mlp&view=inverted&measure=manhattan",
    "two networks": "encoder=mlp&shared=false&view=edges&loss=log&measure=exponential_similarity",
}


@lru_cache
def run(name: str) -> tuple[TrainedModel, np.ndarray]:
    """A model, and its run's embeddings of all test images: as first inputs, then as second ones."""
    start = "dataset=digits&embedding_dim=6&held_out=3,8&batch_size=48&steps=15"
    experiment, ignored = Experiment.from_query(f"{start}&{RUNS[name]}")
    assert not ignored
    *_, last = train(experiment, wants_frame=never)
    assert last.state is not None
    assert last.frame is not None
    return load(model_of(experiment, last.state)), last.frame.embeddings


@lru_cache
def known(name: str) -> Gallery:
    *_, found = build_gallery(run(name)[0])
    assert isinstance(found, Gallery)
    return found


@lru_cache
def pixels_themselves() -> tuple[TrainedModel, Gallery]:
    """A network that gives an image's pixels back, and what it knows."""
    trained, _ = run("distance")
    of_pixels = TrainedModel(trained.model, Siamese(trained.model.experiment, nn.Flatten(), 0.0, 1.0), ())
    *_, found = build_gallery(of_pixels)
    assert isinstance(found, Gallery)
    return of_pixels, found


def gallery(trained: TrainedModel, branch: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices of all training images of seen classes, and their embeddings."""
    indices = np.flatnonzero(np.isin(DIGITS.train_labels, trained.model.experiment.seen))
    images = branch_input(trained, torch.tensor(DIGITS.train_images[indices]), bool(branch))
    return indices, embed(trained, images, bool(branch)).numpy()


@pytest.mark.parametrize("name", RUNS)
def test_the_value_of_a_pair_is_the_measure_of_its_runs_own_embeddings(name: str) -> None:
    trained, embeddings = run(name)
    h1 = torch.tensor(embeddings[:12])
    h2 = torch.tensor(embeddings[12:24] if trained.model.experiment.branches == 1 else embeddings[len(TEST) :][12:24])
    expected = MEASURES[trained.model.experiment.measure].between(h1, h2, *trained.head_params)
    found = compare(trained, FIRST, SECOND, None)
    np.testing.assert_allclose(found["value"], expected, rtol=1e-4, atol=1e-6)
    assert found["value"].dtype == np.float32


@pytest.mark.parametrize("name", RUNS)
def test_many_pairs_are_what_each_pair_is_alone(name: str) -> None:
    trained, _ = run(name)
    together = compare(trained, FIRST, SECOND, known(name))
    for place in range(len(FIRST)):
        alone = compare(trained, FIRST[place : place + 1], SECOND[place : place + 1], known(name))
        np.testing.assert_allclose(alone["value"][0], together["value"][place], rtol=1e-4, atol=1e-6)
        np.testing.assert_array_equal(alone["near"][:, 0, 0], together["near"][:, place, 0])
        np.testing.assert_allclose(alone["near_distances"][:, 0], together["near_distances"][:, place], rtol=1e-3)
        np.testing.assert_array_equal(alone["unlike"][:, 0], together["unlike"][:, place])


@pytest.mark.parametrize("name", RUNS)
def test_the_neighbours_are_the_nearest_training_images_of_the_classes_trained_on(name: str) -> None:
    trained, _ = run(name)
    found = compare(trained, FIRST, SECOND, known(name))
    for branch, images in enumerate((FIRST, SECOND)):
        indices, rows = gallery(trained, branch)
        queries = embed(trained, branch_input(trained, torch.tensor(images), bool(branch)), bool(branch)).numpy()
        distances, near = NearestNeighbors(n_neighbors=NEIGHBOURS).fit(rows).kneighbors(queries)
        np.testing.assert_allclose(found["near_distances"][branch], distances, rtol=1e-3, atol=1e-5)
        # Two training images that are equally far up to rounding may stand the other way round.
        assert (found["near"][branch] == indices[near]).mean() > 0.95


@pytest.mark.parametrize("name", RUNS)
def test_a_training_image_is_its_own_nearest_one_as_either_input(name: str) -> None:
    trained, _ = run(name)
    indices = np.flatnonzero(np.isin(DIGITS.train_labels, trained.model.experiment.seen))[40:60]
    images = DIGITS.train_images[indices]
    found = compare(trained, images, images, known(name))
    np.testing.assert_array_equal(found["near"][:, :, 0], [indices, indices])
    np.testing.assert_allclose(found["near_distances"][:, :, 0], 0, atol=1e-5)
    assert not found["unlike"].any()


def test_a_class_held_out_is_not_among_the_neighbours() -> None:
    trained, _ = run("distance")
    threes = DIGITS.train_images[DIGITS.train_labels == 3][:20]
    found = compare(trained, threes, threes, known("distance"))
    assert not np.isin(DIGITS.train_labels[found["near"]], (3, 8)).any()


@pytest.mark.parametrize("name", RUNS)
def test_about_one_in_a_hundred_test_images_of_the_seen_classes_is_unlike_the_training_images(name: str) -> None:
    trained, _ = run(name)
    seen = TEST[np.isin(DIGITS.test_labels, trained.model.experiment.seen)]
    found = compare(trained, seen, seen, known(name))
    # By the network, by the pixels, or by both.
    by_either = found["unlike"].mean(axis=1)
    assert (by_either >= 1 - UNLIKE - 1.5 / len(seen)).all()
    assert (by_either <= 2 * (1 - UNLIKE) + 3 / len(seen)).all()


def test_noise_and_clothes_are_unlike_every_digit_to_a_network_that_keeps_them_apart() -> None:
    trained, gallery_of_pixels = pixels_themselves()
    noise = np.random.default_rng(0).integers(0, 256, (20, 1, 8, 8), np.uint8)
    clothes = DATASETS["fashion_mnist"].load().test_images[:200, :, 6:22:2, 6:22:2]
    found = compare(trained, noise, noise, gallery_of_pixels)
    assert found["unlike"].tolist() == [[1] * 20] * 2
    assert compare(trained, clothes, clothes, gallery_of_pixels)["unlike"].mean() > 0.9


def test_noise_is_unlike_by_its_pixels_though_a_trained_network_draws_most_of_it_among_its_digits() -> None:
    trained, _ = run("distance")
    noise = np.random.default_rng(0).integers(0, 256, (200, 1, 8, 8), np.uint8)
    assert compare(trained, noise, noise, known("distance"))["unlike"].all()
    by_the_network = replace(known("distance"), unlike_coarse=np.array([np.inf], np.float32))
    assert 3 * (1 - UNLIKE) < compare(trained, noise, noise, by_the_network)["unlike"].mean() < 0.9


def test_an_image_exactly_at_the_limit_is_not_unlike() -> None:
    trained, of_pixels = pixels_themselves()
    distance = compare(trained, FIRST[:1], FIRST[:1], of_pixels)["near_distances"][0, 0, 0]
    for limit, unlike in ((distance, 0), (np.nextafter(distance, np.float32(0)), 1)):
        known_to = replace(
            of_pixels, unlike=np.array([limit], np.float32), unlike_coarse=np.array([np.inf], np.float32)
        )
        assert compare(trained, FIRST[:1], FIRST[:1], known_to)["unlike"].tolist() == [[unlike], [unlike]]


def test_each_branch_has_a_limit_and_a_gallery_of_its_own() -> None:
    trained, _ = run("two networks")
    both = known("two networks")
    assert both.embeddings.shape[0] == len(both.unlike) == 2
    never = np.full(2, np.inf, np.float32)
    strict = replace(both, unlike=np.array([np.inf, -1], np.float32), unlike_coarse=never)
    assert compare(trained, FIRST, SECOND, strict)["unlike"].tolist() == [[0] * 12, [1] * 12]
    strict = replace(both, unlike=never, unlike_coarse=np.array([-1, np.inf], np.float32))
    assert compare(trained, FIRST, SECOND, strict)["unlike"].tolist() == [[1] * 12, [0] * 12]


@pytest.mark.parametrize("name", ["distance", "two networks"])
def test_a_small_gallery_gives_as_many_neighbours_as_it_has(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate, "GALLERY_SIZE", 1)
    trained, _ = run(name)
    *_, small = build_gallery(trained)
    assert isinstance(small, Gallery)
    assert len(small.indices) == 8, "one of each seen class"
    found = compare(
        trained, FIRST, SECOND, replace(small, indices=small.indices[:3], embeddings=small.embeddings[:, :3])
    )
    assert found["near"].shape == found["near_distances"].shape == (2, 12, 3)


@pytest.mark.parametrize("name", RUNS)
def test_whatever_the_measure_the_euclidean_distance_and_the_cosine_are_given(name: str) -> None:
    trained, _ = run(name)
    found = compare(trained, FIRST, SECOND, None)
    h = [
        embed(trained, branch_input(trained, torch.tensor(images), bool(branch)), bool(branch)).numpy()
        for branch, images in enumerate((FIRST, SECOND))
    ]
    np.testing.assert_allclose(found["euclidean"], np.linalg.norm(h[0] - h[1], axis=1), rtol=1e-4, atol=1e-6)
    cosine = (h[0] * h[1]).sum(axis=1) / np.linalg.norm(h[0], axis=1) / np.linalg.norm(h[1], axis=1)
    np.testing.assert_allclose(found["cosine"], cosine, rtol=1e-4, atol=1e-5)


def test_what_is_found_of_pairs_goes_over_a_wire() -> None:
    found = compare(run("distance")[0], FIRST, SECOND, known("distance"))
    assert {name: array.shape for name, array in found.items()} == {
        "value": (12,), "euclidean": (12,), "cosine": (12,),
        "near": (2, 12, 5), "near_distances": (2, 12, 5), "unlike": (2, 12),
    }  # fmt: skip
    _, arrays = unpack(pack({}, **found))
    for name, array in found.items():
        np.testing.assert_array_equal(arrays[name], array)


def test_without_a_gallery_there_is_the_value_alone() -> None:
    assert set(compare(run("distance")[0], FIRST, SECOND, None)) == {"value", "euclidean", "cosine"}


@pytest.mark.parametrize("name", RUNS)
def test_an_explanation_is_of_what_the_network_is_shown(name: str) -> None:
    trained, _ = run(name)
    transform = trained.model.experiment.view
    second = torch.tensor(SECOND[:1])
    pair = torch.tensor(FIRST[0]), (second if transform == "none" else INPUT_TRANSFORMS[transform].fn(second))[0]
    found = explain(trained, FIRST[0], SECOND[0])
    np.testing.assert_array_equal(found["shown"], torch.stack(pair))
    assert found["shown"].dtype == np.uint8
    np.testing.assert_array_equal(found["occlusion"], saliency.occlusion(trained, *pair))
    np.testing.assert_array_equal(found["gradient"], saliency.gradient(trained, *pair))
    assert pack({}, **found)


def test_images_that_cannot_be_written_to_are_compared_and_left_as_they_are() -> None:
    """As they come out of a message."""
    first = FIRST.copy()
    first.flags.writeable = False
    found = compare(run("distance")[0], first, first, known("distance"))
    assert not found["value"].any()
    explain(run("distance")[0], first[0], first[1])
    np.testing.assert_array_equal(first, FIRST)

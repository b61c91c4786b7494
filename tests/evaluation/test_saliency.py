"""Maps of a pair against a loop over the patches, against finite differences, and where the map is known."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from siamese_core.datasets import DATASETS
from siamese_core.evaluation.inference import TrainedModel, between, branch_input, embed
from siamese_core.evaluation.saliency import PATCH, gradient, occlusion
from siamese_core.experiment.experiment import Experiment
from siamese_core.losses import LOSSES
from siamese_core.losses.distances import MEASURES
from siamese_core.runs.model import Model
from siamese_core.training.siamese import Siamese, branch_networks, network_of

DIGITS = torch.tensor(DATASETS["digits"].load().test_images)
FIRST, SECOND = DIGITS[3], DIGITS[8]

LOSS_OF = {measure: next(key for key, loss in LOSSES.items() if measure in loss.measures) for measure in MEASURES}

TWO_BRANCHES = {"shared": False, "second_encoder": "lenet", "view": "edges"}

MAPS = [occlusion, gradient]


@lru_cache(maxsize=64)
def untrained(**settings: str) -> TrainedModel:
    values = {"dataset": "digits", "encoder": "mlp", "embedding_dim": 6} | settings
    experiment = Experiment(**values)  # type: ignore[arg-type]
    data, generator = experiment.data, torch.Generator().manual_seed(0)
    network = network_of(experiment, data.shape, generator).eval()
    # As training makes a head: the further apart, the less alike.
    head = (-torch.rand(1, 6, generator=generator), torch.tensor([0.5]))
    return TrainedModel(
        Model(experiment, data.classes, data.shape, data.mean, data.std, 1, {}),
        Siamese(experiment, network, data.mean, data.std),
        head if experiment.measure == "similarity_head" else (),
    )


def of_measure(measure: str, **settings: str) -> TrainedModel:
    return untrained(loss=LOSS_OF[measure], measure=measure, **settings)


def pixels_themselves(*, of_std: float = 1.0) -> TrainedModel:
    """The embedding of an image is its pixels, from 0 to 1 over the std; measured by squared Euclidean distance."""
    experiment = Experiment(dataset="digits", measure="squared_euclidean")
    return TrainedModel(
        Model(experiment, (), (1, 8, 8), 0.0, of_std, 1, {}), Siamese(experiment, nn.Flatten(), 0.0, of_std), ()
    )


def loop(trained: TrainedModel, first: Tensor, second: Tensor, side: int, starts: list[int]) -> np.ndarray:
    """Patch by patch, each alone in its batch; then pixel by pixel, the mean over the patches that cover it."""

    def distance(*pair: Tensor) -> float:
        h = [embed(trained, image[None], bool(branch)) for branch, image in enumerate(pair)]
        return float(trained.model.measure.as_distance(between(trained, *h)))

    maps = np.zeros((2, *first.shape[1:]))
    for which, image in enumerate((first, second)):
        nearer = {}
        for top in starts:
            for left in starts:
                covered = image.clone()
                for channel in covered:
                    patch = channel[top : top + side, left : left + side]
                    patch[:] = round(float(patch.float().mean()))
                pair = (first, covered) if which else (covered, second)
                nearer[top, left] = max(0.0, distance(first, second) - distance(*pair))
        for y in range(image.shape[1]):
            for x in range(image.shape[2]):
                over = [n for (top, left), n in nearer.items() if top <= y < top + side and left <= x < left + side]
                maps[which, y, x] = np.mean(over)
    return maps


def in_doubles(trained: TrainedModel) -> Callable[[Tensor, Tensor], float]:
    """The distance of a pair of float64 images, in float64."""
    networks = [copy.deepcopy(network).double() for network in branch_networks(trained.siamese)]
    head_params = [param.double() for param in trained.head_params]
    mean, std = trained.siamese.mean, trained.siamese.std

    @torch.no_grad()
    def distance(*pair: Tensor) -> float:
        h = [network((image[None] / 255 - mean) / std) for network, image in zip(networks, pair, strict=True)]
        return float(trained.model.measure.as_distance(trained.model.measure.between(*h, *head_params)))

    return distance


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize(("encoder", "output"), [("mlp", "linear"), ("conv", "l2"), ("lenet", "sigmoid")])
def test_the_maps_of_two_identical_images_are_exactly_flat(measure: str, encoder: str, output: str) -> None:
    trained = of_measure(measure, output=output, encoder=encoder)
    for find in MAPS:
        assert not find(trained, FIRST, FIRST.clone()).any(), find.__name__


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("find", MAPS)
def test_a_map_is_of_every_pixel_of_both_images_and_never_negative(measure: str, find: Callable[..., Tensor]) -> None:
    maps = find(of_measure(measure), FIRST, SECOND)
    assert maps.shape == (2, 8, 8)
    assert maps.isfinite().all()
    assert (maps >= 0).all()
    assert (maps > 0).any()


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("find", MAPS)
def test_the_maps_of_swapped_images_are_the_swapped_maps(measure: str, find: Callable[..., Tensor]) -> None:
    trained = of_measure(measure)
    torch.testing.assert_close(find(trained, FIRST, SECOND).flip(0), find(trained, SECOND, FIRST), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize(("encoder", "output"), [("mlp", "linear"), ("conv", "l2"), ("lenet", "l2")])
def test_what_no_patch_changes_is_exactly_0_also_where_a_larger_batch_rounds_otherwise(
    measure: str, encoder: str, output: str
) -> None:
    """Black but for a corner of the second image: all that can be covered is in that corner."""
    black = torch.zeros(1, 8, 8, dtype=torch.uint8)
    corner = black.clone()
    corner[:, 6:, 6:] = 200
    first, second = occlusion(of_measure(measure, encoder=encoder, output=output), black, corner)
    assert not first.any()
    second = second.clone()
    # Patches that reach the corner begin one pixel before it.
    second[5:, 5:] = 0
    assert not second.any()


def test_pixels_that_differ_in_one_corner_have_their_mass_there_on_both_images() -> None:
    """Black images, a grey spot (100) in the corner of one and a white one (200) beside it in the other."""
    pair = torch.zeros(2, 1, 2 * PATCH, 2 * PATCH, dtype=torch.uint8)
    pair[0, :, 0, 0], pair[1, :, 0, 1] = 100, 200
    trained = pixels_themselves()
    for maps in (occlusion(trained, *pair), gradient(trained, *pair)):
        assert (maps[:, 0, :2].amax(1) > 0).all()
        outside = maps.clone()
        outside[:, :2, :2] = 0
        assert not outside[:, 4:].any()
        assert not outside[:, :, 4:].any()


def test_occlusion_counts_how_much_nearer_covered_pixels_come() -> None:
    """Patches of 2 pixels begin at every pixel, so one that is at no side is covered by four of them.

    Of two black images, one with a spot of 52, the squared distance is 52²; where it is covered, four pixels of 13 are
    left of it.
    """
    pair = torch.zeros(2, 1, 2 * PATCH, 2 * PATCH, dtype=torch.uint8)
    pair[1, :, 5, 5] = 52
    expected = torch.zeros(2, 2 * PATCH, 2 * PATCH)
    # How many of the patches over a pixel lie over the spot too.
    expected[1, 4:7, 4:7] = torch.tensor([[1, 2, 1], [2, 4, 2], [1, 2, 1]]) / 4 * (52**2 - 4 * 13**2) / 255**2
    torch.testing.assert_close(occlusion(pixels_themselves(), *pair), expected)


def test_a_patch_has_its_own_mean_colour_in_each_channel() -> None:
    """Red and blue paper with a spot: where it is covered, a fourth of the spot's difference is left in four pixels."""
    paper = torch.tensor([200, 0, 90], dtype=torch.uint8)[:, None, None].expand(3, 2 * PATCH, 2 * PATCH)
    spot = paper.clone()
    spot[:, 5, 5] = torch.tensor([40, 80, 10])
    first, second = occlusion(pixels_themselves(), paper, spot)
    assert not first.any()
    nearer = (160**2 + 80**2 + 80**2) - 4 * (40**2 + 20**2 + 20**2)
    assert float(second[5, 5]) == pytest.approx(nearer / 255**2)


@pytest.mark.parametrize("measure", MEASURES)
def test_occlusion_is_what_a_loop_over_patches_finds(measure: str) -> None:
    trained = of_measure(measure)
    expected = loop(trained, FIRST, SECOND, side=2, starts=list(range(7)))
    np.testing.assert_allclose(occlusion(trained, FIRST, SECOND), expected, rtol=1e-3, atol=2e-7)


def test_occlusion_of_two_branches_covers_what_each_is_shown() -> None:
    trained = untrained(**TWO_BRANCHES)
    edges = branch_input(trained, SECOND[None], second=True)[0]
    expected = loop(trained, FIRST, edges, side=2, starts=list(range(7)))
    np.testing.assert_allclose(occlusion(trained, FIRST, edges), expected, rtol=1e-3, atol=2e-7)


@pytest.mark.parametrize("more", [0, 1])
def test_patches_overlap_by_half_and_the_last_one_ends_with_the_image(more: int) -> None:
    """Patches of 4 begin at every second pixel; with a row more than even, the last one begins in its own place."""
    size = 4 * PATCH + more
    pair = torch.tensor(np.random.default_rng(0).integers(0, 256, (2, 1, size, size), np.uint8))
    starts = [*range(0, 4 * PATCH - 3, 2), *([size - 4] if more else [])]
    expected = loop(pixels_themselves(), *pair, side=4, starts=starts)
    np.testing.assert_allclose(occlusion(pixels_themselves(), *pair), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("shape", [(1, 8, 256), (3, 30, 256), (1, 256, 30), (1, 30, 9), (1, 8, 8), (1, 9, 16)])
def test_an_image_that_is_not_square_has_a_map_without_holes(shape: tuple[int, int, int]) -> None:
    pair = torch.tensor(np.random.default_rng(0).integers(0, 256, (2, *shape), np.uint8))
    maps = occlusion(pixels_themselves(), *pair)
    assert maps.shape == (2, *shape[1:])
    assert maps.isfinite().all()
    assert (maps.flatten(1) > 0).float().mean() > 0.5


@pytest.mark.parametrize(("measure", "encoder"), [*((measure, "mlp") for measure in MEASURES), ("cosine", "lenet")])
def test_the_gradient_is_that_of_finite_differences(measure: str, encoder: str) -> None:
    trained = of_measure(measure, encoder=encoder)
    distance, pair = in_doubles(trained), [FIRST.double(), SECOND.double()]
    expected = np.zeros((2, 8, 8))
    for which in (0, 1):
        for y, x in np.ndindex(8, 8):
            moved = [[image.clone() for image in pair] for _ in range(2)]
            moved[0][which][0, y, x] -= 1e-3
            moved[1][which][0, y, x] += 1e-3
            expected[which, y, x] = abs(distance(*moved[1]) - distance(*moved[0])) / 2e-3
    np.testing.assert_allclose(gradient(trained, FIRST, SECOND), expected, rtol=1e-3, atol=1e-3 * expected.max())


def test_the_gradient_is_per_grey_level_and_that_of_the_strongest_channel() -> None:
    """The slope of ((a − b) / (255 σ))² is 2 (a − b) / (255 σ)² for one grey level."""
    pair = torch.tensor(np.random.default_rng(0).integers(0, 256, (2, 3, 8, 8), np.uint8))
    strongest = (pair[0].double() - pair[1].double()).abs().amax(0)
    expected = (2 * strongest / (255 * 0.5) ** 2).float().expand(2, 8, 8)
    torch.testing.assert_close(gradient(pixels_themselves(of_std=0.5), *pair), expected)


@pytest.mark.parametrize("find", MAPS)
def test_each_map_is_of_its_own_branch(find: Callable[..., Tensor]) -> None:
    """A second network that embeds everything alike: nothing in the second image matters, in the first one it does."""
    trained = untrained(**TWO_BRANCHES)
    first, second = branch_networks(trained.siamese)
    deaf = copy.deepcopy(second)
    *_, last = (layer for layer in deaf.modules() if isinstance(layer, nn.Linear))
    nn.init.zeros_(last.weight)
    network = nn.ModuleDict({"first": first, "second": deaf})
    siamese = Siamese(trained.siamese.experiment, network, trained.siamese.mean, trained.siamese.std)
    maps = find(TrainedModel(trained.model, siamese, ()), FIRST, SECOND)
    assert maps[0].any()
    assert not maps[1].any()


@pytest.mark.parametrize("find", MAPS)
@pytest.mark.parametrize("settings", [{"encoder": "conv"}, TWO_BRANCHES, {"loss": "log"}])
def test_nothing_of_the_network_changes(find: Callable[..., Tensor], settings: dict[str, str]) -> None:
    trained = untrained(**settings)
    images = FIRST.clone(), SECOND.clone()
    before = {name: tensor.clone() for name, tensor in trained.siamese.network.state_dict().items()}
    find(trained, *images)
    for name, tensor in trained.siamese.network.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert not any(layer.training for layer in trained.siamese.network.modules())
    assert all(parameter.grad is None for parameter in trained.siamese.network.parameters())
    assert torch.equal(images[0], FIRST)
    assert torch.equal(images[1], SECOND)

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn

from siamese_core.networks import ENCODERS, OUTPUTS, Encoder, Output, Shape, build, drawn

SHAPES: list[Shape] = [
    (1, 8, 8),
    (1, 15, 9),
    (1, 28, 28),
    (3, 32, 32),
    (1, 105, 105),
    (3, 40, 160),
    (3, 160, 160),
]


def built(
    encoder: str = "conv", output: str = "linear", shape: Shape = (1, 28, 28), dim: int = 2, seed: int = 0
) -> nn.Module:
    return build(encoder, output, shape, dim, torch.Generator().manual_seed(seed))


def images(shape: Shape, count: int = 4) -> torch.Tensor:
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dim", [2, 256])
def test_any_image_becomes_a_point_that_depends_on_every_weight(encoder: str, shape: Shape, dim: int) -> None:
    network = built(encoder, shape=shape, dim=dim)
    embeddings = network(images(shape))
    assert embeddings.shape == (4, dim)
    assert embeddings.dtype == torch.float32
    embeddings.square().sum().backward()
    for name, weight in network.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.isfinite().all(), name
        assert weight.grad.any(), name


def test_the_default_encoder_is_the_first_one() -> None:
    assert next(iter(ENCODERS)) == "conv"
    assert next(iter(OUTPUTS)) == "linear"


@pytest.mark.parametrize("catalogue", [ENCODERS, OUTPUTS], ids=["encoders", "outputs"])
def test_a_catalogue_knows_its_entries_by_their_keys_and_explains_them(
    catalogue: dict[str, Encoder] | dict[str, Output],
) -> None:
    for key, entry in catalogue.items():
        assert entry.key == key
        assert entry.title
        assert entry.help


@pytest.mark.parametrize("encoder", ENCODERS)
def test_the_same_seed_gives_the_same_bits_and_another_seed_gives_others(encoder: str) -> None:
    one, two, other = (built(encoder, seed=seed) for seed in (0, 0, 1))
    x = images((1, 28, 28))
    assert one.state_dict().keys() == two.state_dict().keys()
    assert all(torch.equal(tensor, two.state_dict()[name]) for name, tensor in one.state_dict().items())
    assert not torch.equal(one(x), other(x))


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("output", OUTPUTS)
def test_building_neither_reads_nor_moves_the_global_generator(encoder: str, output: str) -> None:
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    first = built(encoder, output).state_dict()
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(4)
    second = built(encoder, output).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_training_and_using_the_network_draws_no_random_number(encoder: str) -> None:
    network = built(encoder)
    before = torch.random.get_rng_state()
    network.train()(images((1, 28, 28))).sum().backward()
    network.eval()(images((1, 28, 28)))
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_weights_have_the_spread_of_torchs_own_initialisation(encoder: str) -> None:
    """Uniform within 1 / sqrt(fan in), biases too; only the last layer, D = 4 here, is scaled by 1 / sqrt(D)."""
    layers = [m for m in built(encoder, dim=4).modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    for layer in layers:
        bound = layer.weight[0].numel() ** -0.5 * (0.5 if layer is layers[-1] else 1)
        assert 0.8 * bound < layer.weight.abs().max() <= bound
        assert layer.bias is None or 0.5 * bound < layer.bias.abs().max() <= bound


def test_the_points_of_an_embedding_are_drawn_like_torchs_own_from_the_generator_alone() -> None:
    before = torch.random.get_rng_state()
    points, again, other = (
        drawn(lambda: nn.Embedding(100, 40), torch.Generator().manual_seed(seed)) for seed in (3, 3, 4)
    )
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(points.weight, again.weight)
    assert not torch.equal(points.weight, other.weight)
    assert points.weight.mean().item() == pytest.approx(0, abs=0.05)
    assert points.weight.std().item() == pytest.approx(1, abs=0.05)


def test_a_layer_without_a_rule_is_refused_and_nothing_at_all_is_fine() -> None:
    with pytest.raises(TypeError, match="no rule to initialise LSTM"):
        drawn(lambda: nn.LSTM(2, 2), torch.Generator())
    assert list(drawn(nn.Module, torch.Generator()).parameters()) == []


def test_batch_normalisation_starts_as_the_identity() -> None:
    for module in built().modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            ones, zeros = torch.ones(module.num_features), torch.zeros(module.num_features)
            start = module.state_dict()
            torch.testing.assert_close(start["weight"], ones)
            torch.testing.assert_close(start["bias"], zeros)
            torch.testing.assert_close(start["running_mean"], zeros)
            torch.testing.assert_close(start["running_var"], ones)
            assert start["num_batches_tracked"] == 0


@pytest.mark.parametrize("encoder", ENCODERS)
def test_distances_start_equally_long_in_every_dimension(encoder: str) -> None:
    """Else the margin means one thing in 2 dimensions and another in 256."""
    batch = images((1, 28, 28), count=32)
    with torch.no_grad():
        means = [
            float(
                torch.stack(
                    [nn.functional.pdist(built(encoder, dim=dim, seed=s)(batch)).mean() for s in range(5)]
                ).mean()
            )
            for dim in (2, 32, 256)
        ]
    assert max(means) < 1.5 * min(means)


def test_both_images_of_a_pair_go_through_the_same_weights() -> None:
    network = built().eval()
    first, second = images((1, 28, 28)).chunk(2)
    together = network(torch.cat([first, second]))
    torch.testing.assert_close(together, torch.cat([network(first), network(second)]))


def test_one_image_can_be_embedded_alone() -> None:
    assert built().eval()(images((1, 28, 28), count=1)).shape == (1, 2)


def test_a_network_without_its_code_is_only_tensors() -> None:
    saved, copy = built(seed=0), built(seed=1)
    copy.load_state_dict(saved.state_dict())
    x = images((1, 28, 28))
    assert torch.equal(saved.eval()(x), copy.eval()(x))


def test_l2_puts_every_point_on_the_unit_sphere() -> None:
    lengths = OUTPUTS["l2"].fn(torch.tensor([[3.0, 4.0], [1e-3, 0.0], [-1e6, 1e6]])).norm(dim=1)
    torch.testing.assert_close(lengths, torch.ones(3))


def test_l2_of_the_zero_vector_is_zero_and_has_a_finite_gradient() -> None:
    zero = torch.zeros(2, 3, requires_grad=True)
    out = OUTPUTS["l2"].fn(zero)
    out.sum().backward()
    assert out.eq(0).all()
    assert zero.grad is not None
    assert zero.grad.isfinite().all()


def test_l2_agrees_with_finite_differences() -> None:
    x = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    assert torch.autograd.gradcheck(OUTPUTS["l2"].fn, (x,))


def test_sigmoid_lies_between_0_and_1_and_linear_changes_nothing() -> None:
    x = torch.tensor([[-2.0, 0.0], [3.0, 1.0]])
    assert torch.equal(OUTPUTS["linear"].fn(x), x)
    torch.testing.assert_close(OUTPUTS["sigmoid"].fn(x), 1 / (1 + torch.exp(-x)))


@pytest.mark.parametrize("output", OUTPUTS)
def test_build_applies_the_output_to_the_last_layer(output: str) -> None:
    plain, changed = built(output="linear", dim=3).eval(), built(output=output, dim=3).eval()
    x = images((1, 28, 28))
    assert torch.equal(changed(x), OUTPUTS[output].fn(plain(x)))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("resnet", "linear", (1, 28, 28), 2), r"encoder is 'resnet'; it may be conv, mlp"),
        (("conv", "tanh", (1, 28, 28), 2), r"output is 'tanh'; it may be linear, l2, sigmoid"),
        (("conv", "linear", (1, 7, 28), 2), r"shape is \(1, 7, 28\); .* at least 8 x 8"),
        (("mlp", "linear", (1, 28, 28), 0), r"embedding_dim is 0; it may be 1 or more"),
    ],
)
def test_a_bad_argument_is_named_with_what_it_may_be(arguments: tuple[str, str, Shape, int], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        build(*arguments, torch.Generator())


def test_listing_the_encoders_does_not_import_torch() -> None:
    code = "import sys, siamese_core.networks as n; n.ENCODERS, n.OUTPUTS; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)

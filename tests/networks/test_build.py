from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn

from siamese_core.networks.build import OUTPUTS, build, drawn
from siamese_core.networks.encoders import Shape


def built(
    encoder: str = "conv", output: str = "linear", shape: Shape = (1, 28, 28), dim: int = 2, seed: int = 0
) -> nn.Module:
    return build(encoder, output, shape, dim, torch.Generator().manual_seed(seed))


def images(shape: Shape, count: int = 4) -> torch.Tensor:
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(1))


def test_the_default_output_is_the_first_one() -> None:
    assert next(iter(OUTPUTS)) == "linear"


def test_the_outputs_are_named_and_explained() -> None:
    for output in OUTPUTS.values():
        assert output.title
        assert output.help


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


def test_both_images_of_a_pair_go_through_the_same_weights() -> None:
    network = built().eval()
    first, second = images((1, 28, 28)).chunk(2)
    together = network(torch.cat([first, second]))
    torch.testing.assert_close(together, torch.cat([network(first), network(second)]))


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
    ("arguments", "message"),
    [
        (("resnet", "linear", (1, 28, 28), 2), r"encoder is 'resnet'; it may be conv, mlp"),
        (("conv", "tanh", (1, 28, 28), 2), r"output is 'tanh'; it may be linear, l2, sigmoid"),
        (("conv", "linear", (1, 7, 28), 2), r"shape is \(1, 7, 28\); .* at least 8 x 8"),
        (("mlp", "linear", (1, 28, 28), 0), r"embedding_dim is 0; it may be 1 or more"),
    ],
)
def test_a_bad_argument_is_named_with_what_it_may_be(arguments: tuple[str, str, Shape, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(*arguments, torch.Generator())


def test_listing_the_outputs_does_not_import_torch() -> None:
    code = "import sys, siamese_core.networks.build as n; n.OUTPUTS; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)

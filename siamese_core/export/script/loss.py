"""The loss of an exported script: `loss_of` around source that is taken, as `objective` computes it.

An input for each way of drawing, comparing and averaging; what another experiment would need is not written.
"""

from __future__ import annotations

from collections.abc import Callable

from siamese_core.experiment.experiment import Experiment
from siamese_core.export.script.source import SourceSlice, function_text, include, include_function
from siamese_core.losses import LOSSES, distances
from siamese_core.losses.distances import MEASURES
from siamese_core.losses.mining import MINERS


def draw_of(experiment: Experiment) -> str:
    """Return what is drawn for a step: the kinds of `batches.Draw`."""
    if experiment.sampling == "all_pairs":
        return "batch"
    return "triplets" if LOSSES[experiment.loss].input_kind == "triplet" else "pairs"


def loss_of(experiment: Experiment, code: SourceSlice) -> str:
    """Return the text of `loss_of`, the loss of a step; its inputs are those that `_step` passes."""
    loss = LOSSES[experiment.loss]
    params = "".join(f", {name}={name.upper()}" for name in experiment.params)
    fn, flipped = include_function(loss.fn, code), experiment.labels == "flipped"
    flip_note = ["# The mistake that this experiment makes: same and different are mixed up."] if flipped else []
    if loss.input_kind == "batch":
        proxies, argument = (", proxies: Tensor", ", proxies") if experiment.head else ("", "")
        return function_text(
            f"loss_of(h: Tensor, labels: Tensor{proxies}) -> Tensor",
            "Of embeddings (B, D) with their classes (B,).",
            [f"return {fn}(h, labels{argument}{params})"],
        )
    if loss.input_kind == "logits":
        return function_text(
            "loss_of(h: Tensor, labels: Tensor, weight: Tensor, bias: Tensor) -> Tensor",
            "The mean over embeddings (B, D) with their classes (B,).",
            [f"return {_mean(code)}({fn}(linear(h, weight, bias), labels{params}))"],
        )
    if loss.input_kind == "triplet":
        return _loss_of_triplets(
            experiment, code, flip_note, f"{fn}({'d_an, d_ap' if flipped else 'd_ap, d_an'}{params})"
        )
    return _loss_of_pairs(experiment, code, flip_note, lambda d, same: f"{fn}({d}, {'~' * flipped}{same}{params})")


def _loss_of_pairs(
    experiment: Experiment, code: SourceSlice, flip_note: list[str], each: Callable[[str, str], str]
) -> str:
    weights = ", weight: Tensor, bias: Tensor" if experiment.head else ""
    head_params = ", weight, bias" if experiment.head else ""
    measure = MEASURES[experiment.measure]
    d = "p" if measure.is_similarity else "d"
    if draw_of(experiment) == "pairs":
        return function_text(
            f"loss_of(h1: Tensor, h2: Tensor, same: Tensor{weights}) -> Tensor",
            "The mean over pairs of embeddings (P, D) and (P, D); same is (P,).",
            [
                f"{d} = {include_function(measure.between, code)}(h1, h2{head_params})",
                *flip_note,
                f"return {each(d, 'same')}.mean()",
            ],
        )
    balanced = include("siamese_core.training.objective", "balanced", code)
    mean = "the mean over those of one class plus the mean over the others."
    if experiment.branches == 2:
        return function_text(
            f"loss_of(h1: Tensor, h2: Tensor{weights}) -> Tensor",
            f"Every first input (B, D) with every second one: {mean}",
            [
                f"{d} = {include_function(measure.between, code)}(h1[:, None], h2[None]{head_params}).flatten()",
                "group = torch.arange(len(h1)) // IMAGES_PER_CLASS",
                "same = (group[:, None] == group).flatten()",
                *flip_note,
                f"return {balanced}({each(d, 'same')}, same)",
            ],
        )
    if experiment.miner != "all":
        pairs_of = include("siamese_core.losses.mining", "pairs_of", code)
        return function_text(
            f"loss_of(h: Tensor, generator: Generator{weights}) -> Tensor",
            f"The pairs of the triplets that are mined in a batch (B, D): {mean}",
            [
                *_mined(experiment, code, d, head_params),
                f"first, second, same = {pairs_of}(anchor, positive, negative)",
                *flip_note,
                f"return {balanced}({each(f'{d}[first, second]', 'same')}, same)",
            ],
        )
    same_pairs = include("siamese_core.training.objective", "same_pairs", code)
    return function_text(
        f"loss_of(h: Tensor{weights}) -> Tensor",
        f"All pairs of a batch (B, D): {mean}",
        [
            f"{d} = {_within(experiment, code)}(h{head_params})",
            f"same = {same_pairs}(len(h), IMAGES_PER_CLASS, h.device)",
            *flip_note,
            f"return {balanced}({each(d, 'same')}, same)",
        ],
    )


def _loss_of_triplets(experiment: Experiment, code: SourceSlice, flip_note: list[str], each: str) -> str:
    end = [*flip_note, f"return {_mean(code)}({each})"]
    if draw_of(experiment) == "triplets":
        between = include_function(MEASURES[experiment.measure].between, code)
        return function_text(
            "loss_of(anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor",
            "The mean over triplets of embeddings, (T, D) each.",
            [f"d_ap, d_an = {between}(anchor, positive), {between}(anchor, negative)", *end],
        )
    if experiment.branches == 2:
        return function_text(
            "loss_of(h1: Tensor, h2: Tensor) -> Tensor",
            "The mean over all triplets: anchors (B, D) are first inputs, positives and negatives (B, D) second ones.",
            [
                f"d = {include_function(MEASURES[experiment.measure].between, code)}(h1[:, None], h2[None])",
                "group = torch.arange(len(h1)) // IMAGES_PER_CLASS",
                "same = group[:, None] == group",
                "d_ap, d_an = d[same].view(len(h1), -1, 1), d[~same].view(len(h1), 1, -1)",
                *end,
            ],
        )
    if experiment.miner != "all":
        return function_text(
            "loss_of(h: Tensor, generator: Generator) -> Tensor",
            "The mean over the triplets that are mined in a batch (B, D).",
            [*_mined(experiment, code, "d", ""), "d_ap, d_an = d[anchor, positive], d[anchor, negative]", *end],
        )
    all_triplets = include("siamese_core.training.objective", "all_triplets", code)
    return function_text(
        "loss_of(h: Tensor) -> Tensor",
        "The mean over all triplets of a batch (B, D).",
        [f"d_ap, d_an = {all_triplets}({_within(experiment, code)}(h), len(h), IMAGES_PER_CLASS)", *end],
    )


def _mined(experiment: Experiment, code: SourceSlice, d: str, head_params: str) -> list[str]:
    """Return the lines from embeddings to triplets, as `objective.of_mined` and `mining.mine` take them."""
    value = "(1 - p)" if d == "p" else "d"
    return [
        f"{d} = h.new_zeros(len(h), len(h))",
        "i, j = torch.triu_indices(len(h), len(h), offset=1)",
        f"{d}[i, j] = {d}[j, i] = {_within(experiment, code)}(h{head_params})",
        "group = torch.arange(len(h)) // IMAGES_PER_CLASS",
        f"distances = {value}.detach().nan_to_num()",
        "anchor, positive, negative = "
        f"{include_function(MINERS[experiment.miner].fn, code)}(distances, group[:, None] == group, generator)",
    ]


def _within(experiment: Experiment, code: SourceSlice) -> str:
    """Return the name of what computes a batch's distances; a `partial` does not know its name."""
    within = MEASURES[experiment.measure].within
    name = next(name for name, value in vars(distances).items() if value is within)
    return include(distances.__name__, name, code)


def _mean(code: SourceSlice) -> str:
    return include("siamese_core.training.objective", "_mean", code)

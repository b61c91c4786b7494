"""The loss of an exported script: `loss_of` around source that is taken, as `objective` computes it.

An input for each way of drawing, comparing and averaging; what another experiment would need is not written.
"""

from __future__ import annotations

from siamese_core.experiment.experiment import Experiment
from siamese_core.export.script.source import SourceSlice, function_text, include, include_function
from siamese_core.losses import LOSSES, distances
from siamese_core.losses.distances import MEASURES
from siamese_core.losses.mining import MINERS

OBJECTIVE = "siamese_core.training.objective"

Part = tuple[str, str, list[str]]
"""What `loss_of` takes, what it says of itself, and its lines up to the distances."""


def batch_kind(experiment: Experiment) -> str:
    """Return what a step draws: a kind of `batches.Batch`."""
    if experiment.sampling == "all_pairs":
        return "classes"
    return "triplets" if LOSSES[experiment.loss].input_kind == "triplet" else "pairs"


def loss_of(experiment: Experiment, code: SourceSlice) -> str:
    """Return the text of `loss_of`, the loss of a step; its inputs are those that `_step` passes."""
    loss, flipped = LOSSES[experiment.loss], experiment.labels == "flipped"
    fn = include_function(loss.fn, code)
    params = "".join(f", {name}={name.upper()}" for name in experiment.params)
    head = "" if not experiment.head else ", proxies" if loss.input_kind == "batch" else ", weight, bias"
    lines: list[str] = []
    if loss.input_kind == "batch":
        inputs, doc = f"h, labels{head}", "Of embeddings (B, D) with their classes (B,)."
        value = f"{fn}(h, labels{head}{params})"
    elif loss.input_kind == "logits":
        inputs, doc = f"h, labels{head}", "The mean over embeddings (B, D) with their classes (B,)."
        value = f"{_mean(code)}({fn}(linear(h{head}), labels{params}))"
    elif loss.input_kind == "triplet":
        inputs, doc, lines = _triplets(experiment, code)
        value = f"{_mean(code)}({fn}({'d_an, d_ap' if flipped else 'd_ap, d_an'}{params}))"
    else:
        d = "p" if MEASURES[experiment.measure].is_similarity else "d"
        inputs, doc, lines = _pairs(experiment, code, d, head)
        each = f"{fn}({d}, {'~' * flipped}same{params})"
        in_pairs = batch_kind(experiment) == "pairs"
        value = f"{each}.mean()" if in_pairs else f"{include(OBJECTIVE, 'balanced', code)}({each}, same)"
    if flipped:
        lines.append("# The mistake that this experiment makes: same and different are mixed up.")
    names = inputs.split(", ")
    signature = ", ".join(f"{name}: {'Generator' if name == 'generator' else 'Tensor'}" for name in names)
    return function_text(f"loss_of({signature}) -> Tensor", doc, [*lines, f"return {value}"])


def _pairs(experiment: Experiment, code: SourceSlice, d: str, head: str) -> Part:
    """Return what is known of pairs: their distances or similarities `d`, and whether they are the `same`."""
    mean = "the mean over those of one class plus the mean over the others."
    if batch_kind(experiment) == "pairs":
        doc = "The mean over pairs of embeddings (P, D) and (P, D); same is (P,)."
        return f"h1, h2, same{head}", doc, [f"{d} = {_between(experiment, code)}(h1, h2{head})"]
    if experiment.branches == 2:
        doc = f"Every first input (B, D) with every second one: {mean}"
        lines = [*_across(experiment, code, d, head), f"{d}, same = {d}.flatten(), same.flatten()"]
        return f"h1, h2{head}", doc, lines
    if experiment.miner != "all":
        doc = f"The pairs of the triplets that are mined in a batch (B, D): {mean}"
        pairs_of = include("siamese_core.losses.mining", "pairs_of", code)
        found = [f"first, second, same = {pairs_of}(anchor, positive, negative)", f"{d} = {d}[first, second]"]
        return f"h, generator{head}", doc, [*_mined(experiment, code, d, head), *found]
    same_pairs = include(OBJECTIVE, "same_pairs", code)
    same = f"same = {same_pairs}(len(h), IMAGES_PER_CLASS, h.device)"
    return f"h{head}", f"All pairs of a batch (B, D): {mean}", [f"{d} = {_within(experiment, code)}(h{head})", same]


def _triplets(experiment: Experiment, code: SourceSlice) -> Part:
    """Return what is known of triplets: the distances `d_ap` of anchor and positive, `d_an` of anchor and negative."""
    if batch_kind(experiment) == "triplets":
        between = _between(experiment, code)
        lines = [f"d_ap, d_an = {between}(anchor, positive), {between}(anchor, negative)"]
        return "anchor, positive, negative", "The mean over triplets of embeddings, (T, D) each.", lines
    if experiment.branches == 2:
        doc = "The mean over all triplets: anchors (B, D) are first inputs, positives and negatives (B, D) second ones."
        apart = "d_ap, d_an = d[same].view(len(h1), -1, 1), d[~same].view(len(h1), 1, -1)"
        return "h1, h2", doc, [*_across(experiment, code, "d", ""), apart]
    if experiment.miner != "all":
        lines = [*_mined(experiment, code, "d", ""), "d_ap, d_an = d[anchor, positive], d[anchor, negative]"]
        return "h, generator", "The mean over the triplets that are mined in a batch (B, D).", lines
    all_triplets = include(OBJECTIVE, "all_triplets", code)
    lines = [f"d_ap, d_an = {all_triplets}({_within(experiment, code)}(h), len(h), IMAGES_PER_CLASS)"]
    return "h", "The mean over all triplets of a batch (B, D).", lines


def _across(experiment: Experiment, code: SourceSlice, d: str, head: str) -> list[str]:
    """Return the lines that hold every first input against every second one."""
    return [
        f"{d} = {_between(experiment, code)}(h1[:, None], h2[None]{head})",
        "group = torch.arange(len(h1)) // IMAGES_PER_CLASS",
        "same = group[:, None] == group",
    ]


def _mined(experiment: Experiment, code: SourceSlice, d: str, head: str) -> list[str]:
    """Return the lines from embeddings to triplets, as `objective.of_mined` and `mining.mine` take them."""
    value = "(1 - p)" if d == "p" else "d"
    return [
        f"{d} = h.new_zeros(len(h), len(h))",
        "i, j = torch.triu_indices(len(h), len(h), offset=1)",
        f"{d}[i, j] = {d}[j, i] = {_within(experiment, code)}(h{head})",
        "group = torch.arange(len(h)) // IMAGES_PER_CLASS",
        f"distances = {value}.detach().nan_to_num()",
        "anchor, positive, negative = "
        f"{include_function(MINERS[experiment.miner].fn, code)}(distances, group[:, None] == group, generator)",
    ]


def _between(experiment: Experiment, code: SourceSlice) -> str:
    return include_function(MEASURES[experiment.measure].between, code)


def _within(experiment: Experiment, code: SourceSlice) -> str:
    """Return the name of what computes a batch's distances; a `partial` does not know its name."""
    within = MEASURES[experiment.measure].within
    name = next(name for name, value in vars(distances).items() if value is within)
    return include(distances.__name__, name, code)


def _mean(code: SourceSlice) -> str:
    return include(OBJECTIVE, "_mean", code)

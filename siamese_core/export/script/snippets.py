"""A loss as code to copy: the source of `fn` itself and what it calls, so that what is copied is what is trained."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Mapping

from siamese_core.export.script.source import SourceSlice, function_text, include_function
from siamese_core.losses import LOSSES
from siamese_core.losses.distances import MEASURES

AVERAGED = {
    "batch": "It averages over the batch by itself.",
    "logits": "Average over the images of a batch.",
    "triplet": "Average over the triplets of a batch.",
}


def stand_alone(key: str, params: Mapping[str, float], measure: str, one_is_similar: bool) -> str:
    """Return a PyTorch module: `loss_of(...)` on embeddings and labels, with these parameters as its defaults.

    Pairs: loss_of(h1, h2, y) with y in {0, 1}, one number a pair; with the similarity head also its weight and bias.
    Triplets: loss_of(anchor, positive, negative). Classifier: loss_of(logits, labels). Batch: loss_of(h, labels, …).
    """
    loss = LOSSES[key]
    code = SourceSlice(lift_imports=False)
    fn = include_function(loss.fn, code)
    defaults = "".join(f", {name}={value!r}" for name, value in params.items())
    arguments = "".join(f", {name}={name}" for name in params)
    if loss.on_classes:
        inputs, doc = ", ".join(inspect.getfullargspec(loss.fn).args), AVERAGED[loss.input_kind]
        body = [f"return {fn}({inputs}{arguments})"]
    elif loss.input_kind == "triplet":
        inputs, doc = "anchor, positive, negative", AVERAGED["triplet"]
        between = include_function(MEASURES[measure].between, code)
        body = [f"return {fn}({between}(anchor, positive), {between}(anchor, negative){arguments})"]
    else:
        extra = ", weight, bias" if measure == "similarity_head" else ""
        inputs = f"h1, h2, y{extra}"
        between = include_function(MEASURES[measure].between, code)
        similar, different = (1, 0) if one_is_similar else (0, 1)
        symbol = "p" if MEASURES[measure].is_similarity else "d"
        doc = f"y is {similar} for a similar pair, {different} for a different one. Average over the pairs."
        body = [f"{symbol} = {between}(h1, h2{extra})", f"return {fn}({symbol}, y == {similar}{arguments})"]
    main = function_text(f"loss_of({inputs}{defaults})", doc, body)
    imports = ["from torch import Tensor"]
    if "Callable" in code.imports:
        imports.append("from collections.abc import Callable")
    # A constant is written as Python prints its value.
    definitions = [text if "\n" in text else ast.unparse(ast.parse(text)) for text in code.definitions.values()]
    return "\n\n\n".join([*imports, *definitions, main]) + "\n"


def library(key: str, params: Mapping[str, float], classes: int, dim: int) -> str | None:
    """Return the call in pytorch-metric-learning with these parameters; None where it has no such loss."""
    entry = LOSSES[key].library
    if entry is None:
        return None
    call = entry.call.format(**params, classes=classes, dim=dim)
    imports = {
        module: [name for name in names if f"{name}(" in call]
        for module, names in {
            "distances": ["LpDistance"],
            "losses": [call.partition("(")[0]],
            "reducers": ["MeanReducer"],
        }.items()
    }
    lines = [f"from pytorch_metric_learning.{m} import {', '.join(names)}" for m, names in imports.items() if names]
    note = [f"# {line}" for line in textwrap.wrap(entry.note, 96)]
    return "\n".join([*lines, "", *note, f"loss_of = {call}", "loss = loss_of(h, labels)  # (B, D), (B,)"]) + "\n"

"""What is found by a saved model on the command line: one object, printed as JSON, or as lines that a person reads.

A number that cannot be had is null, and no key is ever left out.

evaluate: `experiment` (its query), `steps`, `trained_on` (whether any of the classes was), `groups`, and `threshold`
(the fields of `Threshold`). Of each group, "seen" and "held_out" where there is one: `classes`, and those of them
that were `trained_on`; `images`; `pairs`, and whether these are all (`exact`) or a sample; `scores` by TITLES, each a
`value` with a 95 % interval `low`, `high`; `few_shot` (the fields of `few_shot.FewShot`); `baselines` "untrained",
"pixels" and, where asked for, "softmax"; `at_threshold`, its `false_accept` and `false_reject` rates on the half of the
images that it was not chosen on.

compare: `measure`, its `kind` ("distance" or "similarity"), the pair's `value`, `same` (the verdict), `threshold` (the
fields of `Threshold`), `threshold_from` ("model", "test images" or "hand"); and in lists of two, for each image
`unlike` (whether it is like no training image) and `neighbours` (the nearest training images: `class`, `distance`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

GROUPS = {"seen": "seen", "held_out": "held out"}
TITLES = {
    "auc": "AUC", "eer": "EER", "tar_at_1": "TAR at FAR 1 %", "tar_at_01": "TAR at FAR 0.1 %",
    "precision_at_1": "precision@1", "recall_at_5": "recall@5", "map_at_r": "MAP@R",
}  # fmt: skip
APPROACHES = {"untrained": "the network untrained", "pixels": "raw pixels", "softmax": "a softmax classifier"}


def evaluation_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of what `evaluate` found."""
    groups: Mapping[str, Any] = found["groups"]
    yield from _group_warnings(found["trained_on"], groups)
    rows = [["", *(GROUPS[name] for name in groups)]]
    rows += [[title, *(_cell(group["scores"][score]) for group in groups.values())] for score, title in TITLES.items()]
    rows.append(["few-shot", *(_few_shot_cell(group["few_shot"]) for group in groups.values())])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for title, *cells in rows:
        yield "  ".join([title.ljust(widths[0]), *map(str.rjust, cells, widths[1:])])
    for name, group in groups.items():
        kind = "all" if group["exact"] else "a sample of"
        yield f"{GROUPS[name]}: {group['images']:,} test images, {kind} {group['pairs']:,} pairs"
        for approach, scores in group["baselines"].items():
            shown = (f"{TITLES[score]} {_number(value)}" for score, value in (scores or {}).items())
            yield f"{GROUPS[name]}, {APPROACHES[approach]} instead: {', '.join(shown) or '–'}"
    threshold = found["threshold"]
    if threshold is None:
        yield "threshold: none; there are too few test images to choose one on one half and measure it on the other"
        return
    of = f"one half of the test images, {GROUPS[threshold['group']]}"
    yield f"threshold {threshold['value']:.4g} ({threshold['rule']}, chosen on {of})"
    for name, group in groups.items():
        accept, reject = (_number(group["at_threshold"][rate], ".2%") for rate in ("false_accept", "false_reject"))
        yield f"on the other half, {GROUPS[name]}: false accepts {accept}, false rejects {reject}"


def _group_warnings(trained_on: bool, groups: Mapping[str, Any]) -> Iterator[str]:
    """Where the name of a group would mislead about what the model has been trained on."""
    if not trained_on:
        yield "None of these classes was trained on."
        return
    unseen = [name for name in groups["seen"]["classes"] if name not in groups["seen"]["trained_on"]]
    known = groups["held_out"]["trained_on"] if "held_out" in groups else []
    if unseen:
        yield f"Not trained on, though not held out here: {', '.join(unseen)}"
    if known:
        yield f"Trained on, though held out here: {', '.join(known)}"


def _number(value: float | None, number: str = ".3f") -> str:
    return "–" if value is None else format(value, number)


def _cell(score: Mapping[str, float | None]) -> str:
    ends = "" if score["low"] is None else f" ({score['low']:.3f}–{score['high']:.3f})"
    return _number(score["value"]) + ends


def _few_shot_cell(tried: Mapping[str, Any] | None) -> str:
    if tried is None:
        return "–"
    ways = f"{tried['ways']}-way {tried['shots']}-shot"
    return f"{ways} {tried['accuracy']:.3f} ({tried['low']:.3f}–{tried['high']:.3f})"


def comparison_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of what `compare` found."""
    yield f"{found['kind']} {found['value']:.4g}"
    threshold = found["threshold"]
    if threshold is None:
        yield "no verdict: the model has no threshold, and no test images here give one; name one with --threshold"
    else:
        source = {"model": "the model's own", "test images": "from its test images", "hand": "given by hand"}
        verdict = "the same" if found["same"] else "different"
        yield f"{verdict}, by the threshold {threshold['value']:.4g} ({source[found['threshold_from']]})"
        accept, reject = (_number(threshold[rate], ".2%") for rate in ("false_accept", "false_reject"))
        yield f"on test pairs: false accepts {accept}, false rejects {reject}"
    for which, unlike in zip(("first", "second"), found["unlike"] or (), strict=False):
        if unlike:
            yield f"the {which} picture is unlike everything that the model was trained on: do not trust this verdict"
    for which, near in zip(("first", "second"), found["neighbours"] or (), strict=False):
        listed = ", ".join(f"{each['class']} ({each['distance']:.3g})" for each in near)
        yield f"the {which} is most like: {listed}"

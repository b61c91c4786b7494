"""Every record of the catalogue says all that a page, a link and a test need, and says it as the loss is."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

from siamese_core.experiment.experiment import Experiment, ExperimentError
from siamese_core.losses import LOSSES, Loss
from siamese_core.losses.distances import MEASURES

ROOT = Path(__file__).resolve().parents[2]

every_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)

HANDED = {
    "distance": ["d", "same"],
    "similarity": ["p", "same"],
    "triplet": ["d_ap", "d_an"],
    "logits": ["logits", "labels"],
    "batch": ["h", "labels"],
}
"""What `fn` takes by place, and in which order."""


def test_the_catalogue_is_the_one_that_is_documented() -> None:
    assert list(LOSSES) == [
        "contrastive", "contrastive_mean", "quality", "exponential", "log", "absolute", "squared", "triplet",
        "softmax", "nt_xent", "supcon", "multi_similarity", "circle", "lifted_structure", "proxy_anchor",
    ]  # fmt: skip


@every_loss
def test_fn_takes_what_the_record_says(loss: Loss) -> None:
    parameters = inspect.signature(loss.fn).parameters.values()
    by_place = [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY]
    assert by_place[:2] == HANDED[loss.input_kind]
    assert by_place[2:] == (["proxies"] if loss.key == "proxy_anchor" else [])
    assert [p.name for p in parameters if p.kind is p.KEYWORD_ONLY] == [param.name for param in loss.params]


@every_loss
def test_the_measures_are_known_and_of_the_kind_that_the_loss_takes(loss: Loss) -> None:
    assert loss.measures
    assert len(set(loss.measures)) == len(loss.measures)
    kinds = {MEASURES[measure].kind for measure in loss.measures}
    assert kinds == {"similarity" if loss.input_kind == "similarity" else "distance"}


@pytest.mark.parametrize("measure", MEASURES)
@every_loss
def test_an_experiment_takes_the_measures_of_its_loss_and_refuses_all_others(loss: Loss, measure: str) -> None:
    if measure in loss.measures:
        assert Experiment(loss=loss.key, measure=measure).measure == measure
        return
    with pytest.raises(ExperimentError, match=f"may be: {', '.join(loss.measures)}"):
        Experiment(loss=loss.key, measure=measure)


@every_loss
def test_pairs_have_a_formula_for_each_branch_and_all_others_one(loss: Loss) -> None:
    has_pairs = loss.on_pairs
    assert isinstance(loss.written, tuple) == has_pairs
    assert (loss.convention == "classes") == (not has_pairs)
    for formula in (loss.with_labels(True), loss.with_labels(False)):
        assert formula.count("{") == formula.count("}")
        assert formula.count(r"\Big[") == formula.count(r"\Big]")
        assert formula.count(r"\left") == formula.count(r"\right")


@every_loss
def test_the_gradient_is_described_in_two_sentences(loss: Loss) -> None:
    assert len(re.findall(r"\.(?= [A-Z]|$)", loss.gradient)) == 2
    assert loss.gradient.endswith(".")


@every_loss
def test_the_title_and_the_citation_are_those_of_the_loss(loss: Loss) -> None:
    assert [other.title for other in LOSSES.values()].count(loss.title) == 1
    assert 1990 <= loss.citation.year <= 2026
    in_title = re.search(r"\d{4}", loss.title)
    assert in_title is None or int(in_title[0]) == loss.citation.year


def test_a_loss_of_the_library_is_listed_without_it() -> None:
    code = "import sys, siamese_core.losses; sys.exit('pytorch_metric_learning' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0

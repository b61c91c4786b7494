"""The bundled models are what data/README.md says: made by its commands, and as good as what these make."""

from __future__ import annotations

import re

import pytest
import torch

from siamese_core.engine.rpc.pipes import ROOT
from siamese_core.evaluation.inference import embed, load
from siamese_core.experiment.experiment import Experiment
from siamese_core.experiment.snapshot import Scores
from siamese_core.runs.model import Model
from siamese_core.runs.model_file import read_model
from siamese_core.training.eval_subset import eval_subset_of, final_metrics
from siamese_core.training.loop import never, train

COMMANDS = dict(
    re.findall(
        r'`models/(\w+)` .*? train "([^"]+)" --out data/models/\1`', (ROOT / "data" / "README.md").read_text("utf-8")
    )
)
"""Model → the query of the command that made it."""

AS_GOOD = 0.05
"""By how much a model of another processor or version may be worse: its training rounds in another way."""


def bundled(name: str) -> Model:
    return read_model((ROOT / "data" / "models" / name / "model.safetensors").read_bytes())


def scores(model: Model) -> dict[str, Scores]:
    images = model.experiment.data.load()
    everything = eval_subset_of(model.experiment, images)
    return final_metrics(embed(load(model), torch.tensor(images.test_images)), model.experiment, everything)


def test_every_bundled_model_has_its_command() -> None:
    assert set(COMMANDS) == {path.name for path in (ROOT / "data" / "models").iterdir()}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_bundled_model_was_made_by_its_command(name: str) -> None:
    model = bundled(name)
    assert (model.experiment, []) == Experiment.from_query(COMMANDS[name])
    assert model.steps == model.experiment.steps
    assert model.has_images
    assert model.threshold is not None
    assert (model.threshold.rule, model.threshold.group) == ("eer", "seen")


def test_the_command_makes_a_model_that_is_as_good() -> None:
    name = next(iter(COMMANDS))
    experiment, _ = Experiment.from_query(COMMANDS[name])
    *_, last = train(experiment, wants_frame=never)
    assert last.frame is not None
    saved = scores(bundled(name))
    for metric, better in (("map_at_r", 1), ("precision_at_1", 1), ("auc", 1), ("eer", -1)):
        for group, score in last.frame.metrics[metric].items():
            expected = saved[metric][group]
            assert (score is None) == (expected is None)
            if score is not None and expected is not None:
                assert better * (score - expected) > -AS_GOOD, (metric, group)

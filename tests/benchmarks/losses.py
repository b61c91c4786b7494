"""Every loss of the catalogue, trained: its scores, on held-out classes too, and what a moved slider costs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from statistics import mean, median, stdev

import numpy as np

from siamese_core.engine import Engine
from siamese_core.experiment.experiment import Experiment
from siamese_core.experiment.snapshot import Scores
from siamese_core.losses import LOSSES
from siamese_core.training.loop import never, train
from tests.support.waiting import until

Row = tuple[str, str, str]

SEEDS = (0, 1, 2)
STEPS = 300
HELD_OUT = (8, 9)
SHOWN = ("map_at_r", "precision_at_1", "auc", "eer")
SLIDER_MOVES = 40


def measure() -> Iterator[Row]:
    yield from _untrained()
    for loss in LOSSES.values():
        for measure in loss.measures if loss.input_kind == "similarity" else loss.measures[:1]:
            yield _scores(loss.key, measure)
    yield from _slider()


def _untrained() -> Iterator[Row]:
    """The same images through a network of one step at the smallest learning rate: as good as none."""
    found = [_last(Experiment(seed=seed, steps=1, learning_rate=1e-5))["map_at_r"]["seen"] for seed in SEEDS]
    yield "MAP@R of the untrained network", _spread(found), ""
    what = "each loss: MAP@R, precision@1, AUC, EER; MAP@R and AUC of held-out classes 8 and 9; CPU seconds of a run"
    yield what, f"mean ± spread of seeds {SEEDS}, {STEPS} steps", "MAP@R above the untrained network's"


def _scores(loss: str, measure: str) -> Row:
    """Trained on all ten classes; and, for the held-out ones, on the other eight."""
    started = time.process_time()
    runs = [_last(Experiment(loss=loss, measure=measure, seed=seed, steps=STEPS)) for seed in SEEDS]
    seconds = (time.process_time() - started) / len(SEEDS)
    held = [_last(Experiment(loss=loss, measure=measure, seed=s, steps=STEPS, held_out=HELD_OUT)) for s in SEEDS]
    shown = ", ".join(_spread([run[metric]["seen"] for run in runs]) for metric in SHOWN)
    unseen = ", ".join(_spread([run[metric]["held_out"] for run in held]) for metric in ("map_at_r", "auc"))
    return f"{loss} on {measure}", f"{shown}; {unseen}; {seconds:.1f} s", ""


def _last(experiment: Experiment) -> dict[str, Scores]:
    *_, last = train(experiment, wants_frame=never)
    assert last.frame is not None
    return dict(last.frame.metrics)


def _spread(values: list[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{mean(known):.3f} ± {stdev(known):.3f}"


def _slider() -> Iterator[Row]:
    """From a moved slider to the arrays of the new curve, asked of a warm worker, and packed for the browser."""
    from pages.ui.session.loss_curves import axis_points
    from siamese_core.export.figures.losses import overlay
    from siamese_core.formats.wire import pack
    from siamese_core.losses.record import Curve

    engine = Engine()
    until(lambda: engine.devices, "a warm engine")
    words = dict.fromkeys(("same", "different", "axis", "loss", "slope", "share", "crossing", "point"), "")
    for key in ("contrastive", "nt_xent"):
        loss = LOSSES[key]
        param, took = loss.params[0], []
        engine.trainer.curve(key, {param.name: param.default}, axis_points(loss, 2.0)).result(60)
        for value in np.linspace(param.low + param.step, param.default, SLIDER_MOVES):
            started = time.perf_counter()
            arrays = engine.trainer.curve(key, {param.name: float(value)}, axis_points(loss, 2.0)).result(60)
            pack(overlay({loss.title: Curve(**arrays)}, end=2.0, text=words).to_dict())
            took.append(time.perf_counter() - started)
        what = f"a moved slider of {key}, until the new figure is packed, median"
        yield what, f"{median(took) * 1000:.0f} ms", "< 100 ms"
    engine.close()

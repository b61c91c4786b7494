"""The pairs, triplets and the batch that the next step of the current experiment trains on."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from pages.ui.session import session
from pages.ui.session.experiment_form import current_experiment
from pages.ui.shims import widgets
from pages.ui.shims.escape_markdown import escape_markdown
from pages.ui.shims.futures import Arrays, request_once
from pages.ui.shims.images import show_grid
from pages.ui.text import data as text
from siamese_core.datasets import DatasetMissing
from siamese_core.engine import RunView
from siamese_core.experiment.experiment import Experiment
from siamese_core.losses import LOSSES
from siamese_core.losses.distances import MEASURES
from siamese_core.losses.mining import MINERS

WAIT = 10.0
"""Seconds: a network is built for each reply, while others train."""

TILE_WIDTH = 122
"""Six to a row of a laptop, two to one of a phone."""

SHOWN_PAIRS = 24
SHOWN_TRIPLETS = 12

ORDERS = ("drawn", "hardest", "easiest")


def section() -> None:
    run = session.run_of_tab()
    experiment = run.experiment if run is not None else current_experiment()
    start = run.id if run is not None else experiment.to_query()
    if st.session_state.get("pairs_start") != start:
        st.session_state["pairs_start"], st.session_state["pairs_ahead"] = start, 0
    line = st.container()
    try:
        _how_many(experiment)
    except DatasetMissing as missing:
        st.info(str(missing), icon=":material/info:")
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        shown: str = widgets.segmented_control(text.SHOW, text.KINDS, default="pairs", key="pairs_shown")
        st.button(text.NEXT_BATCH, icon=":material/skip_next:", help=text.NEXT_BATCH_HELP, on_click=_go_ahead)
    found = _asked(run, experiment)
    _line(line, run, experiment, found)
    if found is None:
        st.info(text.NOT_YET, icon=":material/hourglass:")
        st.button(text.LOOK_AGAIN)
        return
    {"pairs": _pairs, "triplets": _triplets, "batch": _batch}[shown](experiment, found)


def _go_ahead() -> None:
    st.session_state["pairs_ahead"] += 1


def _line(line: DeltaGenerator, run: RunView | None, experiment: Experiment, found: Arrays | None) -> None:
    """Which step it is: counted from the state of the run that the reply was drawn from."""
    state = 0 if found is None else int(found["step"][0])
    words = text.UNTRAINED if not state else text.OF_THE_RUN if run is not None and run.live else text.OF_A_RUN_AT_REST
    step = state + 1 + st.session_state["pairs_ahead"]
    line.markdown(words.format(title=experiment.data.title, step=f"{step:,}"))


def _how_many(experiment: Experiment) -> None:
    """All the pairs that the training images make, however few of them meet in a step."""
    labels = experiment.data.load().train_labels
    counts = [int((labels == c).sum()) for c in experiment.seen]
    counts = [min(count, experiment.train_per_class or count) for count in counts]
    same = sum(comb(count, 2) for count in counts)
    every = comb(sum(counts), 2)
    st.caption(text.HOW_MANY.format(images=sum(counts), every=every, same=same, different=every - same))


def _asked(run: RunView | None, experiment: Experiment) -> Arrays | None:
    ahead = st.session_state["pairs_ahead"]
    asked = (st.session_state["pairs_start"], (run.step, run.status) if run is not None else None, ahead)
    run_id = run.id if run is not None else None
    return request_once("pairs_asked", asked, lambda: session.next_step(run_id, experiment, ahead), WAIT)


def _pairs(experiment: Experiment, found: Arrays) -> None:
    order = "drawn"
    if "d" in found:
        order = widgets.segmented_control(
            text.ORDER, ORDERS, default="drawn", format_func=text.ORDERS.__getitem__, key="pairs_order"
        )  # fmt: skip
    _easy(experiment, found)
    half = SHOWN_PAIRS // 2
    for same in (True, False):
        indices = np.flatnonzero(found["same"].astype(bool) == same)
        st.markdown(text.SAME if same else text.DIFFERENT)
        _grid([_pair(experiment, found, index) for index in _ordered(found, indices, order, same)[:half]])


def _easy(experiment: Experiment, found: Arrays) -> None:
    if "easy" in found:
        what = text.TRIPLETS if LOSSES[experiment.loss].input_kind == "triplet" else text.PAIRS
        st.caption(text.EASY.format(share=f"{float(found['easy'][0]):.0%}", what=what))


def _ordered(found: Arrays, indices: np.ndarray, order: str, same: bool) -> np.ndarray:
    if order == "drawn":
        # Evenly out of all: the first ones would all be of one image.
        return indices[np.unique(np.linspace(0, len(indices) - 1, min(len(indices), SHOWN_PAIRS // 2)).astype(int))]
    far_first = indices[np.argsort(-found["d"][indices], kind="stable")]
    return far_first if same == (order == "hardest") else far_first[::-1]


def _pair(experiment: Experiment, found: Arrays, index: int) -> tuple[np.ndarray, str]:
    i, j = int(found["i"][index]), int(found["j"][index])
    names = experiment.data.classes
    caption = [escape_markdown(f"{names[found['labels'][i]]} · {names[found['labels'][j]]}")]
    if "d" in found:
        caption.append(_value(experiment, found["d"][index]))
    return np.stack([found["pixels"][i], _second(found)[j]]), "  \n".join(caption)


def _second(found: Arrays) -> np.ndarray:
    return found.get("second", found["pixels"])


def _value(experiment: Experiment, d: float) -> str:
    symbol = "p" if MEASURES[experiment.measure].is_similarity else "d"
    return f"{symbol} = {d:.3g}"


def _grid(tiles: Sequence[tuple[np.ndarray, str]]) -> None:
    with st.container(horizontal=True):
        for images, caption in tiles:
            with st.container(width=TILE_WIDTH):
                show_grid(images, len(images), caption=caption, width="stretch")


def _triplets(experiment: Experiment, found: Arrays) -> None:
    _easy(experiment, found)
    chosen = found["drawn"] if "drawn" in found else _mined(experiment, found)
    if not chosen.size:
        st.info(text.NONE_FOUND, icon=":material/info:")
        return
    d = np.full((len(found["labels"]),) * 2, np.nan)
    if "d" in found:
        d[found["i"], found["j"]] = found["d"]
        if experiment.branches == 1:
            d[found["j"], found["i"]] = found["d"]
    indices = np.unique(np.linspace(0, chosen.shape[1] - 1, min(chosen.shape[1], SHOWN_TRIPLETS)).astype(int))
    tiles = []
    for anchor, positive, negative in chosen[:, indices].T:
        images = np.stack([found["pixels"][anchor], *_second(found)[[positive, negative]]])
        of_positive, of_negative = (_value(experiment, d[anchor, other]) for other in (positive, negative))
        caption = text.TRIPLET.format(positive=of_positive, negative=of_negative) if "d" in found else ""
        tiles.append((images, caption))
    st.caption(text.ANCHOR_POSITIVE_NEGATIVE)
    _grid(tiles)


def _mined(experiment: Experiment, found: Arrays) -> np.ndarray:
    """(3, T) of the miner that is chosen; only two of them need no distances."""
    counts = {key: count for key, count in zip(MINERS, found["counts"].tolist(), strict=True) if count >= 0}
    if len(counts) < len(MINERS):
        st.caption(text.NOT_TRAINED)
    miner: str = widgets.segmented_control(
        text.MINER, list(counts), default=experiment.miner if experiment.miner in counts else "all", key="pairs_miner",
        format_func=lambda key: f"{MINERS[key].title} ({counts[key]:,})",
    )  # fmt: skip
    st.caption(MINERS[miner].help)
    chosen = found["triplets"][list(MINERS).index(miner)]
    return chosen[:, chosen[0] >= 0]


def _batch(experiment: Experiment, found: Arrays) -> None:
    labels, total = found["labels"], int(found["total"][0])
    st.caption(text.BATCH.format(images=f"{total:,}"))
    if total > len(labels):
        st.caption(text.SHOWN_OF.format(shown=len(labels)))
    show_grid(found["pixels"], 12, width="content")
    if "second" in found:
        st.caption(text.SECOND_INPUTS)
        show_grid(found["second"], 12, width="content")

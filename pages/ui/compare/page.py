"""The Compare page: a model, a pair, the verdict and its reasons; or many pairs at once."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import streamlit as st

from pages.ui.compare import pair_list, pair_sources
from pages.ui.compare.model_input import hint_at_brightness
from pages.ui.compare.pair_on_curve import draw_pair
from pages.ui.compare.pair_sources import Pair
from pages.ui.compare.saliency import maps, neighbours
from pages.ui.compare.verdict import rates, verdict
from pages.ui.session import model_picker, session
from pages.ui.session.engine import evaluations
from pages.ui.session.loss_curves import has_arrived, is_waiting
from pages.ui.shims import widgets
from pages.ui.shims.escape_markdown import escape_markdown
from pages.ui.shims.futures import Arrays, request_once
from pages.ui.shims.images import show_grid
from pages.ui.shims.polling import rerun_when
from pages.ui.text import compare as text
from siamese_core.embeddings.thresholds import Threshold, threshold_at
from siamese_core.embeddings.verification import Distances
from siamese_core.engine.evaluations import EvaluationProgress, ModelFile
from siamese_core.engine.rpc.client import RequestRejected

WAIT = 10.0
POLL_EVERY = 0.5
SHOWN_WIDTH = 128

SOURCES = {"dataset": pair_sources.from_dataset, "upload": pair_sources.from_files, "camera": pair_sources.from_camera}


def page() -> None:
    file = model_picker.choose()
    if file is None:
        return
    first = "dataset" if file.model.has_images else "upload"
    chosen = widgets.persistent(
        widgets.segmented_control, text.SOURCE, text.SOURCES, key="compare_source", default=first
    )
    work = session.poll_evaluation("gallery", file) if file.model.has_images else None
    if chosen == "many":
        pair_list.section(file, threshold_of(file, work))
    else:
        pair = SOURCES[chosen](file.model)
        if pair is not None:
            _compared(file, _turned(file, pair), work)
    if work is not None and work.status == "failed":
        st.warning(escape_markdown(work.message), icon=":material/warning:")
        st.button(text.TRY_AGAIN, icon=":material/refresh:", on_click=session.cancel_evaluation, args=("gallery", file))
    if work is not None and work.status in ("waiting", "working"):
        st.fragment(model_picker.draw_progress, run_every=POLL_EVERY)("gallery", file, text.STAGES)
    elif is_waiting():
        # The curve of the loss comes from the training process.
        rerun_when(has_arrived, POLL_EVERY)


def threshold_of(file: ModelFile, work: EvaluationProgress | None) -> Threshold | None:
    """Return the one that was chosen, else the one that the test images give."""
    saved, known = model_picker.threshold(file), _known(work)
    if saved is None and work is not None and work.status == "done" and work.about["threshold"]:
        return Threshold(**work.about["threshold"])
    if saved is not None and saved is file.model.threshold and saved.group == "seen" and known is not None:
        # What a file says of its rates anybody may have written: here they are measured.
        distance = file.model.measure.as_distance(saved.value)
        return threshold_at(distance, known, saved.rule, "seen", file.model.is_similarity)
    return saved


def _known(work: EvaluationProgress | None) -> Distances | None:
    """The distances of test pairs, where they are there, and there are some of both kinds."""
    if work is None or work.status != "done" or not len(work.arrays["same"]) or not len(work.arrays["different"]):
        return None
    return Distances(**{name: work.arrays[name] for name in ("same", "different", "counts")})


def _turned(file: ModelFile, pair: Pair) -> Pair:
    """For uploaded images: with their brightness the other way round, where that is asked for."""
    if pair.same is not None:
        return pair
    if widgets.persistent(widgets.toggle, text.INVERT, key="invert", default=False, help=text.INVERT_HELP):
        return replace(pair, first=255 - pair.first, second=255 - pair.second)
    hint_at_brightness((pair.first, pair.second), file.model)
    return pair


def _compared(file: ModelFile, pair: Pair, work: EvaluationProgress | None) -> None:
    model = file.model
    is_known = work is not None and work.status == "done"
    name = hashlib.sha256(pair.first.tobytes() + pair.second.tobytes()).hexdigest()
    asked = (file.key, name)
    try:
        found = request_once(
            "compared",
            (*asked, is_known),
            lambda: evaluations().compare(file, pair.first[None], pair.second[None]),
            WAIT,
        )
        explained = request_once("explained", asked, lambda: evaluations().explain(file, pair.first, pair.second), WAIT)
    except RequestRejected as refused:
        st.error(escape_markdown(str(refused)), icon=":material/error:")
        return
    if found is None:
        st.info(text.LATE, icon=":material/hourglass:")
        st.button(text.LOOK_AGAIN)
        return
    value, threshold = float(found["value"][0]), threshold_of(file, work)
    left, right = st.columns([2, 3], gap="medium")
    with left:
        _unlike(found)
        verdict(file, value, threshold, pair.same, waits=work is not None and not is_known)
        with st.container(horizontal=True):
            given = np.stack([pair.first, pair.second])
            for side, image in zip(text.SIDES, given if explained is None else explained["shown"], strict=True):
                show_grid(image[None], 1, caption=side, width=SHOWN_WIDTH)
        channels, height, width = model.shape
        st.caption(text.AS_SEEN.format(width=width, height=height, colours=text.COLOURS[channels]))
        euclidean, cosine = float(found["euclidean"][0]), float(found["cosine"][0])
        st.caption(text.BOTH_WAYS.format(euclidean=f"{euclidean:.3g}", cosine=f"{cosine:.3f}"))
        rates(threshold)
        if model.has_images and st.button(text.EVALUATE, icon=":material/fact_check:"):
            st.switch_page("pages/5_Evaluate.py")
    with right:
        known = _known(work)
        draw_pair(file, value, known, threshold.value if threshold else None, lambda to: _moved(file, known, to))
    why, near = st.columns([2, 3], gap="medium")
    with why:
        st.markdown(f"**{text.WHY}**")
        if explained is None:
            st.caption(text.LATE)
            st.button(text.LOOK_AGAIN, key="look_at_maps")
        else:
            maps(explained, model.measure.as_distance(value))
    with near:
        if "near" in found:
            assert work is not None, "neighbours are those in the gallery"
            looked_through = f"{work.about['gallery']:,}" if is_known else "…"
            st.markdown(f"**{text.NEIGHBOURS}**", help=text.NEIGHBOURS_HELP.format(count=looked_through))
            neighbours(model, found)


def _unlike(found: Arrays) -> None:
    unlike = tuple(bool(flag) for flag in found["unlike"][:, 0]) if "unlike" in found else (False, False)
    if any(unlike):
        st.warning(text.UNLIKE.format(which=text.WHICH[unlike]), icon=":material/warning:")


def _moved(file: ModelFile, known: Distances | None, to: float) -> None:
    """A threshold by hand, with the rates that it has."""
    if known is None:
        return
    distance = file.model.measure.as_distance(to)
    model_picker.save_threshold(file, threshold_at(distance, known, "hand", "seen", file.model.is_similarity))

"""The model that the Compare and Evaluate pages look through: a run's, a bundled one, or a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from itertools import islice
from pathlib import Path

import streamlit as st

from pages.ui.session.session import engine, evaluations, may_use, run_of_tab, token, uploads
from pages.ui.shims import address_sync, widgets
from pages.ui.shims.escape_markdown import plain
from pages.ui.shims.futures import kept_answer
from pages.ui.text import models as text
from siamese_core.datasets import DATASETS, DatasetMissing
from siamese_core.embeddings.thresholds import Threshold
from siamese_core.engine import RunView
from siamese_core.engine.evaluations import ModelFile, file_of
from siamese_core.engine.rpc.client import RequestRejected
from siamese_core.engine.rpc.pipes import ROOT
from siamese_core.engine.storage.store import hashed
from siamese_core.experiment.experiment import Experiment
from siamese_core.formats.safetensors import MAX_BYTES
from siamese_core.losses import LOSSES
from siamese_core.losses.distances import MEASURES
from siamese_core.runs.folder import FolderRejected
from siamese_core.runs.model import Model, model_of
from siamese_core.runs.model_file import ModelRejected, packed, read_model

FOLDER = ROOT / "data" / "models"

FILE = "file"
CHOICE = "model_choice"
KEPT = "model_kept"
WAIT = 15.0
"""Seconds: the process that compares starts with the first question."""

LOOK_EVERY = 0.7

MOST_SAVED = 12
"""Saved runs among which one chooses here; the Runs page has them all, and their models as files."""

MOST_THRESHOLDS = 4_000

MAX_MB = MAX_BYTES // 10**6


def choose() -> ModelFile | None:
    """Draws the choice of a model and gives it; None, and a sentence that says why, where there is none to use."""
    run = run_of_tab()
    options = _options(run)
    asked = st.query_params.get("model", "")
    if asked in options and not address_sync.is_uploaded("models", asked):
        st.session_state[CHOICE] = asked
    elif st.session_state.get(CHOICE) not in options:
        st.session_state[CHOICE] = _before(run, options)
    chosen: str = widgets.selectbox(
        text.MODEL, list(options), format_func=options.__getitem__, key=CHOICE, help=text.MODEL_HELP
    )
    st.session_state[f"{CHOICE}_kept"] = (run.id if run else None, chosen)
    if chosen != address_sync.current("models"):
        address_sync.stands_now("models", chosen)
    if chosen in text.BUNDLED or "model" in st.query_params:
        # A run's id says nothing to anybody else.
        if chosen in text.BUNDLED:
            st.query_params["model"] = chosen
        else:
            del st.query_params["model"]
    if asked and asked not in options:
        may_be = ", ".join(text.BUNDLED)
        st.warning(text.NO_MODEL.format(asked=plain(asked[:60]), may_be=may_be), icon=":material/info:")
    file = _uploaded() if chosen == FILE else bundled(chosen) if chosen in text.BUNDLED else _of_run(chosen)
    if file is not None and any(not uploads().use(token(), own) for own in file.uploaded_sets):
        st.warning(text.GONE, icon=":material/info:")
        return None
    if file is None or not _is_sound(file):
        return None
    _about(file)
    return file


def _before(run: RunView | None, options: Mapping[str, str]) -> str:
    """What was chosen before another page was looked at; the tab's run, where that is another one since."""
    of_run, chosen = st.session_state.get(f"{CHOICE}_kept", (None, None))
    is_still = chosen in options and of_run == (run.id if run else None)
    return str(chosen) if is_still else next(iter(options))


def _options(run: RunView | None) -> dict[str, str]:
    """Choice → title. The tab's own run first, then other runs, what is bundled, and a file."""
    runs = engine().with_weights(token())
    others = text.BUNDLED | {FILE: text.FILE}
    if run is not None and run.id in runs:
        runs = {run.id: runs[run.id]} | runs
    titles = {
        run_id: text.RUN.format(
            loss=LOSSES[experiment.loss].title, dataset=plain_title(experiment.dataset), steps=f"{experiment.steps:,}"
        )
        for run_id, experiment in runs.items()
    }
    return titles | {run: title for run, title in _saved().items() if run not in titles} | others


def _saved() -> dict[str, str]:
    """The newest saved runs that can be used: those whose images are here."""
    found = {}
    for info in engine().store.infos(hashed(token())):
        experiment, gone = Experiment.from_query(info.query)
        if not gone and not info.sweep and may_use(experiment.dataset):
            loss, dataset = LOSSES[experiment.loss].title, plain_title(experiment.dataset)
            about = info.name or text.ABOUT_RUN.format(loss=loss, dataset=dataset)
            found[info.id] = text.SAVED_RUN.format(about=about, steps=f"{info.step:,}")
    return dict(islice(found.items(), MOST_SAVED))


def plain_title(dataset: str) -> str:
    return uploads().sets(token()).get(dataset) or (DATASETS[dataset].title if dataset in DATASETS else dataset)


@lru_cache(maxsize=8)
def bundled(name: str) -> ModelFile:
    data = Path(FOLDER / name / "model.safetensors").read_bytes()
    return ModelFile(read_model(data), data)


def _of_run(run_id: str) -> ModelFile | None:
    """The weights of a run as they were when it was chosen; the newest where it rests, or when asked for."""
    run = engine().poll(token(), run_id)
    kept = st.session_state.get(KEPT)
    mine = kept[1] if kept is not None and kept[0] == run_id else None
    try:
        if mine is None or (run is not None and not run.live and mine.model.steps != run.step):
            model = engine().model(token(), run_id) if run is not None else _of_saved(run_id)
            if model is not None and (mine is None or model.steps != mine.model.steps):
                mine = file_of(model)
                st.session_state[KEPT] = (run_id, mine)
    except (DatasetMissing, FolderRejected) as gone:
        st.warning(text.GONE if isinstance(gone, DatasetMissing) else plain(str(gone)), icon=":material/info:")
        return None
    if mine is not None and run is not None and run.live:
        help_ = text.RENEW_HELP.format(step=f"{run.step:,}")
        st.button(text.RENEW, icon=":material/refresh:", help=help_, on_click=_let_go)
    return mine


def _of_saved(run_id: str) -> Model | None:
    saved = engine().store.saved(hashed(token()), run_id)
    return model_of(saved.experiment, saved.state) if saved is not None else None


def _let_go() -> None:
    st.session_state.pop(KEPT, None)


def _uploaded() -> ModelFile | None:
    """A file stays chosen when the page is switched, which empties the widget."""
    st.file_uploader(text.CHOOSE_FILE, type=["safetensors"], key="model_file", on_change=_take, max_upload_size=MAX_MB)
    kept = st.session_state.get("model_upload")
    if isinstance(kept, ModelFile):
        return kept
    if kept is None:
        st.info(text.CHOOSE_FILE_HINT, icon=":material/upload_file:")
    else:
        st.error(plain(kept), icon=":material/error:")
    return None


def _take() -> None:
    """What was given, or why it cannot be used; what was taken away again is let go of."""
    given = st.session_state["model_file"]
    st.session_state.pop("model_upload", None)
    if given is None:
        return
    data = given.getvalue()
    try:
        st.session_state["model_upload"] = ModelFile(read_model(data, list(uploads().sets(token()))), data)
    except ModelRejected as rejected:
        st.session_state["model_upload"] = str(rejected)


def _is_sound(file: ModelFile) -> bool:
    """Whether the tensors are those of the network that the file speaks of: the examining process knows."""
    if evaluations().problem:
        st.error(evaluations().problem, icon=":material/error:")
        return False
    if not evaluations().ready:
        st.info(text.CHECKING, icon=":material/hourglass:")
        st.fragment(_once_ready, run_every=LOOK_EVERY)()
        return False
    try:
        found = kept_answer("model_checked", file.key, lambda: evaluations().check(file), WAIT)
    except RequestRejected as refused:
        st.error(plain(str(refused)), icon=":material/error:")
        return False
    if found is None:
        st.info(text.CHECKING, icon=":material/hourglass:")
        st.fragment(_once_ready, run_every=LOOK_EVERY)()
    return found is not None


def _once_ready() -> None:
    if evaluations().ready:
        st.rerun()


def title(file: ModelFile) -> str:
    """What a model was trained on, and by which loss, in a few words."""
    experiment = file.model.experiment
    return f"{LOSSES[experiment.loss].title}, {plain_title(experiment.dataset) if file.model.has_images else '…'}"


def about(file: ModelFile) -> str:
    model = file.model
    experiment = model.experiment
    said = [
        text.ABOUT.format(
            dataset=plain_title(experiment.dataset) if model.has_images else "…",
            loss=LOSSES[experiment.loss].title, steps=f"{model.steps:,}", measure=MEASURES[experiment.measure].title,
        )
    ]  # fmt: skip
    if model.has_images and experiment.held_out:
        said.append(text.ABOUT_HELD_OUT.format(names=", ".join(model.classes[c] for c in experiment.held_out)))
    return " ".join(said)


def _about(file: ModelFile) -> None:
    st.caption(plain(about(file)))
    if not file.model.has_images:
        # Of somebody's own pictures the default dataset, which is here, stands in the place.
        named = DATASETS.get(file.model.experiment.dataset)
        remedy = text.DOWNLOAD if named is not None and not named.find() else text.UPLOAD_AGAIN
        st.info(text.NO_IMAGES.format(remedy=remedy), icon=":material/info:")


@st.cache_resource(show_spinner=False)
def _thresholds() -> dict[tuple[str, str], Threshold]:
    """By owner and model: what somebody chose on the Evaluate page, for the Compare page, and after a reload."""
    return {}


def threshold(file: ModelFile) -> Threshold | None:
    """The one that this browser has chosen for a model, or that came with its file."""
    return _thresholds().get((token(), file.key)) or file.model.threshold


def keep_threshold(file: ModelFile, chosen: Threshold) -> None:
    kept = _thresholds()
    kept[token(), file.key] = chosen
    # A copy of the keys: other browsers choose at the same moment.
    for oldest in list(kept)[:-MOST_THRESHOLDS]:
        kept.pop(oldest, None)


def save_button(file: ModelFile, chosen: Threshold | None) -> None:
    if file.model.has_images:
        st.download_button(
            text.SAVE, lambda: packed(replace(file.model, threshold=chosen)), "model.safetensors",
            "application/octet-stream", icon=":material/download:", help=text.SAVE_HELP, on_click="ignore",
        )  # fmt: skip


def rule_words(found: Threshold) -> str:
    """How a threshold was chosen, in words."""
    kind, _, numbers = found.rule.partition("=")
    values = numbers.split(":")
    if kind == "far":
        return text.RULES["far"].format(wanted=f"{100 * float(values[0]):.3g} %")
    if kind == "costs":
        accept, reject, share = map(float, values)
        return text.RULES["costs"].format(accept=f"{accept:g}", reject=f"{reject:g}", share=f"{share:.0%}")
    return text.RULES[kind]

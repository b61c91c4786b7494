"""The model that the Compare and Evaluate pages use: a run's, a bundled one, or a file."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache, partial
from itertools import islice

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from pages.ui.session import datasets, session
from pages.ui.session.engine import evaluations
from pages.ui.shims import address_sync, widgets
from pages.ui.shims.escape_markdown import escape_markdown
from pages.ui.shims.futures import request_once
from pages.ui.shims.polling import rerun_when
from pages.ui.text import models as text
from siamese_core.datasets import DATASETS, DatasetMissing
from siamese_core.datasets.bundled import data_folder
from siamese_core.embeddings.thresholds import Threshold, rule_of
from siamese_core.engine import RunView
from siamese_core.engine.evaluations import Kind, ModelFile, file_of
from siamese_core.engine.recent import remember
from siamese_core.engine.rpc.client import RequestRejected
from siamese_core.experiment.experiment import Experiment
from siamese_core.formats.safetensors import MAX_BYTES
from siamese_core.losses import LOSSES
from siamese_core.runs.disk_format import FolderRejected
from siamese_core.runs.model import Model, model_of
from siamese_core.runs.model_file import ModelRejected, packed, read_model

FOLDER = data_folder() / "models"

FILE = "file"
CHOICE, UPLOAD, OF_RUN = "model_choice", "model_file", "model_of_run"
WAIT = 15.0
"""Seconds: the process that compares starts with the first request."""

MOST_SAVED = 12
"""Saved runs among which one chooses here; the Runs page has them all, and their models as files."""

MOST_THRESHOLDS = 4_000

MAX_MB = MAX_BYTES // 10**6


def choose() -> ModelFile | None:
    """Draw the choice of a model and return it; None, and a message that says why, where there is none to use."""
    run = session.run_of_tab()
    options = _options(run)
    asked = st.query_params.get("model", "")
    if asked in options and not address_sync.has_written("models", asked):
        st.session_state[CHOICE] = asked
    elif st.session_state.get(CHOICE) not in options:
        st.session_state[CHOICE] = _before(run, options)
    chosen: str = widgets.selectbox(text.MODEL, options, key=CHOICE, help=text.MODEL_HELP)
    widgets.save(CHOICE, (run.id if run else None, chosen))
    address_sync.record("models", chosen)
    if chosen in text.BUNDLED:
        st.query_params["model"] = chosen
    else:
        # A run's id says nothing to anybody else.
        st.query_params.pop("model", None)
    if asked and asked not in options:
        may_be = ", ".join(text.BUNDLED)
        st.warning(text.NO_MODEL.format(asked=escape_markdown(asked[:60]), may_be=may_be), icon=":material/info:")
    file = _uploaded() if chosen == FILE else bundled(chosen) if chosen in text.BUNDLED else _of_run(chosen)
    if file is not None and not all(map(datasets.may_use, file.uploaded_sets)):
        st.warning(text.GONE, icon=":material/info:")
        return None
    if file is None or not _is_sound(file):
        return None
    _about(file)
    return file


def _before(run: RunView | None, options: Mapping[str, str]) -> str:
    """What was chosen before another page was shown; the tab's run, where that is another one since."""
    of_run, chosen = widgets.saved(CHOICE, (None, None))
    is_still = chosen in options and of_run == (run.id if run else None)
    return str(chosen) if is_still else next(iter(options))


def _options(run: RunView | None) -> dict[str, str]:
    """Choice → title. The tab's run first, then other runs, what is bundled, and a file."""
    titles = {
        run_id: text.RUN.format(**loss_and_dataset(experiment), steps=f"{experiment.steps:,}")
        for run_id, experiment in session.runs_with_weights().items()
    }
    first = {run.id: titles[run.id]} if run is not None and run.id in titles else {}
    others = {run_id: title for run_id, title in _saved().items() if run_id not in titles}
    return first | titles | others | text.BUNDLED | {FILE: text.FILE}


def _saved() -> dict[str, str]:
    """The newest saved runs that can be used: those whose images are here."""
    found = {}
    for info in session.saved_runs():
        experiment, gone = Experiment.from_query(info.query)
        if not gone and not info.sweep and datasets.may_use(experiment.dataset):
            about = info.name or text.ABOUT_RUN.format(**loss_and_dataset(experiment))
            found[info.id] = text.SAVED_RUN.format(about=about, steps=f"{info.step:,}")
    return dict(islice(found.items(), MOST_SAVED))


def title_of_dataset(dataset: str) -> str:
    return datasets.uploaded_sets().get(dataset) or (DATASETS[dataset].title if dataset in DATASETS else dataset)


def loss_and_dataset(experiment: Experiment) -> dict[str, str]:
    """Return the titles of both, for a template."""
    return {"loss": LOSSES[experiment.loss].title, "dataset": title_of_dataset(experiment.dataset)}


@lru_cache(maxsize=8)
def bundled(name: str) -> ModelFile:
    """Return a model that comes with the app, by the name of its folder. Read once for all browsers."""
    data = (FOLDER / name / "model.safetensors").read_bytes()
    return ModelFile(read_model(data), data)


def _of_run(run_id: str) -> ModelFile | None:
    """The weights of a run as they were when it was chosen; the newest where it rests, or by a click."""
    run = session.poll_run(run_id)

    newest = partial(session.model_of_run if run is not None else _of_saved, run_id)

    def make() -> ModelFile | None:
        model = newest()
        return file_of(model) if model is not None else None

    def is_newest(file: ModelFile | None) -> bool:
        if file is None or run is None or run.live or file.model.steps == run.step:
            return file is not None
        # The state of a run that was halted is of an earlier step.
        model = newest()
        return model is None or model.steps == file.model.steps

    try:
        file = widgets.once(OF_RUN, run_id, make, is_newest)
    except (DatasetMissing, FolderRejected) as gone:
        st.warning(
            text.GONE if isinstance(gone, DatasetMissing) else escape_markdown(str(gone)), icon=":material/info:"
        )
        return None
    if file is not None and run is not None and run.live:
        help_ = text.RENEW_HELP.format(step=f"{run.step:,}")
        st.button(text.RENEW, icon=":material/refresh:", help=help_, on_click=st.session_state.pop, args=(OF_RUN, None))
    return file


def _of_saved(run_id: str) -> Model | None:
    checkpoint = session.checkpoint_reader(run_id)()
    return model_of(checkpoint.experiment, checkpoint.state) if checkpoint is not None else None


def _uploaded() -> ModelFile | None:
    """A file stays chosen when the page is switched, which empties the widget."""
    draw = partial(st.file_uploader, text.CHOOSE_FILE, type=["safetensors"], max_upload_size=MAX_MB)
    found = widgets.persistent_upload(UPLOAD, draw, _read)
    if isinstance(found, ModelFile):
        return found
    if found is None:
        st.info(text.CHOOSE_FILE_HINT, icon=":material/upload_file:")
    else:
        st.error(escape_markdown(found), icon=":material/error:")
    return None


def _read(file: UploadedFile) -> ModelFile | str:
    """The model, or why the file cannot be used."""
    data = file.getvalue()
    try:
        return ModelFile(read_model(data, list(datasets.uploaded_sets())), data)
    except ModelRejected as rejected:
        return str(rejected)


def _is_sound(file: ModelFile) -> bool:
    """Whether the tensors are those of the network that the file speaks of: the evaluation process knows."""
    if problem := evaluations().problem:
        st.error(problem, icon=":material/error:")
        return False
    found = None
    try:
        if evaluations().ready:
            found = request_once("model_checked", file.key, lambda: evaluations().check(file), WAIT)
    except RequestRejected as refused:
        st.error(escape_markdown(str(refused)), icon=":material/error:")
        return False
    if found is None:
        st.info(text.CHECKING, icon=":material/hourglass:")
        rerun_when(lambda: evaluations().ready)
    return found is not None


def draw_progress(kind: Kind, file: ModelFile, stages: Mapping[str, str]) -> None:
    """Draw how far an evaluation is, and the page again when it is done; `stages` by name, "" for any other."""
    work = session.poll_evaluation(kind, file)
    if work is None or work.status in ("done", "failed"):
        st.rerun()
    stage, _, group = work.stage.partition(" ")
    line = stages.get(stage, stages[""]).format(group=text.GROUPS.get(group, ""))
    shown = text.AHEAD.format(count=work.ahead) if work.ahead else line
    st.progress(min(1.0, work.done / max(1, work.total)), text=shown)


def title(file: ModelFile) -> str:
    """Return what a model was trained on, and by which loss, in a few words."""
    return "{loss}, {dataset}".format(**_trained_on(file.model))


def about(file: ModelFile) -> str:
    """Return how a model was trained, the classes it never saw among that, in a sentence or two."""
    model = file.model
    words = text.ABOUT.format(**_trained_on(model), steps=f"{model.steps:,}", measure=model.measure.title)
    if model.has_images and model.experiment.held_out:
        names = ", ".join(model.classes[c] for c in model.experiment.held_out)
        words += f" {text.ABOUT_HELD_OUT.format(names=names)}"
    return words


def _trained_on(model: Model) -> dict[str, str]:
    return loss_and_dataset(model.experiment) | ({} if model.has_images else {"dataset": "…"})


def _about(file: ModelFile) -> None:
    st.caption(escape_markdown(about(file)))
    if not file.model.has_images:
        # In place of an uploaded dataset stands the default one, which is here.
        named = DATASETS.get(file.model.experiment.dataset)
        remedy = text.DOWNLOAD if named is not None and not named.find() else text.UPLOAD_AGAIN
        st.info(text.NO_IMAGES.format(remedy=remedy), icon=":material/info:")


_CHOOSING = threading.Lock()


@st.cache_resource(show_spinner=False)
def _thresholds() -> dict[tuple[str, str], Threshold]:
    """By owner and model: what somebody chose on the Evaluate page, for the Compare page, and after a reload."""
    return {}


def threshold(file: ModelFile) -> Threshold | None:
    """Return the one that this browser has chosen for a model, or that came with its file."""
    return _thresholds().get((session.owner_hash(), file.key)) or file.model.threshold


def save_threshold(file: ModelFile, chosen: Threshold) -> None:
    """Note what this browser has chosen for a model, for every page; the newest of all browsers stay."""
    # Other browsers choose at the same moment.
    with _CHOOSING:
        remember(_thresholds(), (session.owner_hash(), file.key), chosen, MOST_THRESHOLDS)


def save_button(file: ModelFile, chosen: Threshold | None) -> None:
    """Offer a model as a file, with its threshold, where its images are here."""
    if file.model.has_images:
        model = replace(file.model, threshold=chosen)
        widgets.download(text.SAVE, lambda: packed(model), "model.safetensors", help=text.SAVE_HELP)


def describe_rule(found: Threshold) -> str:
    """Return how a threshold was chosen, in words."""
    if found.rule == "hand":
        return text.RULES["hand"]
    rule = rule_of(found.rule)
    return text.RULES[rule.kind].format(rule=rule, wanted=100 * rule.wanted)

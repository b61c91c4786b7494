"""This browser: who it is, and its runs, in training and saved. A run that is not this browser's answers like none."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import partial
from typing import Any

import streamlit as st

from pages.ui.session.engine import engine, uploads
from siamese_core.engine import RunView
from siamese_core.engine.rpc.client import PendingReply
from siamese_core.engine.storage.limits import Limits
from siamese_core.engine.storage.replays import THUMBNAIL, LayoutProgress
from siamese_core.engine.storage.store import hashed
from siamese_core.experiment.experiment import Experiment
from siamese_core.experiment.machine import Machine
from siamese_core.runs.folder import Checkpoint
from siamese_core.runs.history import RunHistory
from siamese_core.runs.info import RunInfo
from siamese_core.runs.layouts import Layouts
from siamese_core.runs.model import Model

COOKIE = "siamese_owner"

_set_cookie = st.components.v2.component(
    "owner",
    js=f"""export default function ({{ data }}) {{
  if (!document.cookie.split("; ").some((c) => c.startsWith("{COOKIE}=")))
    document.cookie = `{COOKIE}=${{data}}; path=/; max-age=31536000; SameSite=Strict`;
}}""",
)

# Who it is


def identify() -> None:
    """Read this browser's token from its cookie, or give it a new one; to be called first by every page."""
    if "owner" not in st.session_state:
        sent = st.context.cookies.get(COOKIE, "")
        st.session_state["owner"] = sent if 16 <= len(sent) <= 64 else secrets.token_urlsafe(24)
    _set_cookie(key="owner_cookie", data=st.session_state["owner"], height=1)


def token() -> str:
    """Return the token that controls all that is this browser's: for this folder only, and never for a disk."""
    return st.session_state["owner"]


def owner_hash() -> str:
    """Return the name of this browser on disk: the owner of its saved runs and sweeps."""
    return hashed(token())


# Runs in training


def start_run(experiment: Experiment, machine: Machine = Machine(), **options: Any) -> str:  # noqa: B008 (frozen)
    """Return the id of a new run; `options` as `Engine.start` describes them."""
    return engine().start(token(), experiment, machine, **options)


def reopen_run(run_id: str) -> None:
    """Go on with a saved run from its last state. Raises FolderRejected where that cannot be."""
    engine().reopen(token(), run_id)


def poll_run(run_id: str) -> RunView | None:
    """Return a run as it is now, which renews its lease."""
    return engine().poll(token(), run_id)


def latest_run() -> RunView | None:
    """Return the newest run of this browser."""
    run_id = engine().latest(token())
    return poll_run(run_id) if run_id else None


def run_of_tab() -> RunView | None:
    """Return the run of this tab; where it has none, or another tab has replaced it, the newest of this browser."""
    for run_id in (st.session_state.get("run"), engine().latest(token())):
        if run_id and (run := poll_run(run_id)):
            uploads().use(token(), run.experiment.dataset)
            return run
    return None


def is_paused(run_id: str) -> bool:
    """Return whether a run that is under way waits for somebody to go on with it, or to open it; renews no lease."""
    return engine().status(token(), run_id) in ("pausing", "paused", "parked")


def command_run(run_id: str, command: str) -> None:
    """Pause, resume, step or stop a run."""
    engine().command(token(), run_id, command)


def discard_run(run_id: str) -> None:
    """Stop a run and forget it."""
    engine().discard(token(), run_id)


def project_run(run_id: str, projection: str) -> None:
    """Draw a run by another projection from now on."""
    engine().project(token(), run_id, projection)


def lay_out_anew(run_id: str) -> None:
    """Lay out a run's points as if for the first time."""
    engine().lay_out_anew(token(), run_id)


def runs_with_weights() -> dict[str, Experiment]:
    """Return this browser's runs that have trained a step, by id, the newest first."""
    return engine().with_weights(token())


def model_of_run(run_id: str) -> Model | None:
    """Return what a run in training has come to. Raises DatasetMissing where its images have gone."""
    return engine().model(token(), run_id)


def next_step(run_id: str | None, experiment: Experiment, ahead: int) -> PendingReply:
    """Request the batch of a run's next step, or of a run that is to begin with `experiment`; `ahead` steps later."""
    return engine().next_step(token(), run_id, experiment, ahead)


# Saved runs


def saved_runs() -> list[RunInfo]:
    """Return this browser's saved runs, the newest first."""
    return engine().store.infos(owner_hash())


def published_runs() -> list[RunInfo]:
    """Return what other browsers have published."""
    return [info for info in engine().store.published() if not is_owner(info)]


def find_run(run_id: str) -> RunInfo | None:
    """Return a saved run of this browser, or a published one."""
    return engine().store.find(owner_hash(), run_id)


def is_owner(info: RunInfo) -> bool:
    """Return whether this browser may change a saved run."""
    return info.owner == owner_hash()


def change_run(run_id: str, **changes: object) -> None:
    """Change the `name` of a saved run, or whether it is `pinned` or `published`."""
    engine().store.change(owner_hash(), run_id, **changes)


def delete_run(run_id: str) -> bool:
    """Delete a saved run, which can be taken back for a while; False while it is written."""
    return engine().store.delete(owner_hash(), run_id)


def is_run_deleted(run_id: str) -> bool:
    """Return whether a run was deleted, and can still be restored."""
    return engine().store.is_deleted(owner_hash(), run_id)


def restore_run(run_id: str) -> bool:
    """Take the deletion of a run back; False where it is too late."""
    return engine().store.restore(owner_hash(), run_id)


def import_run(files: dict[str, bytes], info: RunInfo) -> str:
    """Return the id of a saved run made of files, whose film is laid out next. Raises FolderRejected and OSError."""
    run_id = engine().store.import_run(owner_hash(), files, info)
    if imported := find_run(run_id):
        engine().replays.prepare(imported)
    return run_id


def files_reader(run_id: str) -> Callable[[], dict[str, bytes] | None]:
    """Return what reads the files of a saved run, in threads too that know nothing of this browser."""
    return partial(engine().store.files, owner_hash(), run_id)


def checkpoint_reader(run_id: str) -> Callable[[], Checkpoint | None]:
    """Return what reads the last state of a saved run, in such threads too. It raises FolderRejected."""
    return partial(engine().store.saved, owner_hash(), run_id)


def history_of_run(run_id: str) -> RunHistory | None:
    """Return all that was measured in a saved run. Raises FolderRejected where its files are damaged."""
    return engine().replays.run_history(owner_hash(), run_id)


def film_of_run(run_id: str) -> Layouts | LayoutProgress | str | None:
    """Return the layouts of a saved run; how far they are; a message why there are none. Raises FolderRejected."""
    return engine().replays.poll(owner_hash(), run_id)


def is_film_under_way(run_id: str) -> bool:
    """Return whether the film of a saved run is being laid out, or is about to be."""
    return engine().replays.is_drawing(run_id)


def thumbnail_of_run(run_id: str) -> bytes | None:
    """Return the last layout of a saved run as a PNG, where it is there."""
    return engine().store.attached(run_id, THUMBNAIL)


def has_thumbnail(run_id: str) -> bool:
    return engine().store.has(run_id, THUMBNAIL)


def is_being_written(run_id: str) -> bool:
    """Return whether a saved run is still in training, or its last state on its way to the disk."""
    return engine().store.is_busy(run_id)


def is_saving() -> bool:
    """Return whether any run of this browser is on its way to the disk."""
    return engine().saver.is_writing(owner_hash())


def save_problem(run_id: str) -> str:
    """Return why a run in training is not saved; "" where it is."""
    return engine().saver.problem(run_id)


def disk_usage() -> tuple[int, int, Limits]:
    """Return how many runs this browser has saved, the bytes of all runs on this machine, and what both may be."""
    store = engine().store
    return *store.usage(owner_hash()), store.limits


def unreadable_runs() -> list[str]:
    """Return the names of folders that hold no run which this server can read."""
    return list(engine().store.skipped)

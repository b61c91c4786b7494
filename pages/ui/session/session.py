"""This browser: who it is, and its runs, in training and saved. A run that is not this browser's answers like none."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import partial
from typing import Concatenate, ParamSpec, TypeVar

import streamlit as st

from pages.ui.session.engine import engine, evaluations, uploads
from siamese_core.engine import Engine, RunView
from siamese_core.engine.evaluations import Evaluations
from siamese_core.engine.storage.replays import Replays
from siamese_core.engine.storage.saver import RunSaver
from siamese_core.engine.storage.store import RunStore, hashed
from siamese_core.runs.disk_format import Checkpoint
from siamese_core.runs.info import RunInfo

S = TypeVar("S")
T = TypeVar("T")
P = ParamSpec("P")

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


def of_browser(
    shared: Callable[[], S], owner: Callable[[], str], method: Callable[Concatenate[S, str, P], T]
) -> Callable[P, T]:
    """Return a method of what all browsers share for this browser: `owner`, its token or its hash, comes first."""

    def call(*args: P.args, **more: P.kwargs) -> T:
        return method(shared(), owner(), *args, **more)

    # Not by `wraps`, of which `help` would show the first two arguments too.
    call.__doc__ = method.__doc__
    return call


# Runs in training

start_run = of_browser(engine, token, Engine.start)
"""Return the id of a new run."""

resume_saved = of_browser(engine, token, Engine.resume_saved)
"""Resume a saved run from its last checkpoint. Raises FolderRejected where that cannot be."""

poll_run = of_browser(engine, token, Engine.poll)
"""Return a run as it is now, which renews its lease."""

command_run = of_browser(engine, token, Engine.command)
"""Pause, resume, step or stop a run."""

discard_run = of_browser(engine, token, Engine.discard)
"""Stop a run and forget it."""

set_projection = of_browser(engine, token, Engine.set_projection)
"""Lay out a run by another projection from now on."""

lay_out_anew = of_browser(engine, token, Engine.lay_out_anew)
"""Lay out a run's points as if for the first time."""

runs_with_weights = of_browser(engine, token, Engine.with_weights)
"""Return this browser's runs that have trained a step, by id, the newest first."""

model_of_run = of_browser(engine, token, Engine.model)
"""Return what a run in training has come to. Raises DatasetMissing where its images have gone."""

next_step = of_browser(engine, token, Engine.next_step)
"""Request the batch of a run's next step, or of a run that is to begin with an experiment; `ahead` steps later."""


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
    """Return whether a run that is under way waits for somebody to resume it, or to open it; renews no lease."""
    return engine().status(token(), run_id) in ("pausing", "paused", "parked")


# Saved runs


def _store() -> RunStore:
    return engine().store


def _replays() -> Replays:
    return engine().replays


def _saver() -> RunSaver:
    return engine().saver


saved_runs = of_browser(_store, owner_hash, RunStore.infos)
"""Return this browser's saved runs, the newest first."""

find_run = of_browser(_store, owner_hash, RunStore.find)
"""Return a saved run of this browser, or a published one."""

delete_run = of_browser(_store, owner_hash, RunStore.delete)
"""Delete a saved run, which can be taken back for a while; False while it is written."""

is_run_deleted = of_browser(_store, owner_hash, RunStore.is_deleted)
"""Return whether a run was deleted, and can still be restored."""

restore_run = of_browser(_store, owner_hash, RunStore.restore)
"""Take the deletion of a run back; False where it is too late."""

history_of_run = of_browser(_replays, owner_hash, Replays.run_history)
"""Return all that was measured in a saved run. Raises FolderRejected where its files are damaged."""

film_of_run = of_browser(_replays, owner_hash, Replays.poll)
"""Return the layouts of a saved run; how far they are; a message why there are none. Raises FolderRejected."""

disk_usage = of_browser(_store, owner_hash, RunStore.usage)
"""Return how many runs this browser has saved, and the bytes of all runs on this machine."""

is_saving = of_browser(_saver, owner_hash, RunSaver.is_writing)
"""Return whether any run of this browser is on its way to the disk."""


def change_run(run_id: str, **changes: object) -> None:
    """Change the `name` of a saved run, or whether it is `pinned` or `published`."""
    _store().change(owner_hash(), run_id, **changes)


def published_runs() -> list[RunInfo]:
    """Return what other browsers have published."""
    return [info for info in _store().published() if not is_owner(info)]


def is_owner(info: RunInfo) -> bool:
    """Return whether this browser may change a saved run."""
    return info.owner == owner_hash()


def import_run(files: dict[str, bytes], info: RunInfo) -> str:
    """Return the id of a saved run made of files, whose film is laid out next. Raises FolderRejected and OSError."""
    run_id = _store().import_run(owner_hash(), files, info)
    if imported := find_run(run_id):
        _replays().prepare(imported)
    return run_id


def files_reader(run_id: str) -> Callable[[], dict[str, bytes] | None]:
    """Return what reads the files of a saved run, in threads too that know nothing of this browser."""
    return partial(_store().files, owner_hash(), run_id)


def checkpoint_reader(run_id: str) -> Callable[[], Checkpoint | None]:
    """Return what reads the last checkpoint of a saved run, in such threads too. It raises FolderRejected."""
    return partial(_store().checkpoint, owner_hash(), run_id)


# Evaluations of models, which browsers share: this one's part in them

poll_evaluation = of_browser(evaluations, token, Evaluations.poll)
"""Return an evaluation as it is now, and keep it going; begin it where nobody has, unless not to `start`."""

cancel_evaluation = of_browser(evaluations, token, Evaluations.cancel)
"""End this browser's part in an evaluation; one that failed can begin again."""

"""The engine, one a server, and the token by which a browser owns its runs."""

from __future__ import annotations

import atexit
import os
import secrets

import streamlit as st

from pages.ui.shims import assets
from siamese_core.datasets import uploaded
from siamese_core.engine import Engine, RunView
from siamese_core.engine.evaluations import Evaluations
from siamese_core.engine.storage.limits import limits_of
from siamese_core.engine.storage.store import RunStore
from siamese_core.engine.sweeps.sweep_runs import SweepRuns
from siamese_core.engine.sweeps.sweeps import Sweeps
from siamese_core.engine.uploads.downloads import Downloads
from siamese_core.engine.uploads.uploads import Uploads
from siamese_core.runs.home import home

COOKIE = "siamese_owner"

FILMS = "film"
FILMS_FOR = 86400.0
"""Seconds after which a film is published again where somebody looks at it."""

_remember = st.components.v2.component(
    "owner",
    js=f"""export default function ({{ data }}) {{
  if (!document.cookie.split("; ").some((c) => c.startsWith("{COOKIE}=")))
    document.cookie = `{COOKIE}=${{data}}; path=/; max-age=31536000; SameSite=Strict`;
}}""",
)


@st.cache_resource(show_spinner=False)
def uploads() -> Uploads:
    """Before the engine: its children are told where the pictures lie. Nothing is left of an earlier server's."""
    assets.withdraw(sprites_stem(uploaded.PREFIX))
    kept = Uploads(on_gone=_gone)
    atexit.register(kept.close)
    return kept


@st.cache_resource(show_spinner=False)
def engine() -> Engine:
    uploads()
    # Not those of another server that runs from this folder.
    assets.withdraw(FILMS, FILMS_FOR)
    store = RunStore(home() / "runs", limits_of(os.environ), on_gone=_run_gone)
    started = Engine(store=store)
    atexit.register(started.close)
    return started


@st.cache_resource(show_spinner=False)
def evaluations() -> Evaluations:
    uploads()
    return Evaluations()


@st.cache_resource(show_spinner=False)
def downloads() -> Downloads:
    return Downloads()


@st.cache_resource(show_spinner=False)
def sweeps() -> Sweeps:
    started = Sweeps(home() / "sweeps", SweepRuns(engine()))
    atexit.register(started.close)
    return started


def run_of_tab() -> RunView | None:
    """The run of this tab; where it has none, or another tab has replaced it, the newest of this browser."""
    for run_id in (st.session_state.get("run"), engine().latest(token())):
        if run_id and (run := engine().poll(token(), run_id)):
            uploads().use(token(), run.experiment.dataset)
            return run
    return None


def _gone(dataset: str) -> None:
    """A set of uploaded pictures was deleted: nothing of it stays."""
    engine().forget_images(dataset)
    evaluations().forget_images(dataset)
    assets.withdraw(sprites_stem(dataset))


def _run_gone(run: str) -> None:
    """A saved run was deleted for good."""
    engine().replays.forget(run)
    assets.withdraw(film_stem(run))


def sprites_stem(dataset: str) -> str:
    """The name under which a dataset's thumbnails are published."""
    return f"probes-{dataset}"


def may_use(dataset: str) -> bool:
    """Whether this browser may use a dataset: one of the catalogue, or its own pictures, which are kept by asking."""
    return not uploaded.is_uploaded(dataset) or uploads().use(token(), dataset)


def film_stem(run: str) -> str:
    """The name under which the film of a run is published."""
    return f"{FILMS}-{run}"


def owner() -> str:
    """The token of this browser: from its cookie, or a new one that it is given to keep."""
    if "owner" not in st.session_state:
        kept = st.context.cookies.get(COOKIE, "")
        st.session_state["owner"] = kept if 16 <= len(kept) <= 64 else secrets.token_urlsafe(24)
    _remember(key="owner_cookie", data=st.session_state["owner"], height=1)
    return token()


def token() -> str:
    """The same token, where a page has called `owner` before."""
    kept: str = st.session_state["owner"]
    return kept

"""The engine and what belongs to it, one a server: shared by all browsers. What is this browser's is in session.py."""

from __future__ import annotations

import atexit
import os
from typing import TypeVar

import streamlit as st

from pages.ui.shims import assets
from siamese_core.datasets import uploaded
from siamese_core.engine import Engine
from siamese_core.engine.evaluations import Evaluations
from siamese_core.engine.storage.limits import limits_of
from siamese_core.engine.storage.store import RunStore
from siamese_core.engine.sweeps.sweep_runs import SweepRuns
from siamese_core.engine.sweeps.sweeps import Sweeps
from siamese_core.engine.uploads.downloads import Downloads
from siamese_core.engine.uploads.uploads import Uploads
from siamese_core.runs.home import home

FILMS = "film"
FILMS_FOR = 86400.0
"""Seconds after which a film is published again where somebody plays it."""


T = TypeVar("T", Uploads, Engine, Sweeps)


def _closed_at_exit(started: T) -> T:
    atexit.register(started.close)
    return started


@st.cache_resource(show_spinner=False)
def uploads() -> Uploads:
    """Return the uploads, which start before the engine: its children are told where the images lie.

    Nothing is left of an earlier server's.
    """
    assets.withdraw(sprites_stem(uploaded.PREFIX))
    return _closed_at_exit(Uploads(on_gone=_dataset_deleted))


@st.cache_resource(show_spinner=False)
def engine() -> Engine:
    """Return the engine. Its `devices` are empty until the training process has started, which `ask` requests go to."""
    uploads()
    # Not those of another server that runs from this folder.
    assets.withdraw(FILMS, FILMS_FOR)
    store = RunStore(home() / "runs", limits_of(os.environ), on_gone=_run_deleted)
    return _closed_at_exit(Engine(store=store))


@st.cache_resource(show_spinner=False)
def evaluations() -> Evaluations:
    """Return the evaluations, after the uploads: their process is told where the images lie."""
    uploads()
    return Evaluations()


@st.cache_resource(show_spinner=False)
def downloads() -> Downloads:
    """Return the downloads of published datasets, which all browsers see."""
    return Downloads()


@st.cache_resource(show_spinner=False)
def sweeps() -> Sweeps:
    """Return the sweeps, which start the engine, and resume those that ran when the server was killed."""
    return _closed_at_exit(Sweeps(home() / "sweeps", SweepRuns(engine())))


def _dataset_deleted(dataset: str) -> None:
    """Nothing stays of a set of uploaded images that was deleted."""
    engine().forget_images(dataset)
    evaluations().forget_images(dataset)
    assets.withdraw(sprites_stem(dataset))


def _run_deleted(run: str) -> None:
    """Of a saved run, for good."""
    engine().replays.forget(run)
    assets.withdraw(film_stem(run))


def sprites_stem(dataset: str) -> str:
    """Return the name under which a dataset's thumbnails are published."""
    # As earlier servers named them, of whose uploaded sets nothing may stay.
    return f"probes-{dataset}"


def film_stem(run: str) -> str:
    """Return the name under which the film of a run is published."""
    return f"{FILMS}-{run}"

"""All runs of this browser as a table; those that are chosen are played below it."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import numpy as np
import streamlit as st

from pages.ui.runs import actions, player
from pages.ui.runs.titles import dataset_title, loss_title, params_of, status_of, title_of
from pages.ui.session import session, sweeps
from pages.ui.session.engine import engine
from pages.ui.shims import address_sync, widgets
from pages.ui.shims.escape_markdown import escape_markdown
from pages.ui.shims.images import data_uri
from pages.ui.shims.polling import rerun_when
from pages.ui.text import runs as text
from siamese_core.engine.storage.replays import THUMBNAIL
from siamese_core.export.figures.thumbnail import layout_png
from siamese_core.runs.info import RunInfo

WANTED = "runs_section_wanted"
"""The part of the page that is to be shown next: its widget must not be set once it is drawn."""
SHOWN, PAGE = "runs_shown", "runs_run"
MOST_SIDE_BY_SIDE = 4
ROW = 44
SCORES = ("map_at_r", "held_out", "precision_at_1")
BLANK = layout_png(np.zeros((0, 2)), np.zeros(0, np.int32))
"""Until a run has a thumbnail."""
POLL_EVERY = 1.0


def section() -> None:
    _take_address()
    # Before they are drawn: what changes while they are is seen at the first poll.
    shown = _signature()
    listed = [info for info in session.saved_runs() if _stands_alone(info) or info.id in _shown()]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        words = widgets.text_input(text.FILTER, key="runs_filter", help=text.FILTER_HELP, width=320)
        others = session.published_runs()
        if others and widgets.toggle(text.EVERYBODY, key="runs_everybody"):
            listed = [*listed, *others]
    fitting = [info for info in listed if _fits(info, words)]
    if fitting:
        _table(fitting)
    elif words or not any(map(session.find_run, _shown())):
        st.info(
            escape_markdown(text.NONE_FOUND.format(words=words)) if words else text.NONE_YET, icon=":material/info:"
        )
    actions.undo()
    _usage()
    # A run has come to its end, or its thumbnail is there.
    rerun_when(lambda: _signature() != shown, POLL_EVERY if _is_busy(listed) else None)
    chosen = [info for run in _shown() if (info := session.find_run(run)) is not None]
    for run in _shown():
        if session.find_run(run) is None:
            st.warning(text.NO_RUN.format(asked=escape_markdown(run[:60])), icon=":material/info:")
    if chosen:
        actions.bar(chosen)
        player.part(chosen[:MOST_SIDE_BY_SIDE], too_many=len(chosen) > MOST_SIDE_BY_SIDE)
    elif fitting:
        st.caption(text.PICK)


def _stands_alone(info: RunInfo) -> bool:
    """Whether it is no part of a sweep that is listed by itself."""
    return not info.sweep or sweeps.poll(info.sweep) is None


def _is_busy(infos: list[RunInfo]) -> bool:
    """Whether something in the table will change by itself."""
    return session.is_saving() or any(engine().replays.is_laying_out(info.id) for info in infos)


def _signature() -> list[tuple[str, str, bool]]:
    return [(r.id, r.status, engine().store.has(r.id, THUMBNAIL)) for r in session.saved_runs() if not r.sweep]


def _shown() -> list[str]:
    return st.session_state.setdefault(SHOWN, [])


def _take_address() -> None:
    """Runs that a link names are shown; those that are shown stand in the address."""
    asked = st.query_params.get("run", "")
    if asked and not address_sync.has_written(PAGE, asked):
        st.session_state[SHOWN] = [run for run in asked.split(",") if run][:MOST_SIDE_BY_SIDE]
        address_sync.record(PAGE, asked)
        st.session_state.pop("runs_table_of", None)


def show(runs: list[str]) -> None:
    """Show these runs from the next drawing of the whole page on, in this part of it."""
    st.session_state[SHOWN] = runs
    st.session_state[WANTED] = "runs"
    st.session_state.pop("runs_table_of", None)
    _write_address()


def _write_address() -> None:
    shown = ",".join(_shown())
    address_sync.record(PAGE, shown)
    if shown:
        st.query_params["run"] = shown
    elif "run" in st.query_params:
        del st.query_params["run"]


def _fits(info: RunInfo, words: str) -> bool:
    words_of_run = " ".join([title_of(info), text.STATUSES[info.status], *info.settings.values()]).casefold()
    return all(word in words_of_run for word in words.casefold().split())


def _table(infos: list[RunInfo]) -> None:
    ids = tuple(info.id for info in infos)
    shown = [ids.index(run) for run in _shown() if run in ids]
    if st.session_state.get("runs_table_of") != ids:
        # Other rows, another table: a selection by row numbers would be of other runs.
        st.session_state["runs_table_of"] = ids
        st.session_state["runs_table_round"] = st.session_state.get("runs_table_round", 0) + 1
        st.session_state["runs_table_rows"] = shown
    columns = st.column_config
    rows = [_row(info) for info in infos]
    filled = {name for row in rows for name, value in row.items() if value not in (None, "", False)}
    event: Any = st.dataframe(
        [{name: value for name, value in row.items() if name in filled} for row in rows],
        hide_index=True,
        width="stretch",
        height=min(len(infos), 8) * ROW + 40,
        row_height=ROW,
        key=f"runs_table_{st.session_state['runs_table_round']}",
        on_select="rerun",
        selection_mode="multi-row",
        selection_default={"selection": {"rows": st.session_state["runs_table_rows"]}},
        column_config={
            text.COLUMNS["thumbnail"]: columns.ImageColumn(width=60),
            text.COLUMNS["pinned"]: columns.CheckboxColumn(width=60),
            text.COLUMNS["seconds"]: columns.NumberColumn(format="%.1f"),
            text.COLUMNS["created"]: columns.DatetimeColumn(format="distance"),
        }
        | {text.COLUMNS[name]: columns.NumberColumn(format="%.3f") for name in SCORES},
    )
    chosen = [ids[row] for row in event.selection.rows if row < len(ids)]
    elsewhere = [run for run in _shown() if run not in ids]
    if set(chosen) != {run for run in _shown() if run in ids}:
        st.session_state[SHOWN] = elsewhere + [run for run in _shown() if run in chosen]
        st.session_state[SHOWN] += [run for run in chosen if run not in _shown()]
        _write_address()


def _row(info: RunInfo) -> dict[str, object]:
    row = {
        "thumbnail": _thumbnail(info.id),
        "pinned": info.pinned and session.is_owner(info),
        "name": info.name,
        "loss": loss_title(info),
        "params": params_of(info),
        "dataset": dataset_title(info),
        "map_at_r": info.score("map_at_r"),
        "held_out": info.score("map_at_r", "held_out"),
        "precision_at_1": info.score("precision_at_1"),
        "step": text.STEPS.format(step=info.step, total=info.total),
        "seconds": info.seconds,
        "status": status_of(info),
        "created": datetime.fromtimestamp(info.created, UTC),
    }
    return {text.COLUMNS[name]: value for name, value in row.items()}


_encoded = lru_cache(maxsize=512)(data_uri)


def _thumbnail(run: str) -> str:
    return _encoded(engine().store.attached(run, THUMBNAIL) or BLANK)


def _usage() -> None:
    (count, taken), limits = session.disk_usage(), engine().store.limits
    used = f"{taken / 1e9:.2f}"
    st.caption(text.USAGE.format(count=count, runs=limits.runs, used=used, gigabytes=limits.gigabytes))
    if unreadable := engine().store.skipped:
        st.caption(text.SKIPPED.format(names=escape_markdown(", ".join(unreadable[:5]))))

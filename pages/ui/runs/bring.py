"""A run that somebody brings: taken along from here, or made by the command line."""

from __future__ import annotations

import hashlib
import io

import streamlit as st

from pages.ui.compare.pictures import MAX_MB
from pages.ui.owner import engine, token
from pages.ui.runs import listed
from pages.ui.text import runs as text
from pages.ui.words import plain
from siamese_core.engine.shelf import hashed
from siamese_core.run_archive import of_files, of_zip, record_of
from siamese_core.run_folder import FolderRejected


def section() -> None:
    st.caption(text.BRING)
    given = st.file_uploader(
        text.CHOOSE, ["zip", "safetensors"], accept_multiple_files=True, key="runs_brought", max_upload_size=MAX_MB
    )
    if not given:
        return
    name = hashlib.sha256(b"".join(file.getvalue() for file in given)).hexdigest()
    kept = st.session_state.get("runs_bring")
    gone = kept is not None and kept[1] and engine().shelf.own(hashed(token()), kept[1]) is None
    if kept is None or kept[0] != name or gone:
        kept = st.session_state["runs_bring"] = (name, *_brought(given))
    _, run, problem = kept
    if problem:
        st.error(plain(problem), icon=":material/error:")
        return
    st.success(text.BROUGHT, icon=":material/check_circle:")
    if st.button(text.SHOW, type="primary", icon=":material/movie:"):
        listed.show([run])
        st.rerun()


def _brought(given: list[io.BytesIO]) -> tuple[str, str]:
    """The id of the new run, or a sentence why there is none."""
    try:
        zips = [file for file in given if file.name.lower().endswith(".zip")]
        files = of_zip(zips[0]) if zips else of_files((file.name, file.getvalue()) for file in given)
        return engine().shelf.bring(hashed(token()), files, record_of(files)), ""
    except FolderRejected as rejected:
        return "", str(rejected)
    except OSError as error:
        return "", text.NO_ROOM.format(why=error.strerror or "?")

"""A run that somebody brings: taken along from here, or made by the command line."""

from __future__ import annotations

import hashlib

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from pages.ui.runs import table
from pages.ui.session.session import engine, token
from pages.ui.shims.escape_markdown import plain
from pages.ui.text import runs as text
from siamese_core.engine.storage.store import hashed
from siamese_core.formats.archives import MAX_PACKED, MB
from siamese_core.runs.archive import of_files, of_zip, record_of
from siamese_core.runs.folder import FolderRejected


def section() -> None:
    st.caption(text.BRING)
    given = st.file_uploader(
        text.CHOOSE,
        ["zip", "safetensors"],
        accept_multiple_files=True,
        key="runs_brought",
        max_upload_size=MAX_PACKED // MB,
    )
    if not given:
        return
    name = hashlib.sha256(b"".join(file.getvalue() for file in given)).hexdigest()
    kept = st.session_state.get("runs_bring")
    gone = kept is not None and kept[1] and engine().store.owned(hashed(token()), kept[1]) is None
    if kept is None or kept[0] != name or gone:
        kept = st.session_state["runs_bring"] = (name, *_brought(given))
    _, run, problem = kept
    if problem:
        st.error(plain(problem), icon=":material/error:")
        return
    st.success(text.BROUGHT, icon=":material/check_circle:")
    if st.button(text.SHOW, type="primary", icon=":material/movie:"):
        table.show([run])
        st.rerun()


def _brought(given: list[UploadedFile]) -> tuple[str, str]:
    """The id of the new run, or a sentence why there is none."""
    zips = [file for file in given if file.name.lower().endswith(".zip")]
    problem = ""
    for file in [*zips, None]:
        try:
            files = of_zip(file) if file is not None else of_files((one.name, one.getvalue()) for one in given)
            if file is None and not files:
                return "", problem or text.IS_MODEL.format(name=given[0].name)
            run = engine().store.import_run(hashed(token()), files, record_of(files))
        except FolderRejected as rejected:
            problem = (
                text.OF_FILE.format(name=file.name, why=rejected) if file is not None else problem or str(rejected)
            )
        except OSError as error:
            return "", text.NO_ROOM.format(why=error.strerror or "?")
        else:
            record = engine().store.owned(hashed(token()), run)
            if record is not None:
                engine().replays.prepare(record)
            return run, ""
    return "", problem

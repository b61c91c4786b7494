"""A run that is imported: downloaded here before, or made by the command line."""

from __future__ import annotations

import hashlib

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from pages.ui.runs import table
from pages.ui.session import session
from pages.ui.shims.escape_markdown import escape_markdown
from pages.ui.shims.widgets import once
from pages.ui.text import runs as text
from siamese_core.errors import reason
from siamese_core.formats.archives import MAX_PACKED, MB
from siamese_core.runs.archive import info_of, of_files, of_zip
from siamese_core.runs.disk_format import FolderRejected

ENDINGS = ["zip", "safetensors"]


def section() -> None:
    st.caption(text.IMPORT_INTRO)
    given = st.file_uploader(
        text.CHOOSE, ENDINGS, accept_multiple_files=True, key="runs_import", max_upload_size=MAX_PACKED // MB
    )
    if not given:
        return
    name = hashlib.sha256(b"".join(file.getvalue() for file in given)).hexdigest()
    run, problem = once("runs_imported", name, lambda: _imported(given), _is_there)
    if problem:
        st.error(escape_markdown(problem), icon=":material/error:")
        return
    st.success(text.IMPORTED, icon=":material/check_circle:")
    if st.button(text.SHOW, type="primary", icon=":material/movie:"):
        table.show([run])
        st.rerun()


def _is_there(imported: tuple[str, str]) -> bool:
    run, _ = imported
    return not run or session.find_run(run) is not None


def _imported(given: list[UploadedFile]) -> tuple[str, str]:
    """The id of the new run, or a message why there is none."""
    zips = [file for file in given if file.name.lower().endswith(".zip")]
    problem = ""
    for file in [*zips, None]:
        try:
            files = of_zip(file) if file is not None else of_files((one.name, one.getvalue()) for one in given)
            if file is None and not files:
                return "", problem or text.IS_MODEL.format(name=given[0].name)
            return session.import_run(files, info_of(files)), ""
        except FolderRejected as rejected:
            problem = (
                text.OF_FILE.format(name=file.name, why=rejected) if file is not None else problem or str(rejected)
            )
        except OSError as error:
            return "", text.NO_ROOM.format(why=reason(error))
    return "", problem

"""The engine, one a server, and the token by which a browser owns its runs."""

from __future__ import annotations

import secrets

import streamlit as st

from siamese_core.engine import Engine

COOKIE = "siamese_owner"

_remember = st.components.v2.component(
    "owner",
    js=f"""export default function ({{ data }}) {{
  if (!document.cookie.split("; ").some((c) => c.startsWith("{COOKIE}=")))
    document.cookie = `{COOKIE}=${{data}}; path=/; max-age=31536000; SameSite=Strict`;
}}""",
)


@st.cache_resource(show_spinner=False)
def engine() -> Engine:
    return Engine()


def owner() -> str:
    """The token of this browser: from its cookie, or a new one that it is given to keep."""
    if "owner" not in st.session_state:
        kept = st.context.cookies.get(COOKIE, "")
        st.session_state["owner"] = kept if 16 <= len(kept) <= 64 else secrets.token_urlsafe(24)
    _remember(key="owner_cookie", data=st.session_state["owner"], height=1)
    return st.session_state["owner"]

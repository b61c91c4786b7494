"""Images inside of the page that shows them."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import streamlit as st


def data_uri(png: bytes) -> str:
    """Return the address of a PNG that holds all of it."""
    return f"data:image/png;base64,{b64encode(png).decode()}"


def show_png(png: bytes, **layout: Any) -> None:
    """Draw a PNG. As a file of Streamlit's it would be gone when anybody's next draw ends, fetched or not."""
    st.image(data_uri(png), **layout)

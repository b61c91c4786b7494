"""The front door of Siamese Playground: streamlit run app.py."""

import streamlit as st

from pages.ui.home.film import film, query
from pages.ui.runs.actions import open_settings
from pages.ui.session import chrome
from pages.ui.text import home as text

chrome.begin(chrome.TITLE)
st.title(chrome.TITLE)
left, right = st.columns([4, 5], gap="large")
with left:
    film(text.FILM)
    st.caption(text.FILM_NOTE)
with right:
    st.image(chrome.IDEA, width="stretch")
    st.markdown(text.IDEA)
    if st.button(text.TRAIN, type="primary", icon=":material/play_circle:"):
        st.switch_page(chrome.TRAIN_PAGE)
    if st.button(text.OPEN, icon=":material/tune:", help=text.OPEN_HELP):
        open_settings(query())

"""The front door of Siamese Playground: streamlit run app.py."""

import streamlit as st

from pages.ui import frame
from pages.ui.text import home as text

frame.begin(frame.TITLE)
st.title(frame.TITLE)
st.image(frame.IDEA, width="stretch")
st.markdown(text.IDEA)
if st.button(text.TRAIN, type="primary", icon=":material/play_circle:"):
    st.switch_page("pages/1_Train.py")

"""The images: the catalogue, somebody's own, and the pairs that are made of them."""

from pages.ui import frame
from pages.ui.data import page

frame.begin(page.TITLE)
page.page()

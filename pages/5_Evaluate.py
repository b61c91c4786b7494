"""How good a model is, and where its threshold comes from."""

from pages.ui import frame
from pages.ui.evaluate import page

frame.begin(page.TITLE)
page.page()

"""How good a model is, and where its threshold comes from."""

from pages.ui.evaluate import page
from pages.ui.session import chrome

chrome.show(page)

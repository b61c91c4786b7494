"""The images: the catalogue, somebody's own, and the pairs that are made of them."""

from pages.ui.data import page
from pages.ui.session import chrome

chrome.begin(page.TITLE)
page.page()

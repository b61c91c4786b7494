"""The images: the catalogue, uploaded ones, and the pairs that are made of them."""

from pages.ui.data import page
from pages.ui.session import chrome

chrome.show(page)

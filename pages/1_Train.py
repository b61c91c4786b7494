"""Train a siamese network and watch it learn."""

from pages.ui.session import chrome
from pages.ui.train import page

chrome.show(page)

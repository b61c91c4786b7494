"""Every loss of siamese learning, drawn, compared and put to the test."""

from pages.ui.losses import page
from pages.ui.session import chrome

chrome.show(page)

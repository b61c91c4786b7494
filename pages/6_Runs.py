"""Saved runs: played again, laid side by side, resumed, handed on."""

from pages.ui.runs import page
from pages.ui.session import chrome

chrome.show(page)

"""Runs that are kept: played again, laid side by side, gone on with, handed on."""

from pages.ui import frame
from pages.ui.runs import page

frame.begin(page.TITLE)
page.page()

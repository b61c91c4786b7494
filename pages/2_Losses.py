"""Every loss of siamese learning, drawn, compared and put to the test."""

from pages.ui import frame
from pages.ui.losses import page

frame.begin(page.TITLE)
page.page()

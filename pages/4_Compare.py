"""Two images, or many pairs: are they the same, by which threshold, and why?"""

from pages.ui import frame
from pages.ui.compare import page

frame.begin(page.TITLE)
page.page()

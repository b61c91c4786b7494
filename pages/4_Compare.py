"""Two images, or many pairs: are they the same, by which threshold, and why?"""

from pages.ui.compare import page
from pages.ui.session import chrome

chrome.show(page)

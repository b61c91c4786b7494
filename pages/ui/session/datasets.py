"""Datasets of this browser: the sets it has uploaded, and the downloads it has started."""

from __future__ import annotations

from pages.ui.session.engine import downloads, uploads
from pages.ui.session.session import of_browser, token
from siamese_core.datasets import is_uploaded
from siamese_core.engine.uploads.downloads import DownloadProgress, Downloads
from siamese_core.engine.uploads.uploads import Uploads

# Uploaded sets

uploaded_sets = of_browser(uploads, token, Uploads.sets)
"""Return key → title of the sets that this browser has uploaded, or of those it has `deleted` and can restore."""

read_zip = of_browser(uploads, token, Uploads.read_zip)
"""Begin to read a zip of images, in place of what is being read."""

read_folder = of_browser(uploads, token, Uploads.read_folder)
"""Begin to read a folder of images of the server."""

poll_upload = of_browser(uploads, token, Uploads.poll)
"""Return how far the upload of this browser is; None where there is none."""

cancel_upload = of_browser(uploads, token, Uploads.cancel)
"""Stop reading, and delete what was read."""

make_dataset = of_browser(uploads, token, Uploads.prepare)
"""Return the key of a set made of the images that were read. Raises OSError."""

delete_dataset = of_browser(uploads, token, Uploads.delete)
"""Delete a set, which can be taken back for a while."""

restore_dataset = of_browser(uploads, token, Uploads.restore)
"""Take a deletion back; False where it is too late."""


def may_use(dataset: str) -> bool:
    """Return whether this browser may use a dataset: one of the catalogue, or one it has uploaded. Asking renews the
    lease of an uploaded one."""
    return not is_uploaded(dataset) or uploads().use(token(), dataset)


# Downloads, of which all browsers see how far they are

start_download = of_browser(downloads, token, Downloads.start)
"""Begin to download a set, unless somebody is at it already."""

cancel_download = of_browser(downloads, token, Downloads.cancel)
"""Stop a download that this browser has started."""


def may_cancel(download: DownloadProgress) -> bool:
    """Return whether this browser has started it."""
    return download.owner == token()

"""One thread for every library, as in the workers: other thread counts are other bits, and slower on a busy machine."""

import os

from siamese_core.engine.pipes import ONE_THREAD

os.environ.update(ONE_THREAD)

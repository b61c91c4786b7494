"""One thread for every library, as in the workers: other thread counts are other bits, and slower on a busy machine."""

import os

# Imports no numpy, whose BLAS reads the environment once.
from siamese_core.machine import ONE_THREAD

os.environ.update(ONE_THREAD)

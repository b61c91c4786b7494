"""How much is stored on this machine, as its operator sets it."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """`runs` of each owner; `gigabytes` of all together. The oldest that is not pinned goes first."""

    runs: int = 50
    gigabytes: float = 10.0


RUNS, GIGABYTES = "SIAMESE_KEEP_RUNS", "SIAMESE_KEEP_GB"


def limits_of(environment: Mapping[str, str]) -> Limits:
    """Return what the operator of this server sets; what cannot be read is named in the server's log."""
    found = {RUNS: float(Limits.runs), GIGABYTES: Limits.gigabytes}
    for name, default in found.items():
        try:
            found[name] = float(environment.get(name) or default)
            if not math.isfinite(found[name]):
                raise ValueError
        except ValueError:
            found[name] = default
            print(f"{name}={environment[name]}: may be a number, such as {default:g}, which is used", file=sys.stderr)
    return Limits(max(1, int(found[RUNS])), max(0.1, found[GIGABYTES]))

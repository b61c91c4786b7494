"""What a list of runs shows of each: one small file of JSON beside the others of the run."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from typing import Any
from urllib.parse import parse_qsl

from siamese_core.experiment.experiment import Experiment
from siamese_core.experiment.machine import Machine
from siamese_core.experiment.snapshot import Scores
from siamese_core.formats.safetensors import Damaged, is_finite, is_int, read_json

INFO = "run.json"
SCHEMA = 1

STATUSES = ("running", "interrupted", "finished", "halted", "failed", "stopped")
ENDED = ("finished", "halted")
"""With a model; there is nothing to resume."""

RESUMABLE = ("interrupted", "stopped", "failed")

MAX_NAME = 60
MAX_STEPS = 10**9 - 1
"""Nine digits, as in the names of the files of a film."""
MAX_QUERY = 10_000

_MESSAGE_ON_DISK = "sentence"
"""The key of `message` in the files that are written since the first version."""


@dataclass(frozen=True)
class RunInfo:
    """`query` is the experiment; `scores` those of the last step that was scored; times in seconds since 1970.

    `owner` is a hash of the token of the browser that made it, "" for the command line; `sweep` the grid it belongs to.
    """

    query: str
    machine: Machine
    created: float
    updated: float
    status: str
    step: int = 0
    total: int = 0
    seconds: float = 0.0
    message: str = ""
    scores: dict[str, Scores] = field(default_factory=dict)
    id: str = ""
    owner: str = ""
    name: str = ""
    pinned: bool = False
    published: bool = False
    sweep: str = ""

    @property
    def settings(self) -> dict[str, str]:
        """Return field → text, as in the address bar."""
        return dict(parse_qsl(self.query, keep_blank_values=True))

    def score(self, metric: str, group: str = "seen") -> float | None:
        """Return a score of the last step that was scored; None where there is none."""
        return self.scores.get(metric, {}).get(group)


def new_info(experiment: Experiment, machine: Machine, **details: Any) -> RunInfo:
    """Return what is known of a run that begins now."""
    now = time.time()
    return RunInfo(experiment.to_query(), machine, now, now, "running", total=experiment.steps, **details)


def packed_info(info: RunInfo) -> bytes:
    """Return the content of run.json."""
    table = {"schema": SCHEMA, **asdict(info)}
    table[_MESSAGE_ON_DISK] = table.pop("message")
    return json.dumps(table, indent=1, allow_nan=False).encode()


def read_info(content: bytes) -> RunInfo:
    """Read run.json. Raises Damaged for what is torn, foreign, or of another version."""
    try:
        table = read_json(content.decode())
    except ValueError as error:
        raise Damaged from error
    if not isinstance(table, dict) or table.pop("schema", None) != SCHEMA:
        raise Damaged
    table["message"] = table.pop(_MESSAGE_ON_DISK, None)
    if table.keys() != _FITS.keys() or not all(fits(table[name]) for name, fits in _FITS.items()):
        raise Damaged
    return RunInfo(**{**table, "machine": Machine(**table["machine"])})


def is_count(value: Any) -> bool:
    """Return whether JSON holds a number of steps."""
    return is_int(value) and 0 <= value <= MAX_STEPS


def is_query(value: Any) -> bool:
    """Return whether JSON holds an experiment as a link of this app is written."""
    return isinstance(value, str) and len(value) <= MAX_QUERY and value.isascii() and value.isprintable()


def is_groups(value: Any) -> bool:
    """Return whether JSON holds a score, or None, by group."""
    return isinstance(value, dict) and all(score is None or is_finite(score) for score in value.values())


def is_scores(value: Any) -> bool:
    """Return whether JSON holds scores by metric and group."""
    return isinstance(value, dict) and all(is_groups(groups) for groups in value.values())


def is_machine(value: Any) -> bool:
    """Return whether JSON holds the fields of a Machine."""
    match value:
        case {"device": str(device), "threads": threads, "precision": str(precision)} if len(value) == 3:
            return is_count(threads) and len(device) + len(precision) <= 100
    return False


def _is_text(value: Any, most: int = 10_000) -> bool:
    return isinstance(value, str) and len(value) <= most


def _is_amount(value: Any) -> bool:
    return is_finite(value) and value >= 0


_OF_TYPE: dict[str, Callable[[Any], bool]] = {
    "str": _is_text,
    "float": _is_amount,
    "int": is_count,
    "bool": lambda value: isinstance(value, bool),
}
_FITS = {field.name: _OF_TYPE[field.type] for field in fields(RunInfo) if field.type in _OF_TYPE} | {
    "query": is_query,
    "machine": is_machine,
    "status": STATUSES.__contains__,
    "scores": is_scores,
    "name": lambda value: _is_text(value, MAX_NAME),
}
"""What JSON may hold for each field of `RunInfo`: by its type, and more narrowly."""

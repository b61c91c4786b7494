"""The same thing without a browser: python -m siamese_core train | resume | film | evaluate | compare | …"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from siamese_core.cli import film, models, runs
from siamese_core.datasets import DATASETS
from siamese_core.errors import Rejected
from siamese_core.losses import LOSSES


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:  # type: ignore[override]
        raise Rejected(message)


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0 where all went well, 2 for bad input, 1 for a run that ended early, 130 for Ctrl-C."""
    try:
        options = _parser().parse_args(arguments)
        return int(options.run(options))
    except Rejected as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m siamese_core", description=__doc__)
    commands = parser.add_subparsers(
        required=True, metavar="train|resume|film|evaluate|compare|losses|datasets", parser_class=_Parser
    )
    runs.add_to(commands)
    film.add_to(commands)
    models.add_to(commands)
    for name, catalogue in (("losses", _losses), ("datasets", _datasets)):
        commands.add_parser(name, help=f"list the {name}").set_defaults(run=catalogue)
    return parser


def _losses(options: argparse.Namespace) -> int:
    for loss in LOSSES.values():
        params = ", ".join(f"{p.name} {p.low:g}–{p.high:g} (default {p.default:g})" for p in loss.params)
        print(f"{loss.key:18}{params or 'no parameters'}; measure: {', '.join(loss.measures)}\n{'':18}{loss.citation}")
    return 0


def _datasets(options: argparse.Namespace) -> int:
    for dataset in DATASETS.values():
        here = "here" if dataset.find() else "not on this machine"
        shape = "×".join(map(str, dataset.shape))
        print(f"{dataset.key:20}{dataset.title}; {len(dataset.classes)} classes, {shape}; {here}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

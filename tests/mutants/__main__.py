"""Do the tests see a wrong sign, bound or index? Makes seeded mutants of the core's formulas and runs their tests.

    python -m pytest --cov=siamese_core --cov-context=test     # writes .coverage: which test runs which line
    python -m tests.mutants --contexts .coverage               # 60 mutants, each against the files that run its line
    python -m tests.mutants --contexts .coverage --only 7      # one of them

The first command keeps its two workers: with `-n 0` beside `--dist` pytest-cov writes no contexts.

Without `--contexts` a mutant of siamese_core/<wing>/<module>.py meets tests/<wing>/test_<module>*.py, or all tests of
that wing where none has the name. The exit status is 1 if a mutant survives that is not listed as equivalent.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.mutants.mutator import Mutant, chosen

ROOT = Path(__file__).resolve().parents[2]
FILES = [
    f"siamese_core/{name}.py"
    for name in (
        "losses/pairs", "losses/similarities", "losses/triplets", "losses/batches", "losses/distances",
        "training/objective", "training/sampling",
        "embeddings/retrieval", "embeddings/verification", "embeddings/thresholds", "embeddings/projection",
        "formats/safetensors", "formats/archives", "formats/images",
    )
]  # fmt: skip
PYTEST = "-x -q -p no:randomly -p no:cacheprovider -n 0"
SECONDS = 600
"""A mutant whose tests take longer is killed: it hangs."""

EQUIVALENT = {
    "siamese_core/losses/batches.py: return total / max(pairs, 1)  →  return total / max(pairs, 2)": (
        "pairs are counted in both directions, so there are none or at least two, and of none the total is 0"
    ),
    'siamese_core/formats/safetensors.py: if length > MAX_HEADER and data.startswith((b"\\x80", b"PK")):  →  '
    'if length >= MAX_HEADER and data.startswith((b"\\x80", b"PK")):': (
        "a length of MAX_HEADER begins with neither of these bytes"
    ),
    "siamese_core/formats/safetensors.py: if not (is_int(begin) and is_int(end) and 0 <= begin <= end):  →  "
    "if not (is_int(begin) and is_int(end) and -1 <= begin <= end):": (
        "the first array must begin at 0, each other where the one before ends"
    ),
    'siamese_core/embeddings/thresholds.py: return Rule("far", wanted=values[0])  →  '
    'return Rule("far", wanted=values[-1])': "there is one value",
}
"""File and change → why no test could see it."""

Contexts = dict[str, dict[int, list[str]]]
"""File → line → the tests that run it."""


def main() -> int:
    """Run the mutants; return 1 if one survives."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants")
    parser.add_argument("--contexts", type=Path, help="data of coverage.py with a context for each test")
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, metavar="N", help="run the mutant of this number alone")
    options = parser.parse_args()
    contexts = read_contexts(options.contexts) if options.contexts else None
    sources = {path: (ROOT / path).read_text("utf-8") for path in FILES}
    mutants = chosen(sources, options.count, options.seed, lambda mutant: bool(files_for(mutant, contexts)))
    numbered = [(n, m) for n, m in enumerate(mutants, 1) if options.only in (None, n)]
    with tempfile.TemporaryDirectory() as folder:
        copy = copied(Path(folder))
        everything = sorted({file for _, mutant in numbered for file in files_for(mutant, contexts)})
        if not everything or not passes(copy, everything, SECONDS * len(everything)):
            raise SystemExit("These tests must pass before they can tell anything: " + " ".join(everything))
        survivors = [n for n, mutant in numbered if survives(n, mutant, sources, files_for(mutant, contexts), copy)]
    print(f"{len(numbered) - len(survivors)} of {len(numbered)} killed; survivors: {survivors or 'none'}")
    return bool(survivors)


def read_contexts(path: Path) -> Contexts:
    """Return the tests that run each line of each file, by the data of coverage.py."""
    from coverage import CoverageData

    data = CoverageData(str(path))
    data.read()
    measured = [(file, Path(file).as_posix()) for file in data.measured_files()]
    return {name: data.contexts_by_lineno(file) for name in FILES for file, at in measured if at.endswith(name)}


def files_for(mutant: Mutant, contexts: Contexts | None) -> list[str]:
    """Return the test files that run a mutant's line, those named after its module first."""
    wing, module = Path(mutant.path).parts[1:]
    tests = ROOT / "tests" / wing
    named = [*tests.glob(f"test_{Path(module).stem}*.py")] or [*tests.glob("test_*.py")]
    mirrored = sorted(file.relative_to(ROOT).as_posix() for file in named)
    if contexts is None:
        return mirrored
    lines = contexts.get(mutant.path, {})
    run = {context.partition("::")[0] for line in mutant.lines for context in lines.get(line, ()) if "::" in context}
    return sorted(run, key=lambda file: (file not in mirrored, file))


def copied(folder: Path) -> Path:
    """Copy the files that git knows or would add, so that the working tree is never touched."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


def survives(number: int, mutant: Mutant, sources: dict[str, str], tests: list[str], copy: Path) -> bool:
    """Run the tests on a mutant, print what became of it, and return whether it survived."""
    source = sources[mutant.path]
    (copy / mutant.path).write_text(mutant.applied(source), "utf-8")
    survived = passes(copy, tests, SECONDS)
    (copy / mutant.path).write_text(source, "utf-8")
    change = mutant.change(source)
    reason = EQUIVALENT.get(f"{mutant.path}: {change}")
    word = f"equivalent, {reason}" if survived and reason else "SURVIVED" if survived else "killed"
    print(f"{number:3d} {word}  {mutant.path}:{mutant.lines[-1]}  {change}", flush=True)
    return survived and reason is None


def passes(copy: Path, tests: list[str], seconds: float) -> bool:
    """Return whether the tests pass there; not if they take longer than `seconds`."""
    command = [sys.executable, "-m", "pytest", *PYTEST.split(), *tests]
    # A file that is changed twice within a second would else be taken from the cache of its bytecode.
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    quiet = subprocess.DEVNULL
    run = subprocess.Popen(command, cwd=copy, env=environment, stdout=quiet, stderr=quiet, start_new_session=True)
    try:
        return run.wait(seconds) == 0
    except subprocess.TimeoutExpired:
        return False
    finally:
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
            run.wait()


if __name__ == "__main__":
    sys.exit(main())

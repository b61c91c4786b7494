"""Mutants of a source: one operator, comparison, sign or number is changed, and nothing else of the text.

Only what stands in the body of a function is changed: no annotation, default or decorator, no catalogue of a module,
and no `Param`, whose numbers are the range of a widget.
"""

from __future__ import annotations

import ast
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate, pairwise, zip_longest

SWAPS: dict[type[ast.AST], tuple[str, str]] = {
    ast.Add: ("+", "-"), ast.Sub: ("-", "+"), ast.Mult: ("*", "/"), ast.Div: ("/", "*"), ast.FloorDiv: ("//", "*"),
    ast.BitAnd: ("&", "|"), ast.BitOr: ("|", "&"), ast.And: ("and", "or"), ast.Or: ("or", "and"),
    ast.Lt: ("<", "<="), ast.LtE: ("<=", "<"), ast.Gt: (">", ">="), ast.GtE: (">=", ">"), ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="), ast.In: ("in", "not in"), ast.NotIn: ("not in", "in"),
    ast.USub: ("-", ""), ast.Invert: ("~", ""), ast.Not: ("not ", ""),
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """The bytes from `start` to `end` of the file `path` become `new`; `lines` are those of the statement up to it."""

    path: str
    start: int
    end: int
    new: str
    kind: str
    lines: range

    def applied(self, source: str) -> str:
        """Return the source with this one change."""
        data = source.encode()
        return (data[: self.start] + self.new.encode() + data[self.end :]).decode()

    def change(self, source: str) -> str:
        """Return the changed line before and after."""
        at = self.lines[-1] - 1
        before, after = (text.split("\n")[at].strip() for text in (source, self.applied(source)))
        return f"{before}  →  {after}"


def mutants_of(path: str, source: str) -> list[Mutant]:
    """Return all mutants of a source, in the order of its text."""
    data = source.encode()
    starts = [0, *accumulate(len(line) for line in data.splitlines(keepends=True))]

    def span(node: ast.expr) -> tuple[int, int]:
        return starts[node.lineno - 1] + node.col_offset, starts[(node.end_lineno or 0) - 1] + (
            node.end_col_offset or 0
        )

    def swapped(op: ast.AST, first: int, last: int) -> Iterator[tuple[int, int, str]]:
        if type(op) in SWAPS:
            old, new = SWAPS[type(op)]
            at = data.index(old.encode(), first, last)
            yield at, at + len(old), new

    def changes(node: ast.AST) -> Iterator[tuple[str, Iterable[tuple[int, int, str]]]]:
        match node:
            case ast.BinOp(left=left, op=op, right=right):
                yield "operator", swapped(op, span(left)[1], span(right)[0])
            case ast.BoolOp(op=op, values=values):
                yield from (("operator", swapped(op, span(a)[1], span(b)[0])) for a, b in pairwise(values))
            case ast.Compare(left=left, ops=ops, comparators=comparators):
                pairs = zip(ops, pairwise([left, *comparators]), strict=True)
                yield from (("comparison", swapped(op, span(a)[1], span(b)[0])) for op, (a, b) in pairs)
            case ast.UnaryOp(op=op):
                yield "sign", swapped(op, *span(node))
            case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
                others = (value + 1, value - 1) if isinstance(value, int) else (value + 1,)
                yield "number", ((*span(node), repr(other)) for other in others)

    found = {
        Mutant(path, *change, kind, range(statement.lineno, data[: change[0]].count(b"\n") + 2))
        for statement in _statements(ast.parse(source))
        for node in _expressions(statement)
        for kind, changed in changes(node)
        for change in changed
    }
    return sorted(found, key=lambda mutant: (mutant.start, mutant.end, mutant.new))


def chosen(
    sources: dict[str, str], count: int, seed: int, is_covered: Callable[[Mutant], bool] = lambda mutant: True
) -> list[Mutant]:
    """Return `count` of all covered mutants, evenly over the files and, within a file, over the kinds of change."""
    rng = random.Random(seed)
    by_file = []
    for path, source in sources.items():
        mutants = [mutant for mutant in mutants_of(path, source) if is_covered(mutant)]
        rng.shuffle(mutants)
        kinds = sorted({mutant.kind for mutant in mutants})
        rng.shuffle(kinds)
        by_file.append(_in_turn([[mutant for mutant in mutants if mutant.kind == kind] for kind in kinds]))
    return _in_turn(by_file)[:count]


def _in_turn(lists: Iterable[list[Mutant]]) -> list[Mutant]:
    return [mutant for row in zip_longest(*lists) for mutant in row if mutant]


def _statements(tree: ast.AST) -> Iterator[ast.stmt]:
    """Yield the statements in the bodies of functions."""
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            inside = (node for statement in function.body for node in ast.walk(statement))
            yield from (node for node in inside if isinstance(node, ast.stmt) and not isinstance(node, ast.FunctionDef))


def _expressions(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what belongs to a statement itself; not what is in a string, an annotation or a statement inside."""
    for name, child in ast.iter_fields(node):
        for inner in child if isinstance(child, list) else [child]:
            skipped = name == "annotation" or isinstance(inner, ast.stmt | ast.arguments | ast.JoinedStr)
            skipped |= isinstance(inner, ast.Call) and ast.unparse(inner.func) == "Param"
            if isinstance(inner, ast.AST) and not skipped:
                yield inner
                yield from _expressions(inner)

"""A mutant is its source with one change of one node, the same for a seed."""

from __future__ import annotations

import ast
from collections import Counter

import pytest

from tests.mutants.__main__ import FILES, ROOT, files_for
from tests.mutants.mutator import chosen, mutants_of

SOURCE = '''
LIMIT = 10


def größe(a: "int | None" = 3, *rest: int) -> "int | str":
    """Not 1 + 1."""
    b: 1 = Param(low=1 + 1)
    if not a < rest[-1] <= 5 and a == 2:
        return f"{a + 7}"
    return (a - 1) * ~rest[
        0
    ] // 2.5
'''
SOURCES = {path: (ROOT / path).read_text("utf-8") for path in FILES}


def test_every_operator_comparison_sign_and_number_in_a_body_is_changed_once() -> None:
    changes = [mutant.change(SOURCE) for mutant in mutants_of("a.py", SOURCE)]
    condition, product = "if not a < rest[-1] <= 5 and a == 2:", "return (a - 1) * ~rest["
    assert Counter(changes) == Counter(
        [
            f"{condition}  →  {condition.replace(old, new, 1)}"
            for old, new in {
                "not ": "", "<": "<=", "<=": "<", "-1": "1", "[-1": "[-2", "-1]": "-0]", "5": "6", " 5": " 4",
                "and": "or", "==": "!=", "2": "3", " 2": " 1",
            }.items()
        ]
        + [
            f"{product}  →  {product.replace(old, new)}"
            for old, new in {"-": "+", "1": "2", " 1": " 0", "*": "/", "~": ""}.items()
        ]
        + ["0  →  1", "0  →  -1", "] // 2.5  →  ] * 2.5", "] // 2.5  →  ] // 3.5"]
    )  # fmt: skip


def test_a_change_in_a_long_statement_knows_all_lines_up_to_it() -> None:
    (mutant,) = (m for m in mutants_of("a.py", SOURCE) if m.change(SOURCE) == "] // 2.5  →  ] * 2.5")
    assert mutant.lines == range(10, 13)


@pytest.mark.parametrize("path", FILES)
def test_a_mutant_differs_from_its_source_in_one_node(path: str) -> None:
    before = Counter(type(node).__name__ for node in ast.walk(ast.parse(SOURCES[path])))
    mutants = mutants_of(path, SOURCES[path])
    assert len(mutants) > 3
    for mutant in mutants[:: len(mutants) // 20 + 1]:
        changed = mutant.applied(SOURCES[path])
        after = Counter(type(node).__name__ for node in ast.walk(ast.parse(changed)))
        assert ast.dump(ast.parse(changed)) != ast.dump(ast.parse(SOURCES[path]))
        assert (before - after).total() <= 2, "an operator, or a sign with what holds it"
        assert (after - before).total() <= 2, "an operator, or a sign before a number"


def test_a_seed_chooses_the_same_mutants_evenly_over_the_files() -> None:
    mutants = chosen(SOURCES, 60, seed=3)
    assert mutants == chosen(SOURCES, 60, seed=3) != chosen(SOURCES, 60, seed=4)
    assert len(set(mutants)) == 60
    assert set(Counter(mutant.path for mutant in mutants)) == set(FILES)
    assert len({mutant.kind for mutant in mutants}) == 4


def test_only_covered_mutants_are_chosen() -> None:
    assert {m.path for m in chosen(SOURCES, 9, 0, lambda mutant: mutant.path == FILES[3])} == {FILES[3]}


def test_the_files_for_a_line_are_those_whose_contexts_hold_it() -> None:
    mutant = mutants_of(FILES[0], SOURCES[FILES[0]])[0]
    contexts = {
        FILES[0]: {mutant.lines[-1]: ["", "tests/a/test_b.py::test_c|run", "tests/losses/test_losses.py::test_d|setup"]}
    }
    assert files_for(mutant, contexts) == ["tests/losses/test_losses.py", "tests/a/test_b.py"]
    assert files_for(mutant, {}) == []
    assert "tests/losses/test_losses.py" in files_for(mutant, None)

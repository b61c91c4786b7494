"""Slices of the package's source that stand alone: a function, and before it everything of the package that it uses.

Only text is read and nothing is imported, so that a page can show a script without torch.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

PACKAGE = Path(__file__).resolve().parents[2]

TORCHVISION = {"vision.models()": "models", "vision.transforms()": "transforms"}
"""How torchvision is reached here, and what it is called in a script, which has no `vision`."""


class Import(NamedTuple):
    """`from module import name as bound`; `import module as bound` where `name` is empty."""

    module: str
    name: str
    bound: str


@dataclass
class SourceSlice:
    """The source included so far: `definitions` maps names to source, each after those it uses, `origins` to modules.

    With `lift_imports` a definition is without the imports inside it, which then belong at the top.
    """

    lift_imports: bool = True
    imports: dict[str, Import] = field(default_factory=dict)
    definitions: dict[str, str] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Module:
    lines: list[str]
    statements: dict[str, ast.stmt]
    """Functions, classes and constants, by name."""
    imports: dict[str, Import]
    """Those inside functions too, for in a script all of them stand at the top."""


def include(module: str, name: str, code: SourceSlice) -> str:
    """Add the source of a name, and of what it uses, to `code`; return the name.

    Raises ValueError where another module's definition bears the name.
    """
    source = _module(module)
    if code.origins.setdefault(name, module) != module:
        raise ValueError(f"{name} is defined in {code.origins[name]} and in {module}: one script cannot hold both")
    if name in code.definitions:
        return name
    statement = source.statements[name]
    for used in _used(statement):
        known = source.imports.get(used)
        if used in source.statements and used != name:
            include(module, used, code)
        elif known and known.module.startswith("siamese_core."):
            include(known.module, known.name, code)
        elif known:
            code.imports[used] = known
    code.definitions[name] = _text(statement, source.lines, code.lift_imports)
    return name


def include_function(fn: Callable[..., Any], code: SourceSlice) -> str:
    """Add the source of a function that stands in a catalogue; return its name."""
    return include(fn.__module__, fn.__name__, code)


def function_text(signature: str, doc: str, body: list[str]) -> str:
    """Return the text of a function that is written here."""
    return "\n".join([f"def {signature}:", f'    """{doc}"""', *(f"    {line}" for line in body)])


def joined(pieces: list[str]) -> str:
    """Return pieces one after the other: constants in lines, two empty lines around all else."""
    text = pieces[0]
    for before, piece in pairwise(pieces):
        text += ("\n\n\n" if "\n" in before + piece else "\n") + piece
    return text


def imports_for(text: str, known: dict[str, Import]) -> list[str]:
    """Return the lines that import what `text` uses: the standard library, then others, torchvision last."""
    read = {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
    used = {known[name] for name in read & known.keys()}
    blocks = [
        [i for i in used if i.module.partition(".")[0] in sys.stdlib_module_names],
        [i for i in used if i.module.partition(".")[0] not in {*sys.stdlib_module_names, "torchvision"}],
    ]
    lines = ["from __future__ import annotations", ""]
    for block in blocks:
        lines += [*_import_lines(block), ""] if block else []
    return lines + _guarded(_import_lines(i for i in used if i.module.startswith("torchvision")))


def without_underscores(text: str) -> str:
    """Rename what is private: `_root` is called `root` in a script, if nothing else is."""
    tree = ast.parse(text)
    taken = {name for node in ast.walk(tree) for name in _bound(node)} | set(_used(tree))
    for name in (name for node in tree.body for name in _bound(node)):
        bare = name.lstrip("_")
        if name != bare and bare not in taken:
            text = re.sub(rf"(?<![\w.]){name}\b", bare, text)
    return text


def _guarded(torchvision: list[str]) -> list[str]:
    if not torchvision:
        return []
    indented = [f"    {line}" for line in torchvision]
    return [
        "try:",
        *indented,
        "except RuntimeError:",
        "    # torchvision's build for CUDA beside torch's for the CPU: two operators, not used here, need a name.",
        '    operators = torch.library.Library("torchvision", "FRAGMENT")',
        '    for operator in ("nms", "qnms"):',
        '        operators.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")',
        *indented,
        "",
    ]


def _import_lines(imports: Iterable[Import]) -> list[str]:
    plain, named = [], dict[str, list[str]]()
    for module, name, bound in sorted(imports):
        if name:
            named.setdefault(module, []).append(name if name == bound else f"{name} as {bound}")
        else:
            plain.append(f"import {module}" if module == bound else f"import {module} as {bound}")
    return plain + [f"from {module} import {', '.join(names)}" for module, names in named.items()]


@lru_cache(maxsize=32)
def _module(name: str) -> _Module:
    path = PACKAGE.joinpath(*name.split(".")[1:]).with_suffix(".py")
    text = path.read_text("utf-8")
    for ours, theirs in TORCHVISION.items():
        text = text.replace(ours, theirs)
    tree = ast.parse(text)
    statements = {bound: node for node in tree.body for bound in _bound(node)}
    return _Module(text.split("\n"), statements, {i.bound: i for i in _imports(tree)})


def _imports(tree: ast.AST) -> Iterator[Import]:
    yield Import("torchvision", "models", "models")
    yield Import("torchvision.transforms", "v2", "transforms")
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, "", alias.asname or alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (Import(node.module, alias.name, alias.asname or alias.name) for alias in node.names)


def _text(statement: ast.stmt, lines: list[str], lift_imports: bool) -> str:
    """Return the source of a statement with the comment above it, perhaps without the imports inside."""
    decorators = getattr(statement, "decorator_list", [])
    first = min(node.lineno for node in (statement, *decorators))
    while lines[first - 2].startswith("#"):
        first -= 1
    last = statement.end_lineno or statement.lineno
    left_out: set[int] = set()
    for node in ast.walk(statement) if lift_imports else ():
        if isinstance(node, ast.Import | ast.ImportFrom):
            end = node.end_lineno or node.lineno
            left_out.update(range(node.lineno, end + 1))
            if not lines[end].strip() and not lines[end + 1].lstrip().startswith(("class ", "def ", "@")):
                left_out.add(end + 1)
    return "\n".join(lines[number - 1] for number in range(first, last + 1) if number not in left_out)


def _used(tree: ast.AST) -> dict[str, None]:
    """Return the names that are read and not bound inside, in the order of their appearance."""
    inside = {name for node in ast.walk(tree) if node is not tree for name in _bound(node)}
    read = (n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load))
    return dict.fromkeys(name for name in read if name not in inside)


def _bound(node: ast.AST) -> Iterator[str]:
    """Yield the names that a node binds by itself, or the targets of an assignment."""
    match node:
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.arg(arg=name):
            yield name
        case ast.Name(id=name, ctx=ast.Store()):
            yield name
        case ast.Assign(targets=targets):
            yield from (target.id for target in targets if isinstance(target, ast.Name))
        case ast.AnnAssign(target=ast.Name(id=name)):
            yield name

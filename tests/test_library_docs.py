"""The snippets of docs/library.md run as they stand there, one after the other."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

LIBRARY = Path(__file__).resolve().parents[1] / "docs" / "library.md"
SNIPPETS = re.compile(r"^## (.+?)\n.*?^```python\n(.+?)^```", re.DOTALL | re.MULTILINE)


def snippets() -> dict[str, str]:
    """Heading → code."""
    return dict(SNIPPETS.findall(LIBRARY.read_text("utf-8")))


def test_each_of_the_ten_headings_has_its_snippet() -> None:
    text = LIBRARY.read_text("utf-8")
    assert len(snippets()) == text.count("\n## ") == text.count("```python") == 10


def test_the_snippets_run_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {}
    printed = {}
    for heading, code in snippets().items():
        script = tmp_path / "snippet.py"
        script.write_text(code, "utf-8")
        namespace = runpy.run_path(str(script), namespace)
        printed[heading] = capsys.readouterr().out
    script.unlink()
    assert [line.split()[0] for line in printed["Train, and look at each snapshot"].splitlines()] == ["20", "40", "60"]
    assert [line.split()[0] for line in printed["Measure a model"].splitlines()] == ["seen", "held_out"]
    assert "(3, 64, 64)" in printed["Compare two files"] and "no PNG" in printed["Compare two files"]
    assert {path.name for path in tmp_path.iterdir()} == {"model.safetensors", "one.png", "another.png", "script.zip"}

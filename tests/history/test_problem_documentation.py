"""docs/problems.md: a section for every code, and examples that really cause what they are about."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import converger
from tests.history.real_alembic import ours, project_folder

PACKAGE = Path(converger.__file__).parent
TEXT = (PACKAGE.parent / "docs" / "problems.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (\S+)\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL))
PYTHON = {
    code: re.findall(r"```python\n(.*?)```", body, re.DOTALL)
    for code, body in SECTIONS.items()
    if "```python" in body
}


def _codes_in_the_source() -> set[str]:
    """The text before every "error" or "warning" in a call, and those given to the small helpers."""
    found = set()
    for path in [*(PACKAGE / "history").glob("*.py"), PACKAGE / "project.py"]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            parts: list[ast.expr] = []
            if isinstance(node, ast.Call):
                name = getattr(node.func, "attr", getattr(node.func, "id", ""))
                if name in ("Problem", "_error", "_warn", "_found"):
                    parts = node.args[:1]
            elif isinstance(node, ast.Tuple) and len(node.elts) == 5 and "error" in ast.dump(node.elts[1]):
                parts = node.elts[:1]
            found |= {
                part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)
            }
    return found


def test_every_code_has_a_section_and_every_section_a_code() -> None:
    codes = _codes_in_the_source()
    assert len(codes) > 15
    assert codes == set(SECTIONS)


def test_every_section_says_how_bad_it_is_and_what_to_do() -> None:
    for title, body in SECTIONS.items():
        assert re.match(r"\*(Error|Warning)(\.\*|\*)", body), title
        assert "Fix: " in body, title


@pytest.mark.parametrize("code", PYTHON)
def test_the_example_causes_the_problem(tmp_path: Path, code: str) -> None:
    versions = project_folder(tmp_path)
    for number, example in enumerate(PYTHON[code]):
        named = re.match(r"# file: (\S+)\n", example)
        (versions / (named[1] if named else f"example_{number}.py")).write_text(example)
    _, history, _ = ours(tmp_path)
    assert code in {problem.code for problem in history.problems}

"""Every code that a user can meet has a section in the documentation, and none is documented that is gone."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent


def documented(page: str) -> set[str]:
    return set(
        re.findall(r"^##+ ([a-z]+(?:-[a-z]+)+|cycle|unevaluated)$", (ROOT / "docs" / page).read_text(), re.M)
    )


def test_every_error_code_is_documented() -> None:
    raised = set()
    for path in (ROOT / "converger").rglob("*.py"):
        raised |= set(re.findall(r'\bcode="([a-z-]+)"', path.read_text()))
    assert len(raised) > 30, "the pattern no longer finds the codes"
    assert documented("errors.md") == raised - documented("problems.md")


def test_an_error_sits_under_its_exit_code() -> None:
    """docs/errors.md groups codes by exit code; the class that is raised decides it."""
    text = (ROOT / "docs" / "errors.md").read_text()
    groups = {
        int(number): set(re.findall(r"^### ([a-z-]+)$", body, re.M))
        for number, body in re.findall(r"^## Exit code (\d):.*?\n(.*?)(?=^## |\Z)", text, re.M | re.S)
    }
    classes = {"Refused": 1, "ConfigurationError": 2, "CouldNotEvaluate": 3}
    found = 0
    for path in (ROOT / "converger").rglob("*.py"):
        for name, arguments in re.findall(
            r"\b(Refused|ConfigurationError|CouldNotEvaluate)\((.*?)code=\"[a-z-]+\"", path.read_text(), re.S
        ):
            if re.search(r"\b(Refused|ConfigurationError|CouldNotEvaluate)\(", arguments):
                continue  # the pattern ran into the next one
            code = re.search(re.escape(f"{name}({arguments}") + r'code="([a-z-]+)"', path.read_text(), re.S)
            assert code is not None
            assert code.group(1) in groups[classes[name]], (path.name, code.group(1))
            found += 1
    assert found > 25

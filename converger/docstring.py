"""Saying in a rendered revision's docstring what it merges, wherever the project's template keeps one."""

from __future__ import annotations

import ast
import re
import textwrap
import warnings

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z")
_ONE_STRING = re.compile(r"[rRuU]?(\"\"\"|'''|\"|')(.*)\1", re.DOTALL)


def parse(source: str | bytes) -> ast.Module | None:
    """Return the syntax tree, None if Python cannot parse it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(source)
    except (SyntaxError, ValueError, LookupError, RecursionError, MemoryError):
        return None


def add_sentence(text: str, message: str, sentence: str) -> str:
    """Return the text with `sentence` as a paragraph of its module docstring, below the line with `message`.

    Rendered with a message of several lines, a template would put all of them wherever else it uses it.
    Without a docstring, or one that does not show the message, or one that is put together from parts,
    the text comes back as it is.
    """
    tree = parse(text)
    first = tree.body[0] if tree is not None and tree.body else None
    if not isinstance(first, ast.Expr) or not isinstance(first.value, ast.Constant):
        return text
    source = ast.get_source_segment(text, first.value) or ""
    string = _ONE_STRING.fullmatch(source)
    if string is None or string[1] in string[2] or not isinstance(first.value.value, str):
        return text

    lines = _LINE.findall(text)
    last = (first.value.end_lineno or first.value.lineno) - 1
    number = next((n for n in range(first.value.lineno - 1, last + 1) if message in lines[n]), None)
    if number is None:
        return text
    changed = _with_sentence(lines, number, last, message, sentence, triple=len(string[1]) == 3)
    tree = parse(changed)
    said = ast.get_docstring(tree) if tree is not None else None
    return changed if said and " ".join(sentence.split()) in " ".join(said.split()) else text


def _with_sentence(
    lines: list[str], number: int, last: int, message: str, sentence: str, *, triple: bool
) -> str:
    line = lines[number]
    head, _, tail = line.partition(message)
    if not triple:
        lines[number] = f"{head}{message}. {sentence}{tail}"
        return "".join(lines)
    newline = _newline(lines)
    indent = re.match(r"[ \t]*", line)
    assert indent is not None
    paragraph = textwrap.wrap(
        sentence,
        width=79,
        initial_indent=indent[0],
        subsequent_indent=indent[0],
        break_long_words=False,
        break_on_hyphens=False,
    )
    if number == last:
        # The closing quotes stand behind the message.
        rest = tail if tail[:1] not in ('"', "'") else indent[0] + tail
        lines[number] = newline.join([head + message, "", *paragraph, rest])
    else:
        following = lines[number + 1].strip()
        blank = [""] if following else []
        lines.insert(number + 1, newline.join(["", *paragraph, *blank, ""]))
    return "".join(lines)


def _newline(lines: list[str]) -> str:
    match = re.search(r"[\r\n]+\Z", lines[0]) if lines else None
    return match[0] if match else "\n"

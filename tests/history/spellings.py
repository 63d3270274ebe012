"""Random revision files: statements that bind, rebind, grow, hide and unbind the four identifiers.

The truth about each is what Python leaves in the module when the text is executed, as Alembic would.
"""

from __future__ import annotations

import warnings
from typing import Any

from hypothesis import strategies as st

NAMES = ("revision", "down_revision", "branch_labels", "depends_on")
OTHERS = ("PARENT", "x", "upgrade")

names = st.sampled_from(NAMES * 3 + OTHERS)
ids = st.sampled_from(["a", "b1", "c2d3e4f5", "ae1027a6acf", "", "None", "é", "has space", "#", "'"])


@st.composite
def strings(draw: st.DrawFn) -> str:
    value = draw(ids)
    shape = draw(
        st.sampled_from(["{!r}", '"{}"', '"""{}"""', "r'''{}'''", 'u"{}"', 'f"{}"', '"{}" ""', "('{}'\n '')"])
    )
    return shape.format(value)


atoms = st.one_of(
    strings(), strings(), names, st.sampled_from(["None", "True", "1", "b'x'", "...", "()", "[]", "{1}"])
)


@st.composite
def collections(draw: st.DrawFn) -> str:
    parts = draw(st.lists(atoms, max_size=3))
    inner = ", ".join(parts)
    comma = draw(st.sampled_from([",", "", ", # two\n"])) if parts else ""
    left, right = draw(st.sampled_from(["()", "()", "[]", "{}"]))
    return f"{left}{inner}{comma}{right}"


@st.composite
def operations(draw: st.DrawFn) -> str:
    one, two = draw(st.one_of(atoms, collections())), draw(st.one_of(atoms, collections()))
    name = draw(names)
    return draw(
        st.sampled_from(
            [
                f"{one} + {two}",
                f"({name} := {one})",
                f"[{name} for {name} in [{one}]][0]",
                f"[({name} := {one}) for q in (1, 2)]",
                f"{one} if {two} else None",
                f"{one} or {two}",
                f"f'{{{name}}}'",
                f"{one} * 2",
                f"str({one})",
                f"({one}, {two})[0]",
                f"(lambda: {name})()",
                f"globals().get({name!r})",
                f"{name}[0]",
                f"{name}.upper()",
                f"*{one}, {two}",
                f"{one}, {two}",
                f"{one},",
            ]
        )
    )


values = st.one_of(atoms, atoms, collections(), operations())


@st.composite
def simple(draw: st.DrawFn) -> str:
    """One simple statement."""
    name, other = draw(names), draw(names)
    value, second = draw(values), draw(values)
    return draw(
        st.sampled_from(
            [
                f"{name} = {value}",
                f"{name} = {value}",
                f"{name}={value}",
                f"{name}: str = {value}",
                f"{name} : 'Union[str, None]' = {value}",
                f"({name}): str = {value}",
                f"{name}: str",
                f"{name}: ({other} := {value}) = {second}",
                f"{name} += {value}",
                f"{name} *= 2",
                f"{name} = {other} = {value}",
                f"{name}, {other} = {value}, {second}",
                f"({name}, {other}) = {value}",
                f"[{name}, *{other}] = {value}",
                f"{name}.append({value})",
                f"{name}.extend([{value}])",
                f"{name}.insert(0, {value})",
                f"{name}.clear()",
                f"{name}[0] = {value}",
                f"{name}[:] = {value}",
                f"{name}.a = {value}",
                f"del {name}",
                f"del ({name}, {other})",
                f"del {name}[0]",
                f"import os as {name}",
                f"from os.path import sep as {name}",
                "from os import *",
                f"global {name}",
                f"print({name}, end='', file=__import__('io').StringIO())",
                f"globals()[{name!r}] = {value}",
                f"vars()[{name!r}] = {value}",
                f"globals().update({name}={value})",
                f"exec({f'{name} = 1'!r})",
                f"eval('globals()').pop({name!r}, None)",
                f"setattr(object, {name!r}, 1)",
                f"'''{name} = 1\n{other} = 2'''",
                f"# {name} = {other}",
                f"list.append({name}, {value})",
                f"{name}.__iadd__([{value}])",
                "pass",
                "raise ValueError",
                "assert True",
                f"{name}; {other} = {value}",
                f"__getattr__ = lambda n: {value}",
            ]
        )
    )


def _indented(text: str) -> str:
    return "\n".join("    " + line for line in text.split("\n"))


@st.composite
def blocks(draw: st.DrawFn) -> str:
    """One compound statement."""
    name, other = draw(names), draw(names)
    body = _indented("\n".join(draw(st.lists(simple(), min_size=1, max_size=2))))
    value = draw(values)
    return draw(
        st.sampled_from(
            [
                f"if {value}:\n{body}",
                f"if 0:\n    pass\nelse:\n{body}",
                f"for {name} in [{value}]:\n{body}",
                f"for {name} in ():\n    pass\nelse:\n{body}",
                f"while True:\n{body}\n    break",
                f"try:\n{body}\nexcept Exception as {name}:\n    pass",
                f"try:\n    1 / 0\nexcept ZeroDivisionError:\n{body}",
                f"try:\n    pass\nfinally:\n{body}",
                f"with open('/dev/null') as {name}:\n{body}",
                f"match {value}:\n    case {name}:\n{body}",
                f"match [{value}]:\n    case [*{name}]:\n        pass",
                f"match {{'a': {value}}}:\n    case {{'a': q, **{name}}}:\n        pass",
                f"def upgrade():\n{body}",
                f"def upgrade():\n{body}\nupgrade()",
                f"def {name}():\n    global {other}\n    {other} = {value}",
                f"def q():\n    global {other}\n    {other} = {value}\nq()",
                f"def q(z={value}):\n    z.append({name})\nq()",
                f"def q(z=({name} := {value})):\n    pass",
                f"def q():\n    {name}.append('z')\nq()",
                f"def q():\n    exec({f'global {name}; {name} = 1'!r})\nq()",
                f"def q():\n    global {other}\n    def r():\n        global {name}\n        {name} = {value}\n    r()\nq()",
                f"@lambda f: f()\ndef {name}():\n    return {value}",
                f"@lambda f: f()\ndef q():\n    {name}.append(1)",
                f"class {name}:\n{body}",
                f"class Q:\n    global {name}\n    {name} = {value}",
                f"class Q:\n    {name} = {value}\n{name} = Q.{name}",
                f"class Q:\n    {name}.append('k')",
                f"class Q:\n    def __init__(self):\n        {name}.append('k')\nQ()",
                f"class Q(({name} := object)):\n    pass",
                f"class Q:\n    def __init_subclass__(cls):\n        global {name}\n        {name} = 1\nclass R(Q): pass",
                f"def __getattr__(name):\n    return {value}",
                f"async def {name}():\n    pass",
                f"async def q():\n    global {name}\n    {name} = 1",
            ]
        )
    )


@st.composite
def modules(draw: st.DrawFn) -> str:
    """A whole file: mostly a plausible header, then anything."""
    lines = []
    if draw(st.booleans()):
        lines.append(
            draw(
                st.sampled_from(
                    ['"""A message\n\nrevision = 1\n"""', "'one line'", 'r"""raw \\d"""', "# nothing"]
                )
            )
        )
    if draw(st.booleans()):
        lines += ['PARENT = "p"', "x = ['l']"]
    pieces = [f"{name} = {draw(values)}" for name in NAMES] if draw(st.booleans()) else []
    pieces += draw(st.lists(st.one_of(simple(), simple(), blocks()), max_size=6))
    for piece in pieces:  # what raises would end the file there, and show nothing
        if truth("\n".join([*lines, piece])) is not None:
            lines.append(piece)
    return "\n".join(lines) + draw(st.sampled_from(["\n", ""]))


def truth(text: str | bytes) -> dict[str, Any] | None:
    """What the module holds after running: name -> value; None if it does not compile or raises."""
    namespace: dict[str, Any] = {"__name__": "revision_file", "__builtins__": __builtins__}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            exec(compile(text, "<generated>", "exec", dont_inherit=True), namespace)
        except (Exception, SystemExit):
            return None
    hook = namespace.get("__getattr__")
    found = {}
    for name in NAMES:
        if name in namespace:
            found[name] = normal(namespace[name])
        elif hook is not None:
            try:
                found[name] = normal(hook(name))
            except Exception:
                continue
    return found


def normal(value: Any, depth: int = 0) -> Any:
    """Lists and sets as the reader gives them. A list that holds itself is nothing the reader can give."""
    if depth > 20:
        return object()
    if isinstance(value, (tuple, list)):
        return tuple(normal(part, depth + 1) for part in value)
    if isinstance(value, (set, frozenset)):
        return tuple(sorted(value)) if all(isinstance(part, str) for part in value) else value
    return value

"""The identifiers of one revision file, from its syntax tree: what Python would leave in the module.

Nothing is executed. Top-level statements are followed in order; what is a literal (or made of literals)
is evaluated, everything else is `Computed`: known not to be known. The rule behind every branch below is
that a wrong value must be impossible, while a needless `Computed` is only a nuisance.
"""

from __future__ import annotations

import ast
from typing import NamedTuple

from converger.history.reach import reaches_namespace

NAMES = ("revision", "down_revision", "branch_labels", "depends_on")

_MODULES_WITHOUT_IDENTIFIERS = frozenset({"alembic", "sqlalchemy", "typing", "typing_extensions", "datetime"})
"""Star imports from these bind none of our names (their public names are known)."""


class Computed(NamedTuple):
    """A value that only running the file would tell."""

    line: int
    why: str


class Absent(NamedTuple):
    """The file does not bind the name."""


ABSENT = Absent()


class Identifiers(NamedTuple):
    """What the module would hold: a literal, a `Computed` or ABSENT for each name; lists become tuples.

    `lines` gives the line of the statement that decided each bound name; `doc` is the docstring.
    """

    revision: object
    down_revision: object
    branch_labels: object
    depends_on: object
    lines: dict[str, int]
    doc: str | None


class _Value:
    """A literal and, for a list or set, whether anything may have changed it since."""

    __slots__ = ("changed", "data", "mutable", "names")

    def __init__(self, data: object, mutable: bool = False) -> None:
        self.data = data
        self.mutable = mutable
        self.changed: Computed | None = None
        self.names: set[str] = set()


class _Unknown(Exception):
    """The expression is not made of literals."""


def read_identifiers(tree: ast.Module) -> Identifiers:
    """Evaluate the four names of a parsed revision file. Raises RecursionError for absurd nesting."""
    module = _Module(tree)
    for statement in tree.body:
        module.run(statement)
    values = {name: module.final(name) for name in NAMES}
    return Identifiers(**values, lines=module.lines, doc=ast.get_docstring(tree, clean=False))


class _Module:
    """The names of a module while its statements are followed."""

    def __init__(self, tree: ast.Module) -> None:
        self.names: dict[str, _Value | Computed] = {}
        self.lines: dict[str, int] = {}
        self.default: Absent | Computed = ABSENT  # for names that no statement binds
        self.globals = _global_names(tree)
        self.reach = reaches_namespace(tree)

    def final(self, name: str) -> object:
        if self.reach.namespace is not None:
            return Computed(self.reach.namespace.line, self.reach.namespace.why)
        if name in self.globals:
            return Computed(self.globals[name], "a function or class changes it with `global`")
        value = self.names.get(name)
        if value is None:
            return self.default
        if isinstance(value, Computed):
            return value
        if value.mutable:
            if value.changed:
                return value.changed
            if value.names & self.reach.loaded:
                return Computed(self.lines[name], "the list may be changed by a function of this file")
        return value.data

    # -- statements --------------------------------------------------------------------------------

    def run(self, statement: ast.stmt) -> None:
        if isinstance(statement, ast.Assign):
            self._assign(statement, statement.targets, statement.value)
        elif isinstance(statement, ast.AnnAssign):
            self._annotated(statement)
        elif isinstance(statement, ast.AugAssign):
            self._augmented(statement)
        elif isinstance(statement, ast.Delete) and _names_only(statement):
            for name in _names_only(statement):
                self.names.pop(name, None)
                self.lines.pop(name, None)
        elif isinstance(statement, (ast.Expr, ast.Pass, ast.Global)):
            self._touch(statement)
        elif isinstance(statement, ast.Raise):
            self._forget_all(Computed(statement.lineno, "the file raises an exception here"))
        elif isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
            for part in _outer_parts(statement):  # what the body may do is reach.py's subject
                self._touch(part)
        else:
            self._touch(statement)
        self._bind_rest(statement)

    def _assign(self, statement: ast.stmt, targets: list[ast.expr], expression: ast.expr) -> None:
        value = self._evaluate(expression)
        if value is None:
            self._touch(expression)
        for target in targets:
            self._bind(target, value, statement.lineno)

    def _annotated(self, statement: ast.AnnAssign) -> None:
        if statement.value is not None:
            self._assign(statement, [statement.target], statement.value)
        self._touch(statement.annotation)

    def _augmented(self, statement: ast.AugAssign) -> None:
        self._touch(statement.value)
        target = statement.target
        if not isinstance(target, ast.Name):
            self._touch(target)
            return
        old = self.names.get(target.id)
        new = self._evaluate(statement.value)
        why = Computed(statement.lineno, "it is changed by an augmented assignment")
        result: _Value | None = None
        if isinstance(old, _Value) and isinstance(statement.op, ast.Add):
            if old.mutable:
                old.changed = why
                return
            if new is not None and not new.mutable:
                result = _added(old.data, new.data)
        self._set(target.id, result if result is not None else why, statement.lineno)

    def _bind(self, target: ast.expr, value: _Value | None, line: int) -> None:
        if isinstance(target, ast.Name):
            self._set(target.id, value if value is not None else Computed(line, "it is not a literal"), line)
        elif isinstance(target, (ast.Tuple, ast.List)):
            self._unpack(target.elts, value, line)
        elif isinstance(target, ast.Starred):
            self._bind(target.value, None, line)
        else:  # an attribute or an element of something
            self._touch(target)

    def _unpack(self, targets: list[ast.expr], value: _Value | None, line: int) -> None:
        parts: list[_Value | None] = [None] * len(targets)
        plain = value is not None and not value.mutable and isinstance(value.data, tuple)
        if plain and not any(isinstance(t, ast.Starred) for t in targets):
            assert value is not None and isinstance(value.data, tuple)
            if len(value.data) == len(targets):
                parts = [_Value(part) for part in value.data]
        for target, part in zip(targets, parts, strict=True):
            self._bind(target, part, line)

    def _set(self, name: str, value: _Value | Computed, line: int) -> None:
        if isinstance(value, _Value):
            value.names.add(name)
        self.names[name] = value
        self.lines[name] = line

    def _bind_rest(self, statement: ast.stmt) -> None:
        """Every other way to bind a module-level name, wherever it stands in the statement: unknown values."""
        direct = isinstance(statement, (ast.Assign, ast.AnnAssign, ast.AugAssign)) or (
            isinstance(statement, ast.Delete) and bool(_names_only(statement))
        )
        for name, line, why in _bindings(statement, skip_targets=direct):
            if name == "*":
                self._forget_all(Computed(line, why))
            elif name == "__getattr__":
                self.default = Computed(line, "the module defines `__getattr__`")
            else:
                self._set(name, Computed(line, why), line)
        if direct and "__getattr__" in self.names:
            self.default = Computed(statement.lineno, "the module defines `__getattr__`")

    def _forget_all(self, why: Computed) -> None:
        self.names = dict.fromkeys(self.names, why)
        self.default = why

    def _touch(self, node: ast.AST) -> None:
        """Any list that the node so much as names may have been changed by it."""
        for part in ast.walk(node):
            if isinstance(part, ast.Name):
                value = self.names.get(part.id)
                if isinstance(value, _Value) and value.mutable and value.changed is None:
                    value.changed = Computed(part.lineno, "the list may be changed here")

    # -- expressions -------------------------------------------------------------------------------

    def _evaluate(self, expression: ast.expr) -> _Value | None:
        try:
            if isinstance(expression, ast.Name):
                return self._named(expression)
            return _Value(self._literal(expression), isinstance(expression, (ast.List, ast.Set)))
        except (_Unknown, RecursionError):
            return None

    def _named(self, expression: ast.Name) -> _Value:
        value = self.names.get(expression.id)
        if not isinstance(value, _Value) or expression.id in self.globals:
            raise _Unknown
        return value

    def _literal(self, expression: ast.expr) -> object:
        if isinstance(expression, ast.Constant):
            return expression.value
        if isinstance(expression, (ast.Tuple, ast.List)):
            if any(isinstance(part, (ast.List, ast.Set)) for part in expression.elts):
                raise _Unknown  # it can change inside a tuple that cannot
            return tuple(self._literal(part) for part in expression.elts)
        if isinstance(expression, ast.Set):
            return _as_set([self._literal(part) for part in expression.elts])
        if isinstance(expression, ast.Name):
            value = self._named(expression)
            if value.mutable:
                raise _Unknown
            return value.data
        if isinstance(expression, ast.BinOp) and isinstance(expression.op, ast.Add):
            result = _added(self._literal(expression.left), self._literal(expression.right))
            if result is None or any(isinstance(s, (ast.List, ast.Set)) for s in ast.walk(expression)):
                raise _Unknown
            return result.data
        if isinstance(expression, ast.JoinedStr):
            return "".join(_plain_text(part) for part in expression.values)
        raise _Unknown


def _names_only(statement: ast.Delete) -> list[str]:
    """The names of a plain `del a, b`; nothing where it deletes anything else."""
    names = [target.id for target in statement.targets if isinstance(target, ast.Name)]
    return names if len(names) == len(statement.targets) else []


def _as_set(parts: list[object]) -> tuple[object, ...]:
    """A set has no order of its own, and Alembic's order then depends on the hash seed: sorted here."""
    if not all(isinstance(part, str) for part in parts):
        raise _Unknown
    return tuple(sorted({str(part) for part in parts}))


def _plain_text(part: ast.expr) -> str:
    if isinstance(part, ast.Constant) and isinstance(part.value, str):
        return part.value
    raise _Unknown


def _added(left: object, right: object) -> _Value | None:
    if isinstance(left, str) and isinstance(right, str):
        return _Value(left + right)
    if isinstance(left, tuple) and isinstance(right, tuple):
        return _Value(left + right)
    return None


# -- which names a statement binds ------------------------------------------------------------------

_Binding = tuple[str, int, str]


def _bindings(statement: ast.stmt, skip_targets: bool) -> list[_Binding]:
    """Names that the statement may bind in the module: (name, line, why its value is unknown).

    "*" stands for a star import. The bodies of functions and classes bind in their own scope; their
    decorators, defaults and annotations do not. `skip_targets` leaves out what the caller has bound
    itself: the plain targets of an assignment.
    """
    found: list[_Binding] = []
    todo: list[ast.AST] = [statement]
    while todo:
        node = todo.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.append((node.name, node.lineno, "a function or class has this name"))
            todo.extend(_outer_parts(node))
            continue
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            if not skip_targets:
                found.append((node.id, node.lineno, "its value depends on what runs"))
        elif isinstance(node, ast.NamedExpr):
            # In a comprehension too this binds in the module; other names of it do not.
            found.append((node.target.id, node.lineno, "it is bound inside an expression"))
            todo.append(node.value)
            continue
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            found.extend(_imported(node))
        elif isinstance(node, ast.ExceptHandler) and node.name:
            found.append((node.name, node.lineno, "an exception is bound to it"))
        else:
            for field in ("name", "rest"):  # what a `case` captures
                name = getattr(node, field, None)
                if isinstance(name, str) and isinstance(node, ast.pattern):
                    found.append((name, node.lineno, "a `case` binds it"))
        if isinstance(node, (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.Lambda)):
            found.extend(
                (part.target.id, part.lineno, "it is bound inside an expression")
                for part in ast.walk(node)
                if isinstance(part, ast.NamedExpr)
            )
            continue
        todo.extend(ast.iter_child_nodes(node))
    return sorted(found, key=lambda binding: binding[1])


def _outer_parts(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> list[ast.AST]:
    """What of a definition is evaluated in the scope around it."""
    parts: list[ast.AST] = list(node.decorator_list)
    if isinstance(node, ast.ClassDef):
        return [*parts, *node.bases, *node.keywords]
    parts.append(node.args)
    if node.returns is not None:
        parts.append(node.returns)
    return parts


def _imported(node: ast.Import | ast.ImportFrom) -> list[_Binding]:
    found = []
    for alias in node.names:
        if alias.name == "*" and isinstance(node, ast.ImportFrom):
            top = (node.module or "").split(".")[0]
            if node.level or top not in _MODULES_WITHOUT_IDENTIFIERS:
                found.append(("*", node.lineno, "a star import may bind it"))
        else:
            name = alias.asname or alias.name.split(".")[0]
            found.append((name, node.lineno, "it is imported from another module"))
    return found


def _global_names(tree: ast.Module) -> dict[str, int]:
    """Names that a function or class declares `global`, with the line. At the top level it means nothing."""
    top = {id(node) for node in tree.body}
    return {
        name: node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Global) and id(node) not in top
        for name in node.names
    }

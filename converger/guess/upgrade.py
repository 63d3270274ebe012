"""The upgrade() of one revision file, walked by its syntax tree, to a footprint. Nothing is executed.

Constants, f-strings, loops over literals and functions of the same file are followed; what depends on
anything else is unknown, and its line is kept.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from converger.guess.benign import does_nothing, is_type_library
from converger.guess.model import Action, Footprint, Name
from converger.guess.operations import Call, read_operation
from converger.guess.rows import mentions, read_rows
from converger.guess.statements import read_sql
from converger.guess.values import (
    UNKNOWN,
    Batch,
    Bound,
    Made,
    binary,
    bind,
    item,
    of_dict,
    plain_function,
    size,
    string_method,
    tables_in,
)
from converger.guess.words import Unknown

_ROUNDS = 64
_MOST = 10_000
_DEPTH = 6
_STEPS = 100_000
_SIZE_OF_A_STEP = 64
_SQL_OF_A_STEP = 8


class _Returned(Exception):
    def __init__(self, value: Any) -> None:
        self.value = value


class _TooLong(Exception):
    pass


Names = dict[str, Any]


def read_upgrade(tree: ast.Module) -> Footprint:
    """What the upgrade() of a parsed revision file does."""
    walker = _Walker()
    try:
        walker.module(tree)
        function = walker.names.get("upgrade")
        if not isinstance(function, ast.FunctionDef):
            return Footprint(unknown=(1,))
        walker.follow(function, {}, function.lineno)
    except (_TooLong, RecursionError):
        walker.unknown.append(1)
    return Footprint(tuple(dict.fromkeys(walker.actions)), tuple(sorted(set(walker.unknown))))


class _Walker:
    def __init__(self) -> None:
        self.names: Names = {}
        self.imports: dict[str, str] = {}
        self.actions: list[Action] = []
        self.unknown: list[int] = []
        self._guarded = False
        self._quiet = False
        self._depth = 0
        self._steps = 0
        self._mapped = False
        """Whether the file maps classes to tables: then setting an attribute may write a row."""

    # -- statements --------------------------------------------------------------------------------

    def module(self, tree: ast.Module) -> None:
        """Constants, functions, imports and mapped classes at the top; nothing there counts as done."""
        for node in tree.body:
            if isinstance(node, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef):
                self._statement(node, self.names)
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                before = len(self.actions), len(self.unknown)
                self._statement(node, self.names)
                del self.actions[before[0] :], self.unknown[before[1] :]

    def follow(self, function: ast.FunctionDef, values: Names, line: int) -> Any:
        """The body of a function of the same file."""
        if self._depth >= _DEPTH:
            self._not_known(line)
            return UNKNOWN
        arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
        local = {**self.names, **{argument.arg: UNKNOWN for argument in arguments}}
        defaults = function.args.defaults
        for argument, default in zip(
            arguments[len(function.args.args) - len(defaults) :], defaults, strict=False
        ):
            local[argument.arg] = self._eval(default, self.names)
        local.update(values)
        guarded, self._depth = self._guarded, self._depth + 1
        try:
            self._block(function.body, local)
        except _Returned as returned:
            return returned.value
        finally:
            self._guarded, self._depth = guarded, self._depth - 1
        return None

    def _block(self, body: Sequence[ast.stmt], names: Names) -> None:
        for node in body:
            self._statement(node, names)

    def _statement(self, node: ast.stmt, names: Names) -> None:
        self._steps += 1
        if self._steps > _STEPS:
            raise _TooLong
        if isinstance(node, ast.Expr):
            self._eval(node.value, names)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            if node.value is not None:
                value = self._eval(node.value, names)
                for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                    bind(target, value, names)
                    if self._mapped and isinstance(target, ast.Attribute):
                        self._not_known(node.lineno)  # rows, through an object
        elif isinstance(node, ast.AugAssign):
            value = self._eval(node.value, names)
            old = names.get(node.target.id, UNKNOWN) if isinstance(node.target, ast.Name) else UNKNOWN
            bind(node.target, binary(node.op, old, value), names)
        elif isinstance(node, ast.If):
            self._if(node, names)
        elif isinstance(node, ast.For):
            self._for(node, names)
        elif isinstance(node, ast.While):
            self._test(node.test, names)
            self._contained(node.body, names, guarded=True)
        elif isinstance(node, ast.With):
            for item in node.items:
                value = self._eval(item.context_expr, names)
                if item.optional_vars is not None:
                    bind(item.optional_vars, value, names)
            self._block(node.body, names)
        elif isinstance(node, ast.Try):
            self._contained([*node.body, *node.orelse], names, guarded=bool(node.handlers))
            for handler in node.handlers:
                self._contained(handler.body, names, guarded=True)
            self._block(node.finalbody, names)
        elif isinstance(node, ast.FunctionDef):
            names[node.name] = node
        elif isinstance(node, ast.ClassDef):
            names[node.name] = self._class(node, names)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                self.imports[alias.asname or alias.name.split(".")[0]] = (
                    alias.name if alias.asname else alias.name.split(".")[0]
                )
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            for alias in node.names:
                self.imports[alias.asname or alias.name] = f"{module}.{alias.name}"
        elif isinstance(node, ast.Return):
            raise _Returned(self._eval(node.value, names) if node.value is not None else None)
        elif isinstance(node, ast.Raise):
            raise _Returned(UNKNOWN)
        elif isinstance(node, ast.Delete | ast.Pass | ast.Assert | ast.Global | ast.Break | ast.Continue):
            pass
        else:
            self._not_known(node.lineno)

    def _if(self, node: ast.If, names: Names) -> None:
        test = self._test(node.test, names)
        if isinstance(test, bool):
            self._block(node.body if test else node.orelse, names)
            return
        # A dialect's own way is certain on that dialect; any other condition mostly asks what is there.
        guarded = not _asks_for_dialect(node.test)
        left = self._contained(node.body, names, guarded=guarded)
        left |= self._contained(node.orelse, names, guarded=guarded)
        if left and guarded:
            self._guarded = True  # what follows runs only if this was not taken; `follow` undoes it

    def _contained(self, body: Sequence[ast.stmt], names: Names, *, guarded: bool) -> bool:
        """A body that may not run; whether it leaves the function."""
        before = self._guarded
        self._guarded = before or guarded
        try:
            self._block(body, names)
        except _Returned:
            return True
        finally:
            self._guarded = before
        return any(isinstance(node, ast.Continue | ast.Break) for node in body)

    def _for(self, node: ast.For, names: Names) -> None:
        values = self._eval(node.iter, names)
        if isinstance(values, dict):
            values = list(values)
        if not isinstance(values, list | tuple) or len(values) > _ROUNDS:
            bind(node.target, UNKNOWN, names)
            self._contained(node.body, names, guarded=True)
            return
        before = self._guarded
        for value in values:
            bind(node.target, value, names)
            self._block(node.body, names)
            self._guarded = before  # a `continue` under a condition ends with the round

    def _test(self, node: ast.expr, names: Names) -> Any:
        """A condition: what it calls looks at the database and changes nothing."""
        quiet, self._quiet = self._quiet, True
        try:
            return self._eval(node, names)
        finally:
            self._quiet = quiet

    def _class(self, node: ast.ClassDef, names: Names) -> Any:
        values: Names = {}
        for part in node.body:
            if isinstance(part, ast.Assign | ast.AnnAssign) and part.value is not None:
                target = part.targets[0] if isinstance(part, ast.Assign) else part.target
                if isinstance(target, ast.Name) and target.id in (
                    "__tablename__",
                    "__table_args__",
                    "__table__",
                ):
                    values[target.id] = self._eval(part.value, names)
        table = values.get("__tablename__")
        if isinstance(values.get("__table__"), Made):
            return values["__table__"]
        if not isinstance(table, str):
            return node
        extra = values.get("__table_args__")
        schema = extra.get("schema") if isinstance(extra, dict) else None
        self._mapped = True
        return Made("mapped", (table,), {"schema": schema} if schema else {})

    def _not_known(self, line: int) -> None:
        if not self._quiet:
            self.unknown.append(line)

    # -- expressions -------------------------------------------------------------------------------

    def _eval(self, node: ast.expr, names: Names) -> Any:
        self._steps += 1
        value = self._value(node, names)
        # What is computed costs as much as it is long: so neither time nor memory grows beyond a bound.
        self._steps += size(value.text if isinstance(value, Made) else value) // _SIZE_OF_A_STEP
        if self._steps > _STEPS:
            raise _TooLong
        return value

    def _value(self, node: ast.expr, names: Names) -> Any:
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.Name):
            return names.get(node.id, UNKNOWN)
        if isinstance(node, ast.List | ast.Tuple | ast.Set):
            values = [self._eval(part, names) for part in node.elts]
            starred = any(isinstance(part, ast.Starred) for part in node.elts)
            return UNKNOWN if starred else tuple(values) if isinstance(node, ast.Tuple) else values
        if isinstance(node, ast.Dict):
            keys = [self._eval(key, names) if key is not None else UNKNOWN for key in node.keys]
            values = [self._eval(value, names) for value in node.values]
            plain = all(isinstance(key, str | int | bool | None) for key in keys)
            return dict(zip(keys, values, strict=True)) if plain else UNKNOWN
        if isinstance(node, ast.JoinedStr):
            return self._joined(node, names)
        if isinstance(node, ast.BinOp):
            return binary(node.op, self._eval(node.left, names), self._eval(node.right, names))
        if isinstance(node, ast.Attribute):
            return self._attribute(node, names)
        if isinstance(node, ast.Call):
            return self._call(node, names)
        if isinstance(node, ast.Subscript):
            return item(self._eval(node.value, names), self._eval(node.slice, names))
        if isinstance(node, ast.NamedExpr):
            value = self._eval(node.value, names)
            bind(node.target, value, names)
            return value
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.Not):
            value = self._eval(node.operand, names)
            if isinstance(node.op, ast.Not):
                return not value if isinstance(value, bool) else UNKNOWN
            return -value if isinstance(value, int | float) else UNKNOWN
        inner = {**names, **dict.fromkeys(_own_names(node), UNKNOWN)}
        parts = [
            self._eval(child, inner) for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)
        ]
        for generator in getattr(node, "generators", ()):
            parts.append(self._eval(generator.iter, inner))
        tables = [table for part in parts for table in tables_in(part)]
        return Made("expression", tuple(tables), {}, ast.unparse(node), node.lineno) if tables else UNKNOWN

    def _joined(self, node: ast.JoinedStr, names: Names) -> Any:
        text = ""
        for part in node.values:
            value = self._eval(part.value if isinstance(part, ast.FormattedValue) else part, names)
            if not isinstance(value, str | int):
                return UNKNOWN
            text += str(value)
        return text

    def _attribute(self, node: ast.Attribute, names: Names) -> Any:
        value = self._eval(node.value, names)
        return Bound(value, node.attr) if value is not UNKNOWN else UNKNOWN

    def _path(self, node: ast.expr) -> str:
        """The full name of what is called, through imports; empty where it is no imported name."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if isinstance(node, ast.Name) and node.id in self.imports:
            return ".".join([self.imports[node.id], *reversed(parts)])
        return ""

    # -- calls -------------------------------------------------------------------------------------

    def _call(self, node: ast.Call, names: Names) -> Any:
        local = isinstance(node.func, ast.Name) and node.func.id in names
        path = "" if local else self._path(node.func)
        callee = UNKNOWN if path else self._eval(node.func, names)
        args = [self._eval(arg, names) for arg in node.args]
        if any(isinstance(arg, ast.Starred) for arg in node.args):
            args = [value if not isinstance(arg, ast.Starred) else UNKNOWN
                    for arg, value in zip(node.args, args, strict=True)]  # fmt: skip
        keywords = {k.arg: self._eval(k.value, names) for k in node.keywords if k.arg is not None}
        if path.startswith("alembic.op."):
            return self._operation(path.removeprefix("alembic.op."), node, args, keywords)
        if path == "alembic.op":
            return UNKNOWN
        if is_type_library(path):
            return self._made(path.rpartition(".")[2], node, args, keywords)
        if isinstance(callee, ast.FunctionDef):
            arguments = [a.arg for a in (*callee.args.posonlyargs, *callee.args.args)]
            return self.follow(callee, {**dict(zip(arguments, args, strict=False)), **keywords}, node.lineno)
        if isinstance(callee, Bound):
            return self._method(callee, node, args, keywords)
        method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        if method == "batch_alter_table":
            return self._operation(method, node, args, keywords)
        if method in ("execute", "exec_driver_sql", "scalar", "scalars") and args:
            self._execute(args[0], node)
            return UNKNOWN
        name = node.func.id if isinstance(node.func, ast.Name) else method
        self._add(mentions([*args, *keywords.values()], node))
        if isinstance(node.func, ast.Name) and not path:
            value = plain_function(name, tuple(args))
            if value is not UNKNOWN:
                return value
        if not does_nothing(path, name) or (self._mapped and name in ("add", "add_all", "merge")):
            self._not_known(node.lineno)
        if path == "textwrap.dedent" and args and isinstance(args[0], str):
            return args[0]
        return UNKNOWN

    def _made(self, what: str, node: ast.Call, args: list[Any], keywords: Names) -> Any:
        if what in ("text", "quoted_name", "literal_column", "TextClause", "DDL") and args:
            return args[0]
        return Made(what, tuple(args), keywords, ast.unparse(node), node.lineno)

    def _operation(self, method: str, node: ast.Call, args: list[Any], keywords: Names) -> Any:
        if method == "f":
            return args[0] if args else UNKNOWN
        if method in ("get_bind", "get_context", "implementation_for"):
            return UNKNOWN
        if method == "execute":
            self._execute(args[0] if args else keywords.get("sqltext", UNKNOWN), node)
            return UNKNOWN
        if method == "batch_alter_table":
            table = args[0] if args else keywords.get("table_name")
            schema = _schema(keywords.get("schema"), node)
            if not isinstance(table, str):
                return Batch(None, schema)
            if keywords.get("copy_from") is not None:
                detail = ast.unparse(node)
                self._add([Action("rebuild", "table", Name(schema, table), "", node.lineno, "batch", detail)])
            return Batch(table, schema)
        self._read(method, node, args, keywords, None)
        if method == "create_table" and args and isinstance(args[0], str):
            return Made("table", (args[0],), {k: v for k, v in keywords.items() if k == "schema"})
        return UNKNOWN

    def _read(
        self, method: str, node: ast.Call, args: list[Any], keywords: Names, batch: Name | None
    ) -> None:
        texts = {k.arg: ast.unparse(k.value) for k in node.keywords if k.arg is not None}
        texts["*"] = ", ".join(ast.unparse(arg) for arg in (*node.args, *node.keywords))
        if any(keyword.arg is None for keyword in node.keywords):
            self._not_known(node.lineno)
        try:
            found = read_operation(method, Call(args, keywords, node.lineno, texts), batch)
        except Unknown:
            self._not_known(node.lineno)
            return
        self._add(found)

    def _add(self, actions: Sequence[Action], start: int = 0) -> None:
        self.actions += [replace(a, guarded=a.guarded or self._guarded, line=a.line + start) for a in actions]

    def _method(self, callee: Bound, node: ast.Call, args: list[Any], keywords: Names) -> Any:
        owner, method = callee.owner, callee.name
        if isinstance(owner, Batch):
            if method == "f":
                return args[0] if args else UNKNOWN
            if owner.table is None:
                self._not_known(node.lineno)
            else:
                self._read(method, node, args, keywords, Name(owner.schema, owner.table))
            return UNKNOWN
        if isinstance(owner, str):
            return string_method(owner, method, tuple(args), keywords)
        if isinstance(owner, dict):
            return of_dict(owner, method, args)
        if isinstance(owner, list) and method in ("append", "extend"):
            more = args[0] if args and method == "extend" else args[:1]
            owner += more if isinstance(more, list) and size(owner) < _MOST else [UNKNOWN]
            return None
        if isinstance(owner, Made) and owner.what in ("Enum", "ENUM") and method in ("create", "drop"):
            self._enum(owner, method, node.lineno, keywords)
            return UNKNOWN
        if isinstance(owner, Made) and method in ("create", "drop", "create_all", "drop_all"):
            self._not_known(node.lineno)
            return UNKNOWN
        if method in ("execute", "scalar", "scalars") and args:
            self._execute(args[0], node)
        made = (owner, *args) if isinstance(owner, Made | Bound) else args
        return Made(method, tuple(made), keywords, ast.unparse(node), node.lineno)

    def _enum(self, enum: Made, method: str, line: int, keywords: Names) -> None:
        name, schema = enum.keywords.get("name"), enum.keywords.get("schema")
        if not isinstance(name, str):
            self._not_known(line)
            return
        tolerant = keywords.get("checkfirst", True) is not False
        owner = Name(schema if isinstance(schema, str) else None, name)
        verb: Any = "create" if method == "create" else "drop"
        self._add([Action(verb, "type", owner, line=line, detail=enum.text, tolerant=tolerant)])

    def _execute(self, value: Any, node: ast.Call) -> None:
        if isinstance(value, Bound):
            value = value.owner
        if isinstance(value, str):
            self._steps += len(value) // _SQL_OF_A_STEP
            if self._steps > _STEPS:
                raise _TooLong
            try:
                # A text over several lines: its first line is where the text begins.
                first = node.args[0].lineno if node.args else node.lineno
                self._add(read_sql(value), first)
            except Unknown:
                self._not_known(node.lineno)
            return
        if isinstance(value, Made):
            self._add(read_rows(value, node))
            return
        self._not_known(node.lineno)


def _schema(value: Any, node: ast.Call) -> str | None:
    """A schema's name; where it is computed, the text that computes it stands for it."""
    if value is None or isinstance(value, str):
        return value
    return next((f"<{ast.unparse(k.value)}>" for k in node.keywords if k.arg == "schema"), None)


def _own_names(node: ast.expr) -> list[str]:
    """The names that a comprehension or lambda binds itself."""
    found = [
        n.id for g in getattr(node, "generators", ()) for n in ast.walk(g.target) if isinstance(n, ast.Name)
    ]
    return found + [a.arg for a in node.args.args] if isinstance(node, ast.Lambda) else found


def _asks_for_dialect(test: ast.expr) -> bool:
    text = ast.unparse(test).lower()
    return "dialect" in text or "postgres" in text or "sqlite" in text or "mysql" in text

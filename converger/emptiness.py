"""Is a merge revision empty? Judged on the syntax tree: nothing is imported or run.

Empty means that loading the file, and calling `upgrade` or `downgrade`, runs no operation. It is judged by
what is allowed, not by what is forbidden, so what this module does not know counts as not empty.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_DISPATCHED = re.compile(r"(up|down)grade_")
_READING_CALLS = frozenset(
    {"op.get_bind", "op.get_context", "sa.inspect", "sqlalchemy.inspect", "inspect", "Inspector.from_engine"}
)


@dataclass(frozen=True)
class NotEmpty:
    """One reason why a revision is not empty: the line (1-based) and what stands there.

    `reads_only` is true for statements that only fetch the connection or its inspector, such as
    `conn = op.get_bind()`: no operation, but more than nothing.
    """

    line: int
    message: str
    reads_only: bool = False


def why_not_empty(source: bytes | str) -> tuple[NotEmpty, ...]:
    """Return every reason why this revision file does more than nothing, by line; () if it is empty.

    Allowed at module level: the docstring, imports, `if TYPE_CHECKING:` with imports, and assignments of
    literals and names. Allowed in functions: `pass`, `...`, a docstring, `return`, a call without arguments
    to a function of the same file, and the dispatch of Alembic's multidb template. A file that Python cannot
    parse is not empty: nobody knows what it does.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as an invalid escape in somebody's docstring
            tree = ast.parse(source)
    except SyntaxError as error:
        return (NotEmpty(error.lineno or 1, f"cannot be parsed: {error.msg}"),)
    except (ValueError, LookupError, RecursionError, MemoryError) as error:
        return (NotEmpty(1, f"cannot be parsed: {type(error).__name__}"),)
    try:
        return tuple(sorted(_Module(tree).reasons(), key=lambda reason: reason.line))
    except RecursionError:
        return (NotEmpty(1, "cannot be judged: nested too deeply"),)


def _shown(node: ast.AST) -> str:
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= 80 else text[:77] + "..."


def _not_empty(node: ast.stmt | ast.expr, what: str) -> NotEmpty:
    return NotEmpty(node.lineno, f"{what}: {_shown(node)}")


def _harmless(node: ast.expr | None, *, annotation: bool = False) -> bool:
    """True for expressions that call nothing: literals and names; in annotations also `X[Y]`, `X | Y`."""

    def every(parts: Iterable[ast.expr | None]) -> bool:
        return all(_harmless(part, annotation=annotation) for part in parts)

    match node:
        case None | ast.Constant() | ast.Name():
            return True
        case ast.Attribute(value=value) | ast.Starred(value=value):
            return every([value])
        case ast.Tuple(elts=parts) | ast.List(elts=parts) | ast.Set(elts=parts):
            return every(parts)
        case ast.Dict(keys=keys, values=values):
            return every([*keys, *values])
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return every([left, right])
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return annotation and every([left, right])
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=ast.Constant()):
            return True
        case ast.Subscript(value=value, slice=index):
            return annotation and every([value, index])
    return False


def _is_type_checking(test: ast.expr) -> bool:
    match test:
        case ast.Name(id="TYPE_CHECKING"):
            return True
        case ast.Attribute(value=ast.Name(id="typing" | "t"), attr="TYPE_CHECKING"):
            return True
    return False


def _reads_only(statement: ast.stmt) -> bool:
    match statement:
        case ast.Assign(
            targets=[ast.Name()], value=ast.Call(func=ast.Name() | ast.Attribute() as called) as call
        ):
            arguments = all(isinstance(argument, ast.Name) for argument in call.args)
            return arguments and not call.keywords and ast.unparse(called) in _READING_CALLS
    return False


class _Module:
    """The walk over one file. `functions` are the names that a bare call may have: defined here."""

    def __init__(self, tree: ast.Module) -> None:
        self.body = tree.body
        self.functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        # Names whose meaning the verdict rests on. If anything but a `def` binds one of them, calling it
        # no longer calls the function that was judged.
        self.protected = self.functions | {"globals", "upgrade", "downgrade"}
        self.dispatches = any(isinstance(node, ast.Name) and node.id == "globals" for node in ast.walk(tree))
        self.star_import = any(
            isinstance(node, ast.ImportFrom) and node.names[0].name == "*" for node in ast.walk(tree)
        )

    def reasons(self) -> Iterator[NotEmpty]:
        defined: set[str] = set()
        for statement in self.body:
            yield from self.module_statement(statement, defined)
            if isinstance(statement, ast.FunctionDef):
                defined.add(statement.name)

    def binds(self, name: str) -> bool:
        return name in self.protected or (self.dispatches and _DISPATCHED.match(name) is not None)

    def module_statement(self, statement: ast.stmt, defined: set[str]) -> Iterator[NotEmpty]:
        match statement:
            case ast.Pass() | ast.Expr(value=ast.Constant()):
                return
            case ast.Import() | ast.ImportFrom():
                yield from self.imports(statement, defined)
            case ast.If(test=test, body=body, orelse=[]) if _is_type_checking(test):
                for inner in body:
                    if isinstance(inner, (ast.Import, ast.ImportFrom)):
                        yield from self.imports(inner, defined)
                    else:
                        yield _not_empty(inner, "code at module level")
            case ast.Assign(targets=targets, value=value):
                yield from self.assignment(statement, targets, value)
            case ast.AnnAssign(target=target, annotation=annotation, value=value):
                if not _harmless(annotation, annotation=True):
                    yield _not_empty(annotation, "code in an annotation")
                yield from self.assignment(statement, [target], value)
            case ast.FunctionDef():
                yield from self.function(statement)
            case ast.ClassDef():
                yield from self.class_definition(statement)
            case _:
                yield _not_empty(statement, "code at module level")

    def imports(self, statement: ast.Import | ast.ImportFrom, defined: set[str]) -> Iterator[NotEmpty]:
        for alias in statement.names:
            if alias.name == "*":
                # It may bring any name. Only a later `def` makes sure what these two are.
                if not {"upgrade", "downgrade"} <= self.functions - defined or self.functions & defined:
                    yield _not_empty(statement, "may replace a function of this file")
            elif self.binds(alias.asname or alias.name.partition(".")[0]):
                yield _not_empty(statement, "takes a function from another module")

    def assignment(
        self, statement: ast.stmt, targets: list[ast.expr], value: ast.expr | None
    ) -> Iterator[NotEmpty]:
        names: list[ast.expr] = []
        for target in targets:
            names += target.elts if isinstance(target, (ast.Tuple, ast.List)) else [target]
        if not _harmless(value) or not all(isinstance(name, ast.Name) for name in names):
            yield _not_empty(statement, "code at module level")
        elif any(self.binds(name.id) for name in names if isinstance(name, ast.Name)):
            yield _not_empty(statement, "replaces a function")

    def function(self, node: ast.FunctionDef) -> Iterator[NotEmpty]:
        for decorator in node.decorator_list:
            yield _not_empty(decorator, f"decorator of {node.name}")
        arguments = node.args
        everyone = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        everyone += [star for star in (arguments.vararg, arguments.kwarg) if star is not None]
        for default in [*arguments.defaults, *arguments.kw_defaults]:
            if default is not None and not _harmless(default):
                yield _not_empty(default, f"default argument of {node.name}")
        for annotation in [node.returns, *(argument.annotation for argument in everyone)]:
            if annotation is not None and not _harmless(annotation, annotation=True):
                yield _not_empty(annotation, f"annotation in {node.name}")
        parameters = {argument.arg for argument in everyone}
        for statement in node.body:
            if not self.allowed_in_function(statement, parameters):
                yield NotEmpty(
                    statement.lineno, f"code in {node.name}(): {_shown(statement)}", _reads_only(statement)
                )

    def allowed_in_function(self, statement: ast.stmt, parameters: set[str]) -> bool:
        match statement:
            case ast.Pass() | ast.Expr(value=ast.Constant()):
                return True
            case ast.Return(value=None | ast.Constant()):
                return True
            case ast.Expr(value=ast.Call(func=ast.Name(id=name), args=[], keywords=[])):
                return name in self.functions and name not in parameters
            # globals()["upgrade_%s" % engine_name]()
            case ast.Expr(
                value=ast.Call(
                    func=ast.Subscript(
                        value=ast.Call(func=ast.Name(id="globals"), args=[], keywords=[]),
                        slice=ast.BinOp(
                            left=ast.Constant(value="upgrade_%s" | "downgrade_%s"),
                            op=ast.Mod(),
                            right=ast.Name(id=name),
                        ),
                    ),
                    args=[],
                    keywords=[],
                )
            ):
                known = name in parameters and not self.star_import
                return known and "globals" not in parameters | self.functions
        return False

    def class_definition(self, node: ast.ClassDef) -> Iterator[NotEmpty]:
        if self.binds(node.name):
            yield _not_empty(node, "replaces a function")
        if node.decorator_list or node.bases or node.keywords:
            yield NotEmpty(node.lineno, f"code in class {node.name}: its bases or decorators")
        for statement in node.body:
            match statement:
                case ast.Pass() | ast.Expr(value=ast.Constant()):
                    continue
                case ast.AnnAssign(target=ast.Name(), annotation=annotation, value=value):
                    if _harmless(annotation, annotation=True) and _harmless(value):
                        continue
            yield _not_empty(statement, f"code in class {node.name}")

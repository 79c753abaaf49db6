"""Calls in Python sources, read with ``ast`` without importing or running them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from flowise_telemetry_cli.commands.audit.findings import Call, Finding, Report, check_properties
from flowise_telemetry_schemas.catalog import Catalog

__all__ = ["audit_python"]

_METHOD = "send_telemetry"
_CLIENTS = {"kafka", "confluent_kafka", "aiokafka"}
_MAX_STEPS = 5  # assignments traced back from a variable

_Scope = ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


def audit_python(path: Path, source: str, topic: str, report: Report, schemas: Catalog) -> None:
    """Add the calls of one file to the report."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError) as error:
        report.findings.append(Finding(path, getattr(error, "lineno", None) or 1, "unreadable", f"not Python: {error}"))
        return
    _Reader(path, tree, report, schemas).read()
    _raw_clients(path, tree, topic, report)


def _raw_clients(path: Path, tree: ast.Module, topic: str, report: Report) -> None:
    imports = {
        module.partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for module in ([alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""])
    }
    clients = ", ".join(sorted(imports & _CLIENTS))
    if not clients:
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and node.value == topic:
            message = f"{clients} is used here, and so is the topic {topic}: events belong through {_METHOD}"
            report.findings.append(Finding(path, node.lineno, "raw_client", message))


class _Reader:
    def __init__(self, path: Path, tree: ast.Module, report: Report, schemas: Catalog) -> None:
        self._schemas = schemas
        self._path = path
        self._tree = tree
        self._report = report
        self._events = {schemas.latest(event).name: event for event in schemas.events}
        self._aliases = {
            alias.asname: alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
            if alias.asname
        }

    def read(self) -> None:
        self._visit(self._tree, (self._tree,))

    def _visit(self, node: ast.AST, scopes: tuple[_Scope, ...]) -> None:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            scopes = (*scopes, node)
        if isinstance(node, ast.Call) and _name(node.func) == _METHOD:
            self._call(node, scopes)
        for child in ast.iter_child_nodes(node):
            self._visit(child, scopes)

    def _call(self, node: ast.Call, scopes: tuple[_Scope, ...]) -> None:
        given = [*node.args, *(keyword.value for keyword in node.keywords if keyword.arg == "event")]
        made = list(self._makers(given[0], scopes, _MAX_STEPS)) if len(given) == 1 else [None]
        for maker in made:
            if maker is None:
                text = ast.unparse(given[0]) if given else "nothing"
                self._report.calls.append(Call(self._path, node.lineno, None, {}))
                message = f"the source does not tell which event {text} is"
                self._report.findings.append(Finding(self._path, node.lineno, "undetermined", message))
            else:
                self._add(node, maker)

    def _makers(self, value: ast.expr, scopes: tuple[_Scope, ...], steps: int) -> Iterator[ast.Call | None]:
        """Yield the constructor calls that the value may come from; None for one that cannot be determined."""
        match value:
            case ast.Call() if self._event(value) is not None:
                yield value
            case ast.IfExp():
                yield from self._makers(value.body, scopes, steps)
                yield from self._makers(value.orelse, scopes, steps)
            case ast.NamedExpr():
                yield from self._makers(value.value, scopes, steps)
            case ast.Name() if steps and (assigned := self._assigned(value.id, scopes)):
                for each in assigned:
                    yield from self._makers(each, scopes, steps - 1)
            case _:
                yield None

    def _assigned(self, name: str, scopes: tuple[_Scope, ...]) -> list[ast.expr]:
        for scope in reversed(scopes):
            found: list[ast.expr] = []
            for node in ast.walk(scope):
                match node:
                    case ast.Assign(targets=[ast.Name(id=target)], value=value) if target == name:
                        found.append(value)
                    case ast.AnnAssign(target=ast.Name(id=target), value=ast.expr() as value) if target == name:
                        found.append(value)
                    case ast.NamedExpr(target=ast.Name(id=target), value=value) if target == name:
                        found.append(value)
            if found or (not isinstance(scope, ast.Module) and name in _parameters(scope)):
                return found
        return []

    def _event(self, call: ast.Call) -> str | None:
        name = _name(call.func)
        return self._events.get(self._aliases.get(name, name))

    def _add(self, node: ast.Call, maker: ast.Call) -> None:
        event = self._event(maker)
        if event is None:
            return
        names = {each.column: each.name for each in self._schemas.latest(event).fields}
        given = {k.arg: ast.unparse(k.value) for k in maker.keywords if k.arg is not None}
        call = Call(self._path, node.lineno, event, {names.get(name, name): text for name, text in given.items()})
        self._report.calls.append(call)
        complete = len(given) == len(maker.keywords) and not maker.args
        if not complete:
            message = f"{event}: the source does not tell the fields given by * or **"
            self._report.findings.append(Finding(self._path, node.lineno, "undetermined", message))
        self._report.findings += check_properties(call, self._schemas, complete=complete)


def _parameters(scope: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> set[str]:
    arguments = scope.args
    return {each.arg for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""

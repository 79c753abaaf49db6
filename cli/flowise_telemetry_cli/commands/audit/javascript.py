"""Calls in TypeScript and JavaScript sources, read with tree-sitter without running them."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowise_telemetry_cli.commands.audit.findings import Call, Finding, Report, check_properties
from flowise_telemetry_schemas.catalog import Catalog
from flowise_telemetry_schemas.errors import MissingExtraError

if TYPE_CHECKING:
    from tree_sitter import Node, Parser

__all__ = ["SUFFIXES", "audit_javascript"]

_METHOD = "sendTelemetry"
_TYPESCRIPT = {".ts": "typescript", ".mts": "typescript", ".cts": "typescript", ".tsx": "tsx"}
SUFFIXES = frozenset({".js", ".mjs", ".cjs", ".jsx", *_TYPESCRIPT})


@functools.cache
def _parser(language: str) -> Parser:
    try:
        import tree_sitter
        import tree_sitter_javascript
        import tree_sitter_typescript
    except ImportError as error:
        raise MissingExtraError("tree-sitter", "audit") from error
    grammars: dict[str, Any] = {
        "javascript": tree_sitter_javascript.language,
        "typescript": tree_sitter_typescript.language_typescript,
        "tsx": tree_sitter_typescript.language_tsx,
    }
    return tree_sitter.Parser(tree_sitter.Language(grammars[language]()))


def audit_javascript(path: Path, source: str, report: Report, schemas: Catalog) -> None:
    """Add the calls of one file to the report. Raises ``MissingExtraError`` if tree-sitter is needed and missing."""
    if _METHOD not in source:
        return
    root = _parser(_TYPESCRIPT.get(path.suffix, "javascript")).parse(source.encode("utf-8", "replace")).root_node
    for node in _walk(root):
        if node.type == "call_expression" and _called(node) == _METHOD:
            _Reader(path, root, report, schemas).call(node)


def _walk(node: Node) -> Iterator[Node]:
    waiting = [node]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += reversed(node.children)


def _text(node: Node | None) -> str:
    text = node.text if node is not None else None
    return " ".join(text.decode("utf-8", "replace").split()) if text is not None else ""


def _called(call: Node) -> str:
    function = call.child_by_field_name("function")
    if function is not None and function.type == "member_expression":
        function = function.child_by_field_name("property")
    return _text(function)


def _string(node: Node | None) -> str | None:
    """Return the text of a string without substitutions, else None."""
    if node is None or node.type not in {"string", "template_string"}:
        return None
    if any(child.type == "template_substitution" for child in node.children):
        return None
    return _text(node)[1:-1]


class _Reader:
    def __init__(self, path: Path, root: Node, report: Report, schemas: Catalog) -> None:
        self._schemas = schemas
        self._path = path
        self._root = root
        self._report = report

    def _flag(self, line: int, kind: str, message: str) -> None:
        self._report.findings.append(Finding(self._path, line, kind, message))

    def call(self, node: Node) -> None:
        line = node.start_point.row + 1
        arguments = node.child_by_field_name("arguments")
        given = [each for each in arguments.named_children if each.type != "comment"] if arguments is not None else []
        event = self._value(given[0], _string) if given else None
        properties = self._value(given[1], lambda each: each if each.type == "object" else None) if given[1:] else None
        fields, complete = self._fields(properties) if properties is not None else ({}, len(given) == 1)
        call = Call(self._path, line, event, fields)
        self._report.calls.append(call)
        if event is None:
            text = _text(given[0]) if given else "nothing"
            self._flag(line, "undetermined", f"the source does not tell which event {text} is")
        if not complete:
            text = f"{event or 'event'}: the source does not tell all of its properties"
            self._flag(line, "undetermined", text)
        self._report.findings += check_properties(call, self._schemas, complete=complete)

    def _value(self, node: Node, read: Any) -> Any:
        """Apply ``read`` to a node or, for a variable, to the only value that it has in the file."""
        found = read(node)
        if found is None and node.type == "identifier":
            values = [
                each.child_by_field_name("value")
                for each in _walk(self._root)
                if each.type == "variable_declarator" and _text(each.child_by_field_name("name")) == _text(node)
            ]
            if len(values) == 1 and values[0] is not None:
                found = read(values[0])
        return found

    def _fields(self, properties: Node) -> tuple[dict[str, str], bool]:
        fields: dict[str, str] = {}
        complete = True
        for each in properties.named_children:
            key = each.child_by_field_name("key")
            if each.type == "shorthand_property_identifier":
                fields[_text(each)] = _text(each)
            elif each.type == "pair" and key is not None and key.type in {"property_identifier", "string"}:
                name = _string(key) if key.type == "string" else _text(key)
                fields[name or ""] = _text(each.child_by_field_name("value"))
            elif each.type != "comment":
                complete = False
        return fields, complete

"""What an event may not tell, taken out of its record: node types, names, ids, and what a field cannot hold.

One bad field does not cost the event. Where a field may be null, or has a place for others, what does not fit is
withheld, and counted by field and rule.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from flowise_telemetry.app_version import normalized_version
from flowise_telemetry.content import Content
from flowise_telemetry.encoding.function_names import NOT_A_NAME, why_withheld
from flowise_telemetry.encoding.node_ids import NodeIds
from flowise_telemetry.identity.instance_id import InstanceId
from flowise_telemetry_schemas.constraints import violations
from flowise_telemetry_schemas.event_schema import EventSchema
from flowise_telemetry_schemas.field import Field

__all__ = ["NOT_A_UUID", "Withheld", "Withholding"]

Withheld = tuple[str, str]
"""The path of a field, and the rule by which a value of it was withheld."""

NOT_A_UUID = "not_a_uuid"
_OFF, _UNKNOWN_SYMBOL, _NOT_DISCLOSED = "off", "unknown_symbol", "not_disclosed"
_Visit = Callable[[Field, str, Any], Any]


class Withholding:
    """Takes out of records what ``content`` and the schema keep back."""

    def __init__(self, content: Content, instance_id: InstanceId) -> None:
        self._content = content
        self._instance_id = instance_id
        self._node_ids = NodeIds(content.own_node_types)

    def as_it_is(self, field: Field) -> Callable[[str], bool] | None:
        """Return a test that tells texts of a field that are sent as they are; None if all that fit are."""
        match field.holds:
            case "nodeId":
                return self._node_ids.may_be_sent
            case "functionName":
                return lambda name: self._content.tool_names and why_withheld(name) is None
        return None

    def is_undisclosed(self, field: Field) -> bool:
        """Return True for a field that users were not shown yet: its default leaves in its place."""
        return field.disclosure > self._content.disclosed

    def hash_unless_uuid(self, field: Field, unix_ms: int) -> Callable[[str], str] | None:
        """Return the hash of the month for a field where only what is no UUID is hashed; None for any other field."""
        if self._content.hash_ids or field.holds != "givenId":
            return None
        return lambda text: self._instance_id.hashed(text, unix_ms)

    def hashed(self, field: Field, unix_ms: int) -> Callable[[str], str] | None:
        """Return the hash of the month for a field whose ids are all hashed; None for any other field."""
        if not (self._content.hash_ids and field.holds in ("databaseId", "givenId")):
            return None
        return lambda text: self._instance_id.hashed(text, unix_ms)

    def apply(self, schema: EventSchema, record: dict[str, Any]) -> list[Withheld]:
        """Change the record to what may be sent of it, and return what was withheld."""
        withheld: list[Withheld] = []
        moment: Any = record.get("occurredAt")
        renamed = self._node_ids.renamed(_node_ids(schema, record))
        told: set[str] = set()

        def visit(field: Field, path: str, value: Any) -> Any:
            match field.holds or field.kind:
                case "nodeId" if value in renamed:
                    if value not in told:
                        told.add(value)
                        withheld.append((path, renamed[value][1]))
                    value = renamed[value][0]
                case "functionName" if (rule := self._rule_of_name(field, value)) is not None:
                    withheld.append((path, rule))
                    value = None
                case "version" if not _fits(field, value):
                    value = normalized_version(value) or value
                case "databaseId" | "givenId":
                    value = self._id(field, path, value, moment, withheld)
                case "enum" if field.other_symbol is not None and value not in field.symbols:
                    withheld.append((path, _UNKNOWN_SYMBOL))
                    value = field.other_symbol
            return value

        for field in schema.fields:
            if self.is_undisclosed(field):
                if record.get(field.name, field.default) != field.default:
                    withheld.append((field.name, _NOT_DISCLOSED))
                record[field.name] = field.default
            if field.name in record:
                record[field.name] = _walk(field, field.name, record[field.name], visit)
        self._take_out(schema, record, withheld)
        return withheld

    def _rule_of_name(self, field: Field, name: str) -> str | None:
        if not self._content.tool_names:
            return _OFF
        return why_withheld(name) if _fits(field, name) else NOT_A_NAME

    def _id(self, field: Field, path: str, value: str, moment: Any, withheld: list[Withheld]) -> str:
        lowered = value.lower()
        is_uuid = _fits(field, lowered)
        if field.holds == "givenId" and not is_uuid:
            if not self._content.hash_ids:
                withheld.append((path, NOT_A_UUID))
            return self._instance_id.hashed(value, moment)
        if is_uuid and self._content.hash_ids:
            return self._instance_id.hashed(lowered, moment)
        return lowered if is_uuid else value

    @staticmethod
    def _take_out(schema: EventSchema, record: dict[str, Any], withheld: list[Withheld]) -> None:
        """Put null where a field that may be null breaks its bounds."""
        nullable = {field.name for field in schema.fields if field.nullable}
        for violation in violations(schema, record) if nullable else ():
            if violation.field in nullable and record.get(violation.field) is not None:
                record[violation.field] = None
                withheld.append((violation.field, violation.rule))


def _node_ids(schema: EventSchema, record: Mapping[str, Any]) -> Iterator[str]:
    found: list[str] = []

    def visit(field: Field, _: str, value: Any) -> Any:
        if field.holds == "nodeId":
            found.append(value)
        return value

    for field in schema.fields:
        _walk(field, field.name, record.get(field.name), visit)
    return iter(found)


def _walk(field: Field, path: str, value: Any, visit: _Visit) -> Any:
    """Return the value with every text in it replaced by what ``visit`` returns. Anything odd stays as it is."""
    match field.kind:
        case "string" | "uuid":
            return visit(field, path, value) if type(value) is str else value
        case "enum":
            return visit(field, path, value) if isinstance(value, str) else value
        case "array" if field.items is not None and isinstance(value, list) and len(value) <= (field.max_items or 0):
            items = field.items
            return [_walk(items, path, item, visit) for item in value]
        case "record" if isinstance(value, Mapping):
            below = {inner.name: inner for inner in field.fields}
            return {
                name: _walk(below[name], f"{path}.{name}", inner, visit) if name in below else inner
                for name, inner in value.items()
            }
    return value


def _fits(field: Field, text: str) -> bool:
    return len(text) <= (field.max_length or 0) and re.fullmatch(field.pattern or "$^", text) is not None

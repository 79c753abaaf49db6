"""The constraints of a schema, asked of whole columns.

They only tell good rows from rows that may be bad: what is wrong with a row is for ``constraints.violations`` to
say, which has the last word. So they may be stricter than those, never more lenient.
"""

from __future__ import annotations

import functools

import polars as pl

from flowise_telemetry_schemas import EventSchema, Field

__all__ = ["keeps_constraints"]

_INT_RANGE = (-(2**31), 2**31 - 1)
_LONG_RANGE = (-(2**63), 2**63 - 1)


@functools.cache
def keeps_constraints(schema: EventSchema) -> pl.Expr:
    """Whether a row keeps every bound of the schema, over the columns that ``avro_block.columns_of`` gives."""
    return pl.all_horizontal(pl.lit(value=True), *(_keeps(pl.col(field.column), field) for field in schema.fields))


def _keeps(value: pl.Expr, field: Field) -> pl.Expr:
    match field.kind:
        case "string" | "uuid":
            # Without its bounds nothing fits, as in the constraints themselves.
            good = (value.str.len_chars() <= (field.max_length or 0)) & value.str.contains(field.pattern or "$^")
        case "int":
            good = _between(value, field, _INT_RANGE)
        case "long" | "timestamp":
            good = _between(value, field, _LONG_RANGE)
        case "record":
            good = pl.all_horizontal(
                pl.lit(value=True), *(_keeps(value.struct.field(inner.column), inner) for inner in field.fields)
            )
        case "array" if field.items is not None:
            items = value.list.eval(_keeps(pl.element(), field.items)).list.all()
            good = (value.list.len() <= (field.max_items or 0)) & items
        case _:
            # A boolean is one; an enum's symbol is one of the writer's, all of which a later version keeps.
            return value.is_not_null() | pl.lit(field.nullable)
    # Null where there must be none makes the whole unknown, and unknown is not good.
    return good.fill_null(value.is_null() if field.nullable else pl.lit(value=False))


def _between(value: pl.Expr, field: Field, limits: tuple[int, int]) -> pl.Expr:
    low, high = limits
    return value.is_between(
        low if field.minimum is None else field.minimum, high if field.maximum is None else field.maximum
    )

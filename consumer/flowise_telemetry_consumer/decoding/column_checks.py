"""The constraints of a schema, asked of whole columns.

They only tell good rows from rows that may be bad: what is wrong with a row is for ``constraints.violations`` to
say, which has the last word. So they may be stricter than those, never more lenient.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator

import polars as pl

from flowise_telemetry_schemas import EventSchema, Field

__all__ = ["rows_that_keep"]

_INT_RANGE = (-(2**31), 2**31 - 1)
_LONG_RANGE = (-(2**63), 2**63 - 1)


def rows_that_keep(columns: pl.DataFrame, schema: EventSchema) -> pl.Series:
    """Whether each row keeps every bound of the schema; the columns are those that ``avro_block.columns_of`` gives.

    What is in arrays is asked of all rows at once first, each text once, as the same nodes come again and again. Only
    where one of them is not good, it is looked for row by row.
    """
    all_items_are_good: bool = columns.select(_items_of_all_rows(schema)).item()
    return columns.select(_rows(schema, with_items=not all_items_are_good)).to_series()


@functools.cache
def _rows(schema: EventSchema, *, with_items: bool) -> pl.Expr:
    return _all(_keeps(pl.col(field.column), field, with_items=with_items) for field in schema.fields)


@functools.cache
def _items_of_all_rows(schema: EventSchema) -> pl.Expr:
    return _all(check for field in schema.fields for check in _item_checks(pl.col(field.column), field))


def _item_checks(value: pl.Expr, field: Field) -> Iterator[pl.Expr]:
    """For the items of each array in a field, whether they are good in all rows."""
    match field.kind:
        case "record":
            for inner in field.fields:
                yield from _item_checks(value.struct.field(inner.column), inner)
        case "array" if field.items is not None:
            # Of an array without items there is one null here; on the wire no item is null but where it may be.
            items = value.list.explode()
            plain = field.items.fields if field.items.kind == "record" else (field.items,)
            for item in plain:
                its = items.struct.field(item.column) if field.items.kind == "record" else items
                its = its.drop_nulls()
                yield _keeps(its.unique() if item.kind == "string" else its, item, with_items=True).all()


def _all(checks: Iterable[pl.Expr]) -> pl.Expr:
    return pl.all_horizontal(pl.lit(value=True), *checks)


def _keeps(value: pl.Expr, field: Field, *, with_items: bool) -> pl.Expr:
    match field.kind:
        case "string" | "uuid":
            # Without its bounds nothing fits, as in the constraints themselves.
            good = (value.str.len_chars() <= (field.max_length or 0)) & value.str.contains(field.pattern or "$^")
        case "int":
            good = _between(value, field, _INT_RANGE)
        case "long" | "timestamp":
            good = _between(value, field, _LONG_RANGE)
        case "record":
            good = _all(
                _keeps(value.struct.field(inner.column), inner, with_items=with_items) for inner in field.fields
            )
        case "array" if field.items is not None:
            good = value.list.len() <= (field.max_items or 0)
            if with_items:
                good &= value.list.eval(_keeps(pl.element(), field.items, with_items=True)).list.all()
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

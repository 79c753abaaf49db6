"""The constraints of a schema, checked on whole columns.

They only separate good rows from rows that may be bad. ``constraints.violations`` decides on the latter and names what
is wrong, so the checks here may be stricter than it, never more lenient.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator

import polars as pl

from flowise_telemetry_schemas import EventSchema, Field
from flowise_telemetry_schemas.constraints import INT_RANGE, LONG_RANGE

__all__ = ["rows_within_bounds", "valid_rows"]


def rows_within_bounds(columns: pl.DataFrame, schema: EventSchema) -> pl.Series:
    """Return one boolean a row: True if it keeps every bound of the schema. The columns are ``read_block``'s.

    Items of arrays are first checked for all rows together, each distinct text once, as the same nodes recur. Only if
    one of them is bad are they checked row by row.
    """
    all_items_are_good: bool = columns.select(_items_of_all_rows(schema)).item()
    return columns.select(_rows(schema, with_items=not all_items_are_good)).to_series()


def valid_rows(columns: pl.DataFrame, schema: EventSchema) -> pl.Series:
    """Return one boolean a row, as ``rows_within_bounds``, for columns that no Avro reader made.

    There an enum may hold any text, and an item of an array may be null where the wire has no null.
    """
    named = columns.select(_symbols(schema)).to_series()
    whole: bool = columns.select(_no_item_is_null(schema)).item()
    if whole:
        return named & rows_within_bounds(columns, schema)
    return named & columns.select(_rows(schema, with_items=True)).to_series()


@functools.cache
def _symbols(schema: EventSchema) -> pl.Expr:
    # repeat(): a schema without enums has a row for each of its rows too.
    return _all(
        (
            pl.repeat(value=True, n=pl.len()),
            *(_is_symbol(pl.col(field.column), field) for field in schema.fields),
        )
    )


def _is_symbol(value: pl.Expr, field: Field) -> pl.Expr:
    """Return whether every enum in a field is one of its symbols; a null is left to the other checks."""
    match field.kind:
        case "enum":
            return value.is_in(field.symbols).fill_null(value=True)
        case "record":
            return _all(_is_symbol(value.struct.field(inner.column), inner) for inner in field.fields)
        case "array" if field.items is not None and _has_enum(field.items):
            return value.list.eval(_is_symbol(pl.element(), field.items)).list.all().fill_null(value=True)
        case _:
            return pl.lit(value=True)


def _has_enum(field: Field) -> bool:
    return field.kind == "enum" or any(map(_has_enum, (*field.fields, *([field.items] if field.items else ()))))


@functools.cache
def _no_item_is_null(schema: EventSchema) -> pl.Expr:
    return _all(check for field in schema.fields for check in _null_checks(pl.col(field.column), field))


def _null_checks(value: pl.Expr, field: Field) -> Iterator[pl.Expr]:
    """Yield one check for each array in a field: True if no item of any row is null, in itself or in a field."""
    for array, item in _arrays(value, field):
        # explode() makes one null of an empty array and of a null.
        empty = (array.list.len() == 0).sum() + array.null_count()
        items = array.list.explode()
        yield items.null_count() == empty
        for inner in item.fields:
            yield items.struct.field(inner.column).null_count() == empty


@functools.cache
def _rows(schema: EventSchema, *, with_items: bool) -> pl.Expr:
    return _all(_keeps(pl.col(field.column), field, with_items=with_items) for field in schema.fields)


@functools.cache
def _items_of_all_rows(schema: EventSchema) -> pl.Expr:
    return _all(check for field in schema.fields for check in _item_checks(pl.col(field.column), field))


def _item_checks(value: pl.Expr, field: Field) -> Iterator[pl.Expr]:
    """Yield one check for each array in a field: True if its items are good in all rows."""
    for array, item in _arrays(value, field):
        # explode() makes a null of an empty array; an item is null on the wire only where its field is nullable.
        items = array.list.explode()
        for plain in item.fields if item.kind == "record" else (item,):
            its = items.struct.field(plain.column) if item.kind == "record" else items
            its = its.drop_nulls()
            yield _keeps(its.unique() if plain.kind == "string" else its, plain, with_items=True).all()


def _arrays(value: pl.Expr, field: Field) -> Iterator[tuple[pl.Expr, Field]]:
    """Yield the arrays in a field that are in no other array, each with the field of its items."""
    if field.kind == "record":
        for inner in field.fields:
            yield from _arrays(value.struct.field(inner.column), inner)
    elif field.kind == "array" and field.items is not None:
        yield value, field.items


def _all(checks: Iterable[pl.Expr]) -> pl.Expr:
    return pl.all_horizontal(pl.lit(value=True), *checks)


def _keeps(value: pl.Expr, field: Field, *, with_items: bool) -> pl.Expr:
    match field.kind:
        case "string" | "uuid":
            # A string without bounds accepts nothing, as in the constraints themselves.
            good = (value.str.len_chars() <= (field.max_length or 0)) & value.str.contains(field.pattern or "$^")
        case "int":
            good = _between(value, field, INT_RANGE)
        case "long" | "timestamp":
            good = _between(value, field, LONG_RANGE)
        case "record":
            good = _all(
                _keeps(value.struct.field(inner.column), inner, with_items=with_items) for inner in field.fields
            )
        case "array" if field.items is not None:
            good = value.list.len() <= (field.max_items or 0)
            if with_items:
                good &= value.list.eval(_keeps(pl.element(), field.items, with_items=True)).list.all()
        case _:
            # Booleans have no bounds, and an enum's symbols are the writer's, all of which a later version keeps.
            return value.is_not_null() | pl.lit(field.nullable)
    # A null makes the comparison null: good only where the field may be null.
    return good.fill_null(value.is_null() if field.nullable else pl.lit(value=False))


def _between(value: pl.Expr, field: Field, limits: tuple[int, int]) -> pl.Expr:
    low, high = limits
    return value.is_between(
        low if field.minimum is None else field.minimum, high if field.maximum is None else field.maximum
    )

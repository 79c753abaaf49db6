"""Conversion of stored replay requests and runs from and to JSON, strict about keys and types."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from cattrs import Converter

__all__ = ["from_json", "to_json"]

_T = TypeVar("_T")


def to_json(value: _T, shape: type[_T]) -> Any:
    """Return a value of this shape, a TypedDict or a dataclass, as ``json`` can write it."""
    return _converter().unstructure(value, unstructure_as=shape)


def from_json(document: Any, shape: type[_T]) -> _T:
    """Return the value of this shape that ``to_json`` turned into the document.

    Raises ``ValueError`` for anything else: an extra key, a missing key, a value of another type.
    """
    from cattrs.errors import CattrsError

    try:
        return _converter().structure(document, shape)
    except (CattrsError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"not the JSON of a replay: {type(error).__name__}: {error}") from error


@cache
def _converter() -> Converter:
    # Imported here: the service imports this package too, and never needs it.
    from cattrs import Converter

    converter = Converter(forbid_extra_keys=True, detailed_validation=False)
    for kind in (int, str):
        converter.register_structure_hook(kind, _exactly)  # cattrs itself would turn 5 into "5"
    return converter


def _exactly(value: Any, kind: type[_T]) -> _T:
    if type(value) is not kind:
        raise TypeError(f"{kind.__name__} expected, not {type(value).__name__}")
    return value

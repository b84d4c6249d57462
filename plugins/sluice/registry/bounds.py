"""What `minimum` and `maximum` of a column may be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation

# How the values of the types that have an order are written.
_READERS: Mapping[str, Callable[[str], object]] = {
    "bigint": int,
    "date": date.fromisoformat,
    "decimal": Decimal,
    "double": Decimal,
    "time": time.fromisoformat,
    "timestamp": datetime.fromisoformat,
}


def check_bounds(data_type: str, **bounds: object) -> None:
    """Hold a column's bounds against its type.

    Args:
        data_type: the column's.
        bounds: by their keys in the registry; None where there is none.

    Raises:
        ValueError: the type has no order, or a bound is no value of it.
    """
    for name, bound in bounds.items():
        if bound is None:
            continue
        if data_type not in _READERS:
            allowed = ", ".join(sorted(_READERS))
            raise ValueError(f"{name} is for {allowed}; not for {data_type}")
        try:
            value = _READERS[data_type](str(bound))
        except (ValueError, InvalidOperation):
            raise ValueError(f"{name} is {bound}, which is no {data_type}") from None
        if isinstance(value, Decimal) and not value.is_finite():
            raise ValueError(f"{name} is {bound}, which is no number")

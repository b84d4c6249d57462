"""Which of a source's rules a block of values is seen to follow, without asking PostgreSQL.

A no means that it is not known here: the rules themselves are PostgreSQL's to apply (``checks``).
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from sluice.reading.plain_csv import NotPlainError, typed
from sluice.registry import Column


@dataclass(frozen=True)
class PlainRules:
    """The rules of one column.

    Attributes:
        is_known: whether all of them can be looked at here.
    """

    is_known: bool
    _nullable: bool
    _accepted: pa.Array | None
    _minimum: pa.Scalar | None
    _maximum: pa.Scalar | None

    @classmethod
    def of(cls, column: Column) -> PlainRules:
        """The rules of a column."""
        try:
            minimum, maximum = _bound(column, column.minimum), _bound(column, column.maximum)
        except NotPlainError:
            return cls(False, column.nullable, None, None, None)
        accepted = pa.array(column.accepted_values) if column.accepted_values else None
        return cls(column.pattern is None, column.nullable, accepted, minimum, maximum)

    def hold(self, values: pa.Array) -> bool:
        """Whether all values are seen to follow the rules."""
        if not self.is_known or (values.null_count and not self._nullable):
            return False
        present = len(values) - values.null_count
        if not present:
            return True
        if self._accepted is not None:
            accepted = pc.is_in(values, value_set=self._accepted)
            if pc.sum(accepted).as_py() != present:
                return False
        if self._minimum is None and self._maximum is None:
            return True
        extremes = pc.min_max(values)
        is_low = self._minimum is not None and pc.less(extremes["min"], self._minimum).as_py()
        is_high = self._maximum is not None and pc.greater(extremes["max"], self._maximum).as_py()
        return not is_low and not is_high


def _bound(column: Column, bound: object) -> pa.Scalar | None:
    return None if bound is None else typed(pa.array([str(bound)]), column)[0]

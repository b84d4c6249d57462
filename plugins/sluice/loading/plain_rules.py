"""Which of a source's rules values are seen to follow, without asking PostgreSQL.

The rules themselves are PostgreSQL's to apply (``checks``): here it may only be seen that nothing
breaks them.
"""

from __future__ import annotations

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from sluice.reading.plain_values import NotPlainError, typed
from sluice.registry import Column


class PlainRules:
    """The rules of one column.

    Attributes:
        are_known: whether all of them can be looked at here.
    """

    def __init__(self, column: Column) -> None:
        self._nullable = column.nullable
        self._accepted = pa.array(column.accepted_values) if column.accepted_values else None
        try:
            self._minimum = _bound(column, column.minimum)
            self._maximum = _bound(column, column.maximum)
            self.are_known = column.pattern is None
        except NotPlainError:
            self.are_known = False

    def hold(self, values: pa.Array) -> bool:
        """Whether all values are seen to follow the rules."""
        if not self.are_known or (values.null_count and not self._nullable):
            return False
        if self._accepted is not None:
            accepted = pc.sum(pc.is_in(values, value_set=self._accepted)).as_py() or 0
            return bool(accepted + values.null_count == len(values))
        if self._minimum is None and self._maximum is None:
            return True
        extremes = pc.min_max(values)
        is_low = self._minimum is not None and pc.less(extremes["min"], self._minimum).as_py()
        is_high = self._maximum is not None and pc.greater(extremes["max"], self._maximum).as_py()
        return not is_low and not is_high

    def kept_by(self, values: pa.Array) -> pa.Array:
        """Whether each value is seen to follow the rules; only where they ``are_known``."""
        kept = pa.repeat(pa.scalar(True), len(values))
        if self._accepted is not None:
            kept = pc.is_in(values, value_set=self._accepted)
        if self._minimum is not None:
            kept = pc.and_(kept, pc.greater_equal(values, self._minimum))
        if self._maximum is not None:
            kept = pc.and_(kept, pc.less_equal(values, self._maximum))
        # A missing value follows every rule but one.
        return pc.if_else(pc.is_null(values), self._nullable, kept)


def _bound(column: Column, bound: object) -> pa.Scalar | None:
    return None if bound is None else typed(pa.array([str(bound)]), column)[0]

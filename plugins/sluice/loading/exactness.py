"""Where PostgreSQL would take a value and change it: found before it is asked.

Which values those are is said in ``reading.exact_values``. Whole blocks are looked at by Arrow, a
few records one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sluice.errors import DeliveryError
from sluice.loading.preparing import Row
from sluice.reading.exact_values import change_of_unusual, exact_matcher, exact_pattern
from sluice.reading.fields import ColumnRecords, WrittenRecords
from sluice.registry import Column, Source
from sluice.registry.encodings import codec_of

if TYPE_CHECKING:
    from sluice.reading.plain_csv import PlainReader


@dataclass(frozen=True)
class _Checked:
    """A column whose values are looked at: its place among the values, and its usual forms."""

    position: int
    column: Column
    pattern: str
    match: Callable[[str], object]


class Exactness:
    """Looks at the values of some columns."""

    def __init__(self, source: Source, columns: Sequence[str]) -> None:
        self._source = source
        self._names = columns
        self._checked: list[_Checked] = []
        for position, name in enumerate(columns):
            column = source.columns.get(name)
            # Readers of JSON have looked for keys that stand twice.
            is_known = source.format in ("jsonl", "json") and column and column.data_type == "json"
            pattern = column and exact_pattern(column)
            match = column and exact_matcher(column)
            if column and pattern and match and not is_known:
                self._checked.append(_Checked(position, column, pattern, match))

    def changed(self, rows: Sequence[Row]) -> list[int]:
        """The positions of the rows of which PostgreSQL would change a value, or refuse it."""
        if not self._checked:
            return []
        arrays = self._arrays(rows)
        if arrays is not None:
            return self._changed(arrays)
        found: set[int] = set()
        columns = rows.columns if isinstance(rows, ColumnRecords) else list(zip(*rows, strict=True))
        for each in self._checked:
            found.update(
                position
                for position, value in enumerate(columns[each.position])
                if value is not None
                and not each.match(value)
                and change_of_unusual(value, each.column)
            )
        return sorted(found)

    def _arrays(self, rows: Sequence[Row]) -> list[Any] | None:
        """The rows as Arrow's columns, where they nearly are and there are many."""
        # Imported where it is needed: Arrow alone takes 0.1 s and 40 MB.
        from sluice.reading.arrow_text import ArrowRecords
        from sluice.reading.plain_csv import texts_of
        from sluice.reading.plain_values import NotPlainError

        if not isinstance(rows, ArrowRecords | WrittenRecords):
            return None
        try:
            return texts_of(rows, self._names)
        except NotPlainError:
            return None

    def _changed(self, arrays: Sequence[Any]) -> list[int]:
        import pyarrow.compute as pc  # type: ignore[import-untyped]

        found: set[int] = set()
        for each in self._checked:
            texts = arrays[each.position]
            fits = pc.match_substring_regex(texts, rf"\A(?:{each.pattern})\z")
            unusual = pc.indices_nonzero(pc.invert(fits))
            found.update(
                position
                for position, value in zip(
                    unusual.to_pylist(), texts.take(unusual).to_pylist(), strict=True
                )
                if change_of_unusual(value, each.column)
            )
        return sorted(found)

    def only_exact(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        """The blocks of a delimited file, as far as PostgreSQL changes no value of theirs.

        Args:
            blocks: whole records each, as RFC 4180 has them, in an encoding that COPY reads.

        Raises:
            DeliveryError: it may change one; the tolerant path finds out.
        """
        if not self._checked:
            yield from blocks
            return
        from sluice.reading.plain_csv import PlainReader

        reader = PlainReader(self._source.csv_dialect, self._names)
        for block in blocks:
            if not self._is_exact(reader, block):
                raise DeliveryError("A value may not be kept as it is written.", code="not_exact")
            yield block

    def _is_exact(self, reader: PlainReader, block: bytes) -> bool:
        from sluice.reading.plain_values import NotPlainError

        codec = codec_of(self._source.encoding)
        try:
            texts = reader.read(block if codec == "utf-8" else block.decode(codec).encode())
        except (NotPlainError, UnicodeDecodeError):
            return False
        return not self._changed(texts)

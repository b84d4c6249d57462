"""Where PostgreSQL would take a value and change it: found before it is asked.

Which values those are is said in ``reading.exact_values``. Whole blocks are looked at by Arrow, a
few records one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from sluice.errors import DeliveryError
from sluice.loading.preparing import Row
from sluice.reading.exact_values import exact_pattern, is_surely_exact
from sluice.reading.fields import WrittenRecords
from sluice.registry import Column, Source
from sluice.registry.encodings import codec_of

if TYPE_CHECKING:
    from sluice.reading.plain_csv import PlainReader


class Exactness:
    """Looks at the values of some columns."""

    def __init__(self, source: Source, columns: Sequence[str]) -> None:
        self._source = source
        self._names = columns
        self._checked: list[tuple[int, Column, str]] = []
        for position, name in enumerate(columns):
            column = source.columns.get(name)
            pattern = column and exact_pattern(column)
            if column and pattern:
                self._checked.append((position, column, pattern))

    def doubtful(self, rows: Sequence[Row]) -> list[int]:
        """The positions of the rows that have a value of an unusual form."""
        if not self._checked:
            return []
        arrays = self._arrays(rows)
        if arrays is not None:
            return self._doubtful(arrays)
        return [
            position
            for position, row in enumerate(rows)
            if any(
                (value := row[index]) is not None and not is_surely_exact(value, column)
                for index, column, _ in self._checked
            )
        ]

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

    def _doubtful(self, arrays: Sequence[Any]) -> list[int]:
        import pyarrow.compute as pc  # type: ignore[import-untyped]

        usual = None
        for index, _, pattern in self._checked:
            fits = pc.match_substring_regex(arrays[index], rf"\A(?:{pattern})\z")
            fits = pc.fill_null(fits, fill_value=True)
            usual = fits if usual is None else pc.and_(usual, fits)
        found: list[int] = pc.indices_nonzero(pc.invert(usual)).to_pylist()
        return found

    def only_exact(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        """The blocks of a delimited file, as far as no record has a value of an unusual form.

        Args:
            blocks: whole records each, as RFC 4180 has them, in an encoding that COPY reads.

        Raises:
            DeliveryError: a record has one, or may have one; the tolerant path finds out.
        """
        if not self._checked:
            yield from blocks
            return
        from sluice.reading.plain_csv import PlainReader
        from sluice.reading.plain_values import NotPlainError

        try:
            reader = PlainReader(self._source.csv_dialect, self._names)
        except NotPlainError:
            reader = None
        for block in blocks:
            if reader is None or not self._is_exact(reader, block):
                raise DeliveryError("A value may not be kept as it is written.", code="not_exact")
            yield block

    def _is_exact(self, reader: PlainReader, block: bytes) -> bool:
        from sluice.reading.plain_values import NotPlainError

        codec = codec_of(self._source.encoding)
        try:
            texts = reader.read(block if codec == "utf-8" else block.decode(codec).encode())
        except (NotPlainError, UnicodeDecodeError):
            return False
        return not self._doubtful(texts)

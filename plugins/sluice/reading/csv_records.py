"""The tolerant reader of delimited files: every record gets its own verdict."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing

from sluice.reading.csv_grammar import Grammar
from sluice.reading.csv_pass import Pass
from sluice.reading.csv_recovery import after_line
from sluice.reading.headers import HEAD_BYTES, read_header
from sluice.reading.lines import TextFile
from sluice.reading.records import Batch, Opener
from sluice.registry import CsvDialect


class CsvReader:
    """The records of a csv or tsv file; see ``records.Reader``.

    A record is RFC 4180's, in the file's dialect: an empty field without quotes is a missing value,
    one with quotes an empty text; LF, CRLF and CR end records, also mixed in one file. An empty
    line is a record with one field, except at the end of a file of several columns, where no writer
    means one by it (PostgreSQL writes a missing value of a single column so). Lines that
    begin with the dialect's comment are no records and have no number. Memory does not depend on
    the file's size: a record of more than 16 MB is refused as ``too_long``.

    Attributes:
        names: the names of the fields, in the file's order.
        notes: what was taken and why, in sentences.
    """

    def __init__(
        self,
        opener: Opener,
        dialect: CsvDialect,
        encoding: str,
        names: Sequence[str] | None = None,
        notes: Sequence[str] = (),
    ) -> None:
        """Read the header.

        Args:
            opener: opens the file's decompressed content at its start.
            dialect: how the file is written.
            encoding: its encoding; offsets in a UTF-16 file count in its UTF-8 form.
            names: the names of the fields; None for those of the header, or ``column_1`` and so on
                in a file without one. A header is passed over where names are given.
            notes: what is known of the file already, in sentences.

        Raises:
            DeliveryError: there is no header, or it cannot be read.
        """
        self._file = TextFile(opener, encoding)
        self._dialect = dialect
        head, is_whole_file = self._head()
        self._header = read_header(
            head,
            dialect,
            self._file.encoding,
            is_whole_file=is_whole_file,
            is_without_mark=True,
        )
        self.names = tuple(names or self._header.names or self._numbered(head))
        self.notes = tuple(notes or (self._file.note,))

    def batches(self) -> Iterator[Batch]:
        """The records from the first to the last; may be called again for a second pass."""
        grammar = Grammar(self._dialect, len(self.names))
        with closing(self._file.pieces()) as pieces:
            yield from Pass(self._file, pieces, grammar, self._header, self.names).batches()

    def _head(self) -> tuple[bytes, bool]:
        """The first bytes, and whether they are the whole file."""
        head = b""
        with closing(self._file.pieces()) as pieces:
            for piece in pieces:
                head += piece
                if len(head) > HEAD_BYTES:
                    return head[:HEAD_BYTES], False
        return head, True

    def _numbered(self, head: bytes) -> list[str]:
        """Names for the fields of a file that names none."""
        text = head[self._header.end :].decode(self._file.encoding, "surrogateescape")
        start = 0
        while self._dialect.comment and text.startswith(self._dialect.comment, start):
            start = after_line(text, start)
        count = len(Grammar(self._dialect, 1).fields(text, start))
        count -= self._dialect.trailing_delimiter
        return [f"column_{number}" for number in range(1, max(count, 1) + 1)]

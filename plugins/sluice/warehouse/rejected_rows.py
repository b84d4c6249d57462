"""What ``ops.rejected_rows`` says of a source's files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection
from psycopg.rows import class_row


@dataclass(frozen=True)
class RejectedFile:
    """A load with rejected records that nothing has mended; see ``rejected_files``.

    Attributes:
        load_id: that load.
        file_name: the file.
        outcome: ``loaded`` without these records, or ``rejected`` with all of them.
        rows_loaded: records in bronze.
        rows_rejected: records here; of a rejected delivery, a sample.
        reject_reason: why the whole delivery was rejected, where it was.
        reject_code: a stable word for it.
        reject_record: the number of the first record concerned, if one is.
        reject_column: the column concerned, if one is.
        file_columns: the names of the file's fields; None where they are not known.
        loaded_at: when.
    """

    load_id: int
    file_name: str
    outcome: str
    rows_loaded: int
    rows_rejected: int
    reject_reason: str | None
    reject_code: str | None
    reject_record: int | None
    reject_column: str | None
    file_columns: list[str] | None
    loaded_at: datetime


# Of a source, so many rejections are looked at: 10,000 that were mended since take 0.05 s.
MOST_LOOKED_AT = 10_000
# So many files that were not are counted; from there on it is "or more".
MOST_UNMENDED = 1000

# Of a rejection: what came for the file since, but for the rows before it that were loaded again.
_IS_MENDED = """
    exists (
        select from ops.loads as later
        where later.file_id = {loads}.file_id and later.load_id > {loads}.load_id
            and later.outcome <> 'skipped'
            and not (
                {loads}.outcome = 'rejected' and {loads}.delivery_kind <> 'same_again'
                and later.delivery_kind = 'same_again'
            )
    )
"""

# Written as a range, so that PostgreSQL takes the index of rejections: see pipeline/overview.py.
_UNMENDED = f"""
select unmended.*
from unnest(%(sources)s::text[]) as wanted (source)
cross join lateral (
    select
        source, load_id, file_name, reject_code, reject_reason, reject_record, reject_column,
        loaded_at,
        count(*) over () as files, row_number() over (order by load_id desc) as place
    from (
        select *
        from (
            select *
            from ops.loads
            where loads.source between wanted.source and wanted.source and outcome = 'rejected'
            order by loads.source, loads.load_id desc
            limit {MOST_LOOKED_AT}
        ) as rejected
        where not {_IS_MENDED.format(loads="rejected")}
        limit {MOST_UNMENDED}
    ) as found
) as unmended
where place <= %(newest)s
order by source, load_id desc
"""  # noqa: S608


@dataclass(frozen=True)
class UnmendedFile:
    """A file that was rejected whole, and for which nothing has come since."""

    source: str
    load_id: int
    file_name: str
    reject_code: str
    reject_reason: str
    reject_record: int | None
    reject_column: str | None
    loaded_at: datetime


@dataclass(frozen=True)
class Unmended:
    """The files of a source that were rejected whole, and for which nothing has come since.

    Attributes:
        files: how many; from ``MOST_UNMENDED`` on there may be more.
        newest: the newest of them, newest first.
    """

    files: int = 0
    newest: tuple[UnmendedFile, ...] = ()

    @property
    def count(self) -> str:
        """How many, in words: ``5``, or ``1,000 or more``."""
        return f"{self.files:,}" + (" or more" if self.files >= MOST_UNMENDED else "")


def unmended_files(
    connection: Connection, sources: Sequence[str], newest: int
) -> dict[str, Unmended]:
    """The rejected files of sources that nothing has mended, of those that have any.

    Args:
        connection: of a role that reads schema ops.
        sources: their names.
        newest: how many of each are given; one at least.
    """
    parameters = {"sources": list(sources), "newest": newest}
    found: dict[str, Unmended] = {}
    for *values, files, _ in connection.execute(_UNMENDED, parameters):
        file = UnmendedFile(*values)
        before = found.get(file.source, Unmended())
        found[file.source] = Unmended(files, (*before.newest, file))
    return found


@dataclass(frozen=True)
class RejectedRow:
    """One rejected record; see the comments on ``ops.rejected_rows``."""

    load_id: int
    file_name: str
    row_number: int
    line_number: int | None
    byte_offset: int | None
    code: str
    column_name: str | None
    reason: str
    raw_record: str
    raw_is_cut: bool
    fields: list[str | None] | None


@dataclass(frozen=True)
class RejectCount:
    """How many records were rejected for one reason."""

    code: str
    column_name: str | None
    records: int


def rejected_files(
    connection: Connection, source: str, file_name: str | None = None
) -> list[RejectedFile]:
    """The files of a source that were rejected, whole or some records of them, newest first.

    A rejected correction is shown until another delivery of its file is loaded or rejected: that
    the rows before it were loaded again (``same_again``) has not mended it.
    """
    with connection.cursor(row_factory=class_row(RejectedFile)) as cursor:
        return cursor.execute(
            f"""
            select load_id, file_name, outcome, rows_loaded, rows_rejected, reject_reason,
                reject_code, reject_record, reject_column, file_columns, loaded_at
            from ops.loads
            where source = %(source)s and (rows_rejected > 0 or outcome = 'rejected')
                and (%(file)s::text is null or file_name = %(file)s)
                and not {_IS_MENDED.format(loads="loads")}
            order by load_id desc
            """,  # noqa: S608
            {"source": source, "file": file_name},
        ).fetchall()


def is_delivered(connection: Connection, source: str, file_name: str) -> bool:
    """Whether a file of this name was ever delivered."""
    query = "select exists (select from ops.files where source = %s and file_name = %s)"
    row = connection.execute(query, (source, file_name)).fetchone()
    return bool(row and row[0])


def counts_by_reason(
    connection: Connection, load_ids: list[int], most: int | None = None
) -> list[RejectCount]:
    """How many records of some loads were rejected, by code and column, most first.

    Args:
        connection: of a role that reads schema ops.
        load_ids: whose.
        most: how many records are counted; all where None.
    """
    with connection.cursor(row_factory=class_row(RejectCount)) as cursor:
        return cursor.execute(
            """
            select code, column_name, count(*) as records
            from (
                select code, column_name from ops.rejected_rows where load_id = any(%s) limit %s
            ) as counted
            group by code, column_name
            order by records desc, code, column_name
            """,
            (load_ids, most),
        ).fetchall()


def rejected_rows(
    connection: Connection, load_ids: list[int], limit: int | None = None, *, after: int = 0
) -> Iterator[RejectedRow]:
    """The rejected records of some loads, streamed, by file and number; newest load first.

    Load by load, since the index gives the order of one, and that of several would be a sort of
    all their records before the first is seen.

    Args:
        connection: in a transaction.
        load_ids: whose.
        limit: how many; all where None.
        after: only records of higher numbers than this.
    """
    left = limit
    for load_id in sorted(load_ids, reverse=True):
        with connection.cursor(name="rejected_rows", row_factory=class_row(RejectedRow)) as cursor:
            cursor.itersize = 1000
            rows = cursor.execute(
                """
                select load_id, file_name, row_number, line_number, byte_offset, code, column_name,
                    reason, raw_record, raw_is_cut, fields
                from ops.rejected_rows where load_id = %s and row_number > %s
                order by row_number limit %s
                """,
                (load_id, after, left),
            )
            for row in rows:
                yield row
                left = None if left is None else left - 1
        if left == 0:
            return

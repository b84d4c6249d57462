"""Files that stay in the landing zone, as they were when a load has dealt with them."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import Connection

# Source, name and state of a file: see ``ops.kept_files``.
FileInState = tuple[str, str, str]


def note_kept(connection: Connection, load_id: int, file: FileInState) -> None:
    """Record that a file stays where it is, and in which state a load has dealt with it."""
    connection.execute(
        """
        insert into ops.kept_files (source, file_name, state, load_id) values (%s, %s, %s, %s)
        on conflict (source, file_name)
        do update set state = excluded.state, load_id = excluded.load_id
        """,
        (*file, load_id),
    )


def kept_among(connection: Connection, files: Sequence[FileInState]) -> set[FileInState]:
    """Which files stay where they are and were dealt with in this state."""
    rows = connection.execute(
        """
        select source, file_name, state
        from unnest(%s::text[], %s::text[], %s::text[]) as listed (source, file_name, state)
        inner join ops.kept_files using (source, file_name, state)
        """,
        [list(each) for each in zip(*files, strict=True)],
    )
    return set(rows.fetchall())

"""Which deliveries of a source can be loaded again from where their bytes are kept.

Those of a ``replace`` source are looked up in ``whole_truths``.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date

from psycopg import Connection
from psycopg.rows import class_row

from sluice.errors import ConfigError, printable
from sluice.loading.whole_truths import find_truths
from sluice.loading.withdrawal import names_like
from sluice.registry import Source
from sluice.registry.delivery_names import ledger_name

# What is in bronze; what was rejected and not mended by a later delivery (a replay of the rows that
# are there, same_again without being skipped, is none); and, only where a file is named, what its
# newest withdrawal took out and nothing has come for since. That is the newest load of each part,
# as far back as the load that began the file's rows: one that found none of the name, or took the
# place of all. The day is that of the folder in which the bytes are kept.
_KEPT = """
with entries as (
    select loads.*, part
    from ops.files
    inner join ops.loads using (file_id)
    where files.source = %(source)s and files.file_name = any(%(files)s)
), withdrawals as (
    select withdrawal.file_name, withdrawal.load_id as withdrawal_id, max(begun.load_id) as begun_id
    from entries as withdrawal
    inner join entries as begun
        on begun.file_name = withdrawal.file_name and begun.load_id < withdrawal.load_id
    where withdrawal.outcome = 'withdrawn' and begun.outcome = 'loaded'
        and (
            begun.delivery_kind in ('new', 'redelivery')
            or begun.delivery_kind = 'correction' and begun.replaces_load_id is not null
        )
        and not exists (
            select from entries as later
            where later.file_name = withdrawal.file_name and later.outcome = 'withdrawn'
                and later.load_id > withdrawal.load_id
        )
    group by withdrawal.file_name, withdrawal.load_id
), withdrawn as (
    select distinct on (file_id) entries.*, withdrawal_id
    from withdrawals
    inner join entries using (file_name)
    where outcome = 'loaded' and load_id between begun_id and withdrawal_id
    order by file_id, load_id desc
)
select load_id, file_name, content_sha256, stored_path, filters, part, is_in_bronze,
    case
        when outcome = 'loaded' and delivery_kind in ('same_again', 'extension') then (
            select max(came.load_id) from ops.loads as came
            where came.file_id = kept.file_id and came.load_id < kept.load_id
                and came.outcome = 'loaded'
                and came.delivery_kind not in ('same_again', 'extension')
        )
        else load_id
    end as came_as_load_id
from (
    select loads.*, part, true as is_in_bronze
    from ops.files
    inner join ops.loads on load_id = current_load_id
    where files.source = %(source)s
        and (%(files)s::text[] is null or files.file_name = any(%(files)s))
    union all
    select loads.*, 1, false
    from ops.loads
    inner join ops.files using (file_id)
    where loads.source = %(source)s and outcome = 'rejected' and delivery_kind <> 'same_again'
        and (%(files)s::text[] is null or files.file_name = any(%(files)s))
        and not exists (
            select from ops.loads as later
            where later.file_id = loads.file_id and later.load_id > loads.load_id
                and not (later.delivery_kind = 'same_again' and later.outcome <> 'skipped')
        )
    union all
    select loads.*, withdrawn.part, false
    from withdrawn
    inner join ops.loads using (load_id)
    where not exists (
        select from entries as later
        where later.file_name = withdrawn.file_name and later.load_id > withdrawal_id
            -- Another part that a replay has brought back, from where it was, is not in its way.
            and not exists (
                select from withdrawn as other
                where other.stored_path = later.stored_path and other.file_id <> withdrawn.file_id
            )
    )
) as kept
where (%(first)s::date is null or split_part(stored_path, '/', 3)::date >= %(first)s)
    and (%(last)s::date is null or split_part(stored_path, '/', 3)::date <= %(last)s)
order by came_as_load_id
"""


@dataclass(frozen=True)
class Selection:
    """Which deliveries of a source are meant; all that is in bronze or rejected where empty.

    Attributes:
        files: their names, as the sender wrote them or as the ledger does.
        first_day: none that arrived before this day (UTC).
        last_day: none that arrived after this day (UTC).
        load_id: of one file, only if the bytes of this load are what is loaded.
    """

    files: Collection[str] = ()
    first_day: date | None = None
    last_day: date | None = None
    load_id: int | None = None

    def __post_init__(self) -> None:
        """Refuse days in the wrong order, and a load without its file.

        Raises:
            ConfigError: the last day comes before the first, or a load is not that of one file.
        """
        if self.load_id is not None and len(self.files) != 1:
            raise ConfigError(f"Load {self.load_id} is of one file: name that file, and no other.")
        if self.first_day and self.last_day and self.last_day < self.first_day:
            raise ConfigError(
                f"The last day, {self.last_day}, is before the first, {self.first_day}."
            )


@dataclass(frozen=True)
class Kept:
    """A delivery whose bytes are kept.

    Attributes:
        load_id: its newest entry in the ledger.
        file_name: its name there.
        content_sha256: of its bytes.
        stored_path: where they are; None where they were not kept.
        filters: how much of it was wanted; the whole file where None.
        part: which part of its file its rows are.
        is_in_bronze: whether rows of it are in bronze.
        came_as_load_id: the entry by which its bytes came, before they were loaded again.
    """

    load_id: int
    file_name: str
    content_sha256: str
    stored_path: str | None
    filters: Sequence[str] | None
    part: int
    is_in_bronze: bool
    came_as_load_id: int

    @property
    def day(self) -> str:
        """The day on which its bytes came, in UTC; empty where they were not kept."""
        return self.stored_path.split("/")[2] if self.stored_path else ""


def find_kept(connection: Connection, source: Source, selection: Selection) -> list[Kept]:
    """The deliveries that are meant, in the order in which they came.

    Raises:
        ConfigError: there is none, or none of a name that was asked for; or several are named, and
            one is to be all that there is.
    """
    if source.write_disposition == "replace" and len(selection.files) > 1:
        raise ConfigError(
            f"Only one file can be the whole truth of source {source.name}, and"
            f" {len(selection.files)} are named.",
            "Name the one that it shall be.",
        )
    kept = _selected(connection, source, selection)
    there = {delivery.file_name for delivery in kept}
    for file in selection.files:
        if not there & {ledger_name(file), file}:
            raise ConfigError(
                f"No delivery {printable(file)} of source {source.name} can be loaded again"
                f"{_within(selection)}.",
                names_like(connection, source, file),
            )
    if not kept:
        raise ConfigError(
            f"No delivery of source {source.name} can be loaded again{_within(selection)}."
        )
    if selection.load_id is not None:
        _hold_to_load(connection, source, kept, selection.load_id)
    return kept


def _hold_to_load(
    connection: Connection, source: Source, kept: Sequence[Kept], load_id: int
) -> None:
    """Raise where a replay would take other bytes than those of a load.

    The bytes tell it, and not the load's number: an earlier attempt may have loaded them again.
    """
    row = connection.execute(
        "select content_sha256 from ops.loads where source = %s and load_id = %s",
        (source.name, load_id),
    ).fetchone()
    if row is None:
        raise ConfigError(f"There is no load {load_id} of source {source.name}.")
    if row[0] not in {delivery.content_sha256 for delivery in kept}:
        newest = kept[-1]
        raise ConfigError(
            f"A replay of {printable(newest.file_name)} would take the bytes of load"
            f" {newest.load_id}, and it was asked for on load {load_id}. Nothing was loaded.",
            f"Look at load {newest.load_id}, and load that one again if it is meant.",
        )


def is_kept(connection: Connection, source: Source, file_name: str, load_id: int) -> bool:
    """Whether a replay of a file, by its name in the ledger, loads the bytes of this entry."""
    found = _selected(connection, source, Selection((file_name,)))
    return any(delivery.load_id == load_id and delivery.stored_path for delivery in found)


def _selected(connection: Connection, source: Source, selection: Selection) -> list[Kept]:
    names = [name for file in selection.files for name in dict.fromkeys((ledger_name(file), file))]
    if source.write_disposition == "replace":
        return _truths(connection, source, names, selection)
    parameters = {
        "source": source.name,
        "files": names or None,
        "first": selection.first_day,
        "last": selection.last_day,
    }
    with connection.cursor(row_factory=class_row(Kept)) as cursor:
        return cursor.execute(_KEPT, parameters).fetchall()


def _truths(
    connection: Connection, source: Source, names: Sequence[str], selection: Selection
) -> list[Kept]:
    """The same of a source whose newest delivery is all that there is."""
    days = selection.first_day, selection.last_day
    return [
        Kept(
            load_id=truth.load_id,
            file_name=truth.file_name,
            content_sha256=truth.content_sha256,
            stored_path=truth.stored_path,
            filters=None,
            part=truth.part,
            is_in_bronze=truth.is_in_bronze,
            came_as_load_id=truth.came_as_load_id,
        )
        for truth in find_truths(connection, source.name, names, *days)
    ]


def _within(selection: Selection) -> str:
    days = [f" since {selection.first_day}" if selection.first_day else ""]
    days += [f" until {selection.last_day}" if selection.last_day else ""]
    return "".join(days)

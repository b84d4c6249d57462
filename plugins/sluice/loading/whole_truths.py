"""Which delivery of a ``replace`` source a replay takes: the newest is all that there is.

Without more, it is the one whose rows are in bronze; where those were withdrawn, the newest that
was not. A name, or the days, can say an older one: it becomes the whole truth again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from psycopg import Connection
from psycopg.rows import class_row

# A delivery is where its bytes are kept, however often they were loaded; the first entry with the
# place is that of its arrival. What was rejected is not meant once something came for it.
_DELIVERIES = """
with entries as (
    select loads.*, part, loads.load_id is not distinct from current_load_id as is_current
    from ops.files
    inner join ops.loads using (file_id)
    where files.source = %(source)s and outcome <> 'skipped'
        and (%(files)s::text[] is null or files.file_name = any(%(files)s))
), deliveries as (
    select
        file_id, file_name, part, content_sha256, stored_path,
        bool_or(is_current) as is_in_bronze,
        min(load_id) as arrived_as_load_id,
        max(load_id) as newest_load_id,
        max(load_id) filter (where outcome = 'loaded') as loaded_as_load_id,
        max(load_id) filter (
            where outcome = 'loaded' and delivery_kind not in ('same_again', 'extension')
        ) as came_as_load_id
    from entries
    where outcome <> 'withdrawn' and (stored_path is not null or is_current)
    group by file_id, file_name, part, content_sha256, stored_path
)
select
    coalesce(loaded_as_load_id, newest_load_id) as load_id, file_name, content_sha256, stored_path,
    part, is_in_bronze, arrived_as_load_id,
    coalesce(came_as_load_id, arrived_as_load_id) as came_as_load_id,
    loaded_as_load_id is not null as was_loaded,
    exists (
        select from entries as withdrawal
        where withdrawal.file_name = deliveries.file_name and outcome = 'withdrawn'
            and withdrawal.load_id > coalesce(loaded_as_load_id, newest_load_id)
    ) as is_withdrawn
from deliveries
where (%(first)s::date is null or split_part(stored_path, '/', 3)::date >= %(first)s)
    and (%(last)s::date is null or split_part(stored_path, '/', 3)::date <= %(last)s)
    and (
        loaded_as_load_id is not null
        or not exists (
            select from ops.loads as later
            where later.file_id = deliveries.file_id and later.load_id > newest_load_id
                and not (later.delivery_kind = 'same_again' and later.outcome <> 'skipped')
        )
    )
order by arrived_as_load_id
"""


@dataclass(frozen=True)
class Truth:
    """A delivery that is, was, or might have been the whole truth.

    Attributes:
        load_id: the newest entry that loaded it; of one that never was, its newest entry.
        file_name: its name in the ledger.
        content_sha256: of its bytes.
        stored_path: where they are; None where they were not kept.
        part: which part of its file its rows are.
        is_in_bronze: whether rows of it are in bronze.
        arrived_as_load_id: the entry by which its bytes came.
        came_as_load_id: the entry by which it became the truth, before it was loaded again.
        was_loaded: whether it ever was; the others were rejected.
        is_withdrawn: whether its file was withdrawn since.
    """

    load_id: int
    file_name: str
    content_sha256: str
    stored_path: str | None
    part: int
    is_in_bronze: bool
    arrived_as_load_id: int
    came_as_load_id: int
    was_loaded: bool
    is_withdrawn: bool


def find_truths(
    connection: Connection,
    source: str,
    files: Sequence[str],
    first_day: date | None,
    last_day: date | None,
) -> list[Truth]:
    """What a replay takes, in this order: the truth that is meant, and what was rejected after it.

    Args:
        connection: of a role that reads schema ops.
        source: the source's name; it says ``write_disposition: replace``.
        files: a file's name, in each way in which the ledger might write it; none for any.
        first_day: none that arrived before this day (UTC).
        last_day: none that arrived after this day (UTC).
    """
    parameters = {
        "source": source,
        "files": list(files) or None,
        "first": first_day,
        "last": last_day,
    }
    with connection.cursor(row_factory=class_row(Truth)) as cursor:
        found = cursor.execute(_DELIVERIES, parameters).fetchall()
    if files:
        return found[-1:]
    loaded = [each for each in found if each.was_loaded and not each.is_withdrawn]
    in_bronze = [each for each in loaded if each.is_in_bronze]
    if in_bronze and first_day is None and last_day is None:
        truths, since = in_bronze, max(each.came_as_load_id for each in in_bronze)
    else:
        truths = loaded[-1:]
        since = truths[0].arrived_as_load_id if truths else 0
    rejected = [each for each in found if not each.was_loaded and each.arrived_as_load_id > since]
    return [*truths, *rejected[-1:]]

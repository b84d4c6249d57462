"""Publication of what a candidate's log says has changed, and when that is not enough."""

from __future__ import annotations

from typing import Any

import pytest
from psycopg import Connection

from sluice.errors import RetriableError
from sluice.publishing import MartChange, publish
from sluice.settings import Settings
from tests.publishing.test_publication import Gold, gold, values

__all__ = ["gold"]  # the fixture


LOG = "_change_id bigint generated always as identity, _change smallint"


class Logged:
    """A candidate that is changed in place, with the log that dbt's macros keep of it."""

    def __init__(self, gold: Gold, by: str = "id") -> None:
        self.gold = gold
        self.by = by
        self.built = 0

    def build(self, select: str) -> None:
        """Build it in full: another table, a new generation and an empty log."""
        self.built += 1
        self.gold.candidate(select)
        made_by = f"Built by dbt from definition x in run {self.built}"
        for statement in (
            f"comment on table gold_audit.sales is '{made_by}'",
            "drop table if exists gold_audit.sales__changes",
            f"create table gold_audit.sales__changes ({LOG}, {self.by} integer)",
        ):
            self.gold.connection.execute(statement)  # type: ignore[arg-type]

    def change(self, statement: str, *, gone: list[int], came: list[int]) -> None:
        """Change it, and log the values that went and came."""
        with self.gold.connection.transaction():
            self.gold.connection.execute(statement)  # type: ignore[arg-type]
            self.gold.connection.execute(
                f"insert into gold_audit.sales__changes (_change, {self.by})"  # type: ignore[arg-type]
                " select -1, unnest(%s::int[]) union all select 1, unnest(%s::int[])",
                (gone, came),
            )

    def publish(self) -> MartChange:
        transformation = self.gold.transformation([{"name": "sales", "key": ["id"]}])
        (change,) = publish(self.gold.settings, "shop", transformation).marts
        return change


@pytest.fixture
def logged(gold: Gold) -> Logged:
    logged = Logged(gold)
    logged.build(values("(1, 'ink')", "(2, 'pen')", "(3, 'cup')"))
    logged.publish()
    return logged


def tamper(administrator: Connection, row: int) -> None:
    """Make a published row differ from the candidate: a look at all rows would mend it."""
    administrator.execute("update gold.sales set product = 'other' where id = %s", (row,))


def test_only_what_is_logged_is_looked_at(logged: Logged, administrator: Connection) -> None:
    tamper(administrator, 1)
    logged.change(
        "merge into gold_audit.sales using (values (2, 'pencil'), (4, 'pad')) as new (id, product)"
        " on sales.id = new.id when matched then update set product = new.product"
        " when not matched then insert values (new.id, new.product)"
        " when not matched by source and sales.id = 3 then delete",
        gone=[2, 3],
        came=[2, 4],
    )
    assert logged.publish() == MartChange("sales", 1, 1, 1)
    assert logged.gold.rows() == [(1, "other"), (2, "pencil"), (4, "pad")]
    assert logged.publish() == MartChange("sales", 0, 0, 0)


def test_what_several_builds_changed_is_published_together(logged: Logged) -> None:
    logged.change("delete from gold_audit.sales where id < 3", gone=[1, 2], came=[])
    logged.change("insert into gold_audit.sales values (2, 'pad')", gone=[], came=[2])
    logged.change("insert into gold_audit.sales values (5, 'mug')", gone=[], came=[5])
    logged.change("delete from gold_audit.sales where id = 5", gone=[5], came=[])
    assert logged.publish() == MartChange("sales", 0, 1, 1)
    assert logged.gold.rows() == [(2, "pad"), (3, "cup")]


@pytest.mark.parametrize("way", ["built in full", "no generation", "log gone", "new column"])
def test_all_rows_are_looked_at_where_the_log_does_not_say_everything(
    logged: Logged, administrator: Connection, way: str
) -> None:
    tamper(administrator, 1)
    statements: dict[str, str] = {
        "no generation": "comment on table gold_audit.sales is null",
        "log gone": "drop table gold_audit.sales__changes",
        "new column": "alter table gold_audit.sales add column note text",
    }
    if way == "built in full":
        logged.build(values("(1, 'ink')", "(2, 'pen')", "(3, 'cup')"))
    else:
        logged.gold.connection.execute(statements[way])  # type: ignore[arg-type]
    assert logged.publish().rows_updated == 1
    assert logged.gold.rows("id, product") == [(1, "ink"), (2, "pen"), (3, "cup")]


def test_after_a_build_in_full_the_new_log_counts(
    logged: Logged, administrator: Connection
) -> None:
    logged.change("delete from gold_audit.sales where id = 3", gone=[3], came=[])
    logged.publish()
    logged.build(values("(1, 'ink')", "(2, 'pen')"))
    logged.publish()
    tamper(administrator, 1)
    logged.change("delete from gold_audit.sales where id = 2", gone=[2], came=[])
    assert logged.publish() == MartChange("sales", 0, 0, 1)
    assert logged.gold.rows() == [(1, "other")]


def test_a_row_may_move_from_one_load_to_another(gold: Gold) -> None:
    """As with a correction: the same keys, another load."""
    columns = "id, product, _load_id"
    logged = Logged(gold, by="_load_id")
    logged.build(values("(1, 'ink', 7)", "(2, 'pen', 7)", "(3, 'cup', 8)", columns=columns))
    logged.publish()
    logged.change("update gold_audit.sales set _load_id = 9 where id = 1;", gone=[], came=[9])
    logged.change("delete from gold_audit.sales where id = 2", gone=[7], came=[])
    assert logged.publish() == MartChange("sales", 0, 1, 1)
    assert gold.rows() == [(1, "ink", 9), (3, "cup", 8)]
    index = "select indexdef from pg_indexes where tablename = 'sales' and schemaname = 'gold'"
    definitions = [definition for (definition,) in gold.connection.execute(index).fetchall()]
    assert any("(_load_id)" in definition for definition in definitions)


def test_a_build_by_hand_is_waited_for(logged: Logged, settings: Settings) -> None:
    transformation = logged.gold.transformation([{"name": "sales", "key": ["id"]}])
    impatient: Any = settings.model_copy(update={"lock_timeout_seconds": 1})
    with logged.gold.connection.transaction():
        logged.gold.connection.execute("delete from gold_audit.sales")
        with pytest.raises(RetriableError):
            publish(impatient, "shop", transformation)

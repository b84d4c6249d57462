"""Candidate into gold: what is merged, how a mart changes its shape, what readers see of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from psycopg import Connection
from psycopg.types.json import Jsonb

from sluice.errors import BuiltOverError, ConfigError, RetriableError, TransformError
from sluice.publishing import MartChange, Publication, publish
from sluice.settings import Settings


@dataclass
class Gold:
    """Builds candidates by hand and publishes them."""

    settings: Settings
    connection: Connection
    reader: Connection

    def candidate(self, select: str, mart: str = "sales", key: tuple[str, ...] = ("id",)) -> int:
        """Build one candidate mart; returns the id of its transformation, which passed."""
        self.connection.execute(f"drop table if exists gold_audit.{mart}")  # type: ignore[arg-type]
        self.connection.execute(f"create table gold_audit.{mart} as {select}")  # type: ignore[arg-type]
        return self.transformation([{"name": mart, "key": list(key)}])

    def transformation(self, marts: list[dict[str, Any]], status: str = "passed") -> int:
        row = self.connection.execute(
            "insert into ops.transformations (pipeline, run_id, status, marts)"
            " values ('shop', 'test', %s, %s) returning transformation_id",
            (status, Jsonb(marts)),
        ).fetchone()
        assert row
        return int(row[0])

    def publish(self, select: str, **more: Any) -> Publication:
        return publish(self.settings, "shop", self.candidate(select, **more))

    def rows(self, columns: str = "*") -> list[tuple[Any, ...]]:
        return self.reader.execute(f"select {columns} from gold.sales order by 1").fetchall()  # type: ignore[arg-type]


@pytest.fixture
def gold(settings: Settings, transformer: Connection, reader: Connection) -> Gold:
    transformer.autocommit = reader.autocommit = True
    return Gold(settings, transformer, reader)


def values(*rows: str, columns: str = "id, product") -> str:
    return f"select * from (values {', '.join(rows)}) as rows ({columns})"


def test_the_first_publication_makes_the_table(gold: Gold) -> None:
    publication = gold.publish(values("(1, 'ink')", "(2, 'pen')"))
    assert publication.marts == (MartChange("sales", 2, 0, 0, ("table created",)),)
    assert gold.rows() == [(1, "ink"), (2, "pen")]


def test_a_merge_counts_what_it_changed_and_touches_nothing_else(gold: Gold) -> None:
    gold.publish(values("(1, 'ink')", "(2, 'pen')", "(3, null)", "(4, 'cup')"))
    before = dict(gold.rows("id, xmin::text"))
    publication = gold.publish(values("(1, 'ink')", "(2, 'pencil')", "(3, null)", "(5, 'pad')"))

    assert publication.marts == (MartChange("sales", 1, 1, 1),)
    assert gold.rows() == [(1, "ink"), (2, "pencil"), (3, None), (5, "pad")]
    after = dict(gold.rows("id, xmin::text"))
    assert (after[1], after[3]) == (before[1], before[3])
    assert gold.connection.execute(
        "select rows_inserted, rows_updated, rows_deleted from ops.published_marts"
        " order by publication_id desc limit 1"
    ).fetchone() == (1, 1, 1)


def test_publishing_again_finds_the_publication(gold: Gold) -> None:
    transformation = gold.candidate(values("(1, 'ink')"))
    first = publish(gold.settings, "shop", transformation)
    assert publish(gold.settings, "shop", transformation).publication_id == first.publication_id
    assert gold.connection.execute("select count(*) from ops.publications").fetchone() == (1,)


def test_a_mart_of_key_columns_only_is_merged(gold: Gold) -> None:
    gold.publish("select 1 as id")
    assert gold.publish("select 2 as id").marts == (MartChange("sales", 1, 0, 1),)


@pytest.mark.parametrize("status", ["running", "failed"])
def test_what_did_not_pass_is_not_published(gold: Gold, status: str) -> None:
    gold.publish(values("(1, 'ink')"))
    gold.candidate(values("(2, 'pen')"))
    transformation = gold.transformation([{"name": "sales", "key": ["id"]}], status)
    with pytest.raises(TransformError, match=status):
        publish(gold.settings, "shop", transformation)
    assert gold.rows() == [(1, "ink")]


def test_a_candidate_that_was_built_over_is_not_published(gold: Gold) -> None:
    first = gold.candidate(values("(1, 'ink')"))
    gold.candidate(values("(2, 'pen')"))
    gold.transformation([{"name": "sales", "key": ["id"]}], "running")
    with pytest.raises(TransformError, match="built over"):
        publish(gold.settings, "shop", first)
    assert gold.reader.execute("select to_regclass('gold.sales')").fetchone() == (None,)


@pytest.mark.parametrize("is_published", [False, True])
def test_a_newer_build_that_passed_is_published_in_place_of_an_older(
    gold: Gold, is_published: bool
) -> None:
    """It contains all that the older one does, so whoever comes first publishes it."""
    first = gold.candidate(values("(1, 'ink')"))
    newer = gold.candidate(values("(2, 'pen')"))
    ids = []
    for transformation in (newer, first) if is_published else (first, newer):
        publication = publish(gold.settings, "shop", transformation)
        assert publication.marts == (MartChange("sales", 1, 0, 0, ("table created",)),)
        ids.append(publication.publication_id)
    assert ids[0] == ids[1]
    assert gold.rows() == [(2, "pen")]
    assert gold.connection.execute("select transformation_id from ops.publications").fetchall() == [
        (newer,)
    ]


def test_what_gold_contains_is_published_whatever_was_built_after_it(gold: Gold) -> None:
    first = gold.candidate(values("(1, 'ink')"))
    publication = gold.publish(values("(2, 'pen')"))
    failed = gold.transformation([{"name": "sales", "key": ["id"]}], "failed")
    assert publish(gold.settings, "shop", first).publication_id == publication.publication_id
    # Not so what is newer than that: the build that failed has written over it.
    lost = gold.candidate(values("(3, 'pad')"))
    assert lost > failed
    gold.transformation([{"name": "sales", "key": ["id"]}], "failed")
    with pytest.raises(BuiltOverError, match="which has failed"):
        publish(gold.settings, "shop", lost)
    assert gold.rows() == [(2, "pen")]


def test_a_publication_waits_for_a_build_of_its_marts(gold: Gold, settings: Settings) -> None:
    from sluice.warehouse.connections import advisory_key

    transformation = gold.candidate(values("(1, 'ink')"))
    gold.connection.execute("select pg_advisory_lock(%s)", (advisory_key("model", "sales"),))
    with pytest.raises(RetriableError, match="Another run"):
        publish(settings.model_copy(update={"lock_timeout_seconds": 1}), "shop", transformation)


@pytest.mark.parametrize(
    ("select", "rows", "change"),
    [
        (
            values("(1, 'ink', 5)", columns="id, product, amount"),
            [(1, "ink", 5)],
            "column amount added",
        ),
        ("select 1 as id", [(1,)], "column product dropped"),
        (
            values("(1, 7)"),
            [(1, 7)],
            "column product changed from text to integer",
        ),
        (
            values("('a', 'ink')"),
            [("a", "ink")],
            "column id changed from integer to text",
        ),
    ],
    ids=["added", "dropped", "retyped", "key retyped"],
)
def test_a_mart_changes_its_shape_in_one_transaction(
    gold: Gold, select: str, rows: list[tuple[Any, ...]], change: str
) -> None:
    gold.publish(values("(1, 'ink')", "(2, 'pen')"))
    publication = gold.publish(select)

    assert publication.marts[0].schema_changes == (change,)
    names = "id, product, amount" if "amount" in change else "id"
    names = "id, product" if "changed" in change else names
    assert gold.rows(names) == rows
    assert gold.publish(select).marts == (MartChange("sales", 0, 0, 0),)


def test_a_new_key_takes_the_place_of_the_old(gold: Gold) -> None:
    gold.publish(values("(1, 'ink')", "(2, 'pen')"))
    publication = gold.publish(values("(1, 'ink')", "(1, 'pen')"), key=("id", "product"))

    assert publication.marts == (MartChange("sales", 2, 0, 2, ("key changed to id, product",)),)
    assert gold.rows() == [(1, "ink"), (1, "pen")]


def test_a_value_may_be_missing_once_the_contract_allows_it(gold: Gold) -> None:
    transformation = gold.candidate(values("(1, 'ink')"))
    gold.connection.execute("alter table gold_audit.sales alter product set not null")
    publish(gold.settings, "shop", transformation)
    gold.publish(values("(1, null::text)"))
    assert gold.rows() == [(1, None)]


def test_a_column_that_leaves_the_key_may_be_missing(gold: Gold) -> None:
    gold.publish(values("(1, 'ink')"), key=("id", "product"))
    gold.publish(values("(1, null::text)"), key=("id",))
    assert gold.rows() == [(1, None)]


def test_views_survive_what_does_not_concern_them(gold: Gold, administrator: Connection) -> None:
    gold.publish(values("(1, 'ink')"))
    administrator.execute("create view public.ids as select id from gold.sales")
    gold.publish(values("(1, 7)", "(2, 8)"))
    gold.publish(values("(1, 7, 'x')", "(2, 8, 'y')", columns="id, product, note"))
    assert administrator.execute("select * from public.ids order by 1").fetchall() == [(1,), (2,)]


def test_a_view_in_the_way_is_named_with_the_remedy(gold: Gold, administrator: Connection) -> None:
    gold.publish(values("(1, 'ink')"))
    administrator.execute("create schema reports")
    administrator.execute('create view reports."Top products" as select product from gold.sales')
    with pytest.raises(ConfigError) as error:
        gold.publish("select 2 as id")

    assert 'reports."Top products" reads it' in error.value.message
    assert 'drop view reports."Top products";' in error.value.remedy
    assert gold.rows() == [(1, "ink")]
    administrator.execute('drop view reports."Top products"')
    assert gold.publish("select 2 as id").marts[0].rows_inserted == 1


def test_a_long_reader_delays_a_change_of_shape_and_blocks_nobody(gold: Gold) -> None:
    gold.publish(values("(1, 'ink')"))
    with gold.reader.transaction():
        gold.reader.execute("select * from gold.sales")
        with pytest.raises(RetriableError, match="a transaction of a reader holds it"):
            gold.publish("select 1 as id")
        # A change of rows needs no such lock: it goes through beside the open reader.
        gold.publish(values("(1, 'pen')"))
    assert gold.rows() == [(1, "pen")]


def test_an_old_snapshot_sees_the_old_rows_after_a_change_of_shape(
    gold: Gold, administrator: Connection
) -> None:
    gold.publish(values("(1, 'ink')", "(2, 'pen')"))
    gold.reader.autocommit = False
    gold.reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    gold.reader.execute("select 1")  # takes the snapshot, and no lock on the mart
    gold.publish(values("(7, 3.5)"))  # the type of product changes
    assert gold.reader.execute("select count(*), min(id) from gold.sales").fetchone() == (2, 1)
    gold.reader.rollback()
    assert gold.reader.execute("select id from gold.sales").fetchall() == [(7,)]

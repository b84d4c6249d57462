"""Each role can do what it must, and nothing else: in every schema, on tables made later too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg import Connection
from psycopg.errors import InsufficientPrivilege
from psycopg.sql import SQL, Identifier

from sluice.settings import Settings
from sluice.warehouse.connections import ROLES, Role, connect, database_role
from sluice.warehouse.rights import OWNERS

NEW_TABLES: Mapping[str, LiteralString] = {
    "bronze": "create table bronze.orders (amount int)",
    "ops": "create table ops.later (amount int)",
    "silver": "create table silver.stg_orders (amount int)",
    "gold_audit": "create table gold_audit.sales (amount int)",
    "gold": "create table gold.sales (amount int)",
}

MAY: Mapping[Role, tuple[LiteralString, ...]] = {
    "loader": (
        "create table bronze.more (amount int)",
        "insert into bronze.orders values (1)",
        "delete from bronze.orders",
        "alter table bronze.orders add column product text",
        "drop table bronze.orders",
        "insert into ops.files (source, file_name) values ('orders', 'a.csv')",
        "update ops.loads set stored_at = now()",
        "select from ops.published_loads",
        "create table ops.more (amount int)",
        "create temporary table staging (amount int)",
    ),
    "transformer": (
        "select amount from bronze.orders",
        "select from ops.files",
        "select from ops.loads",
        "insert into ops.transformations (pipeline, run_id) values ('shop', 'r')",
        "update ops.transformations set status = 'failed'",
        "create table silver.more as select amount from bronze.orders",
        "delete from silver.stg_orders",
        "create table gold_audit.more as select amount from silver.stg_orders",
        "drop table gold_audit.sales",
        "insert into gold.sales select amount from gold_audit.sales",
        """merge into gold.sales using gold_audit.sales as candidate on false
            when not matched then insert values (amount)""",
        "alter table gold.sales add column product text",
        "create table gold.more (amount int)",
        "create temporary table delta (amount int)",
    ),
    "observer": ("select from ops.loads", "select from ops.rejected_rows"),
    "reader": ("select amount from gold.sales",),
}

MAY_NOT: Mapping[Role, tuple[LiteralString, ...]] = {
    "loader": (
        "select from silver.stg_orders",
        "select from gold_audit.sales",
        "select from gold.sales",
        "insert into gold.sales values (1)",
        "create table silver.more (amount int)",
        "create table gold_audit.more (amount int)",
        "create table gold.more (amount int)",
    ),
    "transformer": (
        "insert into bronze.orders values (1)",
        "update bronze.orders set amount = 0",
        "delete from bronze.orders",
        "truncate bronze.orders",
        "drop table bronze.orders",
        "create table bronze.more (amount int)",
        "create table ops.more (amount int)",
        "insert into ops.files (source, file_name) values ('orders', 'a.csv')",
        "update ops.files set source = 'other'",
        "update ops.loads set stored_at = now()",
        "delete from ops.loads",
        "delete from ops.transformations",
        "delete from ops.published_loads",
        "update ops.publications set pipeline = 'other'",
        "insert into ops.schema_migrations (version, name, sha256) values (99, 'x', 'x')",
    ),
    "observer": (
        "select from bronze.orders",
        "select from silver.stg_orders",
        "select from gold_audit.sales",
        "select from gold.sales",
        "insert into ops.files (source, file_name) values ('orders', 'a.csv')",
        "update ops.loads set stored_at = now()",
        "delete from ops.rejected_rows",
        "create table ops.more (amount int)",
        "create temporary table mine (amount int)",
    ),
    "reader": (
        "select from bronze.orders",
        "select from ops.loads",
        "select from silver.stg_orders",
        "select from gold_audit.sales",
        "insert into gold.sales values (1)",
        "update gold.sales set amount = 0",
        "delete from gold.sales",
        "truncate gold.sales",
        "alter table gold.sales add column product text",
        "drop table gold.sales",
        "create table gold.more (amount int)",
        "create view gold.more as select 1",
        "create temporary table mine (amount int)",
    ),
}

NOBODY_MAY: tuple[LiteralString, ...] = (
    "create table public.more (amount int)",
    "create schema more",
    "create role more",
    "create database more",
    "alter role sluice_loader superuser",
    "alter system set fsync = off",
    "set role postgres",
    "copy (select 1) to program 'true'",
    "copy (select 1) to '/tmp/more'",
    "select pg_read_file('/etc/passwd')",
    "select rolpassword from pg_authid",
)


@pytest.fixture
def connections(
    loader: Connection, transformer: Connection, observer: Connection, reader: Connection
) -> Any:
    """Every role's connection; each schema has a table made after the rights were given."""
    for connection in (loader, transformer, observer):
        connection.autocommit = True
    for schema, statement in NEW_TABLES.items():
        owner = loader if OWNERS[schema] == "loader" else transformer
        owner.execute(statement)
    # Read only is what its sessions begin with; here it is its rights that count.
    observer.execute("set session characteristics as transaction read write")
    return {"loader": loader, "transformer": transformer, "observer": observer, "reader": reader}


def refused(connection: Connection, statements: tuple[LiteralString, ...]) -> list[str]:
    """The statements for which the role has no right; what the others did is rolled back."""
    found: list[str] = []
    for statement in statements:
        try:
            with connection.transaction(force_rollback=True):
                connection.execute(statement)
        except InsufficientPrivilege:
            found.append(statement)
    return found


@pytest.mark.parametrize("role", ROLES)
def test_what_a_role_may(connections: Mapping[Role, Connection], role: Role) -> None:
    assert refused(connections[role], MAY[role]) == []


@pytest.mark.parametrize("role", ROLES)
def test_what_a_role_may_not(connections: Mapping[Role, Connection], role: Role) -> None:
    assert refused(connections[role], MAY_NOT[role]) == list(MAY_NOT[role])


@pytest.mark.parametrize("role", ROLES)
def test_what_no_role_may(settings: Settings, role: Role) -> None:
    with connect(settings, role, application_name="test", autocommit=True) as connection:
        connection.execute("set session characteristics as transaction read write")
        for statement in NOBODY_MAY:
            with pytest.raises(InsufficientPrivilege):
                connection.execute(statement)


@pytest.mark.parametrize("role", ROLES)
def test_no_role_can_become_another(settings: Settings, role: Role) -> None:
    with connect(settings, role, application_name="test", autocommit=True) as connection:
        for other in ROLES:
            become = SQL("set role {}").format(Identifier(database_role(other)))
            if other == role:
                connection.execute(become)
            else:
                with pytest.raises(InsufficientPrivilege):
                    connection.execute(become)


def test_the_rights_on_schemas_are_these_and_no_others(administrator: Connection) -> None:
    rights = administrator.execute(
        """
        select nspname || ': ' || coalesce(rolname, 'public') || ' ' || entry.privilege_type
        from pg_namespace
        cross join aclexplode(nspacl) as entry
        left join pg_roles on pg_roles.oid = entry.grantee
        where nspname = any(%s) and entry.grantee <> nspowner
        order by 1
        """,
        (list(OWNERS),),
    ).fetchall()
    assert [right for (right,) in rights] == [
        "bronze: sluice_transformer USAGE",
        "gold: sluice_reader USAGE",
        "ops: sluice_observer USAGE",
        "ops: sluice_transformer USAGE",
    ]


def test_the_rights_on_the_ledger_are_these_and_no_others(administrator: Connection) -> None:
    rights = administrator.execute(
        """
        select
            relname, rolname,
            string_agg(entry.privilege_type, ' ' order by entry.privilege_type)
        from pg_class
        cross join aclexplode(relacl) as entry
        inner join pg_roles on pg_roles.oid = entry.grantee
        where relnamespace = 'ops'::regnamespace and relkind = 'r' and entry.grantee <> relowner
        group by relname, rolname
        """
    ).fetchall()
    writes = {
        "transformations": "INSERT SELECT UPDATE",
        "node_results": "INSERT SELECT",
        "publications": "INSERT SELECT",
        "published_marts": "INSERT SELECT",
        "published_loads": "INSERT SELECT",
        "change_readers": "INSERT SELECT UPDATE",
        "held_publications": "INSERT SELECT UPDATE",
        "failing_rows": "DELETE INSERT SELECT",
        "notifications": "INSERT SELECT UPDATE",
    }
    tables = administrator.execute(
        "select tablename from pg_tables where schemaname = 'ops' order by 1"
    ).fetchall()
    assert len(tables) > len(writes)
    expected = {(table, "sluice_transformer", writes.get(table, "SELECT")) for (table,) in tables}
    assert set(rights) == expected | {(table, "sluice_observer", "SELECT") for (table,) in tables}


def test_another_login_sees_nothing(server: Any, settings: Settings) -> None:
    """A role of the server that is none of ours may not even connect."""
    with server.administrator() as connection:
        connection.execute("create role stranger login password 'stranger'")
        try:
            uri = settings.warehouse.get_secret_value()
            with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
                psycopg.connect(uri, user="stranger", password="stranger")
        finally:
            connection.execute("drop role stranger")


def test_a_readers_transaction_is_one_snapshot_without_its_doing(
    settings: Settings, server: Any
) -> None:
    with connect(settings, "reader", application_name="test") as reader:
        row = reader.execute("select current_setting('transaction_isolation')").fetchone()
    assert row == ("repeatable read",)


def test_who_observes_changes_nothing_and_keeps_nobody_waiting(settings: Settings) -> None:
    with connect(settings, "observer", application_name="test") as observer:
        row = observer.execute(
            """
            select current_setting('transaction_read_only'), current_setting('statement_timeout')
            """
        ).fetchone()
    assert row == ("on", "5s")

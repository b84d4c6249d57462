"""Deliveries that PostgreSQL refuses: each is rejected, and the others are loaded."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from psycopg import errors

from sluice.errors import ConfigError, InternalError, SluiceError
from sluice.loading import attempt
from sluice.registry import Source
from tests.loading.conftest import HEADER, ORDERS, Shop


def declare(shop: Shop, **keys: Any) -> None:
    shop.source = Source.model_validate({**ORDERS.model_dump(), **keys})


def ends(shop: Shop) -> dict[str, str]:
    """How each delivery ended: its code, or loaded."""
    return {entry.file_name: entry.reject_code or entry.outcome for entry in shop.load().entries}


def raising(error: psycopg.Error) -> Any:
    def add_columns(*_: object) -> None:
        raise error

    return add_columns


@pytest.mark.parametrize(
    "error",
    [
        errors.TooManyColumns("x"),
        errors.DuplicateColumn("x"),
        errors.UntranslatableCharacter("x"),
        errors.StatementTooComplex("x"),
        psycopg.DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes"),
    ],
)
def test_what_nobody_has_foreseen_of_a_file_rejects_it(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, error: psycopg.Error
) -> None:
    declare(shop, schema_contract="evolve")
    shop.drop("a.csv", "1,ink,2,x\n", header=f"{HEADER.strip()},more\n")
    with monkeypatch.context() as patched:
        patched.setattr(attempt, "add_columns", raising(error))
        (entry,) = shop.load().entries
    assert (entry.outcome, entry.reject_code) == ("rejected", "refused_by_postgresql")
    assert str(error) in (entry.reject_reason or "")
    shop.drop("a.csv", "1,ink,2,x\n", header=f"{HEADER.strip()},more\n")
    assert ends(shop) == {"a.csv": "loaded"}


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (errors.InternalError_("x"), "InternalError"),
        (errors.UndefinedColumn("x"), "InternalError"),
        (errors.CheckViolation("x"), "InternalError"),
        (errors.InsufficientPrivilege("x"), "ConfigError"),
        (errors.DiskFull("x"), "RetriableError"),
        (errors.OutOfMemory("x"), "RetriableError"),
        (errors.LockNotAvailable("x"), "RetriableError"),
        (errors.SerializationFailure("x"), "RetriableError"),
        (errors.QueryCanceled("x"), "RetriableError"),
        (psycopg.OperationalError("x"), "RetriableError"),
    ],
)
def test_what_is_not_of_the_file_rejects_none(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, error: psycopg.Error, kind: str
) -> None:
    declare(shop, schema_contract="evolve")
    path = shop.drop("a.csv", "1,ink,2,x\n", header=f"{HEADER.strip()},more\n")
    with monkeypatch.context() as patched:
        patched.setattr(attempt, "add_columns", raising(error))
        with pytest.raises(SluiceError) as raised:
            shop.load()
    assert type(raised.value).__name__ == kind
    assert path.exists()
    assert ends(shop) == {"a.csv": "loaded"}


def test_a_table_that_lost_its_rights_rejects_no_file(
    shop: Shop, administrator: psycopg.Connection
) -> None:
    shop.load()
    administrator.autocommit = True
    administrator.execute("alter table bronze.orders owner to current_user")
    administrator.execute("revoke insert on bronze.orders from public, sluice_loader")
    path = shop.drop("a.csv", "1,ink,2\n")
    with pytest.raises((ConfigError, InternalError)):
        shop.load()
    assert path.exists()
